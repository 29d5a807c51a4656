# SPDX-License-Identifier: Apache-2.0
"""The whole backend against fakes of three versions: build, keep, load, run, fail, recover."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fake_cuda import Error

from mvloc_ros.backends.backend import BackendError
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.backends.tensorrt import engines
from mvloc_ros.backends.tensorrt.tensorrt_backend import TensorRTBackend
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.model.bundle_writer import write_bundle


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    return read_bundle(tiny_bundle)


def frame(shade: int = 51, metres: float = 1.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.full((12, 16, 3), shade, np.uint8), np.full((12, 16), metres, np.float32), np.ones(2, np.float32)


def test_a_frame_comes_out_as_it_should(each_version: Any, bundle: Bundle):
    backend = TensorRTBackend(bundle, each_version.options())
    for shade, metres in ((51, 1.5), (255, 4.0), (0, 0.5)):
        output = backend.run(*frame(shade, metres))
        np.testing.assert_allclose(output.position, [shade / 255, metres, 1.0], atol=1e-6)
        np.testing.assert_allclose(output.expert_share, [0.25, 0.5, 0.25])
    assert each_version.trt.__version__ in backend.description
    assert "Orin" in backend.description
    assert "fp32" in backend.description
    backend.close()
    assert each_version.cuda.memory == {}
    assert each_version.cuda.streams == {}


def test_outputs_are_not_overwritten_by_the_next_frame(machine: Any, bundle: Bundle):
    backend = TensorRTBackend(bundle, machine.options())
    first = backend.run(*frame(51))
    backend.run(*frame(255))
    assert first.position[0] == pytest.approx(0.2)
    backend.close()


def test_frames_replay_one_graph_and_allocate_nothing(machine: Any, bundle: Bundle):
    backend = TensorRTBackend(bundle, machine.options())
    machine.cuda.calls.clear()
    machine.tensorrt.calls.clear()
    for _ in range(3):
        backend.run(*frame())
    upload = ["cudaMemcpyAsync"] * 3
    assert machine.cuda.calls == [*upload, "cudaGraphLaunch", "cudaStreamSynchronize"] * 3
    assert machine.tensorrt.calls == []
    assert "CUDA graph" in backend.description
    backend.close()


def test_without_a_graph_it_runs_as_well(machine: Any, bundle: Bundle):
    machine.cuda.fail("cudaStreamEndCapture", Error.cudaErrorStreamCaptureUnsupported)
    backend = TensorRTBackend(bundle, machine.options())
    assert "no CUDA graph" in backend.description
    assert any("without a CUDA graph" in report for report in machine.reports)
    np.testing.assert_allclose(backend.run(*frame()).position, [0.2, 1.5, 1.0], atol=1e-6)
    backend.close()
    assert machine.cuda.resets == 0


def test_the_second_start_builds_nothing(each_version: Any, bundle: Bundle):
    for _ in range(2):
        TensorRTBackend(bundle, each_version.options()).close()
    assert each_version.builds() == 1
    assert len(each_version.engines()) == 1


def test_the_build_is_reported(machine: Any, bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    from mvloc_ros.backends.tensorrt import builder

    monkeypatch.setattr(builder, "_TICK_S", 0.01)

    def wait_for_a_tick() -> None:
        while not any("so far" in report for report in machine.reports):
            pass

    machine.tensorrt.during_build = wait_for_a_tick
    TensorRTBackend(bundle, machine.options()).close()
    words = ["minutes on a Jetson", "so far", "done in"]
    assert [next(i for i, report in enumerate(machine.reports) if word in report) for word in words] == sorted(
        next(i for i, report in enumerate(machine.reports) if word in report) for word in words
    )


def test_a_cuda_error_stays_until_the_backend_is_made_anew(machine: Any, bundle: Bundle):
    backend = TensorRTBackend(bundle, machine.options())
    machine.cuda.fail("cudaStreamSynchronize", Error.cudaErrorIllegalAddress)
    for _ in range(2):
        with pytest.raises(BackendError, match=r"cudaStreamSynchronize: cudaErrorIllegalAddress.*configured again"):
            backend.run(*frame())
    calls = len(machine.cuda.calls)
    with pytest.raises(BackendError):
        backend.run(*frame())
    assert len(machine.cuda.calls) == calls
    backend.close()
    assert machine.cuda.resets == 1
    again = TensorRTBackend(bundle, machine.options())
    np.testing.assert_allclose(again.run(*frame()).position, [0.2, 1.5, 1.0], atol=1e-6)
    again.close()


def test_the_reset_after_an_error_waits_for_the_last_engine(machine: Any, bundle: Bundle):
    """A node that exchanges its model has two for a while."""
    first, second = (TensorRTBackend(bundle, machine.options()) for _ in range(2))
    machine.cuda.fail("cudaGraphLaunch", Error.cudaErrorMemoryAllocation)
    with pytest.raises(BackendError, match="cudaGraphLaunch"):
        first.run(*frame())
    machine.cuda.failures.clear()
    first.close()
    assert machine.cuda.resets == 0
    np.testing.assert_allclose(second.run(*frame()).position, [0.2, 1.5, 1.0], atol=1e-6)
    second.close()
    assert machine.cuda.resets == 1


def test_closing_twice_is_closing_once(machine: Any, bundle: Bundle):
    backend = TensorRTBackend(bundle, machine.options())
    backend.close()
    calls = len(machine.cuda.calls)
    backend.close()
    assert len(machine.cuda.calls) == calls


@pytest.mark.parametrize("function", ["cudaMalloc", "cudaHostAlloc", "cudaStreamCreateWithFlags"])
def test_want_of_memory_leaves_nothing_behind(machine: Any, bundle: Bundle, function: str):
    machine.cuda.fail(function, Error.cudaErrorMemoryAllocation, after=0 if "Stream" in function else 2)
    with pytest.raises(BackendError, match=f"{function}: cudaErrorMemoryAllocation"):
        TensorRTBackend(bundle, machine.options())
    assert machine.cuda.memory == {}


def test_auto_takes_tensorrt_where_it_works(machine: Any, bundle: Bundle):
    backend = create_backend("auto", bundle, engine_cache=str(machine.cache), report=machine.reports.append)
    assert backend.description.startswith("TensorRT")
    assert machine.reports[-1].startswith("auto chose TensorRT")
    backend.close()


@pytest.mark.parametrize("step", ["engine_key", "check"])
def test_an_engine_of_a_bundle_that_is_replaced_meanwhile_is_not_kept(
    machine: Any, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    """Else the engine of one network would lie under the key of another."""
    copy = read_bundle(shutil.copytree(bundle.path, tmp_path / "model"))
    other = onnx.load(copy.model_path)
    other.doc_string = "another"
    onnx.save(other, tmp_path / "other.onnx")
    found = getattr(engines, step)

    def replaced(*arguments: Any) -> Any:
        key = found(*arguments) if step == "engine_key" else None
        files = {name: copy.path / name for name in copy.manifest.files} | {"model.onnx": tmp_path / "other.onnx"}
        write_bundle(copy.path, copy.manifest, files)
        if step == "check":
            raise BackendError("differs")
        return key

    monkeypatch.setattr(engines, step, replaced)
    with pytest.raises(BackendError, match="has changed while its engine was being built"):
        TensorRTBackend(copy, machine.options())
    assert machine.engines() == []
