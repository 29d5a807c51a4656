# SPDX-License-Identifier: Apache-2.0
"""The package tensorrt of three versions, computing with ONNX Runtime on memory of the CPU.

What these versions have and lack is the real packages'; `test_contract` compares every name and every
number of arguments with them. An engine is the ONNX file behind the version that "built" it.
"""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
from fake_cuda import FakeCuda

VERSIONS = ("8.6.1", "10.16.1.11", "11.4.0.106")
_FLAGS = {8: ("FP16", "INT8", "TF32", "OBEY_PRECISION_CONSTRAINTS"), 10: ("FP16", "BF16", "TF32"), 11: ("TF32",)}
_CREATION = {8: {"EXPLICIT_BATCH": 0}, 10: {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}, 11: {"STRONGLY_TYPED": 1}}


@dataclass
class FakeTensorRT:
    """What was asked of the module, and what is to go wrong."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    fail_build: str = ""
    fail_parse: str = ""
    twist: Callable[[str, np.ndarray], np.ndarray] = lambda name, value: value
    refuses_timing: Callable[[bytes], bool] = lambda content: False
    layers: list[Any] = field(default_factory=list)
    during_build: Callable[[], None] = lambda: None

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]


def make_tensorrt(version: str, cuda: FakeCuda) -> tuple[ModuleType, FakeTensorRT]:
    """A module of that version whose engines run in the memory of `cuda`."""
    trt, state = ModuleType("tensorrt"), FakeTensorRT()
    major = int(version.partition(".")[0])

    Severity = enum.Enum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE", start=0)
    DataType = enum.Enum("DataType", "FLOAT HALF INT8 INT32 BOOL UINT8" + (" BF16 INT64" if major > 8 else ""))
    by_onnx = {1: DataType.FLOAT, 10: DataType.HALF, 2: DataType.UINT8, 9: DataType.BOOL, 7: DataType.INT32}
    if major > 8:
        by_onnx |= {16: DataType.BF16, 7: DataType.INT64}

    class ILogger:
        def log(self, severity: Any, msg: str) -> None:
            raise NotImplementedError

    class ITensor:
        def __init__(self, name: str, dtype: Any, shape: Iterable[int]) -> None:
            self.name, self.dtype, self.shape = name, dtype, tuple(shape)

    class ILayer:
        def __init__(self, kind: str, inputs: list[Any], outputs: list[Any]) -> None:
            self._kind, self._inputs, self._outputs = kind, inputs, outputs
            self.num_inputs, self.num_outputs = len(inputs), len(outputs)
            if major < 11:
                self.precision: Any = None

        def get_input(self, index: int) -> Any:
            return self._inputs[index]

        def get_output(self, index: int) -> Any:
            return self._outputs[index]

    class INetworkDefinition:
        def __init__(self, flags: int) -> None:
            self._flags, self._onnx = flags, b""
            self._inputs: list[ITensor] = []

        @property
        def num_inputs(self) -> int:
            return len(self._inputs)

        def get_input(self, index: int) -> ITensor:
            return self._inputs[index]

        @property
        def num_layers(self) -> int:
            return len(state.layers)

        def get_layer(self, index: int) -> Any:
            return state.layers[index]

    class ITimingCache:
        def __init__(self, content: bytes) -> None:
            self._content = content

        def serialize(self) -> memoryview:
            return memoryview(self._content)

    class IBuilderConfig:
        def __init__(self) -> None:
            self._timing: ITimingCache | None = None

        def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
            state.calls.append(("set_memory_pool_limit", pool.name, pool_size))

        def set_flag(self, flag: Any) -> None:
            state.calls.append(("set_flag", flag.name))

        def clear_flag(self, flag: Any) -> None:
            state.calls.append(("clear_flag", flag.name))

        def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
            state.calls.append(("create_timing_cache", bytes(serialized_timing_cache)))
            return ITimingCache(bytes(serialized_timing_cache))

        def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
            state.calls.append(("set_timing_cache", ignore_mismatch))
            if state.refuses_timing(bytes(cache.serialize())):
                return False
            self._timing = cache
            return True

        def get_timing_cache(self) -> ITimingCache | None:
            return self._timing

    class Builder:
        def __init__(self, logger: ILogger) -> None:
            self._logger = logger

        def create_network(self, flags: int = 0) -> INetworkDefinition:
            state.calls.append(("create_network", flags))
            return INetworkDefinition(flags)

        def create_builder_config(self) -> IBuilderConfig:
            return IBuilderConfig()

        def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> Any:
            state.calls.append(("build_serialized_network",))
            state.during_build()
            if state.fail_build:
                self._logger.log(Severity.ERROR, state.fail_build)
                return None
            if config._timing is not None:
                config._timing._content += b"learned;"
            return memoryview(version.encode() + b"\n" + network._onnx)

    class ParserError:
        def desc(self) -> str:
            return state.fail_parse

    class OnnxParser:
        num_errors = 0

        def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
            self._network = network

        def parse(self, model: bytes) -> bool:
            state.calls.append(("parse", len(model)))
            if state.fail_parse:
                self.num_errors = 1
                return False
            self._network._onnx = model
            graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(model)).graph
            infos = [*graph.input, *graph.output, *graph.value_info]
            tensors = {info.name: to_tensor(info) for info in infos}
            tensors |= {item.name: ITensor(item.name, by_onnx[item.data_type], item.dims) for item in graph.initializer}
            self._network._inputs = [tensors[info.name] for info in graph.input]
            state.layers[:] = [
                ILayer(node.op_type, [tensors.get(n) for n in node.input], [tensors[n] for n in node.output])
                for node in graph.node
            ]
            return True

        def get_error(self, index: int) -> ParserError:
            return ParserError()

    def to_tensor(info: onnx.ValueInfoProto) -> ITensor:
        kind = info.type.tensor_type
        return ITensor(info.name, by_onnx[kind.elem_type], (d.dim_value or -1 for d in kind.shape.dim))

    class IExecutionContext:
        def __init__(self, engine: ICudaEngine) -> None:
            self._engine, self._addresses = engine, {}

        def set_tensor_address(self, name: str, memory: int) -> bool:
            state.calls.append(("set_tensor_address", name))
            self._addresses[name] = memory
            return memory in cuda.memory

        def execute_async_v3(self, stream_handle: int) -> bool:
            state.calls.append(("execute_async_v3", stream_handle))
            cuda.submit(stream_handle, self._compute)
            return True

        def _compute(self) -> None:
            inputs = {name: self._array(name).copy() for name in self._engine._input_names}
            outputs = self._engine._session.run(self._engine._output_names, inputs)
            for name, value in zip(self._engine._output_names, outputs, strict=True):
                self._array(name)[...] = state.twist(name, value)

        def _array(self, name: str) -> np.ndarray:
            shape, dtype = self._engine._tensors[name].shape, self._engine._tensors[name].dtype
            size = int(np.prod(shape)) * (1 if dtype is DataType.UINT8 else 4)
            memory = (ctypes.c_ubyte * size).from_address(self._addresses[name])
            return np.frombuffer(memory, np.uint8 if dtype is DataType.UINT8 else np.float32).reshape(shape)

    class ICudaEngine:
        def __init__(self, model: bytes) -> None:
            graph = onnx.load_from_string(model).graph
            self._tensors = {info.name: to_tensor(info) for info in (*graph.input, *graph.output)}
            self._input_names = [info.name for info in graph.input]
            self._output_names = [info.name for info in graph.output]
            self._session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])

        @property
        def num_io_tensors(self) -> int:
            return len(self._tensors)

        def get_tensor_name(self, index: int) -> str:
            return list(self._tensors)[index]

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return self._tensors[name].shape

        def get_tensor_dtype(self, name: str) -> Any:
            return self._tensors[name].dtype

        def get_tensor_mode(self, name: str) -> Any:
            return trt.TensorIOMode.INPUT if name in self._input_names else trt.TensorIOMode.OUTPUT

        def create_execution_context(self) -> IExecutionContext:
            return IExecutionContext(self)

    class Runtime:
        def __init__(self, logger: ILogger) -> None:
            self._logger = logger

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
            state.calls.append(("deserialize_cuda_engine", len(serialized_engine)))
            built_by, _, model = serialized_engine.partition(b"\n")
            if built_by.decode(errors="replace") != version:
                self._logger.log(Severity.ERROR, "the engine's version tag does not match")
                return None
            return ICudaEngine(model)

    ILogger.Severity = Severity
    trt.__version__ = version
    for kind in (
        ILogger, ITensor, ILayer, INetworkDefinition, ITimingCache, IBuilderConfig, Builder, OnnxParser,
        IExecutionContext, ICudaEngine, Runtime,
    ):  # fmt: skip
        setattr(trt, kind.__name__, kind)
    trt.DataType, trt.float32, trt.float16 = DataType, DataType.FLOAT, DataType.HALF
    trt.TensorIOMode = enum.Enum("TensorIOMode", "NONE INPUT OUTPUT", start=0)
    trt.MemoryPoolType = enum.Enum("MemoryPoolType", "WORKSPACE", start=0)
    trt.BuilderFlag = enum.Enum("BuilderFlag", " ".join(_FLAGS[major]), start=0)
    trt.NetworkDefinitionCreationFlag = enum.IntEnum("NetworkDefinitionCreationFlag", _CREATION[major])
    return trt, state
