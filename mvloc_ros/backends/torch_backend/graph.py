# SPDX-License-Identifier: Apache-2.0
"""An ONNX file as a PyTorch module: the same numbers as any other runtime, by PyTorch's kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from torch import Tensor, nn

from mvloc_ros.backends.backend import BackendError
from mvloc_ros.backends.torch_backend import operators
from mvloc_ros.backends.torch_backend.operators import Node
from mvloc_ros.file_reader import read_file
from mvloc_ros.foreign_text import first_line
from mvloc_ros.limits import MOST_MODEL_BYTES


@dataclass(frozen=True)
class _Step:
    """A call of one function: the names of its arguments and of its result."""

    function: Callable[..., Tensor]
    arguments: tuple[str, ...]
    result: str


class OnnxGraph(nn.Module):
    """The graph of a file. Weights are buffers, with convolutions' in channels-last order."""

    def __init__(self, path: Path) -> None:
        """Read a file.

        Raises:
            BackendError: it is no network, or has operators that this project's export does not write.
        """
        super().__init__()
        try:
            # As bytes: by its path, other formats would be read by the file's name, and data from other files.
            graph = onnx.load_model_from_string(read_file(path, MOST_MODEL_BYTES)).graph
        except (OSError, DecodeError) as error:
            raise BackendError(f"PyTorch cannot read {path}: {error}; export the bundle again.") from error
        self._names: dict[str, str] = {}
        self._steps: list[_Step] = []
        try:
            self._build(graph)
        except BackendError:
            raise
        except Exception as error:  # whatever a missing or mistyped part raises
            raise BackendError(
                f"PyTorch cannot build the network {path} ({type(error).__name__}: {first_line(error)}); export the "
                "bundle again."
            ) from error

    def _build(self, graph: onnx.GraphProto) -> None:
        constants = {tensor.name: to_tensor(tensor) for tensor in graph.initializer}
        self.inputs = tuple(value.name for value in graph.input)
        self.outputs = tuple(value.name for value in graph.output)
        for node in graph.node:
            attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
            if node.op_type == "Constant":
                constants[node.output[0]] = to_tensor(attributes["value"])
                continue
            known = {i: constants[name] for i, name in enumerate(node.input) if name in constants}
            step = _Step(operators.build(Node(node.op_type, attributes, known)), tuple(node.input), node.output[0])
            if len(known) == len(node.input):  # weights stored in half, for example: converted now, once
                constants[step.result] = step.function(*known.values())
            else:
                self._steps.append(step)
        for name in {name for step in self._steps for name in step.arguments} | set(self.outputs):
            if name in constants:
                self._keep(name, constants[name])

    def _keep(self, name: str, value: Tensor) -> None:
        if value.ndim == 4:
            value = value.to(memory_format=torch.channels_last)
        self._names[name] = f"constant_{len(self._names)}"
        self.register_buffer(self._names[name], value)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs, in the order of `outputs`, of tensors in the order of `inputs`."""
        values = dict(zip(self.inputs, inputs, strict=True))
        for name, buffer in self._names.items():
            values[name] = self.get_buffer(buffer)
        # Float32 is to mean float32, not TF32's ten bits; benchmark picks the fastest kernels for this size.
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=False):
            for step in self._steps:
                values[step.result] = step.function(*(values[name] for name in step.arguments if name))
        return tuple(values[name] for name in self.outputs)


def to_tensor(tensor: onnx.TensorProto) -> Tensor:
    """A tensor of the file in PyTorch."""
    values = numpy_helper.to_array(tensor).copy()
    if tensor.data_type == onnx.TensorProto.BFLOAT16:
        if values.dtype.itemsize == 2:  # a bfloat16 of ml_dtypes, which PyTorch takes as bits
            return torch.from_numpy(values.view("int16")).view(torch.bfloat16)
        return torch.from_numpy(values.astype("float32")).bfloat16()
    return torch.from_numpy(values)
