# SPDX-License-Identifier: Apache-2.0
"""Engines and caches that are not as they should be: a sentence, and an engine built again."""

from __future__ import annotations

import dataclasses
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import install

from mvloc_ros.backends.backend import BackendError
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.backends.gpu import Gpu, NoGpuError
from mvloc_ros.backends.tensorrt import engines
from mvloc_ros.backends.tensorrt.sealed_file import read_sealed, write_sealed
from mvloc_ros.backends.tensorrt.tensorrt_backend import TensorRTBackend
from mvloc_ros.model.bundle import Bundle, read_bundle


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    return read_bundle(tiny_bundle)


def start(machine: Any, bundle: Bundle) -> None:
    """Start, see that it localizes, stop."""
    backend = TensorRTBackend(bundle, machine.options())
    color, depth = np.full((12, 16, 3), 51, np.uint8), np.full((12, 16), 1.5, np.float32)
    np.testing.assert_allclose(backend.run(color, depth, np.ones(2, np.float32)).position, [0.2, 1.5, 1.0], atol=1e-6)
    backend.close()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def truncate_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)


def put_a_bare_engine(path: Path) -> None:
    path.write_bytes(read_sealed(path).content)


def make_it_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [truncate, truncate_header, empty, flip_a_bit, put_a_bare_engine])
def test_a_damaged_engine_never_reaches_tensorrt(machine: Any, bundle: Bundle, damage: Callable[[Path], None]):
    start(machine, bundle)
    whole = machine.engines()[0].read_bytes()
    damage(machine.engines()[0])
    machine.tensorrt.calls.clear()
    start(machine, bundle)
    # The only engine that TensorRT read is the one it has just built.
    assert machine.tensorrt.names().count("deserialize_cuda_engine") == 1
    assert machine.builds() == 1
    assert any("is not used" in report and "built again" in report for report in machine.reports)
    assert len(machine.engines()[0].read_bytes()) == len(whole)
    start(machine, bundle)
    assert machine.builds() == 1


def test_a_folder_in_the_engines_place_costs_the_cache_alone(machine: Any, bundle: Bundle):
    start(machine, bundle)
    make_it_a_folder(machine.engines()[0])
    start(machine, bundle)
    assert any("cannot be stored" in report for report in machine.reports)


def test_an_engine_of_another_version_is_another_file(
    machine: Any, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    start(machine, bundle)
    newer = install("11.4.0.106", machine.cache, monkeypatch)
    start(newer, bundle)
    assert newer.builds() == 1
    assert len(newer.engines()) == 2


def test_an_engine_of_another_gpu_is_another_file(machine: Any, bundle: Bundle):
    start(machine, bundle)
    machine.gpu = Gpu("NVIDIA GeForce RTX 4090", "8.9", "12.6", 128)
    start(machine, bundle)
    assert machine.builds() == 2
    assert len(machine.engines()) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [("gpu", "another"), ("tensorrt", "10.3.0"), ("onnx", "0" * 64), ("precision", "fp16"), ("flags", ["other"])],
)
def test_a_foreign_engine_under_the_right_name_is_not_used(machine: Any, bundle: Bundle, field: str, value: Any):
    start(machine, bundle)
    path = machine.engines()[0]
    sealed = read_sealed(path)
    write_sealed(path, {**sealed.about, field: value}, sealed.content)
    start(machine, bundle)
    assert machine.builds() == 2
    assert any(f"different {field}" in report for report in machine.reports)


def test_an_engine_that_tensorrt_rejects_is_built_anew(machine: Any, bundle: Bundle):
    start(machine, bundle)
    path = machine.engines()[0]
    write_sealed(path, read_sealed(path).about, b"10.3.0\nsealed well, but not what it says")
    start(machine, bundle)
    assert machine.builds() == 2
    assert any("version tag does not match" in report for report in machine.reports)


def test_another_network_of_the_same_name_gets_its_own_engine(machine: Any, bundle: Bundle, tmp_path: Path):
    import onnx

    start(machine, bundle)
    model = onnx.load(str(bundle.model_path))
    model.producer_name = "another"
    onnx.save(model, str(tmp_path / "model.onnx"))
    (tmp_path / "new").mkdir()
    other = shutil.copytree(bundle.path, tmp_path / "new" / bundle.name)
    from mvloc_ros.model.bundle_writer import write_bundle

    poses = {"training_poses.tum": bundle.path / "training_poses.tum"}
    changed = write_bundle(other, bundle.manifest, {"model.onnx": tmp_path / "model.onnx", **poses})
    start(machine, changed)
    assert machine.builds() == 2


def test_a_network_with_weights_in_another_file_is_refused_before_tensorrt_reads_it(
    machine: Any, bundle: Bundle, tmp_path: Path
):
    import onnx

    model = onnx.load(str(bundle.model_path))
    far = model.graph.initializer.add(name="far", dims=[1], data_type=1, data_location=onnx.TensorProto.EXTERNAL)
    far.external_data.add(key="location", value="weights.bin")
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BackendError, match=r"model.onnx is not accepted: its tensor 'far' is in another file"):
        TensorRTBackend(Bundle(tmp_path, bundle.manifest), machine.options())
    assert "parse" not in machine.tensorrt.names()


def test_a_cache_in_the_place_of_a_file_costs_the_cache_alone(machine: Any, bundle: Bundle):
    machine.cache.write_text("a file")
    start(machine, bundle)
    assert sum("cannot be stored" in report for report in machine.reports) == 2  # the engine and the timing cache
    assert machine.cache.read_text() == "a file"


def test_an_unwritable_cache_costs_the_cache_alone(machine: Any, bundle: Bundle):
    machine.cache = Path("/proc/engines")  # where not even root may write
    start(machine, bundle)
    assert sum("/proc/engines" in report and "cannot be stored" in report for report in machine.reports) == 2


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """As on a disk that is full: what is written beyond fails with an OSError."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_costs_the_cache_alone(machine: Any, bundle: Bundle):
    with files_no_larger_than(1000):
        start(machine, bundle)
    assert any("cannot be stored" in report for report in machine.reports)
    assert machine.engines() == []
    assert not [path for path in machine.cache.iterdir() if path.name.startswith(".")]
    start(machine, bundle)
    assert len(machine.engines()) == 1


def test_what_was_learned_in_one_build_helps_the_next(machine: Any, bundle: Bundle):
    start(machine, bundle)
    machine.engines()[0].unlink()
    start(machine, bundle)
    given = [call[1] for call in machine.tensorrt.calls if call[0] == "create_timing_cache"]
    assert given == [b"", b"learned;"]
    (timing,) = machine.cache.glob("*.timing")
    truncate(timing) if timing.stat().st_size > 200 else flip_a_bit(timing)
    machine.engines()[0].unlink()
    start(machine, bundle)
    assert [call[1] for call in machine.tensorrt.calls if call[0] == "create_timing_cache"][-1] == b""


def test_an_engine_of_a_smaller_board_of_the_same_name_is_not_loaded(machine: Any, bundle: Bundle):
    start(machine, bundle)
    machine.gpu = dataclasses.replace(machine.gpu, multiprocessors=8)
    start(machine, bundle)
    assert len(machine.engines()) == len(list(machine.cache.glob("*.timing"))) == 2


@pytest.mark.parametrize("kept", [True, False])
def test_what_was_learned_on_another_gpu_is_refused_by_tensorrt_and_learned_anew(
    machine: Any, bundle: Bundle, kept: bool
):
    """Both ways in which TensorRT may go on after that: with an empty cache, or with none at all."""
    start(machine, bundle)
    machine.engines()[0].unlink()
    machine.tensorrt.refuses_timing = bool if kept else lambda _: True
    start(machine, bundle)
    assert any("it is made again" in report for report in machine.reports)
    assert len(machine.engines()) == 1


@pytest.mark.parametrize(("name", "value"), [("pose", 0.5), ("expert_share", np.nan)])
def test_an_engine_that_computes_something_else_is_not_kept(machine: Any, bundle: Bundle, name: str, value: float):
    machine.tensorrt.twist = lambda output, values: values + value if output == name else values
    with pytest.raises(BackendError, match=r"differs from ONNX Runtime by 0\.5|no finite expert_share"):
        TensorRTBackend(bundle, machine.options())
    assert machine.engines() == []
    assert machine.cuda.memory == {}


def test_no_driver_means_that_tensorrt_is_not_touched(machine: Any, bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    def none() -> Gpu:
        raise NoGpuError("There is no CUDA driver here.")

    monkeypatch.setattr(engines, "find_gpu", none)
    with pytest.raises(BackendError, match="no CUDA driver"):
        create_backend("tensorrt", bundle)
    backend = create_backend("auto", bundle, 1, report=machine.reports.append)
    assert backend.description.startswith("onnxruntime")
    assert "not tensorrt: There is no CUDA driver here." in machine.reports[-1]
    backend.close()
    assert machine.tensorrt.calls == []
    assert machine.cuda.calls == []


def test_a_driver_that_is_too_old_for_tensorrt_is_explained(
    machine: Any, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
):
    """TensorRT then makes a runtime, complains in its log, and crashes if the runtime is used."""
    start(machine, bundle)
    whole = machine.trt.Runtime.__init__

    def complain(self: Any, logger: Any) -> None:
        whole(self, logger)
        logger.log(machine.trt.ILogger.Severity.ERROR, "CUDA initialization failure with error: 35")

    monkeypatch.setattr(machine.trt.Runtime, "__init__", complain)
    machine.tensorrt.calls.clear()
    with pytest.raises(BackendError, match="cannot use CUDA here: CUDA initialization failure with error: 35"):
        TensorRTBackend(bundle, machine.options())
    assert "deserialize_cuda_engine" not in machine.tensorrt.names()
    assert machine.cuda.memory == {}


def test_auto_goes_on_where_the_build_fails(machine: Any, bundle: Bundle):
    machine.tensorrt.fail_build = "no kernel fits"
    with pytest.raises(BackendError, match="no kernel fits"):
        create_backend("tensorrt", bundle, engine_cache=str(machine.cache))
    backend = create_backend("auto", bundle, 1, engine_cache=str(machine.cache), report=machine.reports.append)
    assert backend.description.startswith("onnxruntime")
    assert "no kernel fits" in machine.reports[-1]
    backend.close()


def test_int8_is_not_for_tensorrt(machine: Any, bundle: Bundle):
    from mvloc_ros.model.manifest import PrecisionSpec

    spec = PrecisionSpec("model.onnx", 1, (0.0, 0.0), (0.0, 0.0))
    quantised = dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, precisions={"int8": spec}))
    with pytest.raises(BackendError, match="for ONNX Runtime on CPUs"):
        TensorRTBackend(quantised, machine.options("int8"))
