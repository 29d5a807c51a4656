# SPDX-License-Identifier: Apache-2.0
"""cuda-python's runtime on memory of the CPU: work put into a stream is done when somebody waits for it.

Names, order of arguments and results are the real package's; `test_contract` compares them with it.
"""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Callable
from types import ModuleType
from typing import Any

Error = enum.IntEnum(
    "Error",
    {
        "cudaSuccess": 0,
        "cudaErrorMemoryAllocation": 2,
        "cudaErrorIllegalAddress": 700,
        "cudaErrorStreamCaptureUnsupported": 900,
    },
)
MemcpyKind = enum.IntEnum("MemcpyKind", {"cudaMemcpyHostToDevice": 1, "cudaMemcpyDeviceToHost": 2})
CaptureMode = enum.IntEnum("CaptureMode", {"cudaStreamCaptureModeThreadLocal": 1})


class FakeCuda:
    """The state behind the module: memory, streams, calls, and errors to come."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.memory: dict[int, Any] = {}
        self.streams: dict[int, list[Callable[[], None]]] = {}
        self.capturing: list[Callable[[], None]] | None = None
        self.failures: dict[str, tuple[int, Error]] = {}
        self.broken: Error | None = None
        self.resets = 0

    def fail(self, function: str, error: Error, after: int = 0) -> None:
        """Let a function fail once it has been called `after` more times; errors beyond memory stay."""
        self.failures[function] = (self.calls.count(function) + after, error)

    def submit(self, stream: int, work: Callable[[], None]) -> None:
        (self.streams[stream] if self.capturing is None else self.capturing).append(work)

    def check(self, function: str) -> Error:
        seen = self.calls.count(function)
        self.calls.append(function)
        if self.broken is not None and function != "cudaDeviceReset":
            return self.broken
        first, error = self.failures.get(function, (1 << 30, Error.cudaSuccess))
        if seen < first:
            return Error.cudaSuccess
        if error is Error.cudaErrorIllegalAddress:
            self.broken = error
        return error

    def allocate(self, size: int) -> int:
        block = ctypes.create_string_buffer(size)
        address = ctypes.addressof(block)
        self.memory[address] = block
        return address


def make_cuda() -> tuple[ModuleType, FakeCuda]:
    """A module like `cuda.bindings.runtime`, and what is behind it."""
    state, module = FakeCuda(), ModuleType("cuda.bindings.runtime")
    graphs: dict[int, list[Callable[[], None]]] = {}

    def cudaSetDevice(device: int) -> tuple[Error]:
        return (state.check("cudaSetDevice"),)

    def cudaStreamCreateWithFlags(flags: int) -> tuple[Error, int]:
        error, handle = state.check("cudaStreamCreateWithFlags"), 1000 + len(state.streams)
        state.streams[handle] = []
        return error, handle

    def cudaStreamDestroy(stream: int) -> tuple[Error]:
        state.streams.pop(stream, None)
        return (state.check("cudaStreamDestroy"),)

    def cudaMalloc(size: int) -> tuple[Error, int]:
        error = state.check("cudaMalloc")
        return error, state.allocate(size) if error is Error.cudaSuccess else 0

    def cudaHostAlloc(size: int, flags: int) -> tuple[Error, int]:
        error = state.check("cudaHostAlloc")
        return error, state.allocate(size) if error is Error.cudaSuccess else 0

    def cudaFree(devPtr: int) -> tuple[Error]:
        state.memory.pop(devPtr, None)
        return (state.check("cudaFree"),)

    def cudaFreeHost(ptr: int) -> tuple[Error]:
        state.memory.pop(ptr, None)
        return (state.check("cudaFreeHost"),)

    def cudaMemcpyAsync(dst: int, src: int, count: int, kind: MemcpyKind, stream: int) -> tuple[Error]:
        error = state.check("cudaMemcpyAsync")
        assert isinstance(kind, MemcpyKind)
        device = dst if kind is MemcpyKind.cudaMemcpyHostToDevice else src
        assert len(state.memory[device]) == count
        if error is Error.cudaSuccess:
            state.submit(stream, lambda: ctypes.memmove(dst, src, count) and None)
        return (error,)

    def cudaStreamSynchronize(stream: int) -> tuple[Error]:
        error = state.check("cudaStreamSynchronize")
        assert state.capturing is None, "waiting breaks a capture"
        while error is Error.cudaSuccess and state.streams[stream]:
            state.streams[stream].pop(0)()
        return (error,)

    def cudaStreamBeginCapture(stream: int, mode: CaptureMode) -> tuple[Error]:
        error = state.check("cudaStreamBeginCapture")
        state.capturing = [] if error is Error.cudaSuccess else None
        return (error,)

    def cudaStreamEndCapture(stream: int) -> tuple[Error, int | None]:
        error, recorded = state.check("cudaStreamEndCapture"), state.capturing
        state.capturing = None
        if error is not Error.cudaSuccess or recorded is None:
            return error, None
        graphs[len(graphs) + 1] = recorded
        return error, len(graphs)

    def cudaGraphInstantiateWithFlags(graph: int, flags: int) -> tuple[Error, int]:
        return state.check("cudaGraphInstantiateWithFlags"), graph

    def cudaGraphLaunch(graphExec: int, stream: int) -> tuple[Error]:
        error = state.check("cudaGraphLaunch")
        for work in graphs[graphExec]:
            state.submit(stream, work)
        return (error,)

    def cudaGraphExecDestroy(graphExec: int) -> tuple[Error]:
        return (state.check("cudaGraphExecDestroy"),)

    def cudaGraphDestroy(graph: int) -> tuple[Error]:
        return (state.check("cudaGraphDestroy"),)

    def cudaGetErrorString(error: Error) -> tuple[Error, bytes]:
        return Error.cudaSuccess, error.name.encode()

    def cudaGetLastError() -> tuple[Error]:
        return (Error.cudaSuccess,)

    def cudaDeviceReset() -> tuple[Error]:
        state.check("cudaDeviceReset")
        state.broken, state.memory, state.streams = None, {}, {}
        state.failures.clear()
        state.resets += 1
        return (Error.cudaSuccess,)

    for name, value in list(locals().items()):
        if name.startswith("cuda"):
            setattr(module, name, value)
    module.cudaError_t, module.cudaMemcpyKind, module.cudaStreamCaptureMode = Error, MemcpyKind, CaptureMode
    module.cudaStreamNonBlocking, module.cudaHostAllocDefault = 1, 0
    return module, state
