# SPDX-License-Identifier: Apache-2.0
"""Folders of images that get poses from a trajectory: links to the images, poses beside them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from walk import FRAMES, RATE_HZ, pose_at

from mvloc_ros.errors import MvlocError
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import Trajectory, write_tum
from mvloc_ros.recordings import open_folder
from mvloc_ros.recordings.agreement.explanations import T_BODY_OPTICAL
from mvloc_ros.recordings.bare_folder import open_bare_folder
from mvloc_ros.recordings.posed_links import pose_by_trajectory
from mvloc_ros.recordings.seven_scenes import FIRST_STAMP_NS
from mvloc_ros.recordings.trajectory_file import TrajectoryOptions

POSES = np.array([pose_at(i / RATE_HZ) for i in range(FRAMES)])
START = 1_305_031_102_000_000_000


@pytest.fixture
def images(walk: Path, tmp_path: Path) -> Path:
    """The walk as links, without its poses."""
    root = tmp_path / "images"
    (root / "seq-01").mkdir(parents=True)
    for path in (walk / "seq-01").iterdir():
        if not path.name.endswith(".pose.txt"):
            (root / "seq-01" / path.name).symlink_to(path)
    (root / "camera.json").write_text((walk / "camera.json").read_text())
    return root


@pytest.fixture
def tum_images(walk: Path, tmp_path: Path) -> Path:
    """The same in the layout of TUM RGB-D, with times of a day."""
    root = tmp_path / "tum"
    root.mkdir()
    for kind, name in (("color", "rgb"), ("depth", "depth")):
        (root / name).mkdir()
        lines = []
        for index in range(FRAMES):
            stamp = f"{(START + round(index * 1e9 / RATE_HZ)) / 1e9:.6f}"
            (root / name / f"{stamp}.png").symlink_to(walk / "seq-01" / f"frame-{index:06d}.{kind}.png")
            lines.append(f"{stamp} {name}/{stamp}.png")
        (root / f"{name}.txt").write_text("\n".join(lines) + "\n")
    settings = json.loads((walk / "camera.json").read_text()) | {"depth_units_per_metre": 1000}
    (root / "camera.json").write_text(json.dumps(settings))
    return root


def written(path: Path, poses: np.ndarray, start_ns: int) -> Path:
    stamps = np.array([start_ns + round(i * 1e9 / RATE_HZ) for i in range(len(poses))], dtype=np.int64)
    write_tum(path, Trajectory(stamps, poses))
    return path


def check(out: Path, count: int = FRAMES) -> None:
    frames = sorted(open_folder(out).frames(), key=lambda frame: frame.index)
    assert [frame.index for frame in frames] == list(range(count))
    np.testing.assert_allclose([frame.T_map_camera for frame in frames], POSES[:count], atol=1e-6)
    assert all(frame.color.is_symlink() and frame.depth.is_symlink() for frame in frames)


def test_one_pose_a_frame_in_order(images: Path, tmp_path: Path):
    path = tmp_path / "kitti.txt"
    path.write_text("".join(" ".join(f"{value:.9f}" for value in T[:3].ravel()) + "\n" for T in POSES))
    lines = pose_by_trajectory(open_bare_folder(images), TrajectoryOptions(path), tmp_path / "out")
    check(tmp_path / "out")
    assert "100 poses without times" in lines[0]
    assert lines[1] == "trajectory: one pose for each of 100 frames, in order (it has no times)"
    path.write_text("1 0 0 0 0 1 0 0 0 0 1 0\n")
    with pytest.raises(MvlocError, match="has 1 poses without times, one a frame, but the recording has 100 frames"):
        pose_by_trajectory(open_bare_folder(images), TrajectoryOptions(path), tmp_path / "out")
    check(tmp_path / "out")


def test_times_of_the_folder(images: Path, tum_images: Path, tmp_path: Path):
    path = written(tmp_path / "counted.txt", POSES[:60], FIRST_STAMP_NS)
    pose_by_trajectory(open_bare_folder(images), TrajectoryOptions(path), tmp_path / "out")
    check(tmp_path / "out", 60)
    path = written(tmp_path / "clock.txt", POSES @ se3.inverse(T_BODY_OPTICAL), START)
    lines = pose_by_trajectory(
        open_bare_folder(tum_images), TrajectoryOptions(path, frame="body"), tmp_path / "tum_out"
    )
    check(tmp_path / "tum_out")
    assert "100 of 100 images (100%) got a pose; the nearest pose is 0 ms away" in lines[1]
    with pytest.raises(MvlocError, match=r"No image has a pose in .*its times are from 1305031102"):
        pose_by_trajectory(open_bare_folder(images), TrajectoryOptions(path), tmp_path / "other")


def test_a_wrong_frame_is_refused_and_leaves_nothing(images: Path, tmp_path: Path):
    path = written(tmp_path / "body.txt", POSES @ se3.inverse(T_BODY_OPTICAL), FIRST_STAMP_NS)
    with pytest.raises(MvlocError, match=r"contradict each other.*would fit with --trajectory-frame body"):
        pose_by_trajectory(open_bare_folder(images), TrajectoryOptions(path), tmp_path / "out")
    with pytest.raises(MvlocError, match="base_link is neither optical nor body, and a folder of images has no other"):
        pose_by_trajectory(open_bare_folder(images), TrajectoryOptions(path, frame="base_link"), tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["body.txt", "images"]
    extrinsic = T_BODY_OPTICAL
    pose_by_trajectory(open_bare_folder(images), TrajectoryOptions(path), tmp_path / "out", extrinsic=extrinsic)
    check(tmp_path / "out")
