# SPDX-License-Identifier: Apache-2.0
"""ONNX files that are no network of ours: each is refused in a sentence before any runtime reads it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mvloc_ros.backends.backend import BackendError, BackendOptions
from mvloc_ros.backends.network_file import require_network, require_network_file
from mvloc_ros.backends.onnx_graph import parse_graph
from mvloc_ros.backends.onnxruntime_backend import OnnxRuntimeBackend
from mvloc_ros.limits import MOST_PROTOBUF_FIELDS
from mvloc_ros.model.bundle import Bundle, read_bundle

DEMO = Path(__file__).resolve().parents[2] / "models" / "demo"
Change = Callable[[onnx.ModelProto], object]


@pytest.fixture(scope="module")
def tiny(tiny_bundle: Path) -> bytes:
    return (tiny_bundle / "model.onnx").read_bytes()


def check(path: Path, data: bytes) -> None:
    """Check the content as a network for the images of the tiny bundle."""
    path.write_bytes(data)
    require_network_file(path, 12, 16, 4)


def external(name: str = "far") -> onnx.TensorProto:
    """A tensor whose values lie in another file."""
    tensor = TensorProto(name=name, dims=[1], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights.bin")
    return tensor


def without_location(name: str = "far") -> onnx.TensorProto:
    """The same without the mark, which a reader might not ask for."""
    tensor = external(name)
    tensor.ClearField("data_location")
    return tensor


def sparse(values: onnx.TensorProto, indices: onnx.TensorProto) -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=values, indices=indices, dims=[4])


def body(tensor: onnx.TensorProto) -> onnx.GraphProto:
    return onnx.GraphProto(name="body", initializer=[tensor])


def node(kind: str, inputs: list[str], output: str, **attributes: object) -> Change:
    return lambda model: model.graph.node.append(helper.make_node(kind, inputs, [output], **attributes))


def constant(name: str, values: object) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values), name)


def together(*changes: Change) -> Change:
    return lambda model: [change(model) for change in changes]


def weight(tensor: onnx.TensorProto) -> Change:
    return lambda model: model.graph.initializer.append(tensor)


INTEGERS = TensorProto(name="near", dims=[1], data_type=TensorProto.INT64, int64_data=[0])
IN_ANOTHER_FILE = r"its tensor 'far' is in another file \(external data\), which the digests of a bundle do not cover"
EXTERNAL: dict[str, tuple[Change, str]] = {
    "initializer": (weight(external()), IN_ANOTHER_FILE),
    "initializer without location": (weight(without_location()), IN_ANOTHER_FILE),
    "values of a sparse one": (
        lambda m: m.graph.sparse_initializer.append(sparse(external(), INTEGERS)),
        "it has sparse tensors, which no exported network has",
    ),
    "indices of a sparse one": (
        lambda m: m.graph.sparse_initializer.append(sparse(INTEGERS, external())),
        "it has sparse tensors",
    ),
    "Constant": (node("Constant", [], "c", value=external()), IN_ANOTHER_FILE.replace("far", "value")),
    "sparse Constant": (
        node("Constant", [], "c", sparse_value=sparse(external(), INTEGERS)),
        "the attribute 'sparse_value' of its operator 'Constant' has a type that no exported network has",
    ),
    "attribute of tensors": (
        node("Constant", [], "c", several=[external(), external()]),
        "the attribute 'several' of its operator 'Constant' has a type",
    ),
    "attribute of sparse tensors": (
        node("Constant", [], "c", several=[sparse(external(), INTEGERS)] * 2),
        "the attribute 'several' of its operator 'Constant' has a type",
    ),
    "branch": (
        node("If", ["share"], "c", then_branch=body(external()), else_branch=body(INTEGERS)),
        "its operator 'If' contains a subgraph, which no exported network has",
    ),
    "graphs": (node("Scan", ["share"], "c", bodies=[body(external())] * 2), "its operator 'Scan' contains a subgraph"),
    "function": (
        lambda m: m.functions.append(
            onnx.FunctionProto(name="f", domain="x", node=[helper.make_node("Constant", [], ["c"], value=external())])
        ),
        "it has functions of its own, which no exported network has",
    ),
    "training": (
        lambda m: m.training_info.append(onnx.TrainingInfoProto(initialization=body(external()))),
        "it has graphs for training, which no exported network has",
    ),
}


@pytest.mark.parametrize("name", EXTERNAL)
def test_weights_outside_of_the_file_are_refused_wherever_they_are(name: str, tiny: bytes, tmp_path: Path):
    change, words = EXTERNAL[name]
    model = onnx.load_model_from_string(tiny)
    change(model)
    with pytest.raises(BackendError, match=rf"model.onnx is not accepted: {words}.*; export the bundle again"):
        check(tmp_path / "model.onnx", model.SerializeToString())


def make_output(kind: str, inputs: list[str], **attributes: object) -> Change:
    """Replace what makes `expert_share`."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.node[-1].CopyFrom(helper.make_node(kind, inputs, ["expert_share"], **attributes))

    return change


def retype(place: str, number: int, kind: int | None = None, sizes: list[int] | None = None) -> Change:
    def change(model: onnx.ModelProto) -> None:
        tensor = getattr(model.graph, place)[number].type.tensor_type
        tensor.elem_type = kind or tensor.elem_type
        for axis, size in zip(tensor.shape.dim, sizes or [], strict=bool(sizes)):
            axis.dim_value = size

    return change


def doubled(model: onnx.ModelProto) -> None:
    """Forty times the value twice: 2^40 times as large, of operators that every network has."""
    names = ["share", *(f"twice{i}" for i in range(40))]
    for a, b in pairwise(names):
        model.graph.node.append(helper.make_node("Concat", [a, a], [b], axis=1))


LARGE = r"it has more than 2\.7e.08 values for one frame"
FOREIGN: dict[str, tuple[Change, str]] = {
    "endless loop": (
        together(
            weight(constant("times", 2**62)),
            weight(constant("on", True)),
            make_output("Loop", ["times", "on", "share"], body=helper.make_graph([], "body", [], [])),
        ),
        "its operator 'Loop' contains a subgraph",
    ),
    "foreign domain": (
        make_output("Attention", ["share"], domain="com.microsoft"),
        "its operator 'Attention' is of the domain 'com.microsoft'; exported networks use only those of ONNX itself",
    ),
    "terabytes": (
        together(weight(constant("size", [1 << 20, 1 << 20])), node("Expand", ["share", "size"], "big")),
        r"its operator 'Expand' has inputs whose shapes do not fit: \(1, 3\), \(1048576, 1048576\)",
    ),
    "terabytes of one": (
        together(
            weight(constant("single", 1.0)),
            weight(constant("size", [1 << 20, 1 << 20])),
            node("Expand", ["single", "size"], "big"),
        ),
        rf"with its operator 'Expand' {LARGE}",
    ),
    "many axes": (
        together(
            weight(constant("single", 1.0)),
            weight(constant("size", [1 << 62] * 1000)),
            node("Expand", ["single", "size"], "big"),
        ),
        "with its operator 'Expand' it has values of more than 8 axes",
    ),
    "doubled": (doubled, rf"with its operator 'Concat' {LARGE}"),
    "products": (
        together(
            weight(constant("single", 1.0)),
            weight(constant("size", [10000, 10000])),
            node("Expand", ["single", "size"], "big"),
            node("MatMul", ["big", "big"], "product"),
        ),
        r"with its operator 'MatMul' it has more than 2\.7e.11 multiplications for one frame",
    ),
    "random": (
        node("RandomNormal", [], "big", shape=[9]),
        "its operator 'RandomNormal' is not used by exported",
    ),
    "size by the data": (
        together(node("Cast", ["present"], "wanted", to=7), node("Expand", ["share", "wanted"], "big")),
        "its operator 'Expand' has sizes or axes that are not constant",
    ),
    "shape without values": (
        weight(TensorProto(name="far", dims=[1 << 28], data_type=1, raw_data=b"1234")),
        "its tensor 'far' has fewer values than its shape 268435456 requires",
    ),
    "negative shape": (
        weight(TensorProto(name="far", dims=[-4, -1], data_type=1, raw_data=b"1234")),
        "its tensor 'far' has an invalid shape",
    ),
    "long name": (weight(external("far" * 9999)), r"its tensor '(far)+\.\.\.' is in another file"),
    "no colour": (lambda m: m.graph.input.pop(0), "its input color is missing, but the manifest says uint8 1x12x16x3"),
    "colour in float": (
        retype("input", 0, 1),
        "its input color is float32 1x12x16x3, but the manifest says uint8 1x12x16x3",
    ),
    "depth in millimetres": (retype("input", 1, 4), "its input depth is type 4 1x12x16, but the manifest says float32"),
    "other size": (retype("input", 1, None, [1, 12, 17]), "its input depth is float32 1x12x17, but the manifest says"),
    "batch": (retype("input", 2, None, [2, 2]), "its input present is float32 2x2, but the manifest says float32 1x2"),
    "another input": (
        lambda m: m.graph.input.append(helper.make_tensor_value_info("more", 1, [1])),
        "it has the unknown input 'more'",
    ),
    "no pose": (lambda m: m.graph.output.pop(0), "it has no output pose"),
    "pose in double": (retype("output", 0, 11), "its output pose is type 11 1x6, but the manifest says float32 1x6"),
    "pose of seven": (
        retype("output", 0, None, [1, 7]),
        "its output pose is float32 1x7, but the manifest says float32 1x6",
    ),
    "share of another size than it says": (
        make_output("Identity", ["mean"]),
        "its output expert_share is float32 1x4, but the manifest says float32 1x3",
    ),
    "output that nothing makes": (lambda m: m.graph.node.pop(), "no operator computes its output expert_share"),
    "input that nothing makes": (
        make_output("Identity", ["nothing"]),
        "'Identity' takes 'nothing', which no operator before it computes",
    ),
    "value twice": (node("Identity", ["share"], "x"), "it computes the value 'x' twice"),
    "attribute twice": (
        lambda m: m.graph.node[0].attribute.append(m.graph.node[0].attribute[0]),
        "its operator 'Cast' has the attribute 'to' twice",
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_no_exported_network_has_is_refused(name: str, tiny: bytes, tmp_path: Path):
    change, words = FOREIGN[name]
    model = onnx.load_model_from_string(tiny)
    change(model)
    with pytest.raises(BackendError, match=rf"model.onnx is not accepted: .*{words}.*; export the bundle again"):
        check(tmp_path / "model.onnx", model.SerializeToString())


def test_what_protobuf_would_merge_is_refused(tiny: bytes, tmp_path: Path):
    # Two graphs in one file: protobuf makes one of them, whose second part would not have been looked at.
    second = onnx.ModelProto(graph=onnx.GraphProto(initializer=[external()])).SerializeToString()
    with pytest.raises(BackendError, match="its field 7 occurs 2 times instead of once"):
        check(tmp_path / "model.onnx", tiny + second)


def test_the_time_is_bounded_whatever_the_bytes(tiny: bytes, tmp_path: Path):
    started = time.monotonic()
    with pytest.raises(BackendError, match=f"it has more than {MOST_PROTOBUF_FIELDS} fields"):
        check(tmp_path / "model.onnx", b"\x08\x00" * (MOST_PROTOBUF_FIELDS + 1))
    nested = b""
    for _ in range(2000):  # a graph in a graph in a graph: nothing descends into it
        size = len(nested)
        nested = b"\x3a" + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + nested
    with pytest.raises(BackendError, match="its input color is missing"):
        check(tmp_path / "model.onnx", nested)
    assert time.monotonic() - started < 5.0


@pytest.mark.parametrize("kind", ["empty", "pipe", "folder"])
def test_what_is_no_file_is_refused(kind: str, tmp_path: Path):
    path = tmp_path / "model.onnx"
    words = "it is empty"
    if kind == "empty":
        path.touch()
    elif kind == "pipe":
        os.mkfifo(path)
        words = r"cannot be read \(it is a named pipe, not a regular file\)"
    else:
        path.mkdir()
        words = r"cannot be read \(it is a folder, not a regular file\)"
    with pytest.raises(BackendError, match=words):
        require_network_file(path, 12, 16, 4)


def replaced(tiny_bundle: Path, folder: Path, change: Change) -> Bundle:
    """The tiny bundle with a changed network, whose digest its manifest has: as somebody else would make it."""
    bundle = read_bundle(tiny_bundle)
    model = onnx.load_model_from_string((tiny_bundle / "model.onnx").read_bytes())
    change(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return Bundle(folder, bundle.manifest)


def backends() -> dict[str, Callable[[Bundle], object]]:
    from mvloc_ros.backends.torch_backend.pytorch_backend import TorchBackend

    return {"onnxruntime": OnnxRuntimeBackend, "torch": lambda bundle: TorchBackend(bundle, BackendOptions(threads=1))}


@pytest.mark.parametrize("name", ["onnxruntime", "torch"])
def test_each_backend_refuses_external_data(name: str, tiny_bundle: Path, tmp_path: Path):
    (tmp_path / "weights.bin").write_bytes(np.ones(1, np.float32).tobytes())
    bundle = replaced(tiny_bundle, tmp_path, weight(external()))
    with pytest.raises(BackendError, match=IN_ANOTHER_FILE):
        backends()[name](bundle)


@pytest.mark.parametrize("name", ["onnxruntime", "torch"])
def test_types_that_do_not_fit_end_in_a_sentence(name: str, tiny_bundle: Path, tmp_path: Path):
    words = {"onnxruntime": "onnxruntime .CPU. cannot load .*model.onnx: ", "torch": "gives expert_share as bool"}

    bundle = replaced(tiny_bundle, tmp_path, make_output("Less", ["share", "share"]))
    frame = np.zeros((12, 16, 3), np.uint8), np.ones((12, 16), np.float32), np.ones(2, np.float32)
    with pytest.raises(BackendError, match=words[name]):
        backends()[name](bundle).run(*frame)  # type: ignore[attr-defined]


def test_a_run_that_fails_is_a_backend_error(tiny_bundle: Path, monkeypatch):
    backend = OnnxRuntimeBackend(read_bundle(tiny_bundle))

    def fail(*_: object) -> None:
        raise MemoryError("no room\nfor developers")

    backend._session = type("Session", (), {"run": fail})()
    frame = np.zeros((12, 16, 3), np.uint8), np.ones((12, 16), np.float32), np.ones(2, np.float32)
    with pytest.raises(BackendError, match=r"^onnxruntime cannot run .*model.onnx: no room\.$"):
        backend.run(*frame)


def test_the_shapes_are_those_that_onnx_infers():
    """The whole shipped network, value by value, against another implementation."""
    from mvloc_ros.backends.network_file import _sizes

    data = (DEMO / "model.onnx").read_bytes()
    inferred = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(data), strict_mode=True).graph
    shapes = _sizes(parse_graph(data))
    values = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in inferred.value_info}
    assert len(values) > 200
    assert {name: shapes[name] for name in values} == values


CASES: list[tuple[str, list[tuple[int, ...]], list[object], dict[str, object]]] = [
    ("Conv", [(1, 4, 13, 17), (6, 2, 3, 5)], [], {"group": 2, "strides": [2, 3], "pads": [1, 0, 2, 1]}),
    ("Conv", [(1, 4, 13, 17), (6, 4, 3, 3)], [], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("Conv", [(1, 4, 13, 17), (6, 4, 3, 3)], [], {"dilations": [2, 3]}),
    ("MaxPool", [(1, 4, 13, 17)], [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("AveragePool", [(1, 4, 13, 18)], [], {"kernel_shape": [4, 3], "strides": [3, 2], "auto_pad": "VALID"}),
    ("GlobalAveragePool", [(2, 4, 13, 17)], [], {}),
    ("MatMul", [(5, 1, 2, 3), (4, 3, 7)], [], {}),
    ("MatMul", [(3,), (4, 3, 7)], [], {}),
    ("MatMul", [(4, 2, 3), (3,)], [], {}),
    ("MatMul", [(3,), (3,)], [], {}),
    ("Gemm", [(3, 2), (5, 3)], [], {"transA": 1, "transB": 1}),
    ("Add", [(2, 1, 4), (3, 1)], [], {}),
    ("ReduceSum", [(2, 3, 4)], [[-1, 0]], {"keepdims": 0}),
    ("ReduceMax", [(2, 3, 4)], [], {"axes": [1]}),
    ("ReduceMean", [(2, 3, 4)], [], {}),
    ("ArgMax", [(2, 3, 4)], [], {"axis": -1, "keepdims": 0}),
    ("Reshape", [(2, 3, 4)], [[0, -1, 2]], {}),
    ("Flatten", [(2, 3, 4)], [], {"axis": -1}),
    ("Transpose", [(2, 3, 4)], [], {}),
    ("Transpose", [(2, 3, 4)], [], {"perm": [1, 2, 0]}),
    ("Unsqueeze", [(2, 3)], [[0, -1]], {}),
    ("Squeeze", [(1, 3, 1)], [[-1]], {}),
    ("Squeeze", [(1, 3, 1)], [], {}),
    ("Concat", [(2, 3), (2, 5)], [], {"axis": -1}),
    ("Slice", [(9, 8)], [[1, 7], [-2, -(2**31)], [0, 1], [3, -2]], {}),
    ("Expand", [(3, 1)], [[2, 1, 6]], {}),
    ("Softmax", [(2, 3)], [], {}),
]


@pytest.mark.parametrize(("kind", "shapes", "constants", "attributes"), CASES)
def test_each_rule_agrees_with_the_runtime(
    kind: str,
    shapes: list[tuple[int, ...]],
    constants: list[object],
    attributes: dict[str, object],
    tmp_path: Path,
):
    import onnxruntime

    from mvloc_ros.backends.network_file import _sizes

    inputs = [helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, shape) for i, shape in enumerate(shapes)]
    tensors = [numpy_helper.from_array(np.array(value, np.int64), f"k{i}") for i, value in enumerate(constants)]
    names = [value.name for value in (*inputs, *tensors)]
    output = onnx.ValueInfoProto(name="y")
    output.type.tensor_type.elem_type = TensorProto.INT64 if kind.startswith("Arg") else TensorProto.FLOAT
    graph = helper.make_graph([helper.make_node(kind, names, ["y"], **attributes)], "one", inputs, [output], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    found = session.run(["y"], {f"x{i}": np.zeros(shape, np.float32) for i, shape in enumerate(shapes)})[0]
    assert _sizes(parse_graph(model))["y"] == found.shape


def test_the_shipped_network_is_accepted_in_milliseconds():
    bundle = read_bundle(DEMO, verify=False)
    took = []
    for _ in range(3):
        started = time.perf_counter()
        require_network(bundle, "fp32")
        took.append(time.perf_counter() - started)
    assert min(took) < 0.2


def test_damaged_bytes_are_run_or_refused_and_nothing_else(tiny: bytes, tiny_bundle: Path, tmp_path: Path):
    random, accepted = np.random.default_rng(5), 0
    refused: list[str] = []
    bundle = Bundle(tmp_path, read_bundle(tiny_bundle).manifest)
    frame = np.zeros((12, 16, 3), np.uint8), np.ones((12, 16), np.float32), np.ones(2, np.float32)
    for _ in range(400):
        data = bytearray(tiny)
        place, kind = int(random.integers(len(data))), random.integers(8)
        if kind == 0:
            del data[place : place + int(random.integers(1, 20))]
        elif kind == 1:
            data[place:place] = random.bytes(int(random.integers(1, 8)))
        elif kind == 2:
            data[place : place + 9] = b"\xff" * 9
        else:
            data[place] ^= 1 << int(random.integers(8))
        (tmp_path / "model.onnx").write_bytes(data)
        try:
            output = OnnxRuntimeBackend(bundle, threads=1).run(*frame)
        except BackendError as error:
            refused.append(str(error))
        else:
            accepted += 1
            assert (output.position.shape, output.expert_share.shape) == ((3,), (3,))
    assert accepted > 10
    assert len(refused) > 100
    assert not [sentence for sentence in refused if "\n" in sentence or len(sentence) > 800]
