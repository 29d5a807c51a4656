# SPDX-License-Identifier: Apache-2.0
"""The few calls of CUDA's runtime that execution needs, through cuda-python; every error becomes BackendError."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.backends.backend import BackendError


def import_cuda_runtime() -> ModuleType:
    """cuda-python's module of the CUDA runtime, under its new or its old name.

    Raises:
        BackendError: it is missing.
    """
    try:
        from cuda.bindings import runtime
    except ImportError:
        try:
            from cuda import cudart as runtime
        except ImportError as error:
            raise BackendError(
                f"The tensorrt backend needs the package cuda-python (pip install cuda-python): {error}."
            ) from error
    return runtime


class Cuda:
    """A stream and the memory of one engine. Owned by one thread at a time."""

    # Of the process: how many there are, and whether one of them met an error since the last reset.
    _living = 0
    _broken = False

    def __init__(self, runtime: ModuleType) -> None:
        """Make the stream on the first GPU.

        Raises:
            BackendError: CUDA does not work here.
        """
        self._runtime = runtime
        self._device: list[int] = []
        self._pinned: list[int] = []
        self._graph: Any = None
        self._executable: Any = None
        self._failed = False
        self._call("cudaSetDevice", 0)
        self.stream = self._call("cudaStreamCreateWithFlags", runtime.cudaStreamNonBlocking)
        Cuda._living += 1

    def _call(self, function: str, *arguments: Any) -> Any:
        """What a function gives besides its error code: nothing or one value."""
        error, *values = getattr(self._runtime, function)(*arguments)
        if error != self._runtime.cudaError_t.cudaSuccess:
            self._failed = True
            raise BackendError(f"CUDA failed in {function}: {self._explain(error)}.")
        return values[0] if values else None

    def _explain(self, error: Any) -> str:
        text = self._runtime.cudaGetErrorString(error)[1]
        return f"{text.decode() if isinstance(text, bytes) else text} ({int(error)})"

    @property
    def stream_handle(self) -> int:
        """The stream as a number, as TensorRT takes it."""
        return int(self.stream)

    def allocate(self, size: int) -> int:
        """Address of so many bytes on the GPU, freed by `close`."""
        address = int(self._call("cudaMalloc", size))
        self._device.append(address)
        return address

    def allocate_pinned(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """An array that the GPU can copy while the CPU works, freed by `close`: use it no longer than this."""
        size = int(np.prod(shape)) * dtype.itemsize
        address = int(self._call("cudaHostAlloc", size, self._runtime.cudaHostAllocDefault))
        self._pinned.append(address)
        memory = (ctypes.c_ubyte * size).from_address(address)
        return np.ctypeslib.as_array(memory).view(dtype).reshape(shape)

    def upload(self, address: int, values: NDArray[Any]) -> None:
        """Copy a pinned array to the GPU, in the order of the stream."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", address, values.ctypes.data, values.nbytes, kind, self.stream)

    def download(self, values: NDArray[Any], address: int) -> None:
        """Copy from the GPU to a pinned array, in the order of the stream."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", values.ctypes.data, address, values.nbytes, kind, self.stream)

    def wait(self) -> None:
        """Return when the stream is empty; errors of everything before show here."""
        self._call("cudaStreamSynchronize", self.stream)

    @contextmanager
    def capture(self) -> Iterator[None]:
        """Record what is put into the stream instead of doing it; `replay` then does it all at once.

        Raises:
            BackendError: something in it cannot be recorded. The stream works on as if nothing had been.
        """
        mode = self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", self.stream, mode)
        try:
            yield
        finally:
            # Also after an error: a stream that stays in capture is useless.
            self._graph = self._call("cudaStreamEndCapture", self.stream)
        self._executable = self._call("cudaGraphInstantiateWithFlags", self._graph, 0)

    def replay(self) -> None:
        """Do what was captured."""
        self._call("cudaGraphLaunch", self._executable, self.stream)

    def forgive(self) -> None:
        """Continue after an error that broke nothing, such as a refused capture."""
        self._runtime.cudaGetLastError()
        self._failed = False

    def close(self) -> None:
        """Free everything. After an error the whole device is reset, as CUDA repeats an error until then.

        The reset waits for the last one to be closed: it takes the memory of all of them.
        """
        if self.stream is None:
            return
        held = (
            ("cudaGraphExecDestroy", [self._executable]),
            ("cudaGraphDestroy", [self._graph]),
            ("cudaFree", self._device),
            ("cudaFreeHost", self._pinned),
            ("cudaStreamDestroy", [self.stream]),
        )
        for function, items in held:
            for item in items:
                if item is not None:
                    getattr(self._runtime, function)(item)  # what cannot be freed now, the reset frees
        self._device, self._pinned = [], []
        self._executable = self._graph = self.stream = None
        Cuda._living -= 1
        Cuda._broken |= self._failed
        if Cuda._broken and Cuda._living == 0:
            self._runtime.cudaDeviceReset()
            Cuda._broken = False
