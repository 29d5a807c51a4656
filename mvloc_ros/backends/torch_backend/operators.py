# SPDX-License-Identifier: Apache-2.0
"""The operators that exported bundles consist of, in PyTorch. Each builder reads a node once, before any frame.

What decides shapes (axes, sizes, indices) must be constant: it becomes Python numbers here, so that a
run neither waits for the GPU nor depends on its values, as a CUDA graph demands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from torch import Tensor
from torch.nn import functional

from mvloc_ros.backends.backend import BackendError

Function = Callable[..., Tensor]
DTYPES = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.FLOAT16: torch.float16,
    onnx.TensorProto.BFLOAT16: torch.bfloat16,
    onnx.TensorProto.UINT8: torch.uint8,
    onnx.TensorProto.INT64: torch.int64,
    onnx.TensorProto.BOOL: torch.bool,
}


@dataclass(frozen=True)
class Node:
    """A node of the graph with its attributes and with those of its inputs that are constant, by position."""

    kind: str
    attributes: Mapping[str, Any]
    constants: Mapping[int, Tensor]

    def integers(self, position: int, attribute: str = "") -> list[int] | None:
        """A constant input, or the attribute that older versions of the operator have; None if neither is there."""
        if position in self.constants:
            return [int(value) for value in self.constants[position].flatten()]
        found = self.attributes.get(attribute)
        return None if found is None else [int(value) for value in found]

    def required(self, position: int, attribute: str = "") -> list[int]:
        """The same where it must be there."""
        found = self.integers(position, attribute)
        if found is None:
            raise BackendError(f"The torch backend needs constant shapes, and a {self.kind} has none; use onnxruntime.")
        return found


def build(node: Node) -> Function:
    """The function of a node's inputs.

    Raises:
        BackendError: the operator, or its form, is not one that this project's export writes.
    """
    if node.kind in _SIMPLE:
        return _SIMPLE[node.kind]
    if node.kind not in _BUILDERS:
        raise BackendError(f"The torch backend does not support the operator {node.kind}; use onnxruntime.")
    return _BUILDERS[node.kind](node)


_SIMPLE: dict[str, Function] = {
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": torch.div, "MatMul": torch.matmul,
    "Abs": torch.abs, "Neg": torch.neg, "Exp": torch.exp, "Log": torch.log, "Sqrt": torch.sqrt, "Relu": torch.relu,
    "Tanh": torch.tanh, "Sin": torch.sin, "Cos": torch.cos, "Atan": torch.atan, "Where": torch.where,
    "Less": torch.lt, "LessOrEqual": torch.le, "GreaterOrEqual": torch.ge, "And": torch.logical_and,
    "Identity": torch.clone,
}  # fmt: skip


def _convolution(node: Node) -> Function:
    kernel = node.attributes["kernel_shape"]
    padding = _symmetric_padding(node)
    strides, dilations = (list(node.attributes.get(name, [1] * len(kernel))) for name in ("strides", "dilations"))
    groups = int(node.attributes.get("group", 1))

    def run(image: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return functional.conv2d(image, weight, bias, strides, padding, dilations, groups)

    return _accumulated(run)


def _accumulated(function: Function) -> Function:
    """On a CPU, products of half precision summed in float32 and rounded once, as GPUs do it.

    PyTorch's own kernels for that are fifty times slower on CPUs without half precision instructions.
    """

    def run(*inputs: Tensor) -> Tensor:
        kind = inputs[0]
        if kind.device.type != "cpu" or kind.dtype not in (torch.float16, torch.bfloat16):
            return function(*inputs)
        return function(*(value.float() for value in inputs)).to(kind.dtype)

    return run


def _pooling(node: Node) -> Function:
    kernel = list(node.attributes["kernel_shape"])
    strides, padding = list(node.attributes.get("strides", [1, 1])), _symmetric_padding(node)
    return lambda image: functional.max_pool2d(image, kernel, strides, padding)


def _symmetric_padding(node: Node) -> list[int]:
    pads = list(node.attributes.get("pads", [0, 0, 0, 0]))
    if pads[:2] != pads[2:] or node.attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", "NOTSET"):
        raise BackendError(f"The torch backend does not support {node.kind} with asymmetric padding; use onnxruntime.")
    return pads[:2]


def _linear(node: Node) -> Function:
    plain = node.attributes.get("alpha", 1.0) == 1.0 and node.attributes.get("beta", 1.0) == 1.0
    if not plain or node.attributes.get("transA", 0):
        raise BackendError("The torch backend does not support a scaled Gemm; use onnxruntime.")
    if node.attributes.get("transB", 0):
        return _accumulated(functional.linear)
    return _accumulated(lambda x, weight, bias=None: functional.linear(x, weight.T, bias))


def _reduction(function: Callable[[Tensor, list[int], bool], Tensor]) -> Callable[[Node], Function]:
    def make(node: Node) -> Function:
        axes, keep = node.required(1, "axes"), bool(node.attributes.get("keepdims", 1))
        return lambda x, *_: function(x, axes, keep)

    return make


def _slice(node: Node) -> Function:
    starts, ends, axes = node.required(1), node.required(2), node.required(3)
    steps = node.integers(4) or [1] * len(starts)
    if min(steps) < 1:
        raise BackendError("The torch backend does not support a Slice with negative steps; use onnxruntime.")

    def run(x: Tensor, *_: Tensor) -> Tensor:
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            index = [slice(None)] * x.ndim
            index[axis] = slice(start, end, step)
            x = x[tuple(index)]
        return x

    return run


def _unsqueeze(node: Node) -> Function:
    axes = sorted(node.required(1, "axes"))

    def run(x: Tensor, *_: Tensor) -> Tensor:
        for axis in axes:
            x = x.unsqueeze(axis)
        return x

    return run


def _gather(node: Node) -> Function:
    axis = int(node.attributes.get("axis", 0))
    node.required(1)

    def run(x: Tensor, index: Tensor) -> Tensor:
        picked = x.index_select(axis, index.flatten())
        return picked.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])

    return run


def _reshape(node: Node) -> Function:
    shape = node.required(1)
    if 0 in shape:
        raise BackendError("The torch backend does not support a Reshape to an axis of 0; use onnxruntime.")
    return lambda x, *_: x.reshape(shape)


def _clip(node: Node) -> Function:
    low, high = (float(node.constants[i]) if i in node.constants else None for i in (1, 2))
    return lambda x, *_: x.clamp(low, high)


def _cast(node: Node) -> Function:
    dtype = DTYPES.get(node.attributes["to"])
    if dtype is None:
        raise BackendError(
            f"The torch backend does not support a Cast to ONNX type {node.attributes['to']}; use onnxruntime."
        )
    return lambda x: x.to(dtype)


def _squeeze(node: Node) -> Function:
    axes = tuple(node.required(1, "axes"))
    return lambda x, *_: x.squeeze(axes)


def _softmax(node: Node) -> Function:
    axis = int(node.attributes.get("axis", -1))
    return lambda x: x.softmax(axis)


def _concat(node: Node) -> Function:
    axis = int(node.attributes["axis"])
    return lambda *parts: torch.cat(parts, axis)


def _transpose(node: Node) -> Function:
    order = tuple(node.attributes["perm"])
    return lambda x: x.permute(order)


_BUILDERS: dict[str, Callable[[Node], Function]] = {
    "Conv": _convolution,
    "MaxPool": _pooling,
    "Gemm": _linear,
    "ReduceSum": _reduction(lambda x, axes, keep: x.sum(axes, keepdim=keep)),
    "ReduceMean": _reduction(lambda x, axes, keep: x.mean(axes, keepdim=keep)),
    "ReduceMax": _reduction(lambda x, axes, keep: x.amax(axes, keepdim=keep)),
    "Slice": _slice,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Gather": _gather,
    "Reshape": _reshape,
    "Clip": _clip,
    "Cast": _cast,
    "Softmax": _softmax,
    "Concat": _concat,
    "Transpose": _transpose,
}
