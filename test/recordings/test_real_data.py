# SPDX-License-Identifier: Apache-2.0
"""The real recordings, where they are present."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import Trajectory, read_tum, write_tum
from mvloc_ros.recordings import RecordingError, open_folder, read_color, read_depth
from mvloc_ros.recordings.agreement.explanations import T_BODY_OPTICAL
from mvloc_ros.recordings.bag_info import summarise
from mvloc_ros.recordings.bare_folder import open_bare_folder
from mvloc_ros.recordings.from_folder import write_bag
from mvloc_ros.recordings.posed_links import pose_by_trajectory
from mvloc_ros.recordings.trajectory_file import TrajectoryOptions


def test_red_kitchen(shared_data: Path, tmp_path: Path):
    folder = open_folder(shared_data / "redkitchen")
    assert (len(folder.train), len(folder.test)) == (750, 100)
    assert {frame.sequence for frame in folder.test} == {"seq-02", "seq-05"}
    assert folder.color_camera.fx == 525.0
    assert folder.depth_camera.fx == 585.0
    rotations = np.array([frame.T_map_camera[:3, :3] for frame in folder.train])
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (750, 1, 1)), atol=1e-12)
    frame = folder.test[0]
    assert read_color(frame.color).shape == (480, 640, 3)
    depth = read_depth(frame.depth, folder.depth_units_per_metre)
    assert 0.3 < np.median(depth[depth > 0]) < 5.0
    assert depth.max() < 20.0
    assert write_bag(folder, folder.test[:5], tmp_path / "bag", progress=False) == 26


def test_tum_at_half_size(shared_data: Path, tmp_path: Path):
    folder = open_folder(shared_data / "tum_fr1_half")
    camera = folder.color_camera
    assert (camera.width, camera.height, camera.fx, camera.cx, camera.cy) == (320, 240, 262.5, 159.5, 119.5)
    assert len(folder.train) + len(folder.test) > 0.98 * (558 + 506)
    assert {frame.sequence for frame in folder.test} == {
        "rgbd_dataset_freiburg1_rpy",
        "rgbd_dataset_freiburg1_xyz",
    }
    skews = [abs(f.depth_stamp_ns - f.stamp_ns) for f in folder.train if f.depth is not None]
    assert max(skews) <= 20_000_000
    ends = (*folder.test[:3], *folder.test[-3:])
    write_bag(folder, ends, tmp_path / "bag", progress=False)
    assert summarise(tmp_path / "bag").end_ns - summarise(tmp_path / "bag").start_ns < 1.3e9, "pauses are cut"


def test_a_trajectory_of_tum_in_either_axes(shared_data: Path, tmp_path: Path):
    """The ground truth as another system's trajectory: as it is, and of the same camera with x forward."""
    root = shared_data / "tum_fr1_half" / "rgbd_dataset_freiburg1_xyz"
    folder, out = open_bare_folder(root), tmp_path / "out"
    lines = pose_by_trajectory(folder, TrajectoryOptions(root / "groundtruth.txt"), out)
    assert "2202 poses with times in TUM's form, of the camera's optical frame" in lines[0]
    assert "558 of 558 images (100%) got a pose; the nearest pose is 3.33 ms away (median)" in lines[1]
    truth = read_tum(root / "groundtruth.txt")
    body = tmp_path / "body.txt"
    write_tum(body, Trajectory(truth.stamps_ns, truth.poses @ se3.inverse(T_BODY_OPTICAL)))
    with pytest.raises(RecordingError, match=r"25% of \d+ points fit.*; 96% would fit with --trajectory-frame body"):
        pose_by_trajectory(folder, TrajectoryOptions(body), tmp_path / "refused")
    pose_by_trajectory(folder, TrajectoryOptions(body, frame="body"), tmp_path / "given")
    for optical, given in zip(open_folder(out).frames(), open_folder(tmp_path / "given").frames(), strict=True):
        np.testing.assert_allclose(given.T_map_camera, optical.T_map_camera, atol=1e-6)
