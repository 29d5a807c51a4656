# SPDX-License-Identifier: Apache-2.0
"""Poses that contradict the depth images are found, and named, before anything is made of them."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from walk import RATE_HZ, pose_at

from mvloc_ros.cli import main
from mvloc_ros.errors import MvlocError
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.trajectory import read_tum
from mvloc_ros.recordings import open_folder
from mvloc_ros.recordings.agreement import check_agreement
from mvloc_ros.recordings.agreement.explanations import T_BODY_OPTICAL, T_OPENGL_OPTICAL
from mvloc_ros.recordings.from_folder import select_frames, write_bag


@pytest.fixture
def spoilt(walk: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the walk whose frame i has the pose `spoil(pose, i)`."""

    def make(spoil: Callable[[np.ndarray, int], np.ndarray], **settings: object) -> Path:
        root = tmp_path / "spoilt"
        shutil.copytree(walk, root)
        for i in range(100):
            np.savetxt(root / "seq-01" / f"frame-{i:06d}.pose.txt", spoil(pose_at(i / RATE_HZ), i))
        said = json.loads((root / "camera.json").read_text())
        (root / "camera.json").write_text(json.dumps(said | settings))
        return root

    return make


def scaled(factor: float) -> Callable[[np.ndarray, int], np.ndarray]:
    def scale(T: np.ndarray, _: int) -> np.ndarray:
        T[:3, 3] *= factor
        return T

    return scale


def wxyz(T: np.ndarray, _: int) -> np.ndarray:
    """What becomes of a quaternion w x y z that is read as x y z w."""
    position, q = se3.to_parts(T)
    return se3.from_parts(position, np.roll(q, 1))


def test_right_poses_agree(walk: Path):
    found = check_agreement(open_folder(walk))
    assert found.share > 0.97
    assert found.points > 10_000
    assert not found.refused
    assert not found.questionable
    assert found.text().startswith("poses and depth agree: ")
    assert f"{found.points} points" in found.text()


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda T, _: se3.inverse(T), "poses inverted"),
        (scaled(1e3), "positions times 0.001, as if they were in millimetres"),
        (scaled(1e-3), "positions times 1e+03"),
        (scaled(5.0), "positions times 0.2"),
        (lambda T, _: T @ se3.inverse(T_BODY_OPTICAL), "x forward, y left, z up"),
        (lambda T, _: T @ T_OPENGL_OPTICAL, "OpenGL"),
        (wxyz, "w x y z"),
        (lambda _, i: pose_at(3.0), "all 100 poses are the same"),
    ],
    ids=["inverse", "millimetres", "kilometres", "times 5", "body axes", "OpenGL", "w first", "constant"],
)
def test_a_mistake_in_the_poses_is_refused_and_named(
    spoilt: Callable[..., Path], spoil: Callable[[np.ndarray, int], np.ndarray], named: str
):
    found = check_agreement(open_folder(spoilt(spoil)))
    assert found.refused
    assert named in found.suspicion()


@pytest.mark.parametrize("seconds", [-0.5, 0.3, 0.7])
def test_a_time_offset_is_found(spoilt: Callable[..., Path], seconds: float):
    # The poses of later images: those of so much earlier fit.
    found = check_agreement(open_folder(spoilt(lambda _, i: pose_at(i / RATE_HZ + seconds))))
    assert found.questionable
    word = "earlier" if seconds > 0 else "later"
    assert f"poses of about {abs(seconds):g} s {word}" in found.suspicion()
    assert found.explanation[1] > 0.97


def test_a_wrong_unit_of_depth_names_the_right_one(spoilt: Callable[..., Path]):
    found = check_agreement(open_folder(spoilt(lambda T, _: T, depth_units_per_metre=5000)))
    assert found.refused
    assert "depth_units_per_metre 1000 instead of 5000" in found.suspicion()


def test_poses_that_stop_while_the_camera_goes_on_are_named(spoilt: Callable[..., Path]):
    found = check_agreement(open_folder(spoilt(lambda T, i: pose_at(4.0) if 40 <= i <= 60 else T)))
    assert found.questionable
    assert found.standstill is not None
    assert "from frame 40 to 60 of seq-01" in found.standstill.text()


def test_a_camera_at_rest_is_no_contradiction(spoilt: Callable[..., Path]):
    root = spoilt(lambda _, i: pose_at(3.0))
    still = root / "seq-01" / "frame-000030.depth.png"
    for i in range(100):
        shutil.copy(still, root / "still.png")
        shutil.move(root / "still.png", root / "seq-01" / f"frame-{i:06d}.depth.png")
    found = check_agreement(open_folder(root))
    assert not found.refused
    assert not found.questionable
    assert "too few" in found.text()


def test_what_cannot_be_compared_says_so(spoilt: Callable[..., Path], tmp_path: Path):
    root = spoilt(lambda T, _: T, depth_of_points=True)
    assert "LIDAR" in check_agreement(open_folder(root)).text()
    for path in root.glob("*/*.depth.png"):
        path.unlink()
    found = check_agreement(open_folder(root))
    assert found.text() == "poses and depth were not compared: the folder has no depth"
    assert not found.refused


def test_to_dataset_refuses_says_what_it_assumed_and_force_goes_on(
    spoilt: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    folder = open_folder(spoilt(lambda T, _: se3.inverse(T)))
    write_bag(folder, select_frames(folder), tmp_path / "bag", progress=False)
    words = ["bag", "to-dataset", str(tmp_path / "bag"), "--out", str(tmp_path / "out")]
    with caplog.at_level(logging.INFO, logger="mvloc_ros"):
        assert main(words) == 2
    assert "poses inverted" in capsys.readouterr().err
    for assumed in ("poses: ", "poses are interpolated at", "colour camera: ", "depth: "):
        assert any(record.getMessage().startswith(assumed) for record in caplog.records), assumed
    assert not (tmp_path / "out").exists()
    assert main([*words, "--force"]) == 0
    assert (tmp_path / "out" / "camera.json").is_file()


def test_training_refuses_before_it_reads_the_images(
    spoilt: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    pytest.importorskip("torch")
    root = spoilt(scaled(1e3))
    assert main(["train", "--data", str(root), "--out", str(tmp_path / "run")]) == 2
    message = capsys.readouterr().err
    assert "millimetres" in message
    assert "--force" in message


def test_map_and_calibrate_check_the_folder(
    spoilt: Callable[..., Path], tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    root, copy = spoilt(lambda T, _: se3.inverse(T)), tmp_path / "bundle"
    shutil.copytree(tiny_bundle, copy)
    for verb in ("map", "calibrate"):
        assert main([verb, str(copy), "--data", str(root)]) == 2
        assert "poses inverted" in capsys.readouterr().err


def test_a_warning_is_no_end(walk: Path, spoilt: Callable[..., Path], caplog: pytest.LogCaptureFixture):
    from mvloc_ros.recordings.agreement import require_agreement

    with caplog.at_level(logging.INFO, "mvloc_ros"):
        require_agreement(open_folder(walk), force=False)
        require_agreement(open_folder(spoilt(lambda T, _: se3.inverse(T))), force=True)
    assert [record.levelno for record in caplog.records] == [logging.INFO, logging.WARNING]


@pytest.mark.parametrize("numbers", ["0 0 0 0.5", "0.1 -0.2 1.5 0", "0 0 0 0"], ids=["half", "Euler angles", "zero"])
def test_a_quaternion_of_another_length_is_no_pose(tmp_path: Path, numbers: str):
    path = tmp_path / "poses.tum"
    path.write_text(f"1.0 0 0 0 0 0 0 1\n2.0 0 0 0 {numbers}\n")
    with pytest.raises(MvlocError, match=r"Line 2 .* quaternion's norm is .* not 1"):
        read_tum(path)
    bad: list[int] = []
    assert len(read_tum(path, bad)) == 1
    assert bad == [2]


def test_rounding_to_four_decimals_is_a_unit_quaternion():
    assert quaternion.is_unit(np.round(quaternion.exp([0.3, -0.2, 0.5]), 4))


def test_real_recordings_agree(shared_data: Path):
    for name, least in (("redkitchen", 0.95), ("tum_fr1_half", 0.92)):
        found = check_agreement(open_folder(shared_data / name))
        assert found.share > least
        assert not found.questionable, found.suspicion()
