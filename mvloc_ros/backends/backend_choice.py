# SPDX-License-Identifier: Apache-2.0
"""Which backend runs a bundle's network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mvloc_ros.backends.backend import BACKENDS, Backend, BackendError, BackendOptions
from mvloc_ros.backends.precision import choose
from mvloc_ros.model.bundle import Bundle, is_current


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
        BackendError: the backend is unknown or cannot be used here, or the bundle has no such network; the message
            says what is lacking.
    """
    if name not in BACKENDS:
        raise BackendError(f"{name!r} is not a backend; choose one of {', '.join(BACKENDS)}.")
    choose(bundle, precision, ())  # no backend can run a precision that the bundle lacks
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
        from mvloc_ros.backends.tensorrt.tensorrt_backend import TensorRTBackend

        return TensorRTBackend(bundle, options)
    if name == "torch":
        try:
            from mvloc_ros.backends.torch_backend.pytorch_backend import TorchBackend
        except ImportError as error:
            raise BackendError(
                f"The torch backend needs the packages torch and onnx (pip install torch onnx): {error}."
            ) from error
        return TorchBackend(bundle, options)
    from mvloc_ros.backends.onnxruntime_providers import open_onnxruntime

    return open_onnxruntime(bundle, options)
