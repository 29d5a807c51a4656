# SPDX-License-Identifier: Apache-2.0
"""Other arithmetics: what is computed in which, how far off it is, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto

from mvloc_ros.backends.torch_backend.graph import OnnxGraph
from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.model.manifest import PositionSpec
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import PosedFrames
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.networks.deployed import Deployed
from mvloc_ros.training.networks.mixed_precision import LowerPrecision, lower_precision
from mvloc_ros.training.onnx_file import lower_opset, write_onnx
from mvloc_ros.training.precisions import Comparison, make_precision, require_close
from mvloc_ros.training.quantisation import feature_nodes
from mvloc_ros.training.systems import build_network

SIZE = (32, 43)
TYPES = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}


@pytest.fixture(scope="module")
def network(tiny_config: TrainingConfig) -> Deployed:
    torch.manual_seed(5)
    network = build_network(tiny_config)
    for module in network.modules():  # as after training: norms that are not the identity
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return Deployed(network, (0.0, 0.0, 0.6, 0.8)).eval()


@pytest.fixture(scope="module")
def plain(network: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("precisions") / "model.onnx"
    write_onnx(network, SIZE, path)
    return path


@pytest.fixture(scope="module")
def frames() -> PosedFrames:
    random = np.random.default_rng(2)
    depth = random.uniform(0.0, 7.0, (12, *SIZE)).astype(np.float32)
    depth[:, 0] = np.nan
    color = random.integers(0, 256, (12, *SIZE, 3), dtype=np.uint8)
    poses = np.tile(np.eye(4), (12, 1, 1))
    return PosedFrames(color, depth, np.ones((12, 2), np.float32), poses, np.arange(12), ("seq",) * 12)


def comparison(frames: PosedFrames, share: float = 0.1) -> Comparison:
    errors = PoseErrors(np.full(12, 0.1), np.full(12, 2.0))
    return Comparison(frames, errors, share, PositionSpec((1.0, 2.0, 3.0), 1.0), frames)


def types_by_operator(path: Path) -> dict[str, set[int]]:
    """Operator -> the types of what its nodes give."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(str(path)), strict_mode=True).graph
    kinds = {info.name: info.type.tensor_type.elem_type for info in (*graph.value_info, *graph.output)}
    found: dict[str, set[int]] = {}
    for node in graph.node:
        found.setdefault(node.op_type, set()).add(kinds[node.output[0]])
    return found


@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_encoders_are_lowered_and_the_rest_is_float32(network: Deployed, plain: Path, frames: PosedFrames, name: str):
    spec = make_precision(name, plain, network, SIZE, comparison(frames, share=2.0))
    path = plain.with_name(f"model_{name}.onnx")
    assert spec.file == path.name
    assert 0.0 < spec.difference_m[0] < (0.02 if name == "fp16" else 0.2)
    assert spec.difference_m[0] <= spec.difference_m[1]
    types = types_by_operator(path)
    assert types["Conv"] == types["MaxPool"] == {TYPES[name]}
    for operator in ("Exp", "Log", "Softmax", "Sin", "Atan", "ReduceSum", "Div", "MatMul"):
        assert types[operator] == {TensorProto.FLOAT}, operator
    model = onnx.load(str(path))
    assert {value.type.tensor_type.elem_type for value in model.graph.output} == {TensorProto.FLOAT}
    assert model.opset_import[0].version == (17 if name == "fp16" else 22)
    assert path.stat().st_size < 0.6 * plain.stat().st_size


def test_onnxruntime_reads_the_float16_file(plain: Path, network: Deployed, frames: PosedFrames):
    path = plain.with_name("model_fp16.onnx")
    if not path.exists():
        make_precision("fp16", plain, network, SIZE, comparison(frames, share=2.0))
    inputs = {"color": frames.color[:1], "depth": frames.depth[:1], "present": frames.present[:1]}
    poses = [onnxruntime.InferenceSession(str(p)).run(["pose"], inputs)[0] for p in (plain, path)]
    np.testing.assert_allclose(poses[0], poses[1], atol=0.01)


def test_the_plain_file_is_pytorchs_network(plain: Path, network: Deployed, frames: PosedFrames):
    inputs = [torch.from_numpy(value[:2]) for value in (frames.color, frames.depth, frames.present)]
    graph = OnnxGraph(plain)
    for i in range(2):
        one = [value[i : i + 1] for value in inputs]
        with torch.inference_mode():
            for found, expected in zip(graph(*one), network(*one), strict=True):
                torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_the_plain_file_is_of_the_version_that_old_runtimes_read(plain: Path):
    model = onnx.load(str(plain))
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 17)]
    for node in model.graph.node:
        if node.op_type in ("ReduceMean", "ReduceMax"):
            assert len(node.input) == 1
            assert "axes" in {item.name for item in node.attribute}
    # uint8 is at the border only.
    users = [node.op_type for node in model.graph.node if "color" in node.input]
    assert users == ["Cast"]


def test_lowering_the_version_twice_changes_nothing(plain: Path):
    model = onnx.load(str(plain))
    lower_opset(model)
    assert model == onnx.load(str(plain))


def test_int8_is_for_convolutions_after_the_first(plain: Path, network: Deployed, frames: PosedFrames):
    spec = make_precision("int8", plain, network, SIZE, comparison(frames, share=100.0))
    assert spec.difference_m[0] > 0.0
    graph = onnx.load(str(plain.with_name("model_int8.onnx"))).graph
    producers = {name: node for node in graph.node for name in node.output}
    weights = [producers.get(node.input[1]) for node in graph.node if node.op_type == "Conv"]
    assert sum(weight is None for weight in weights) == 2
    assert {weight.op_type for weight in weights if weight is not None} == {"DequantizeLinear"}
    names = {node.name: node.op_type for node in onnx.load(str(plain)).graph.node}
    assert {names[name] for name in feature_nodes(onnx.load(str(plain)).graph)} == {"Conv", "Relu", "MaxPool", "Add"}


def test_a_precision_that_costs_too_much_is_refused(plain: Path, network: Deployed, frames: PosedFrames):
    with pytest.raises(
        TrainingError,
        match=r"median difference of int8 and float32 is .* more than 0% of the median error of the model \(0\.1000 m",
    ):
        make_precision("int8", plain, network, SIZE, comparison(frames, share=1e-9))


@pytest.mark.parametrize(("metres", "degrees"), [(0.011, 0.1), (0.005, 0.21), (np.nan, 0.1), (0.005, np.nan)])
def test_either_difference_refuses_and_so_does_no_number(frames: PosedFrames, metres: float, degrees: float):
    allowed = PoseErrors(np.full(3, 0.0099), np.full(3, 0.199))
    require_close("fp16", allowed, comparison(frames))
    with pytest.raises(TrainingError, match="more than 10% of the median error of the model"):
        require_close("fp16", PoseErrors(np.full(3, metres), np.full(3, degrees)), comparison(frames))


def test_lowering_leaves_the_network_itself_as_it_is(network: Deployed):
    half = lower_precision(network, torch.float16)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    inside = {id(p) for m in half.modules() if isinstance(m, LowerPrecision) for p in m.parameters()}
    for parameter in half.parameters():
        assert parameter.dtype == (torch.float16 if id(parameter) in inside else torch.float32)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in half.modules())
