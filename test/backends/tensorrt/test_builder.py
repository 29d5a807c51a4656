# SPDX-License-Identifier: Apache-2.0
"""What the builder of each version is told, call by call."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mvloc_ros.backends.backend import BackendError
from mvloc_ros.backends.tensorrt.builder import WORKSPACE_BYTES, Built, build
from mvloc_ros.backends.tensorrt.tensorrt_library import ErrorLog, import_tensorrt


def network(size: int | str = 8) -> bytes:
    """uint8 -> float32 -> float16 convolution -> float32 exponential, as exported bundles have it in small."""
    weight = numpy_helper.from_array(np.ones((2, 1, 3, 3), np.float16), "weight")
    nodes = [
        helper.make_node("Cast", ["image"], ["plain"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["plain"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Conv", ["half", "weight"], ["features"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["features"], ["positive"]),
        helper.make_node("Cast", ["positive"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Exp", ["wide"], ["precision"]),
        helper.make_node("Softmax", ["precision"], ["share"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 1, size, 8])
    rest = size - 2 if isinstance(size, int) else "rest"
    share = helper.make_tensor_value_info("share", TensorProto.FLOAT, [1, 2, rest, 6])
    graph = helper.make_graph(nodes, "small", [image], [share], [weight])
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    )


def run(machine: Any, precision: str, onnx_bytes: bytes | None = None, timing: bytes = b"") -> Built:
    log = ErrorLog(machine.trt)
    return build(machine.trt, onnx_bytes or network(), precision, timing, log, machine.reports.append)


def major(machine: Any) -> int:
    return int(machine.trt.__version__.partition(".")[0])


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_calls_of_a_build(each_version: Any, precision: str):
    built = run(each_version, precision, timing=b"known;")
    typed = major(each_version) >= 10
    flags = [("set_flag", "FP16"), ("set_flag", "OBEY_PRECISION_CONSTRAINTS")]
    assert each_version.tensorrt.calls == [
        ("create_network", 0b10 if typed else 0b01),
        ("parse", len(network())),
        ("set_memory_pool_limit", "WORKSPACE", WORKSPACE_BYTES),
        ("clear_flag", "TF32"),
        *([] if typed or precision == "fp32" else flags),
        ("create_timing_cache", b"known;"),
        ("set_timing_cache", False),
        ("build_serialized_network",),
    ]
    assert built.timing == b"known;learned;"
    assert built.engine.startswith(each_version.trt.__version__.encode())


def test_version_8_is_held_to_float32_where_the_file_computes_in_it(each_version: Any):
    run(each_version, "fp16")
    held = {layer._kind: getattr(layer, "precision", None) for layer in each_version.tensorrt.layers}
    float32 = each_version.trt.float32
    expected = {"Exp": float32, "Softmax": float32} if major(each_version) == 8 else {}
    assert {kind: value for kind, value in held.items() if value is not None} == expected


def test_bfloat16_needs_a_version_that_has_it(each_version: Any):
    if major(each_version) >= 10:
        run(each_version, "bf16")
    else:
        with pytest.raises(BackendError, match=r"TensorRT 8\.6\.1 has no bf16"):
            run(each_version, "bf16")


def test_a_network_that_cannot_be_read_is_explained(each_version: Any):
    each_version.tensorrt.fail_parse = "no importer for operator Unknown"
    with pytest.raises(BackendError, match="cannot read the network: no importer for operator Unknown"):
        run(each_version, "fp32")


def test_what_the_parsers_bindings_raise_is_a_sentence(each_version: Any, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> bool:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    monkeypatch.setattr(each_version.trt.OnnxParser, "parse", fail)
    with pytest.raises(
        BackendError, match=r"cannot read the network \(UnicodeDecodeError: .*\); export the bundle again"
    ):
        run(each_version, "fp32")


def test_a_failed_build_is_explained_in_tensorrts_words(each_version: Any):
    each_version.tensorrt.fail_build = "Could not find any implementation for node"
    with pytest.raises(BackendError, match=r"cannot build the fp32 engine: Could not find any implementation"):
        run(each_version, "fp32")


def test_an_input_without_a_fixed_size_is_refused(each_version: Any):
    with pytest.raises(BackendError, match="input image has no fixed size"):
        run(each_version, "fp32", network("height"))


def test_a_builder_that_cannot_be_made_is_explained(machine: Any, monkeypatch: pytest.MonkeyPatch):
    def refuse(self: Any, logger: Any) -> None:
        logger.log(machine.trt.ILogger.Severity.ERROR, "CUDA initialization failure with error: 35")
        raise TypeError("pybind11::init(): factory function returned nullptr")

    monkeypatch.setattr(machine.trt.Builder, "__init__", refuse)
    with pytest.raises(BackendError, match=r"cannot create its builder: CUDA initialization failure with error: 35\."):
        run(machine, "fp32")


def test_old_versions_are_refused(machine: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine.trt, "__version__", "8.4.1.5")
    with pytest.raises(BackendError, match=r"8\.4\.1\.5 is too old"):
        import_tensorrt()


def test_the_network_of_this_test_is_valid():
    onnx.checker.check_model(onnx.load_from_string(network()), full_check=True)
