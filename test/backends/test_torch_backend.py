# SPDX-License-Identifier: Apache-2.0
"""The shipped model by PyTorch and by ONNX Runtime: the same numbers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from mvloc_ros.backends.backend import BackendError, BackendOptions, NetworkOutput
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.backends.torch_backend.graph import OnnxGraph
from mvloc_ros.backends.torch_backend.pytorch_backend import TorchBackend
from mvloc_ros.model.bundle import Bundle, read_bundle

DEMO = Path(__file__).resolve().parents[2] / "models" / "demo"


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def demo() -> Bundle:
    return read_bundle(DEMO)


@pytest.mark.parametrize("present", [(1, 1), (1, 0), (0, 1)])
def test_both_give_the_same_numbers(demo: Bundle, present: tuple[int, int]):
    spec = demo.manifest.input
    random = np.random.default_rng(7)
    color = random.integers(0, 256, (spec.height, spec.width, 3), dtype=np.uint8)
    depth = random.uniform(0, 8, (spec.height, spec.width)).astype(np.float32)
    depth[:4] = [[np.nan], [np.inf], [0.0], [-1.0]]
    for image in (color, depth):
        image.flags.writeable = False  # as views of messages are
    outputs: list[NetworkOutput] = []
    for name in ("onnxruntime", "torch"):
        backend = create_backend(name, demo, threads=1)
        outputs.append(backend.run(color, depth, np.array(present, np.float32)))
        backend.close()
    for field in ("position", "log_quaternion", "latent_mean", "latent_log_variance", "expert_share"):
        a, b = (getattr(output, field) for output in outputs)
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, atol=2e-4, err_msg=field)


def test_the_description_says_what_runs(demo: Bundle):
    backend = TorchBackend(demo, BackendOptions(threads=1))
    assert backend.description == f"torch {torch.__version__} fp32 on CPU"
    backend.close()


def model(path: Path, kind: str, **attributes: object) -> Path:
    """A file with a single operator of two inputs."""
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in ("a", "b", "c")]
    graph = helper.make_graph([helper.make_node(kind, ["a", "b"], ["c"], **attributes)], "one", infos[:2], infos[2:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), str(path))
    return path


def test_an_operator_that_it_does_not_know_is_named(tmp_path: Path):
    with pytest.raises(BackendError, match="does not support the operator Mod; use onnxruntime"):
        OnnxGraph(model(tmp_path / "model.onnx", "Mod"))
    with pytest.raises(BackendError, match="needs constant shapes, and a Reshape has none"):
        OnnxGraph(model(tmp_path / "model.onnx", "Reshape"))
    with pytest.raises(BackendError, match="does not support a scaled Gemm"):
        OnnxGraph(model(tmp_path / "model.onnx", "Gemm", alpha=2.0))


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
def test_half_precision_on_a_cpu_sums_in_float32_and_rounds_once(tmp_path: Path, kind: int):
    """2048 + 1 + ... + 1: in float16 steps the ones would vanish one by one, for float16 has no 2049."""
    weight = np.ones((1, 1000), np.float32)
    weight[0, 0] = 2048.0
    tensor = helper.make_tensor("weight", kind, weight.shape, weight.flatten())
    nodes = [
        helper.make_node("Cast", ["x"], ["half"], to=kind),
        helper.make_node("Gemm", ["half", "weight"], ["product"], transB=1),
        helper.make_node("Cast", ["product"], ["y"], to=TensorProto.FLOAT),
    ]
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", [1, 1000]), ("y", [1, 1]))
    ]
    graph = helper.make_graph(nodes, "half", infos[:1], infos[1:], [tensor])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)]), str(tmp_path / "model.onnx"))
    (found,) = OnnxGraph(tmp_path / "model.onnx")(torch.ones(1, 1000))
    dtype = torch.float16 if kind == TensorProto.FLOAT16 else torch.bfloat16
    assert found.item() == torch.tensor(2048.0 + 999.0).to(dtype).float().item()


def test_int8_is_for_onnxruntime(demo: Bundle, tmp_path: Path):
    import dataclasses

    from mvloc_ros.model.manifest import PrecisionSpec

    spec = PrecisionSpec("model.onnx", 1, (0.0, 0.0), (0.0, 0.0))
    quantised = dataclasses.replace(demo, manifest=dataclasses.replace(demo.manifest, precisions={"int8": spec}))
    with pytest.raises(BackendError, match="does not support int8"):
        TorchBackend(quantised, BackendOptions(precision="int8"))


def test_a_file_that_is_no_network_is_refused(demo: Bundle, tmp_path: Path):
    shutil.copytree(DEMO, tmp_path / "model")
    (tmp_path / "model" / "model.onnx").write_bytes(b"\x00nonsense")
    broken = Bundle(tmp_path / "model", demo.manifest)
    with pytest.raises(BackendError, match=r"model.onnx is not accepted: it is damaged or not an ONNX file"):
        TorchBackend(broken, BackendOptions())
    model(tmp_path / "model" / "model.onnx", "Add")
    shape = f"1x{demo.manifest.input.height}x{demo.manifest.input.width}x3"
    with pytest.raises(BackendError, match=f"its input color is missing, but the manifest says uint8 {shape}"):
        TorchBackend(broken, BackendOptions())


def test_tensors_come_over_with_their_types():
    from mvloc_ros.backends.torch_backend.graph import to_tensor

    for dtype in (np.float32, np.float16, np.int64, np.bool_, np.uint8):
        values = np.array([[0, 1], [2, 3]]).astype(dtype)
        found = to_tensor(numpy_helper.from_array(values))
        np.testing.assert_array_equal(found.numpy(), values)
        assert found.numpy().dtype == dtype
    bfloat = to_tensor(helper.make_tensor("b", TensorProto.BFLOAT16, [2], [1.0, -2.5]))
    assert bfloat.dtype == torch.bfloat16
    assert bfloat.tolist() == [1.0, -2.5]
