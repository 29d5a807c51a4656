# SPDX-License-Identifier: Apache-2.0
"""The protocol between the localizer and whatever runs the network, and the choice of a backend."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.errors import MvlocError
from mvloc_ros.inference.bundle import Bundle, is_current

# After auto: in the order in which auto tries them.
BACKENDS = ("auto", "tensorrt", "onnxruntime", "torch")


class BackendError(MvlocError):
    """The backend that was asked for cannot serve here."""


@dataclass(frozen=True)
class NetworkOutput:
    """What one frame gives.

    Attributes:
        position: normalised position, float32 `[3]` (see `Bundle.position_in_map`).
        log_quaternion: logarithm of the rotation's quaternion, float32 `[3]` (Eq. 12, half angle).
        latent_mean, latent_log_variance: the joint posterior, float32 `[D]`.
        expert_share: prior, colour, depth: each expert's share of the joint precision, float32 `[3]`.
    """

    position: NDArray[np.float32]
    log_quaternion: NDArray[np.float32]
    latent_mean: NDArray[np.float32]
    latent_log_variance: NDArray[np.float32]
    expert_share: NDArray[np.float32]


class Backend(Protocol):
    """Runs one bundle's network. Owned by one thread; not safe to share."""

    @property
    def description(self) -> str:
        """What runs where, in one line, for the log and the status."""

    def run(self, color: NDArray[np.uint8], depth: NDArray[np.float32], present: NDArray[np.float32]) -> NetworkOutput:
        """Run one frame.

        Args:
            color: RGB `[H, W, 3]` of the bundle's input size.
            depth: metres `[H, W]`; 0, NaN and infinities are invalid.
            present: 1 or 0 for colour and depth `[2]`; the expert of an absent modality is dropped.
        """

    def close(self) -> None:
        """Release what is held; the backend is not used again."""


@dataclass(frozen=True)
class BackendOptions:
    """What a user may say about a backend, whichever it is.

    Attributes:
        threads: for the CPU; 0 lets the backend choose.
        precision: one of `mvloc_ros.inference.precision.PRECISIONS`.
        engine_cache: folder of TensorRT's engines; empty for the user's cache folder.
        report: is given sentences for the log, such as the progress of a long build.
    """

    threads: int = 0
    precision: str = "auto"
    engine_cache: str = ""
    report: Callable[[str], object] = logging.getLogger(__name__).info


def create_backend(
    name: str,
    bundle: Bundle,
    threads: int = 0,
    *,
    precision: str = "auto",
    engine_cache: str = "",
    report: Callable[[str], object] | None = None,
) -> Backend:
    """Make the named backend for a bundle, or for `auto` the best that works here.

    `auto` tries TensorRT, ONNX Runtime, PyTorch, and reports in one line which it took and why none before it.

    Args:
        name: one of `BACKENDS`.
        bundle: the model.
        threads: see `BackendOptions`, as for the others.
        precision: of the network.
        engine_cache: of TensorRT.
        report: Python's log if None.

    Raises:
        BackendError: the backend is unknown or cannot serve here, or the bundle has no such network; the message
            says what is lacking.
    """
    if name not in BACKENDS:
        raise BackendError(f"There is no backend {name!r}; choose one of {', '.join(BACKENDS)}.")
    from mvloc_ros.inference.precision import choose

    choose(bundle, precision, ())  # what the bundle has not, no backend can run
    options = BackendOptions(threads, precision, engine_cache)
    if report is not None:
        options = replace(options, report=report)
    if name != "auto":
        return _open(name, bundle, options)
    reasons = []
    for candidate in BACKENDS[1:]:
        try:
            backend = _open(candidate, bundle, options)
        except BackendError as error:
            reasons.append(f"{candidate}: {error}")
        else:
            options.report(f"auto chose {backend.description}" + "".join(f"; not {reason}" for reason in reasons))
            return backend
    raise BackendError("No backend works here: " + " ".join(reasons))


def _open(name: str, bundle: Bundle, options: BackendOptions) -> Backend:
    """The backend of that name, of the network that the bundle's manifest is of."""
    backend = _opened(name, bundle, options)
    if not is_current(bundle):  # its positions would be read in the scale of another network
        backend.close()
        raise BackendError(f"The bundle {bundle.path} has changed while it was being loaded; load it again.")
    return backend


def _opened(name: str, bundle: Bundle, options: BackendOptions) -> Backend:
    """The backend of that name; each is imported when it is asked for, as each needs other packages."""
    if name == "tensorrt":
        from mvloc_ros.inference.tensorrt.backend import TensorRTBackend

        return TensorRTBackend(bundle, options)
    if name == "torch":
        try:
            from mvloc_ros.inference.torch_backend.backend import TorchBackend
        except ImportError as error:
            raise BackendError(
                f"The torch backend needs the packages torch and onnx (pip install torch onnx): {error}."
            ) from error
        return TorchBackend(bundle, options)
    from mvloc_ros.inference.onnxruntime_providers import open_onnxruntime

    return open_onnxruntime(bundle, options)
