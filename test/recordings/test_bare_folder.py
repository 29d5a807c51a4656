# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest

from mvloc_ros.recordings.bare_folder import open_bare_folder
from mvloc_ros.recordings.contents import bare_contents_text
from mvloc_ros.recordings.errors import RecordingError


def write_image(path, depth: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((48, 64), 1000, np.uint16) if depth else np.full((48, 64, 3), 90, np.uint8)
    assert cv2.imwrite(str(path), image)


@pytest.fixture
def seven_scenes(tmp_path):
    for sequence, numbers in (("seq-01", (0, 1, 5)), ("seq-02", (0, 1))):
        for number in numbers:
            write_image(tmp_path / sequence / f"frame-{number:06d}.color.png")
            write_image(tmp_path / sequence / f"frame-{number:06d}.depth.png", depth=True)
    (tmp_path / "seq-02" / "odometry.tum").write_text("0.0 0 0 0 0 0 0 1\n0.1 1 0 0 0 0 0 1\n")
    return tmp_path


def test_a_folder_without_pose_files_is_listed_sequence_by_sequence(seven_scenes):
    folder = open_bare_folder(seven_scenes)
    first, second = folder.sequences
    assert [frame.index for frame in first.frames] == [0, 1, 5]
    assert all(frame.T_map_camera is None for frame in first.frames)
    assert first.frames[2].stamp_ns - first.frames[0].stamp_ns == round(5e9 / folder.rate_hz)
    assert first.odometry is None
    assert second.odometry.stamps_ns[0] == second.frames[0].stamp_ns
    assert second.odometry.poses[1, 0, 3] == 1.0


def test_poses_that_are_there_are_not_read(seven_scenes):
    (seven_scenes / "seq-01" / "frame-000000.pose.txt").write_text("no pose at all")
    assert len(open_bare_folder(seven_scenes).sequences[0].frames) == 3


def test_a_tum_recording_needs_no_ground_truth(tmp_path):
    for number in range(3):
        write_image(tmp_path / "rgb" / f"{number}.png")
        write_image(tmp_path / "depth" / f"{number}.png", depth=True)
    (tmp_path / "rgb.txt").write_text("".join(f"1.{n}00000 rgb/{n}.png\n" for n in range(3)))
    (tmp_path / "depth.txt").write_text("".join(f"1.{n}10000 depth/{n}.png\n" for n in range(2)))
    folder = open_bare_folder(tmp_path)
    (sequence,) = folder.sequences
    assert folder.layout == "tum"
    assert folder.rate_hz == pytest.approx(10.0)
    assert [frame.stamp_ns for frame in sequence.frames] == [1_000_000_000, 1_100_000_000, 1_200_000_000]
    assert [frame.depth is None for frame in sequence.frames] == [False, False, True]
    assert sequence.frames[1].depth_stamp_ns == 1_110_000_000
    assert "up to 10 ms apart and taken as of one time" in bare_contents_text(folder)


@pytest.mark.parametrize("content", ["", "seq-01"])
def test_a_folder_without_images_is_refused(tmp_path, content):
    (tmp_path / content).mkdir(exist_ok=True)
    with pytest.raises(RecordingError, match=r"layout|no image"):
        open_bare_folder(tmp_path)


def test_what_is_taken_of_cameras_and_times_is_said(seven_scenes, tmp_path):
    text = bare_contents_text(open_bare_folder(seven_scenes))
    assert "7-Scenes layout, 5 frames without poses in 2 sequences with 5 color and 5 depth images, 30 Hz" in text
    assert "odometry of 1; depth is not registered to color, T_color_depth is known" in text
    assert text.endswith("poses are to be of the depth camera")
