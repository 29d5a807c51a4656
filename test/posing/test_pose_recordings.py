# SPDX-License-Identifier: Apache-2.0
"""`mvloc pose` on several recordings, with a robot's odometry, and with a camera whose depth is bent."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from posing_drive import RATE_HZ
from posing_scene import apart_when_aligned, camera

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import Trajectory, write_tum
from mvloc_ros.posing import pose
from mvloc_ros.posing.options import PosingOptions
from mvloc_ros.posing.pose import pose_folders
from mvloc_ros.recordings import open_folder
from mvloc_ros.recordings.odometry_file import odometry_of

pytest.importorskip("gtsam", reason="poses are found with gtsam, which is not installed")

CopyOf = Callable[[Iterable[int]], Path]
Errors = Callable[[Path, Path], np.ndarray]


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the second pass."""
    monkeypatch.setattr(pose, "with_corrected_depth", lambda whole, *_: whole)


def rms(apart: np.ndarray) -> float:
    return float(np.sqrt(np.mean(apart**2)))


def part_of(drive: Path, root: Path, numbers: range) -> Path:
    """A recording of its own."""
    (root / "seq-01").mkdir(parents=True)
    shutil.copy(drive / "camera.json", root)
    for new, old in enumerate(numbers):
        for kind in ("color.jpg", "depth.png", "pose.txt"):
            shutil.copy(drive / "seq-01" / f"frame-{old:06d}.{kind}", root / "seq-01" / f"frame-{new:06d}.{kind}")
    return root


@pytest.mark.usefixtures("once")
def test_two_recordings_of_one_place_become_one_map(drive: Path, tmp_path: Path):
    numbers = {"monday": range(36), "tuesday": range(24, 60)}
    roots = [part_of(drive, tmp_path / name, these) for name, these in numbers.items()]
    summary = pose_folders(roots, tmp_path / "posed")
    assert summary.content["parts"] == 1
    told = [(one["name"], Path(one["recording"]).parts[-2:], one["posed"]) for one in summary.content["sequences"]]
    assert told == [("seq-01", ("monday", "seq-01"), 36), ("seq-02", ("tuesday", "seq-01"), 36)]
    true = {frame.index: frame.T_map_camera for frame in open_folder(drive).frames()}
    first = {f"seq-{i:02d}": these.start for i, these in enumerate(numbers.values(), start=1)}
    frames = list(open_folder(tmp_path / "posed").frames())
    found = np.array([frame.T_map_camera for frame in frames])
    wanted = np.array([true[first[frame.sequence] + frame.index] for frame in frames])
    assert len(frames) == 72
    assert rms(apart_when_aligned(found, wanted)) < 0.01


def write_odometry(root: Path, drift: float) -> None:
    """T_odom_base of a base that carries the camera ahead of and above it; its way is too long by a share."""
    T_base_camera = camera(0.2, -0.05, 0.5, 10.0, 20.0)
    poses = {}
    for frame in open_folder(root).frames():
        T = frame.T_map_camera @ se3.inverse(T_base_camera)
        T[:3, 3] *= 1.0 + drift
        poses[round(frame.index * 1e9 / RATE_HZ)] = T  # from the sequence's first number
    write_tum(root / "seq-01" / "odometry.tum", Trajectory.collect(poses))


@pytest.mark.usefixtures("once")
@pytest.mark.parametrize("with_odometry", [True, False])
def test_odometry_leads_over_a_pause_into_what_texture_does_not_tell(
    copy_of: CopyOf, tmp_path: Path, errors: Errors, with_odometry: bool
):
    """After 0.7 s without images the pictures are plain: shape alone does not tell which wall it is."""
    root = copy_of(range(62))
    write_odometry(root, drift=0.01)
    for index in range(44, 50):
        for kind in ("color.jpg", "depth.png", "pose.txt"):
            (root / "seq-01" / f"frame-{index:06d}.{kind}").unlink()
    for index in range(50, 62):
        cv2.imwrite(str(root / "seq-01" / f"frame-{index:06d}.color.jpg"), np.full((240, 320, 3), 128, np.uint8))
    summary = pose_folders([root], tmp_path / "posed", PosingOptions(use_odometry=with_odometry))
    posed = {frame.index for frame in open_folder(tmp_path / "posed").frames()}
    assert rms(errors(tmp_path / "posed", root)) < 0.01
    if with_odometry:
        assert posed == {*range(44), *range(50, 62)}
        found = summary.content["camera_on_robot"]
        assert [found[name] for name in ("x_m", "y_m")] == pytest.approx([0.2, -0.05], abs=0.02)
        assert [found[name] for name in ("heading_deg", "pitch_down_deg")] == pytest.approx([10.0, 20.0], abs=0.5)
        made = open_folder(tmp_path / "posed")
        assert {n for _, n in odometry_of(made)} == posed, "kept for a recording that is made of the folder"
        np.testing.assert_allclose(made.T_base_camera[:2, 3], [0.2, -0.05], atol=0.02)
    else:
        assert posed == set(range(44))


@pytest.mark.timeout(300)
def test_depth_that_is_bent_is_corrected(copy_of: CopyOf, tmp_path: Path, errors: Errors):
    """Depth has bands of 1 % across the image, as that of a first-generation Kinect has; without the second pass the
    error is 0.11 m.
    """
    root = copy_of(range(66))
    u = np.linspace(-1.0, 1.0, 320)
    for path in (root / "seq-01").glob("*.depth.png"):
        depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.rint(depth * (1.0 + 0.01 * np.sin(3.0 * np.pi * u))).astype(np.uint16))
    pose_folders([root], tmp_path / "posed")
    assert rms(errors(tmp_path / "posed", root)) < 0.08
