# SPDX-License-Identifier: Apache-2.0
"""ONNX files of bundles: bytes, and fields of a graph that is right otherwise; the digests fit."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.fuzzing.bundle_feed import feed_bundle
from bench.fuzzing.kind import Input
from bench.fuzzing.mutators import copy_links, damaged, odd_file, replace_bytes
from bench.fuzzing.tiny_bundle import HEIGHT, WIDTH, seal, unsealed, write_tiny_bundle
from mvloc_ros.model.bundle import MANIFEST_FILE, read_bundle

_PASSWD = "/etc/passwd"


class Graphs:
    """See the module."""

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="mvloc-fuzz-graph-")
        self.valid = write_tiny_bundle(Path(self._home.name)).path

    def plain(self, folder: Path) -> list[Input]:
        """The bundle as it is written, for both backends."""
        copy_links(self.valid, folder / "bundle")
        return [
            Input("onnxruntime", partial(feed_bundle, folder / "bundle")),
            Input("torch", partial(_feed_torch, folder / "bundle")),
        ]

    def make(self, random: Random, folder: Path) -> Input:
        """A bundle whose network is another file."""
        bundle = folder / "bundle"
        copy_links(self.valid, bundle)
        path = bundle / random.choice(("model.onnx", "model.onnx", "model_fp16.onnx"))
        change = random.randrange(10)
        if change == 0:
            what = odd_file(path, random)
        elif change < 4:
            data, what = damaged(path.read_bytes(), random)
            replace_bytes(path, data)
        else:
            model = onnx.load(str(path))
            what = random.choice(_CHANGES)(model, random)
            replace_bytes(path, model.SerializeToString())
        sealed = seal(bundle)
        replace_bytes(bundle / MANIFEST_FILE, json.dumps(unsealed(sealed)).encode())
        torch = random.random() < 0.4
        feed = partial(_feed_torch if torch else feed_bundle, bundle)
        return Input(f"{path.name}: {what} ({'torch' if torch else 'onnxruntime'})", feed)


def create() -> Graphs:
    """The kind."""
    return Graphs()


def _feed_torch(path: Path) -> None:
    from mvloc_ros.backends.backend_choice import create_backend

    backend = create_backend("torch", read_bundle(path), 1, report=lambda _: None)
    try:
        color, depth = np.zeros((HEIGHT, WIDTH, 3), np.uint8), np.zeros((HEIGHT, WIDTH), np.float32)
        backend.run(color, depth, np.ones(2, np.float32))
    finally:
        backend.close()


def _operator(model: Any, random: Random) -> str:
    node = random.choice(model.graph.node)
    node.op_type = random.choice(("Loop", "If", "Scan", "Conv", "", "Nonsense", "Expand", "Tile", "Resize", "Mul"))
    return f"a node is {node.op_type!r}"


def _domain(model: Any, random: Random) -> str:
    random.choice(model.graph.node).domain = random.choice(("com.microsoft", "evil", "ai.onnx.ml", "x" * 1000))
    return "a node of another domain"


def _cycle(model: Any, random: Random) -> str:
    node = random.choice(model.graph.node)
    node.input[0] = node.output[0]
    return "a node feeds itself"


def _dangling(model: Any, random: Random) -> str:
    node = random.choice(model.graph.node)
    node.input[0] = random.choice(("", "nowhere", "pose", "x" * 5000))
    return "an input from elsewhere"


def _renamed(model: Any, random: Random) -> str:
    value = random.choice([*model.graph.input, *model.graph.output])
    value.name = random.choice(("", "other", "color", "pose\n\x1b[31m"))
    return f"an input or output is called {value.name!r}"


def _shape(model: Any, random: Random) -> str:
    value = random.choice([*model.graph.input, *model.graph.output])
    dimensions = value.type.tensor_type.shape.dim
    if dimensions:
        random.choice(dimensions).dim_value = random.choice((0, -1, 1 << 40, 7, 1 << 62))
    return f"{value.name} of another size"


def _type(model: Any, random: Random) -> str:
    value = random.choice([*model.graph.input, *model.graph.output])
    value.type.tensor_type.elem_type = random.choice(
        (TensorProto.STRING, TensorProto.DOUBLE, 0, 99, TensorProto.BFLOAT16)
    )
    return f"{value.name} of another type"


def _values(model: Any, random: Random) -> str:
    tensor = random.choice(model.graph.initializer)
    array = numpy_helper.to_array(tensor).copy()
    with np.errstate(all="ignore"):
        array.reshape(-1)[random.randrange(array.size)] = np.array(
            random.choice((np.nan, np.inf, -1e30, 1e9, -5, 0)), dtype=np.float64
        ).astype(array.dtype)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return f"a value of {tensor.name} at its edge"


def _extent(model: Any, random: Random) -> str:
    tensor = random.choice(model.graph.initializer)
    del tensor.dims[:]
    tensor.dims.extend(random.choice(([1 << 40], [-1], [0], [1 << 20, 1 << 20], [3, 3, 3])))
    return f"{tensor.name} claims {list(tensor.dims)} values"


def _external(model: Any, random: Random) -> str:
    tensor = random.choice(model.graph.initializer)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    place = random.choice((_PASSWD, "../../../etc/passwd", "/dev/zero", "training_poses.tum", "absent.bin", ""))
    for key, value in (("location", place), ("offset", "0"), ("length", random.choice(("4", "999999999999", "-1")))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return f"{tensor.name} lies in {place!r}"


def _expand(model: Any, random: Random) -> str:
    """An intermediate value of gigabytes, of a few bytes of file."""
    size = random.choice((1 << 28, 1 << 31, 1 << 36))
    model.graph.initializer.append(numpy_helper.from_array(np.array([size], np.int64), "huge"))
    node = helper.make_node("Expand", ["scale", "huge"], ["much"])
    total = helper.make_node("ReduceSum", ["much"], ["sum"], keepdims=0)
    model.graph.node.insert(0, total)
    model.graph.node.insert(0, node)
    divide = next(n for n in model.graph.node if n.op_type == "Div")
    divide.input[1] = "sum"
    return f"a value is expanded to {size} numbers"


def _loop(model: Any, random: Random) -> str:
    """A loop that takes for ever."""
    count = random.choice((1 << 20, 1 << 40, -1))
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["going_on"]),
            helper.make_node("Mul", ["carried", "carried"], ["carried_on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("n", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("going_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried_on", TensorProto.FLOAT, []),
        ],
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array(count, np.int64), "count"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "always"))
    model.graph.node.insert(0, helper.make_node("Loop", ["count", "always", "scale"], ["long"], body=body))
    next(n for n in model.graph.node if n.op_type == "Div").input[1] = "long"
    return f"a loop of {count} rounds"


def _opset(model: Any, random: Random) -> str:
    model.opset_import[0].version = random.choice((0, 1, -1, 9999, 13))
    return f"opset {model.opset_import[0].version}"


def _version(model: Any, random: Random) -> str:
    model.ir_version = random.choice((0, -1, 1, 10**6))
    return f"ir_version {model.ir_version}"


def _without(model: Any, random: Random) -> str:
    parts = random.choice(("node", "initializer", "input", "output"))
    found = getattr(model.graph, parts)
    del found[random.randrange(len(found))]
    return f"one {parts} less"


def _network_answers(value: float) -> Callable[[Any, Random], str]:
    def change(model: Any, _random: Random) -> str:
        rotation = next(tensor for tensor in model.graph.initializer if tensor.name == "no_rotation")
        rotation.CopyFrom(numpy_helper.from_array(np.full((1, 3), value, np.float32), "no_rotation"))
        return f"the network answers {value:g}"

    return change


_CHANGES: tuple[Callable[[Any, Random], str], ...] = (
    _operator, _domain, _cycle, _dangling, _renamed, _shape, _type, _values, _extent, _external, _external, _expand,
    _loop, _opset, _version, _without, _network_answers(np.nan), _network_answers(1e30), _network_answers(3.0e38),
)  # fmt: skip
