# SPDX-License-Identifier: Apache-2.0
"""`mvloc calibrate` on a bundle with a map: what it writes, what it reads, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from manifests import edit_manifest

from mvloc_ros.cli import main
from mvloc_ros.geometry import se3
from mvloc_ros.localization.motion import moved
from mvloc_ros.mapping import calibrate as module
from mvloc_ros.mapping.calibrate import calibrate
from mvloc_ros.mapping.errors import CalibrationError, MappingError
from mvloc_ros.mapping.refined_trials import hold_out
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.model.bundle_writer import add_scene_map, write_bundle
from mvloc_ros.model.validation_file import VALIDATION_FILE, ValidationPoses
from mvloc_ros.recordings import open_folder

SIGMAS = np.array([0.05] * 3 + [0.03] * 3)


@pytest.fixture(scope="module")
def judged(mapped: Bundle, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The mapped bundle, which says where its network put the last 12 frames of each training walk."""
    rng = np.random.default_rng(4)
    held = [record for record in open_folder(folder).train if record.index >= 48]
    truth = np.array([record.T_map_camera for record in held])
    estimates = np.array([moved(T, SIGMAS * rng.standard_normal(6)) for T in truth])
    poses = ValidationPoses(
        tuple(record.sequence for record in held), np.array([record.stamp_ns for record in held]), {"both": estimates}
    )
    root = tmp_path_factory.mktemp("judged")
    (root / "validation.csv").write_text(poses.to_text())
    medians = {
        "translation_m": float(np.median(se3.translation_error(estimates, truth))),
        "rotation_deg": float(np.degrees(np.median(se3.rotation_error(estimates, truth)))),
    }
    spec, training = mapped.manifest.scene_map, {"seed": 0, "validation_frames": 24, "validation": medians}
    manifest = replace(mapped.manifest, training=training, scene_map=None)
    files = {"model.onnx": mapped.model_path, VALIDATION_FILE: root / "validation.csv"}
    bundle = write_bundle(root / "room", manifest, files)
    return add_scene_map(bundle, (mapped.path / spec.file).read_bytes(), spec)


@pytest.fixture(scope="module")
def calibrated(judged: Bundle, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    copy = tmp_path_factory.mktemp("calibrated") / "room"
    shutil.copytree(judged.path, copy)
    return calibrate(copy, folder, min_frames=2)


@pytest.fixture
def copy(judged: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(judged.path, tmp_path / "room"))


def test_network_and_refinement_get_covariances_that_fit_the_held_out_frames(calibrated: Bundle, judged: Bundle):
    network, refined = calibrated.manifest.calibration, calibrated.manifest.scene_map.calibration
    assert (network.record["frames"], network.record["blocks"]) == (24, 2)
    np.testing.assert_allclose(np.sqrt(np.diag(np.reshape(network.both, (6, 6)))), SIGMAS, rtol=0.35)
    assert refined.record["frames"] == 36
    assert refined.record["blocks"] == 6
    assert refined.record["rejected"] + refined.record["accepted_but_wrong"] <= 3
    for record in (network.record, refined.record):
        assert record["after"]["anees"] == pytest.approx(1.0, abs=0.1)
    assert calibrated.manifest.files == judged.manifest.files
    assert not list(calibrated.path.glob(".*"))
    assert replace(calibrated.manifest, calibration=None, scene_map=None) == replace(judged.manifest, scene_map=None)


def test_poses_carry_the_calibrated_covariances(calibrated: Bundle, folder: Path, room, localize):
    T = room.looking(-0.8, 0.1, 1.2, 0.1, 0.2)
    estimate, localizer = localize(room.frame_of(room.Scene(), T), moved(T, 0.5 * SIGMAS), calibrated)
    np.testing.assert_allclose(localizer.covariance, np.reshape(calibrated.manifest.calibration.both, (6, 6)))
    floor = calibrated.manifest.scene_map.calibration
    assert estimate.refined
    least = np.array([floor.floor_m] * 3 + [floor.floor_rad] * 3)
    assert np.all(np.sqrt(np.diag(estimate.pose.covariance)) >= least)
    assert np.linalg.eigvalsh(estimate.pose.covariance)[0] > 0
    assert np.trace(estimate.pose.covariance) < np.trace(localizer.covariance)


def test_a_second_run_changes_nothing_and_reads_no_test_frame(calibrated: Bundle, folder: Path, tmp_path: Path):
    data = shutil.copytree(folder, tmp_path / "folder")
    for image in (data / "seq-03").glob("*.png"):
        image.write_bytes(b"not to be read")
    before = (calibrated.path / "manifest.json").read_bytes()
    calibrate(calibrated.path, data, min_frames=2)
    assert (calibrated.path / "manifest.json").read_bytes() == before


def test_stretches_are_held_out_of_each_sequence_with_a_gap(folder: Path):
    train = open_folder(folder).train
    seen, stretches = hold_out(train)
    assert [[record.index for record in stretch] for stretch in stretches[:3]] == [
        list(range(14, 20)), list(range(34, 40)), list(range(54, 60)),
    ]  # fmt: skip
    assert len(stretches) == 6
    indices = {record.index for record in seen if record.sequence == "seq-01"}
    assert indices == set(range(60)) - set(range(9, 25)) - set(range(29, 45)) - set(range(49, 60))


def test_a_bundle_without_a_map_gets_the_networks_alone(copy: Path, judged: Bundle, folder: Path):
    edit_manifest(copy, lambda values: values.pop("scene_map"))
    after = calibrate(copy, folder).manifest
    assert after.calibration is not None
    assert after.scene_map is None


def changed(path: Path, files: dict | None = None, **training: object) -> None:
    def change(values: dict[str, Any]) -> None:
        values["training"] |= training
        if files is not None:
            values["files"] = files | {"model.onnx": values["files"]["model.onnx"]}

    edit_manifest(path, change)


def test_a_bundle_without_validation_frames_is_refused(copy: Path, folder: Path, capsys):
    changed(copy, files={}, validation_frames=0)
    assert main(["calibrate", str(copy), "--data", str(folder)]) == 2
    said = capsys.readouterr().err.strip()
    assert "room was trained without validation frames" in said
    assert len(said.splitlines()) == 1


def test_a_bundle_of_an_earlier_export_is_refused(copy: Path, folder: Path):
    changed(copy, files={}, validation_frames=24)
    with pytest.raises(CalibrationError, match=r"lacks the poses of its validation frames .* export it again"):
        calibrate(copy, folder)


def test_a_folder_with_other_poses_is_refused(copy: Path, folder: Path, tmp_path: Path):
    other = shutil.copytree(folder, tmp_path / "folder")
    for path in (other / "seq-01").glob("*.pose.txt"):
        pose = np.loadtxt(path)
        pose[0, 3] += 0.5
        np.savetxt(path, pose)
    with pytest.raises(CalibrationError, match=r"poses of .* are not those that room was validated on"):
        calibrate(copy, other)


def test_a_folder_with_other_frames_is_refused(copy: Path, folder: Path, tmp_path: Path):
    other = shutil.copytree(folder, tmp_path / "folder")
    for path in (other / "seq-02").glob("frame-00005*"):
        path.unlink()
    with pytest.raises(CalibrationError, match=r"has no frame .* of seq-02 with a pose"):
        calibrate(copy, other)
    shutil.rmtree(other)
    shutil.copytree(folder, other)
    (other / "TrainSplit.txt").write_text("seq-01\n")
    (other / "TestSplit.txt").write_text("seq-02\nseq-03\n")
    with pytest.raises(CalibrationError, match="which is a test frame of"):
        calibrate(copy, other)


def test_a_folder_of_other_cameras_is_refused(copy: Path, folder: Path, tmp_path: Path):
    other = shutil.copytree(folder, tmp_path / "folder")
    settings = json.loads((other / "camera.json").read_text())
    settings["pose_of"] = "color"
    (other / "camera.json").write_text(json.dumps(settings))
    with pytest.raises(MappingError, match="poses of"):
        calibrate(copy, other)


def test_an_interrupted_run_leaves_the_bundle(copy: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
    before = (copy / "manifest.json").read_bytes()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run_trials", interrupted)
    with pytest.raises(KeyboardInterrupt):
        calibrate(copy, folder)
    assert (copy / "manifest.json").read_bytes() == before
    assert read_bundle(copy).manifest.calibration is None


def test_no_other_command_comes_between_the_steps_of_a_map(copy: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
    """An export in between would leave a map whose trials leaned on covariances that were not calibrated."""
    from mvloc_ros.mapping import verbs

    code = "import sys; from mvloc_ros.storage import exclusive; exclusive(sys.argv[1]).__enter__()"
    tried = []

    def other(_: object) -> None:
        tried.append(subprocess.run([sys.executable, "-c", code, copy], capture_output=True, text=True, check=False))

    monkeypatch.setattr(verbs, "_add_map", other)
    assert main(["map", str(copy), "--data", str(folder)]) == 0
    assert "is in use by process" in tried[0].stderr


def test_a_map_comes_with_its_calibration(copy: Path, folder: Path, capsys: pytest.CaptureFixture[str]):
    words = ["--resolution", "0.04", "--min-frames", "2", "--no-depth-correction", "--name", "second floor"]
    assert main(["map", str(copy), "--data", str(folder), *words]) == 0
    manifest = read_bundle(copy).manifest
    assert manifest.map_name == "second floor"
    assert manifest.calibration is not None
    assert manifest.scene_map.calibration is not None
    said = capsys.readouterr().out
    assert said.index("poses are accepted from") < said.index("refined: ")
    assert "per m2; the node needs about" in said.splitlines()[-1]
    assert "map name: second floor\n" in said


def test_a_name_of_a_map_that_could_be_a_path_is_refused_before_any_work(copy: Path, folder: Path, capsys):
    with pytest.raises(SystemExit):
        main(["map", str(copy), "--data", str(folder), "--name", "floors/second"])
    assert "not a plain name (no slash, no point or tilde before it)" in capsys.readouterr().err
