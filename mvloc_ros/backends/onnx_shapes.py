# SPDX-License-Identifier: Apache-2.0
"""The shapes of a graph's values: one rule for each operator that exported networks may have.

All sizes in an exported network are fixed, so that they are known before it runs. An operator without a rule here is
refused, and so is one whose output depends on more than the shapes of its inputs and on constants: what such a graph
allocates would only show when it runs. The rules take what ONNX defines; whether the types fit, the runtime checks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mvloc_ros.backends.onnx_graph import Constant, GraphError, Node, Shape
from mvloc_ros.foreign_text import quoted

_LONGEST_REASON = 200  # shapes of a hostile file may be long


@dataclass(frozen=True)
class Call:
    """A node with what is known of its inputs: shapes by position (None: omitted), and integers where constant."""

    node: Node
    shapes: Sequence[Shape | None]
    constants: Sequence[tuple[int, ...] | None]

    def error(self, reason: str) -> GraphError:
        """That this operator is not accepted."""
        return GraphError(f"its operator {quoted(self.node.kind)} {reason[:_LONGEST_REASON]}")

    def shape(self, position: int) -> Shape:
        """Of an input that must be there."""
        found = self.shapes[position] if position < len(self.shapes) else None
        if found is None:
            raise self.error(f"has no input {position}")
        return found

    def integer(self, name: str, default: int) -> int:
        """An attribute."""
        value = self.node.attributes.get(name, default)
        if not isinstance(value, int):
            raise self.error(f"has the attribute {name} of another type")
        return value

    def integers(self, name: str, position: int = -1) -> tuple[int, ...] | None:
        """An attribute, or the constant input of newer versions; None where there is neither."""
        value = self.node.attributes.get(name)
        if value is None and 0 <= position < len(self.shapes) and self.shapes[position] is not None:
            value = self.constants[position]
            if value is None:
                raise self.error("has sizes or axes that are not constant")
        if value is not None and not isinstance(value, tuple):
            raise self.error(f"has the attribute {name} of another type")
        return value

    def required(self, name: str, position: int = -1) -> tuple[int, ...]:
        """The same where it must be there."""
        found = self.integers(name, position)
        if found is None:
            raise self.error(f"lacks {name}")
        return found

    def axis(self, value: int, rank: int) -> int:
        """An axis counted from the front."""
        if not -rank <= value < rank:
            raise self.error(f"has the axis {value}, out of range for {rank} axes")
        return value % rank


Rule = Callable[[Call], tuple[Shape, int]]
"""The shape of every output, and the multiplications it takes."""


def output_shape(call: Call) -> tuple[Shape, int]:
    """The shape that every output of a node has, and how many multiplications it takes.

    Raises:
        GraphError: the operator is not known, or its inputs do not fit.
    """
    rule = _RULES.get(call.node.kind)
    if rule is None:
        raise call.error("is not used by exported networks")
    return rule(call)


def _same(call: Call) -> tuple[Shape, int]:
    return call.shape(0), 0


def _broadcast(call: Call) -> tuple[Shape, int]:
    return _common(call, [shape for shape in call.shapes if shape is not None]), 0


def _common(call: Call, shapes: Sequence[Shape]) -> Shape:
    rank = max((len(shape) for shape in shapes), default=0)
    columns = zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True)
    result = []
    for column in columns:
        sizes = set(column) - {1}
        if len(sizes) > 1:
            raise call.error(f"has inputs whose shapes do not fit: {', '.join(map(str, shapes))}")
        result.append(sizes.pop() if sizes else 1)
    return tuple(result)


def _reduce(call: Call) -> tuple[Shape, int]:
    shape = call.shape(0)
    stated = call.integers("axes", 1)
    if not stated and call.integer("noop_with_empty_axes", 0):
        return shape, 0
    axes = {call.axis(axis, len(shape)) for axis in stated or range(len(shape))}
    return _without(shape, axes, bool(call.integer("keepdims", 1))), 0


def _pick_largest(call: Call) -> tuple[Shape, int]:
    shape = call.shape(0)
    axis = call.axis(call.integer("axis", 0), len(shape))
    return _without(shape, {axis}, bool(call.integer("keepdims", 1))), 0


def _without(shape: Shape, axes: set[int], keep: bool) -> Shape:
    return tuple(1 if i in axes else size for i, size in enumerate(shape) if keep or i not in axes)


def _convolution(call: Call) -> tuple[Shape, int]:
    image, weight = call.shape(0), call.shape(1)
    if len(image) != len(weight) or len(weight) < 3 or min(weight) < 1:
        raise call.error(f"has an image {image} and a weight {weight}")
    if call.integers("kernel_shape") not in (None, weight[2:]):
        raise call.error("has a kernel_shape that is not its weight's")
    shape = (image[0], weight[0], *_windows(call, image[2:], weight[2:]))
    return shape, math.prod(shape) * math.prod(weight[1:])


def _pooling(call: Call) -> tuple[Shape, int]:
    image, kernel = call.shape(0), call.required("kernel_shape")
    if len(image) != len(kernel) + 2:
        raise call.error(f"has an image {image} and a kernel {kernel}")
    shape = (*image[:2], *_windows(call, image[2:], kernel))
    return shape, math.prod(shape) * math.prod(kernel)


def _windows(call: Call, sizes: Shape, kernel: Shape) -> Shape:
    """The number of places of a kernel along each axis of an image."""
    ones = (1,) * len(sizes)
    strides, dilations = call.integers("strides") or ones, call.integers("dilations") or ones
    pads = call.integers("pads") or (0,) * 2 * len(sizes)
    if {len(strides), len(dilations), len(kernel), len(pads) // 2} != {len(sizes)} or len(pads) % 2:
        raise call.error("has strides, dilations, pads or a kernel of another number of axes")
    if min((*strides, *dilations, *kernel)) < 1 or min(pads) < 0:
        raise call.error("has invalid strides, dilations, pads or kernel")
    mode = call.node.attributes.get("auto_pad", "NOTSET")
    result = []
    for i, size in enumerate(sizes):
        span = dilations[i] * (kernel[i] - 1) + 1
        if mode in ("SAME_UPPER", "SAME_LOWER"):
            places = -(-size // strides[i])
        else:
            room = size - span + (pads[i] + pads[len(sizes) + i] if mode == "NOTSET" else 0)
            places = (-(-room // strides[i]) if call.integer("ceil_mode", 0) else room // strides[i]) + 1
        if places < 1:
            raise call.error("has a kernel that is larger than its image")
        result.append(places)
    return tuple(result)


def _global_pooling(call: Call) -> tuple[Shape, int]:
    shape = call.shape(0)
    return (*shape[:2], *(1 for _ in shape[2:])), 0


def _product(call: Call) -> tuple[Shape, int]:
    a, b = call.shape(0), call.shape(1)
    if not a or not b:
        raise call.error("multiplies a scalar")
    left, right = (a if len(a) > 1 else (1, *a)), (b if len(b) > 1 else (*b, 1))
    if left[-1] != right[-2]:
        raise call.error(f"multiplies {a} by {b}")
    outer = _common(call, [left[:-2], right[:-2]])
    shape = (*outer, *left[-2:-1][: len(a) > 1], *right[-1:][: len(b) > 1])
    return shape, math.prod(shape) * left[-1]


def _linear(call: Call) -> tuple[Shape, int]:
    a, b = call.shape(0), call.shape(1)
    if len(a) != 2 or len(b) != 2:
        raise call.error(f"multiplies {a} by {b}")
    rows, inner = a[::-1] if call.integer("transA", 0) else a
    depth, columns = b[::-1] if call.integer("transB", 0) else b
    if inner != depth:
        raise call.error(f"multiplies {a} by {b}")
    return (rows, columns), rows * columns * inner


def _reshape(call: Call) -> tuple[Shape, int]:
    shape, wanted = call.shape(0), call.required("shape", 1)
    sizes = list(wanted)
    if not call.integer("allowzero", 0):
        sizes = [shape[i] if size == 0 and i < len(shape) else size for i, size in enumerate(sizes)]
    count = math.prod(shape)
    if sizes.count(-1) == 1:
        rest = math.prod(size for size in sizes if size != -1)
        sizes[sizes.index(-1)] = count // rest if rest > 0 else -1
    if min(sizes, default=0) < 0 or math.prod(sizes) != count:
        raise call.error(f"reshapes {shape} to {wanted}")
    return tuple(sizes), 0


def _flatten(call: Call) -> tuple[Shape, int]:
    shape, axis = call.shape(0), call.integer("axis", 1)
    axis = axis if axis == len(call.shape(0)) else call.axis(axis, len(shape))
    return (math.prod(shape[:axis]), math.prod(shape[axis:])), 0


def _transpose(call: Call) -> tuple[Shape, int]:
    shape = call.shape(0)
    order = call.integers("perm") or tuple(reversed(range(len(shape))))
    if sorted(order) != list(range(len(shape))):
        raise call.error(f"has the order {order} for {len(shape)} axes")
    return tuple(shape[i] for i in order), 0


def _unsqueeze(call: Call) -> tuple[Shape, int]:
    shape, stated = call.shape(0), call.required("axes", 1)
    rank = len(shape) + len(stated)
    axes = {call.axis(axis, rank) for axis in stated}
    if len(axes) != len(stated):
        raise call.error("repeats an axis")
    rest = iter(shape)
    return tuple(1 if i in axes else next(rest) for i in range(rank)), 0


def _squeeze(call: Call) -> tuple[Shape, int]:
    shape, stated = call.shape(0), call.integers("axes", 1)
    if stated is None:
        return tuple(size for size in shape if size != 1), 0
    axes = {call.axis(axis, len(shape)) for axis in stated}
    if any(shape[axis] != 1 for axis in axes):
        raise call.error(f"removes axes of {shape} that are not of size 1")
    return _without(shape, axes, False), 0


def _concat(call: Call) -> tuple[Shape, int]:
    shapes = [call.shape(i) for i in range(len(call.shapes))]
    if not shapes:
        raise call.error("has no input")
    axis = call.axis(call.integer("axis", 0), len(shapes[0]))
    if len({(*shape[:axis], *shape[axis + 1 :], len(shape)) for shape in shapes}) > 1:
        raise call.error(f"has inputs whose shapes do not fit: {', '.join(map(str, shapes[:4]))}")
    return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :]), 0


def _slice(call: Call) -> tuple[Shape, int]:
    shape = list(call.shape(0))
    starts, ends = call.required("starts", 1), call.required("ends", 2)
    axes, steps = call.integers("axes", 3), call.integers("steps", 4)
    axes, steps = axes or tuple(range(len(starts))), steps or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise call.error("has invalid starts, ends, axes or steps")
    for start, end, stated, step in zip(starts, ends, axes, steps, strict=True):
        axis = call.axis(stated, len(shape))
        shape[axis] = len(range(*slice(start, end, step).indices(shape[axis])))
    return tuple(shape), 0


def _gather(call: Call) -> tuple[Shape, int]:
    shape, index = call.shape(0), call.shape(1)
    axis = call.axis(call.integer("axis", 0), len(shape))
    return (*shape[:axis], *index, *shape[axis + 1 :]), 0


def _expand(call: Call) -> tuple[Shape, int]:
    wanted = call.required("shape", 1)
    if min(wanted, default=0) < 0:
        raise call.error(f"has the shape {wanted}")
    return _common(call, [call.shape(0), wanted]), 0


def _constant(call: Call) -> tuple[Shape, int]:
    value = call.node.attributes.get("value")
    if not isinstance(value, Constant):
        raise call.error("has no tensor as its value")
    return value.shape, 0


_SAME = (
    "Abs", "Acos", "Asin", "Atan", "BatchNormalization", "Cast", "Ceil", "Clip", "Cos", "DequantizeLinear", "Elu",
    "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization", "IsInf", "IsNaN",
    "LayerNormalization", "LeakyRelu", "Log", "LogSoftmax", "Neg", "Not", "QuantizeLinear", "Reciprocal", "Relu",
    "Round", "Sigmoid", "Sign", "Sin", "Softmax", "Softplus", "Sqrt", "Tan", "Tanh",
)  # fmt: skip
_BROADCAST = (
    "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul", "Or",
    "Pow", "PRelu", "Sub", "Sum", "Where", "Xor",
)  # fmt: skip
_REDUCE = ("ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare")
_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_SAME, _same),
    **dict.fromkeys(_BROADCAST, _broadcast),
    **dict.fromkeys(_REDUCE, _reduce),
    "ArgMax": _pick_largest,
    "ArgMin": _pick_largest,
    "AveragePool": _pooling,
    "Concat": _concat,
    "Constant": _constant,
    "Conv": _convolution,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _linear,
    "GlobalAveragePool": _global_pooling,
    "GlobalMaxPool": _global_pooling,
    "MatMul": _product,
    "MaxPool": _pooling,
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
