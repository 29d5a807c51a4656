# SPDX-License-Identifier: Apache-2.0
"""Recordings of folders: the robot's odometry as transforms, and frames that lead in to the chosen ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import Trajectory, write_tum
from mvloc_ros.recordings import open_folder, open_folders, topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.from_folder import close_pauses, has_odometry, select_frames, with_lead_in, write_bag
from mvloc_ros.recordings.odometry_file import ODOMETRY_FILE, odometry_of, write_odometry
from mvloc_ros.replay.recorded_transforms import RecordedTransforms

T_BASE_CAMERA = se3.from_parts([0.2, -0.05, 0.9], [-0.5, 0.5, -0.5, 0.5])


def base_at(n: int) -> np.ndarray:
    """T_odom_base of a base that goes ahead by 0.1 m and turns by 0.1 rad a frame."""
    return se3.from_parts([0.1 * n, 0.0, 0.0], [0.0, 0.0, np.sin(0.05 * n), np.cos(0.05 * n)])


@pytest.fixture
def with_odometry(seven_scenes: Path) -> Path:
    """Its second sequence has odometry."""
    write_odometry(seven_scenes / "seq-02", {n: base_at(n) for n in range(4)}, 30.0)
    return seven_scenes


@pytest.mark.parametrize("pose_of", ["color", "depth"])
def test_odometry_and_the_cameras_place_become_transforms(with_odometry: Path, tmp_path: Path, pose_of: str):
    (with_odometry / "camera.json").write_text(
        json.dumps({"T_base_camera": T_BASE_CAMERA.tolist(), "pose_of": pose_of})
    )
    folder = open_folder(with_odometry)
    write_bag(folder, select_frames(folder), tmp_path / "bag", progress=False)
    frames = close_pauses(select_frames(folder))
    camera = topics.COLOR_FRAME if pose_of == "color" else topics.DEPTH_FRAME
    with BagReader(tmp_path / "bag") as reader:
        transforms = RecordedTransforms.of(reader)
    seen = [frame for frame in frames if frame.sequence == "seq-02"]
    assert len(seen) == 4
    for frame in seen:
        found = transforms.lookup("odom", camera, frame.stamp_ns)
        np.testing.assert_allclose(found.T, base_at(frame.index) @ T_BASE_CAMERA, atol=1e-8)


def test_odometry_beside_images_with_stamps_is_of_their_clock(tum: Path):
    frames = list(open_folder(tum).frames())
    write_tum(tum / ODOMETRY_FILE, Trajectory.collect({f.stamp_ns: base_at(f.index) for f in frames[1:]}))
    found = odometry_of(open_folder(tum))
    assert set(found) == {(frame.sequence, frame.index) for frame in frames[1:]}
    for (_, index), T in found.items():
        np.testing.assert_allclose(T, base_at(index), atol=1e-8)


def test_folders_of_other_robots_are_joined_without_odometry(with_odometry: Path, tmp_path: Path):
    other = tmp_path / "other"
    shutil.copytree(with_odometry, other)
    for path in other.rglob("*.pose.txt"):
        pose = np.loadtxt(path)
        pose[0, 3] += 0.5  # frames in common are refused
        np.savetxt(path, pose)
    for root, x in ((with_odometry, 0.2), (other, 0.2)):
        T = T_BASE_CAMERA.copy()
        T[0, 3] = x
        (root / "camera.json").write_text(json.dumps({"T_base_camera": T.tolist()}))
    assert has_odometry(open_folders([with_odometry, other]))
    T[0, 3] = 0.3
    (other / "camera.json").write_text(json.dumps({"T_base_camera": T.tolist()}))
    assert not has_odometry(open_folders([with_odometry, other]))


def test_odometry_of_a_camera_that_may_be_anywhere_on_the_robot_is_not_written(with_odometry: Path, tmp_path: Path):
    folder = open_folder(with_odometry)
    write_bag(folder, select_frames(folder), tmp_path / "bag", progress=False)
    with BagReader(tmp_path / "bag") as reader:
        assert topics.TF not in reader.topics


def test_frames_before_the_chosen_ones_lead_in_without_a_true_pose(seven_scenes: Path, tmp_path: Path):
    (seven_scenes / "TestSplit.txt").unlink()
    (seven_scenes / "TrainSplit.txt").unlink()
    folder = open_folder(seven_scenes, 0.25)
    chosen = select_frames(folder, "test")
    assert [(frame.sequence, frame.index) for frame in chosen] == [(f"seq-0{n}", 3) for n in (1, 2, 3)]
    frames = with_lead_in(folder, chosen, 2.0 / 30.0 + 1e-6)
    assert [frame.index for frame in frames] == [1, 2, 3] * 3
    assert [frame.T_map_camera is None for frame in frames] == [True, True, False] * 3
    write_bag(folder, frames, tmp_path / "bag", progress=False)
    with BagReader(tmp_path / "bag") as reader:
        counts = [reader.topics[name].count for name in (topics.COLOR_IMAGE, topics.GROUND_TRUTH)]
    assert counts == [9, 3]
