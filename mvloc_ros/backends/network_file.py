# SPDX-License-Identifier: Apache-2.0
"""Is an ONNX file a network of this project? Checked before any runtime reads it.

A bundle may be from elsewhere, and its digests only say that its files are those that its manifest lists. Checked here
without running anything, in milliseconds: that all weights are in the file; that only operators are used that exported
networks have, none of which runs a graph of its own; that inputs and outputs are those of the manifest in name, type
and size; and that all values of one frame together, and all its multiplications, are within bounds.

Not covered: faults of a runtime in reading a file or in an operator; and the memory that a runtime takes
beside the values, such as packed weights, which is of the order of the file's size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from mvloc_ros.backends.backend import BackendError
from mvloc_ros.backends.onnx_graph import Constant, Graph, GraphError, Interface, Node, Shape, read_graph
from mvloc_ros.backends.onnx_shapes import Call, output_shape
from mvloc_ros.file_reader import ReadError
from mvloc_ros.foreign_text import quoted
from mvloc_ros.limits import MOST_GRAPH_ELEMENTS, MOST_GRAPH_PRODUCTS, MOST_TENSOR_AXES
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.model.modalities import ModalityInput, pair_inputs

# Names in the order of the graph's interface, which further sensors follow; sizes come from the manifest.
INPUTS = ("color", "depth", "present")
OUTPUTS = ("pose", "latent_mean", "latent_log_variance", "expert_share")
_FLOAT, _UINT8 = 1, 2  # TensorProto.DataType
_NAMES = {_FLOAT: "float32", _UINT8: "uint8"}


def require_network(bundle: Bundle, precision: str) -> Path:
    """The path of one of a bundle's networks, which has been checked.

    Args:
        bundle: the model.
        precision: fp32, or one that the manifest lists.

    Raises:
        BackendError: the file is not accepted; the message says why.
    """
    path, spec = bundle.network_path(precision), bundle.manifest.input
    further = tuple(item.input for item in bundle.manifest.sensors)
    require_network_file(path, spec.height, spec.width, bundle.manifest.latent_dim, further)
    return path


def require_network_file(
    path: Path, height: int, width: int, latent_dim: int, further: Sequence[ModalityInput] = ()
) -> None:
    """Check an ONNX file for images of a size, and for `further` sensors; raises as `require_network`."""
    inputs = (*pair_inputs(height, width), *further)
    try:
        graph = read_graph(path)
        _require_inputs(graph, inputs)
        _require_outputs(graph, _sizes(graph), latent_dim, len(inputs))
    except ReadError as error:
        raise BackendError(f"{error} Copy or export the bundle again.") from error
    except GraphError as error:
        raise BackendError(
            f"The network {path} is not accepted: {error}; export the bundle again with `mvloc export`."
        ) from error


def _require_inputs(graph: Graph, inputs: Sequence[ModalityInput]) -> None:
    kinds = {"depth": _FLOAT}
    expected = {each.name: Interface(kinds.get(each.kind, _UINT8), (1, *each.shape)) for each in inputs}
    expected["present"] = Interface(_FLOAT, (1, len(inputs)))
    # Files of old versions list their weights as inputs, too.
    found = {name: value for name, value in graph.inputs.items() if name not in graph.constants}
    for name, wanted in expected.items():
        if name not in found or not _fits(found[name], wanted):
            raise GraphError(
                f"its input {name} is {_described(found.get(name))}, but the manifest says {_described(wanted)}"
            )
    if foreign := found.keys() - expected.keys():
        raise GraphError(f"it has the unknown input {quoted(min(foreign))}")


def _require_outputs(graph: Graph, shapes: dict[str, Shape], latent_dim: int, modalities: int) -> None:
    sizes = dict(zip(OUTPUTS, (6, latent_dim, latent_dim, 1 + modalities), strict=True))
    for name, size in sizes.items():
        wanted = Interface(_FLOAT, (1, size))
        stated = graph.outputs.get(name)
        if stated is None:
            raise GraphError(f"it has no output {name}")
        if name not in shapes:
            raise GraphError(f"no operator computes its output {name}")
        computed = Interface(stated.kind, shapes[name])
        if computed != wanted or not _fits(stated, wanted):
            raise GraphError(
                f"its output {name} is {_described(stated if computed == wanted else computed)}, but the manifest says "
                f"{_described(wanted)}"
            )


def _fits(stated: Interface, wanted: Interface) -> bool:
    """Whether type and sizes are the wanted ones; the size of the first axis, the batch, may be left open."""
    sizes = stated.shape[:1] in ((1,), (-1,)) and stated.shape[1:] == wanted.shape[1:]
    return stated.kind == wanted.kind and sizes


def _described(value: Interface | None) -> str:
    if value is None:
        return "missing"
    sizes = "x".join("?" if size < 0 else str(size) for size in value.shape)
    return f"{_NAMES.get(value.kind, f'type {value.kind}')} {sizes}"


def _sizes(graph: Graph) -> dict[str, Shape]:
    """The shape of every value of the graph; GraphError where all together are too large."""
    shapes = {name: constant.shape for name, constant in graph.constants.items()}
    for name, value in graph.inputs.items():
        shapes.setdefault(name, tuple(1 if size < 0 else size for size in value.shape))
    integers = {name: constant.integers for name, constant in graph.constants.items()}
    elements = products = 0
    for node in graph.nodes:
        shape, multiplied = output_shape(_call(node, shapes, integers))
        outputs = [name for name in node.outputs if name]
        products += multiplied
        elements += len(outputs) * math.prod(shape)
        if too_large := _too_large(shape, elements, products):
            raise GraphError(f"with its operator {quoted(node.kind)} it has {too_large}")
        held = node.attributes.get("value") if node.kind == "Constant" else None
        for name in outputs:
            if name in shapes:
                raise GraphError(f"it computes the value {quoted(name)} twice")
            shapes[name] = shape
            if isinstance(held, Constant):
                integers[name] = held.integers
    return shapes


def _too_large(shape: Shape, elements: int, products: int) -> str:
    """What is beyond the bounds, in words; empty where nothing is."""
    if len(shape) > MOST_TENSOR_AXES:
        return f"values of more than {MOST_TENSOR_AXES} axes"
    if elements > MOST_GRAPH_ELEMENTS or max(shape, default=0) > MOST_GRAPH_ELEMENTS:
        return f"more than {MOST_GRAPH_ELEMENTS:.1e} values for one frame"
    return (
        f"more than {MOST_GRAPH_PRODUCTS:.1e} multiplications for one frame" if products > MOST_GRAPH_PRODUCTS else ""
    )


def _call(node: Node, shapes: dict[str, Shape], integers: dict[str, tuple[int, ...] | None]) -> Call:
    for name in node.inputs:
        if name and name not in shapes:
            raise GraphError(
                f"its operator {quoted(node.kind)} takes {quoted(name)}, which no operator before it computes"
            )
    return Call(
        node,
        [shapes[name] if name else None for name in node.inputs],
        [integers.get(name) if name else None for name in node.inputs],
    )
