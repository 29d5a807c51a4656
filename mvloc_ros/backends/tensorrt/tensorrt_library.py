# SPDX-License-Identifier: Apache-2.0
"""The package tensorrt: importing it, its log, and what its versions differ in."""

from __future__ import annotations

import logging
from types import ModuleType
from typing import Any

from mvloc_ros.backends.backend import BackendError

_log = logging.getLogger(__name__)
_OLDEST = (8, 5)
_KEPT_ERRORS = 3


def import_tensorrt() -> ModuleType:
    """The package tensorrt. Ask `find_gpu` first: without a CUDA driver TensorRT may end the process.

    Raises:
        BackendError: it is missing or too old.
    """
    try:
        import tensorrt
    except ImportError as error:
        raise BackendError(
            f"TensorRT cannot be imported ({error}); it comes with JetPack, elsewhere: pip install tensorrt."
        ) from error
    if version(tensorrt) < _OLDEST:
        raise BackendError(f"TensorRT {tensorrt.__version__} is too old; 8.5 is the oldest supported version.")
    return tensorrt


def version(trt: ModuleType) -> tuple[int, int]:
    """Major and minor version."""
    major, minor = trt.__version__.split(".")[:2]
    return int(major), int(minor)


def is_strongly_typed(trt: ModuleType) -> bool:
    """Whether networks take their precision from the ONNX file (from 10.0) instead of builder flags."""
    return version(trt) >= (10, 0)


class ErrorLog:
    """Passes TensorRT's log to Python's, and keeps its last errors for messages.

    TensorRT gives the reason of a failure in its log only; its functions just return None or False.
    """

    def __init__(self, trt: ModuleType) -> None:
        errors: list[str] = []
        serious = (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR)

        class Logger(trt.ILogger):  # type: ignore[name-defined]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                if severity in serious:
                    errors.append(message)
                    del errors[:-_KEPT_ERRORS]
                _log.log(logging.WARNING if severity in serious else logging.DEBUG, "TensorRT: %s", message)

        self.errors = errors
        self.logger = Logger()

    def explanation(self) -> str:
        """TensorRT's own words on the last failure."""
        return "; ".join(self.errors) or "it gives no reason"
