# SPDX-License-Identifier: Apache-2.0
"""What `auto` takes, and what it says of what it does not take."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from pathlib import Path

import onnxruntime
import pytest

from mvloc_ros.backends import onnxruntime_providers
from mvloc_ros.backends.backend import BackendError
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.backends.gpu import Gpu, NoGpuError
from mvloc_ros.backends.precision import choose
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.model.bundle_writer import write_bundle
from mvloc_ros.model.manifest import PrecisionSpec


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    return read_bundle(tiny_bundle)


@pytest.fixture
def many(bundle: Bundle, tmp_path: Path) -> Bundle:
    """A bundle that has all precisions (the same file under each name)."""
    files = {name: bundle.path / name for name in bundle.manifest.files}
    specs = {}
    for name in ("fp16", "bf16", "int8"):
        files[f"model_{name}.onnx"] = Path(shutil.copy(bundle.model_path, tmp_path / f"model_{name}.onnx"))
        specs[name] = PrecisionSpec(f"model_{name}.onnx", 1, (0.0, 0.0), (0.0, 0.0))
    return write_bundle(tmp_path / "many", dataclasses.replace(bundle.manifest, precisions=specs), files)


def no_gpu() -> Gpu:
    raise NoGpuError("There is no CUDA driver here.")


def test_one_line_tells_the_choice_and_the_reasons(bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as where it is not installed
    lines: list[str] = []
    backend = create_backend("auto", bundle, 1, report=lines.append)
    backend.close()
    assert len(lines) == 1
    assert lines[0].startswith("auto chose torch ")
    assert "; not tensorrt: " in lines[0]
    assert "; not onnxruntime: The onnxruntime backend needs the package onnxruntime" in lines[0]


def test_if_nothing_works_every_reason_is_given(bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "mvloc_ros.backends.torch_backend.pytorch_backend", None)
    with pytest.raises(
        BackendError, match=r"No backend works here: tensorrt: .* onnxruntime: .* torch: .*pip install torch onnx"
    ):
        create_backend("auto", bundle)


@pytest.mark.parametrize(
    ("wanted", "by_speed", "chosen"),
    [
        ("auto", ("fp16",), "fp16"),
        ("auto", (), "fp32"),
        ("auto", ("fp8", "bf16"), "bf16"),
        ("fp32", ("fp16",), "fp32"),
        ("int8", (), "int8"),
    ],
)
def test_the_precision_that_is_taken(many: Bundle, wanted: str, by_speed: tuple[str, ...], chosen: str):
    assert choose(many, wanted, by_speed) == chosen


def test_auto_takes_float32_of_a_bundle_that_has_no_other(bundle: Bundle):
    assert choose(bundle, "auto", ("fp16",)) == "fp32"


def test_the_description_names_the_precision(many: Bundle):
    for precision in ("auto", "int8"):
        backend = create_backend("onnxruntime", many, 1, precision=precision)
        assert backend.description.endswith("int8" if precision == "int8" else "fp32")
        backend.close()


def test_a_gpu_provider_that_does_not_load_is_reported(many: Bundle, monkeypatch: pytest.MonkeyPatch):
    """This onnxruntime says that it had providers for GPUs, and has not: as where CUDA's libraries are missing."""
    names = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(onnxruntime_providers, "find_gpu", lambda: Gpu("Orin (nvgpu)", "8.7", "12.6", 16))
    lines: list[str] = []
    with pytest.warns(UserWarning, match="not in available provider names"):
        backend = create_backend("onnxruntime", many, 1, report=lines.append)
    assert "CPU, 1 threads, fp32" in backend.description
    assert lines[0].startswith("onnxruntime runs on the CPU. onnxruntime's TensorRT provider does not load here")
    assert "onnxruntime's CUDA provider does not load here" in lines[0]
    backend.close()
    monkeypatch.setattr(onnxruntime_providers, "find_gpu", no_gpu)
    create_backend("onnxruntime", many, 1, report=lines.append).close()
    assert lines[1] == "onnxruntime runs on the CPU. There is no CUDA driver here."


def test_a_gpu_that_stays_unused_is_reported(bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(onnxruntime_providers, "find_gpu", lambda: Gpu("Orin (nvgpu)", "8.7", "12.6", 16))
    lines: list[str] = []
    create_backend("onnxruntime", bundle, 1, report=lines.append).close()
    assert "The Orin (nvgpu) is not used" in lines[0]
    monkeypatch.setattr(onnxruntime_providers, "find_gpu", no_gpu)
    create_backend("onnxruntime", bundle, 1, report=lines.append).close()
    assert len(lines) == 1
