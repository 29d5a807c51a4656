# SPDX-License-Identifier: Apache-2.0
"""An engine with all that running it takes: context, buffers, stream and CUDA graph, made once.

A frame is copied into pinned memory and uploaded while the next input is copied; then one call replays
the captured graph, which computes and downloads. No frame allocates memory of the GPU or pinned memory.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.backends.backend import BackendError
from mvloc_ros.backends.tensorrt.cuda import Cuda
from mvloc_ros.backends.tensorrt.tensorrt_library import ErrorLog

_WARM_UPS = 2  # TensorRT sets itself up in the first runs, which a capture would record


class EngineRejectedError(BackendError):
    """TensorRT does not take an engine; building it again may help."""


@dataclass(frozen=True)
class _Tensor:
    """An input or output: pinned memory here, and its address on the GPU."""

    host: NDArray[Any]
    device: int


class Execution:
    """Runs an engine. Owned by one thread at a time."""

    def __init__(
        self, trt: ModuleType, runtime: ModuleType, engine: bytes, log: ErrorLog, report: Callable[[str], object]
    ) -> None:
        """Load an engine and capture its CUDA graph; CUDA must have been seen to work (`find_gpu`).

        Args:
            trt: the package tensorrt.
            runtime: cuda-python's module of the CUDA runtime.
            engine: serialized, checked for damage before.
            log: TensorRT's.
            report: gets a message if there will be no CUDA graph.

        Raises:
            EngineRejectedError: TensorRT does not take the engine.
            BackendError: CUDA fails, for example for want of memory.
        """
        self._trt = trt
        self._log = log
        self._cuda = Cuda(runtime)
        self._inputs: dict[str, _Tensor] = {}
        self._outputs: dict[str, _Tensor] = {}
        self._context: Any = None
        self._engine: Any = None
        self._runtime: Any = None
        self.has_graph = False
        try:
            self._load(engine)
            self._prepare(report)
        except BaseException:
            self.close()
            raise

    def _load(self, engine: bytes) -> None:
        self._log.errors.clear()
        try:
            self._runtime = self._trt.Runtime(self._log.logger)
            if self._log.errors:
                # A driver too old for this TensorRT. Using the runtime that it makes all the same would end the
                # process, and so would destroying it, even at the interpreter's end.
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._runtime))
                raise BackendError(f"TensorRT cannot use CUDA here: {self._log.explanation()}.")
            self._engine = self._runtime.deserialize_cuda_engine(engine)
            self._context = None if self._engine is None else self._engine.create_execution_context()
        except (TypeError, RuntimeError) as error:
            raise EngineRejectedError(f"TensorRT does not load the engine: {error}.") from error
        if self._context is None:
            raise EngineRejectedError(f"TensorRT does not load the engine: {self._log.explanation()}.")
        for i in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(i)
            shape = tuple(self._engine.get_tensor_shape(name))
            if any(size < 0 for size in shape):
                raise EngineRejectedError(f"The engine's {name} has no fixed size.")
            host = self._cuda.allocate_pinned(shape, self._numpy_type(name))
            tensor = _Tensor(host, self._cuda.allocate(host.nbytes))
            is_input = self._engine.get_tensor_mode(name) == self._trt.TensorIOMode.INPUT
            (self._inputs if is_input else self._outputs)[name] = tensor
            if not self._context.set_tensor_address(name, tensor.device):
                raise EngineRejectedError(f"TensorRT does not accept the buffer of {name}: {self._log.explanation()}.")

    def _numpy_type(self, name: str) -> np.dtype[Any]:
        types = {self._trt.DataType.FLOAT: np.float32, self._trt.DataType.UINT8: np.uint8}
        dtype = self._engine.get_tensor_dtype(name)
        if dtype not in types:
            raise EngineRejectedError(f"The engine has {name} as {dtype}, where bundles have float32 or uint8.")
        return np.dtype(types[dtype])

    def _prepare(self, report: Callable[[str], object]) -> None:
        for tensor in self._inputs.values():
            tensor.host[...] = 0
            self._cuda.upload(tensor.device, tensor.host)
        for _ in range(_WARM_UPS):
            self._enqueue()
            self._cuda.wait()
        try:
            with self._cuda.capture():
                self._enqueue()
        except BackendError as error:
            self._cuda.forgive()
            report(f"The engine runs without a CUDA graph, and so somewhat slower: {error}")
        else:
            self.has_graph = True

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(self._cuda.stream_handle):
            raise BackendError(f"TensorRT cannot run the engine: {self._log.explanation()}.")
        for tensor in self._outputs.values():
            self._cuda.download(tensor.host, tensor.device)

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Of the inputs and outputs, by name."""
        return {name: tensor.host.shape for name, tensor in {**self._inputs, **self._outputs}.items()}

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """The outputs, copies, of inputs whose shapes and types are the engine's.

        Raises:
            BackendError: CUDA or TensorRT failed; only `close` helps then.
        """
        for name, tensor in self._inputs.items():
            np.copyto(tensor.host, inputs[name], casting="no")
            self._cuda.upload(tensor.device, tensor.host)
        if self.has_graph:
            self._cuda.replay()
        else:
            self._enqueue()
        self._cuda.wait()
        return {name: tensor.host.copy() for name, tensor in self._outputs.items()}

    def close(self) -> None:
        """Free everything; the arrays of the inputs and outputs with it."""
        # In this order: each needs the one after it.
        self._inputs, self._outputs = {}, {}
        self._context = None
        self._engine = None
        self._runtime = None
        self._cuda.close()
