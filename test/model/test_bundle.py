# SPDX-License-Identifier: Apache-2.0
"""Bundles: round trip, and each way in which one can be wrong, said in a sentence."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from manifests import edit_manifest

from mvloc_ros import storage
from mvloc_ros.backends.backend import BackendError
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.backends.onnxruntime_backend import cores_to_spread_over
from mvloc_ros.model import bundle_writer as bundles
from mvloc_ros.model.bundle import BundleError, file_digest, read_bundle
from mvloc_ros.model.bundle_writer import add_scene_map, replace_manifest, write_bundle
from mvloc_ros.model.manifest import PrecisionSpec
from mvloc_ros.model.map_spec import SceneMapSpec


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "model"))


def test_round_trip(bundle: Path, tmp_path: Path):
    first = read_bundle(bundle)
    copy = write_bundle(tmp_path / "again", first.manifest, {name: bundle / name for name in first.manifest.files})
    assert copy.manifest == first.manifest
    assert len(copy.training_trajectory()) == 3
    assert not list(tmp_path.glob(".again*"))


def test_residuals_of_one_modality_are_kept_and_may_be_absent(bundle: Path, tmp_path: Path):
    first = read_bundle(bundle)
    assert first.manifest.residual_variance_color_only is None
    assert "residual_variance_color_only" not in json.loads((bundle / "manifest.json").read_text())
    measured = replace(first.manifest, residual_variance_color_only=(0.5,) * 6)
    copy = write_bundle(tmp_path / "again", measured, {name: bundle / name for name in first.manifest.files})
    assert copy.manifest.residual_variance_color_only == (0.5,) * 6
    assert copy.manifest.residual_variance_depth_only is None


def test_position_is_unnormalised_in_double_precision(bundle: Path):
    edit_manifest(bundle, lambda v: v["position"].update(offset_m=[5_736_292.73, 620_253.01, 110.5], scale_m=0.001))
    position = read_bundle(bundle).position_in_map(np.array([0.5, -0.5, 0.0], np.float32))
    np.testing.assert_allclose(position, [5_736_292.7305, 620_253.0095, 110.5], atol=1e-7)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.update(schema=99), "schema 99"),
        (lambda v: v.pop("schema"), "no schema version"),
        (lambda v: v.pop("input"), "input"),
        (lambda v: v["input"].update(height="tall"), "tall"),
        (lambda v: v["position"].update(scale_m=0), "scale_m"),
        (lambda v: v["position"].update(offset_m=[1, 2]), "3 values"),
        (lambda v: v.update(residual_variance=[float("nan")] * 6), "NaN is not a number"),
        (lambda v: v.update(residual_variance_depth_only=[1.0, 2.0]), "6 values"),
        (lambda v: v.update(residual_variance_color_only=[0.0] * 6), "positive"),
        (lambda v: v["frames"].update(pose_of="lidar"), "lidar"),
        (lambda v: v["files"].pop("model.onnx"), "does not list"),
        (lambda v: v.update(files=None), "is invalid"),
        (lambda v: v["files"].update({"../x": {"sha256": "0"}}), "plain file name"),
    ],
)
def test_wrong_manifest_is_named(bundle: Path, change, words: str):
    edit_manifest(bundle, change)
    with pytest.raises(BundleError, match=words):
        read_bundle(bundle)


def test_missing_and_damaged_files_are_named(bundle: Path, tmp_path: Path):
    with pytest.raises(BundleError, match="No model bundle found at"):
        read_bundle(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"no manifest\.json"):
        read_bundle(tmp_path)
    with pytest.raises(BundleError, match=r"No model is given: set the parameter `model` .* model:=/path/to/bundle"):
        read_bundle("")
    data = bytearray((bundle / "model.onnx").read_bytes())
    data[100] ^= 1
    (bundle / "model.onnx").write_bytes(data)
    with pytest.raises(BundleError, match="damaged or was replaced"):
        read_bundle(bundle)
    (bundle / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"is missing model\.onnx"):
        read_bundle(bundle)
    (bundle / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match=r"Cannot read .*manifest\.json"):
        read_bundle(bundle)


def test_files_that_the_system_refuses_are_named(bundle: Path, monkeypatch):
    old = read_bundle(bundle)
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(30, "Read-only file system")))
    with pytest.raises(BundleError, match=r"manifest\.json cannot be written \(Read-only"):
        replace_manifest(old, old.manifest)
    assert sorted(path.name for path in bundle.iterdir()) == sorted([*old.manifest.files, "manifest.json"])
    # Opens, and cannot be read, for root neither.
    (bundle / "model.onnx").unlink()
    (bundle / "model.onnx").symlink_to("/proc/self/mem")
    with pytest.raises(BundleError, match=r"model\.onnx cannot be read"):
        read_bundle(bundle)


def test_a_folder_that_is_no_bundle_is_never_replaced(bundle: Path, tmp_path: Path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").write_text("mine")
    manifest = read_bundle(bundle).manifest
    with pytest.raises(BundleError, match="not a model bundle"):
        write_bundle(precious, manifest, {"model.onnx": bundle / "model.onnx"})
    assert (precious / "data").read_text() == "mine"


def test_an_interruption_at_the_last_step_keeps_the_old_bundle(bundle: Path, tmp_path: Path, monkeypatch):
    old = read_bundle(bundle)
    files = {name: Path(shutil.copy(bundle / name, tmp_path)) for name in old.manifest.files}

    def interrupted(*_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(storage, "_exchange", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(bundle, replace(old.manifest, licence="another"), files)
    assert read_bundle(bundle).manifest == old.manifest
    assert not list(tmp_path.glob(".*"))


def test_backends_that_cannot_serve_say_so(bundle: Path):
    model = read_bundle(bundle)
    with pytest.raises(BackendError, match="choose one of"):
        create_backend("abacus", model)
    with pytest.raises(BackendError, match="'fp7' is not a precision"):
        create_backend("onnxruntime", model, precision="fp7")
    with pytest.raises(BackendError, match="has no fp16 network, only fp32; export it with"):
        create_backend("onnxruntime", model, precision="fp16")


def test_a_bundle_that_was_replaced_since_it_was_read_is_not_run(bundle: Path):
    model = read_bundle(bundle)
    (bundle / "validation.csv").write_text("another export")
    files = {name: bundle / name for name in (*model.manifest.files, "validation.csv")}
    write_bundle(bundle, replace(model.manifest, position=replace(model.manifest.position, scale_m=9.0)), files)
    for backend in ("onnxruntime", "auto"):
        with pytest.raises(BackendError, match="has changed while it was being loaded; load it again"):
            create_backend(backend, model)
    create_backend("onnxruntime", read_bundle(bundle)).close()


def test_a_map_whose_manifest_found_no_room_or_was_killed_is_removed(bundle: Path, monkeypatch: pytest.MonkeyPatch):
    spec = SceneMapSpec("", "", 0.02, 4.0, 200, 0.3, 4.5, tuple(np.eye(4).ravel()), 100.0, None)
    old = add_scene_map(read_bundle(bundle), b"first", spec)
    write_file = bundles.write_file

    def full(path: Path, content: bytes | str) -> None:
        if path.name == "manifest.json":
            raise storage.StorageError(path, OSError(errno.ENOSPC, "No space left on device"))
        write_file(path, content)

    monkeypatch.setattr(bundles, "write_file", full)
    with pytest.raises(BundleError, match="No space left"):
        add_scene_map(old, b"second", spec)
    monkeypatch.undo()
    assert [path.name for path in bundle.glob("scene_map-*")] == [old.manifest.scene_map.file]
    assert read_bundle(bundle).manifest == old.manifest
    (bundle / "scene_map-0123456789ab.npz").write_bytes(b"of a killed process")
    replace_manifest(old, replace(old.manifest, licence="another"))
    assert [path.name for path in bundle.glob("scene_map-*")] == [old.manifest.scene_map.file]


def test_a_network_of_another_size_than_the_manifest_says_is_refused(bundle: Path):
    edit_manifest(bundle, lambda v: v["input"].update(height=24))
    with pytest.raises(BackendError, match="export the bundle again"):
        create_backend("onnxruntime", read_bundle(bundle))


def test_a_file_that_is_no_network_is_refused(bundle: Path):
    (bundle / "model.onnx").write_bytes(b"not a network")
    edit_manifest(bundle, lambda v: v["files"].update({"model.onnx": {"sha256": file_digest(bundle / "model.onnx")}}))
    with pytest.raises(BackendError, match=r"model.onnx is not accepted: it is damaged or not an ONNX file; export"):
        create_backend("onnxruntime", read_bundle(bundle))


def test_auto_runs_the_network(bundle: Path):
    backend = create_backend("auto", read_bundle(bundle), threads=1)
    color, depth = np.full((12, 16, 3), 51, np.uint8), np.full((12, 16), 1.5, np.float32)
    output = backend.run(color, depth, np.array([1, 0], np.float32))
    np.testing.assert_allclose(output.position, [0.2, 0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(output.expert_share, [0.25, 0.5, 0.25])
    assert "onnxruntime" in backend.description
    backend.close()


def test_precisions_round_trip_and_must_have_their_file(bundle: Path, tmp_path: Path):
    first = read_bundle(bundle)
    spec = PrecisionSpec("model_fp16.onnx", 75, (0.001, 0.002), (0.01, 0.02))
    files = {name: bundle / name for name in first.manifest.files} | {"model_fp16.onnx": bundle / "model.onnx"}
    manifest = dataclasses.replace(first.manifest, precisions={"fp16": spec})
    copy = write_bundle(tmp_path / "again", manifest, files)
    assert copy.manifest.precisions == {"fp16": spec}
    assert copy.network_path("fp16").name == "model_fp16.onnx"
    assert copy.network_path("fp32") == copy.model_path
    edit_manifest(copy.path, lambda v: v["files"].pop("model_fp16.onnx"))
    with pytest.raises(BundleError, match="precision fp16 without a file"):
        read_bundle(copy.path)


def test_bundles_from_before_there_were_precisions_are_read(bundle: Path):
    edit_manifest(bundle, lambda v: v.pop("precisions"))
    assert read_bundle(bundle).manifest.precisions == {}


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="threads are not bound to cores on this system")
def test_threads_have_cores_of_their_own_and_the_caller_keeps_its_freedom(bundle: Path, wait_for):
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("needs two cores")
    before = {int(task.name) for task in Path("/proc/self/task").iterdir()}
    backend = create_backend("onnxruntime", read_bundle(bundle), threads=len(cores))
    pool = [int(task.name) for task in Path("/proc/self/task").iterdir() if int(task.name) not in before]

    def bound() -> list[int]:
        return sorted(min(own) for own in map(os.sched_getaffinity, pool) if len(own) == 1)

    wait_for(lambda: bound() == cores[1:], 10, "the threads to bind themselves")
    backend.run(np.zeros((12, 16, 3), np.uint8), np.zeros((12, 16), np.float32), np.ones(2, np.float32))
    assert sorted(os.sched_getaffinity(0)) == cores
    backend.close()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="threads are not bound to cores on this system")
def test_a_pool_that_is_smaller_than_the_machine_is_left_to_the_system():
    cores = sorted(os.sched_getaffinity(0))
    assert cores_to_spread_over(1) == []
    assert cores_to_spread_over(len(cores) + 1) == []
    assert cores_to_spread_over(len(cores)) == (cores if len(cores) > 1 else [])
