# SPDX-License-Identifier: Apache-2.0
"""The graph of an ONNX file, read without the package onnx and without its weights; unsupported content is refused.

A bundle's digests are of the files that its manifest lists. Weights outside of the ONNX file (external data) would be
read past them, so that they are refused wherever a tensor may be. Refused as well is what runs other graphs (If,
Loop, Scan, functions): no exported network has it, and only with it can a graph run without end. Since no graph
within the graph is accepted, nothing here has to descend into one.

The numbers of the fields are those of onnx.proto.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

from mvloc_ros.backends.protobuf import Message, Span, WireError, read_message
from mvloc_ros.errors import MvlocError
from mvloc_ros.file_reader import open_regular
from mvloc_ros.foreign_text import quoted
from mvloc_ros.limits import MOST_GRAPH_ELEMENTS, MOST_MODEL_BYTES, MOST_TENSOR_AXES

_MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 20, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_SPARSE = 1, 5, 11, 12, 15
_NODE_INPUT, _NODE_OUTPUT, _NODE_KIND, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_I, _ATTRIBUTE_S, _ATTRIBUTE_T, _ATTRIBUTE_INTS, _ATTRIBUTE_TYPE = 1, 3, 4, 5, 8, 20
_TYPE_INT, _TYPE_STRING, _TYPE_INTS = 2, 3, 7
_GRAPHS_OF_ATTRIBUTE = (6, 11)
# tensors, sparse_tensor, sparse_tensors, and a reference to a function's attribute: of no exported network.
_FOREIGN_OF_ATTRIBUTE = (10, 21, 22, 23)
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW, _TENSOR_EXTERNAL, _TENSOR_LOCATION = 1, 2, 8, 9, 13, 14
_TENSOR_INT32, _TENSOR_INT64 = 5, 7
_TENSOR_DATA = (4, 5, 6, 7, 9, 10, 11)
_VALUE_NAME, _VALUE_TYPE, _TYPE_TENSOR, _TENSOR_ELEMENT, _TENSOR_SHAPE = 1, 2, 1, 1, 2
_SHAPE_DIM, _DIM_VALUE = 1, 1
_INT32, _INT64 = 6, 7
_INTEGER_BYTES = {_INT32: 4, _INT64: 8}
_MOST_INTEGERS = 1024  # of a constant that says axes or sizes
_OWN_DOMAINS = ("", "ai.onnx")

Shape = tuple[int, ...]


class GraphError(MvlocError):
    """The graph is not accepted; the message is the reason, the caller names the file."""


@dataclass(frozen=True)
class Constant:
    """A tensor of the file: its shape, and its values where they are few integers."""

    shape: Shape
    integers: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Interface:
    """An input or output: number of its element type in ONNX, and its shape, -1 for axes without a fixed size."""

    kind: int
    shape: Shape


Attribute = int | str | tuple[int, ...] | Constant


@dataclass(frozen=True)
class Node:
    """One operator. An omitted optional input has an empty name; attributes of floats are omitted."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True)
class Graph:
    """A file's graph without its weights, nodes in the order of the file."""

    constants: Mapping[str, Constant]
    inputs: Mapping[str, Interface]
    outputs: Mapping[str, Interface]
    nodes: tuple[Node, ...]


def read_graph(path: Path) -> Graph:
    """The graph of an ONNX file.

    Raises:
        GraphError: it is no ONNX file, or has something that is refused.
        ReadError: it cannot be read.
    """
    with open_regular(path, MOST_MODEL_BYTES) as stream:
        try:
            mapped = mmap(stream.fileno(), 0, access=ACCESS_READ)
        except ValueError as error:
            raise GraphError("it is empty") from error
        with mapped:
            return parse_graph(mapped)


def parse_graph(data: bytes | mmap) -> Graph:
    """The graph of an ONNX file's content; raises as `read_graph`."""
    try:
        model = read_message(Span(data, 0, len(data)))
        if _MODEL_FUNCTIONS in model.fields:
            raise GraphError("it has functions of its own, which no exported network has")
        if _MODEL_TRAINING in model.fields:
            raise GraphError("it has graphs for training, which no exported network has")
        span = model.span(_MODEL_GRAPH)
        if span is None:
            raise GraphError("it has no graph and is not an ONNX file")
        return _graph(read_message(span))
    except WireError as error:
        raise GraphError(str(error)) from error


def _graph(graph: Message) -> Graph:
    if _GRAPH_SPARSE in graph.fields:
        raise GraphError("it has sparse tensors, which no exported network has")
    constants: dict[str, Constant] = {}
    for span in graph.spans(_GRAPH_INITIALIZER):
        message = read_message(span)
        name = message.text(_TENSOR_NAME)
        if name in constants:
            raise GraphError(f"it has the tensor {quoted(name)} twice")
        constants[name] = _tensor(message, name)
    return Graph(
        constants,
        _interfaces(graph.spans(_GRAPH_INPUT)),
        _interfaces(graph.spans(_GRAPH_OUTPUT)),
        tuple(_node(read_message(span)) for span in graph.spans(_GRAPH_NODE)),
    )


def _node(node: Message) -> Node:
    kind, domain = node.text(_NODE_KIND), node.text(_NODE_DOMAIN)
    if domain not in _OWN_DOMAINS:
        raise GraphError(
            f"its operator {quoted(kind)} is of the domain {quoted(domain)}; exported networks use only "
            "those of ONNX itself"
        )
    attributes: dict[str, Attribute] = {}
    for span in node.spans(_NODE_ATTRIBUTE):
        attribute = read_message(span)
        name = attribute.text(_ATTRIBUTE_NAME)
        if name in attributes:
            raise GraphError(f"its operator {quoted(kind)} has the attribute {quoted(name)} twice")
        value = _attribute(kind, name, attribute)
        if value is not None:
            attributes[name] = value
    inputs, outputs = (tuple(span.text() for span in node.spans(number)) for number in (_NODE_INPUT, _NODE_OUTPUT))
    return Node(kind, inputs, outputs, attributes)


def _attribute(kind: str, name: str, attribute: Message) -> Attribute | None:
    """The value of an attribute; None for one of floats."""
    if any(number in attribute.fields for number in _GRAPHS_OF_ATTRIBUTE):
        raise GraphError(f"its operator {quoted(kind)} contains a subgraph, which no exported network has")
    if any(number in attribute.fields for number in _FOREIGN_OF_ATTRIBUTE):
        raise GraphError(
            f"the attribute {quoted(name)} of its operator {quoted(kind)} has a type that no exported network has"
        )
    tensor = attribute.span(_ATTRIBUTE_T)
    if tensor is not None:
        return _tensor(read_message(tensor), name)
    stated = attribute.integer(_ATTRIBUTE_TYPE)  # a writer may omit what is 0 or empty
    if _ATTRIBUTE_INTS in attribute.fields or stated == _TYPE_INTS:
        return attribute.integers(_ATTRIBUTE_INTS)
    if _ATTRIBUTE_S in attribute.fields or stated == _TYPE_STRING:
        return attribute.text(_ATTRIBUTE_S)
    if _ATTRIBUTE_I in attribute.fields or stated == _TYPE_INT:
        return attribute.integer(_ATTRIBUTE_I)
    return None  # floats decide no shape


def _tensor(tensor: Message, name: str) -> Constant:
    if tensor.integer(_TENSOR_LOCATION) != 0 or _TENSOR_EXTERNAL in tensor.fields:
        raise GraphError(
            f"its tensor {quoted(name)} is in another file (external data), which the digests of a bundle do not cover"
        )
    shape = tensor.integers(_TENSOR_DIMS)
    _require_shape(shape, name)
    # Whatever the type, a byte holds two elements at most.
    if math.prod(shape) > 2 * tensor.size(*_TENSOR_DATA):
        raise GraphError(f"its tensor {quoted(name)} has fewer values than its shape {_words(shape)} requires")
    return Constant(shape, _integers(tensor, math.prod(shape)))


def _integers(tensor: Message, count: int) -> tuple[int, ...] | None:
    """The values of a tensor of few integers."""
    kind = tensor.integer(_TENSOR_TYPE)
    if kind not in _INTEGER_BYTES or count > _MOST_INTEGERS:
        return None
    raw = tensor.span(_TENSOR_RAW)
    if raw is None:
        values = tensor.integers(_TENSOR_INT64 if kind == _INT64 else _TENSOR_INT32)
    else:
        size, content = _INTEGER_BYTES[kind], raw.content()
        values = tuple(
            int.from_bytes(content[i : i + size], "little", signed=True) for i in range(0, len(content), size)
        )
    if len(values) != count:
        raise GraphError(f"its tensor {quoted(tensor.text(_TENSOR_NAME))} does not have the stated number of values")
    return values


def _interfaces(spans: list[Span]) -> dict[str, Interface]:
    found: dict[str, Interface] = {}
    for span in spans:
        value = read_message(span)
        name = value.text(_VALUE_NAME)
        if name in found:
            raise GraphError(f"it has the input or output {quoted(name)} twice")
        found[name] = _interface(value, name)
    return found


def _interface(value: Message, name: str) -> Interface:
    kind = value.span(_VALUE_TYPE)
    tensor = None if kind is None else read_message(kind).span(_TYPE_TENSOR)
    if tensor is None:
        raise GraphError(f"its input or output {quoted(name)} is not a tensor")
    described = read_message(tensor)
    shape = described.span(_TENSOR_SHAPE)
    axes = [] if shape is None else [read_message(axis) for axis in read_message(shape).spans(_SHAPE_DIM)]
    sizes = tuple(axis.integer(_DIM_VALUE, -1) for axis in axes)
    if len(sizes) > MOST_TENSOR_AXES:
        raise GraphError(f"its input or output {quoted(name)} has more than {MOST_TENSOR_AXES} axes")
    return Interface(described.integer(_TENSOR_ELEMENT), sizes)


def _require_shape(shape: Shape, name: str) -> None:
    if len(shape) > MOST_TENSOR_AXES or min(shape, default=0) < 0 or max(shape, default=0) > MOST_GRAPH_ELEMENTS:
        raise GraphError(f"its tensor {quoted(name)} has an invalid shape")


def _words(shape: Shape) -> str:
    return "x".join(str(size) for size in shape) or "of one number"
