# SPDX-License-Identifier: Apache-2.0
"""`mvloc bag to-dataset`: contradicting sources of poses, frames, jumps, and clocks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from synthetic_bag import (
    CAMERA,
    COLOR,
    COUNT,
    DEPTH,
    FRAME,
    INFO,
    PERIOD,
    START,
    T_BASE_CAMERA,
    Recording,
    add_pose_topic,
    base_pose,
    check,
    convert,
    millimetres_of,
    rgb_of,
)

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.motion_limits import MotionLimits
from mvloc_ros.recordings import RecordingError, open_folder, topics

T_MAP_ODOM = se3.from_parts([1.2, 0.0, 0.0], quaternion.exp(np.array([0.0, 0.0, np.radians(10.0)])))
MOUNT_TURNED = T_BASE_CAMERA @ se3.from_parts([0, 0, 0], quaternion.exp(np.array([0.0, 0.0, np.pi / 4])))


def with_transforms(*more: Callable[[Recording], None], map_odom: Callable = lambda at: T_MAP_ODOM) -> Recording:
    """Images, and map -> odom -> base_link on /tf, base_link -> camera on /tf_static; then what else is wanted."""
    recording = Recording()
    recording.add_images()
    build = recording.build
    recording.add_poses("/tf", lambda at: build.transform(at, "map", "odom", map_odom(at)))
    recording.add_poses("/tf", lambda at: build.transform(at, "odom", "base_link", base_pose(at)))
    recording.add(topics.TF_STATIC, START, build.transform(START, "base_link", FRAME, T_BASE_CAMERA))
    for add in more:
        add(recording)
    return recording


def static(parent: str, child: str, T: np.ndarray) -> Callable[[Recording], None]:
    return lambda recording: recording.add(topics.TF_STATIC, START, recording.build.transform(START, parent, child, T))


def beside(topic: str, parent: str, child: str, pose: Callable, shift_ns: int) -> Callable[[Recording], None]:
    """Another publisher of a transform, between the stamps of the first one."""
    return lambda recording: recording.add_poses(
        topic, lambda at: recording.build.transform(at + shift_ns, parent, child, pose(at + shift_ns))
    )


def shifted(at: float) -> np.ndarray:
    return se3.from_parts([0.0, 0.4, 0.0], [0, 0, 0, 1.0]) @ base_pose(at)


@pytest.mark.parametrize(
    ("add", "sentence"),
    [
        (
            static("map", "odom", np.eye(4)),
            r"'map -> odom' is on /tf_static and on /tf .* 1\.200 m and 20\.0 deg apart",
        ),
        (static("base_link", FRAME, MOUNT_TURNED), r"/tf_static has two values of 'base_link -> .* 90\.0 deg apart"),
        (beside("/tf", "odom", "base_link", shifted, 20_000_000), r"/tf of 'odom -> base_link' alt.* 0\.400 m and"),
        (beside("/tf", "odom", "base_link", shifted, 0), r"two different poses at 27 of 27 stamps.* 0\.400 m and"),
    ],
)
def test_two_sources_of_one_transform_are_refused(tmp_path: Path, add: Callable, sentence: str):
    bag = with_transforms(add).write(tmp_path / "bag")
    with pytest.raises(RecordingError, match=rf"{sentence}.*two publishers contradict each other; record again"):
        convert(bag, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_sources_that_agree_are_one(tmp_path: Path):
    nearly = T_MAP_ODOM @ se3.from_parts([0.001, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0])
    recording = with_transforms(static("map", "odom", nearly), static("base_link", FRAME, T_BASE_CAMERA))
    convert(recording.write(tmp_path / "bag"), tmp_path / "out")
    check(tmp_path / "out", lambda at: nearly @ base_pose(at) @ T_BASE_CAMERA)


def test_an_extrinsic_avoids_contradicting_mounts_on_tf(tmp_path: Path):
    bag = with_transforms(static("base_link", FRAME, MOUNT_TURNED)).write(tmp_path / "bag")
    with pytest.raises(RecordingError, match="give that frame with --pose-frame"):
        convert(bag, tmp_path / "out", source="tf", T_pose_camera=T_BASE_CAMERA)
    convert(bag, tmp_path / "out", source="tf", T_pose_camera=T_BASE_CAMERA, pose_frame="base_link")
    check(tmp_path / "out", lambda at: T_MAP_ODOM @ base_pose(at) @ T_BASE_CAMERA)


def jumping(at: float) -> np.ndarray:
    """A loop is closed 450 ms after the first image: 1.5 m."""
    y = 1.5 if at > START + 450_000_000 else 0.0
    return se3.from_parts([0.0, y, 0.0], [0.0, 0.0, 0.0, 1.0])


@pytest.mark.parametrize("source", ["/slam", "tf"])
def test_no_pose_is_made_up_inside_a_loop_closure(tmp_path: Path, source: str):
    recording = with_transforms(map_odom=jumping)
    build = recording.build
    recording.add_poses("/slam", lambda at: build.odometry(at, "map", "base_link", jumping(at) @ base_pose(at)))
    # Poses at 440 and 480 ms, so that the colour image at 400 ms is before the jump; one more comes inside of it.
    late = START + 460_000_000
    recording.add(INFO, late, build.camera_info(late, FRAME, CAMERA))
    recording.add(COLOR, late, build.color_image(late, FRAME, rgb_of(99)))
    recording.add(DEPTH, late, build.depth_image(late, FRAME, millimetres_of(99)))
    summary = convert(recording.write(tmp_path / "bag"), tmp_path / "out", source=source)
    reason = "without a pose at their time, between two poses that no motion within the limits connects"
    assert summary.left_out == {reason: 1}
    assert f"left out: 1 colour images {reason} (at 100.460 s)" in summary.text()
    name = "/slam" if source == "/slam" else "map -> odom"
    assert f"note: {name}: 1 step exceeds 5 m/s or 360 deg/s, at 100.440 s; the farthest is 1.5" in summary.text()
    # Without the step across the jump.
    assert re.search(r"motion from frame to frame: at most 0\.2\d\d m, 2\.\d\d m/s and 23 deg/s", summary.text())
    frames = list(open_folder(tmp_path / "out").frames())
    for index, frame in enumerate(frames):
        expected = jumping(START + index * PERIOD) @ base_pose(START + index * PERIOD) @ T_BASE_CAMERA
        np.testing.assert_allclose(frame.T_map_camera, expected, atol=1e-9)
    # What follows is no neighbour of what was before.
    assert [frame.sequence for frame in frames] == ["seq-01"] * 5 + ["seq-02"] * 3 + ["seq-03"] * 2
    fast = convert(tmp_path / "bag", tmp_path / "fast", source=source, limits=MotionLimits(max_speed=50.0))
    assert not fast.left_out


def test_an_odometry_that_does_not_say_what_it_is_of_asks_for_it(tmp_path: Path):
    recording = with_transforms()
    recording.add_poses("/odom", lambda at: recording.build.odometry(at, "map", "", base_pose(at)))
    bag = recording.write(tmp_path / "bag")
    with pytest.raises(RecordingError, match=r"/odom .*child_frame_id is empty.*--pose-frame cam_optical for the cam"):
        convert(bag, tmp_path / "out", source="/odom")
    summary = convert(bag, tmp_path / "out", source="/odom", pose_frame="base_link")
    assert "/odom of base_link in 'map'" in summary.text()
    check(tmp_path / "out", lambda at: base_pose(at) @ T_BASE_CAMERA)
    convert(bag, tmp_path / "camera", source="/odom", pose_frame=FRAME)
    check(tmp_path / "camera", base_pose)


@pytest.mark.parametrize("name", ["frame_id", "child_frame_id"])
def test_a_frame_that_changes_is_refused(tmp_path: Path, name: str):
    recording = with_transforms()

    def pose(at: int):
        late = at >= START + 500_000_000
        frames = ("odom" if late and name == "frame_id" else "map", "other" if late and name[0] == "c" else "base_link")
        return recording.build.odometry(at, *frames, base_pose(at))

    recording.add_poses("/odom", pose)
    bag = recording.write(tmp_path / "bag")
    with pytest.raises(RecordingError, match=rf"The {name} of /odom changes from '(map|base_link)' to .* at 100.520 s"):
        convert(bag, tmp_path / "out", source="/odom")


def test_poses_that_are_none_are_counted(tmp_path: Path):
    recording = Recording()
    recording.add_images()
    add_pose_topic(recording)
    for stamp in (START + 10_000_000, START + 50_000_000):
        message = recording.build.pose(stamp, "map", base_pose(stamp))
        message.pose.orientation.w = 1.5
        recording.add("/pose", stamp, message)
    broken = recording.build.transform(START, "map", "thing", np.eye(4))
    broken.transforms[0].transform.rotation.w = 0.0
    recording.add(topics.TF_STATIC, START, broken)
    text = convert(recording.write(tmp_path / "bag"), tmp_path / "out").text()
    assert "note: 2 messages on /pose are left out: a number is not finite, or the quaternion" in text
    assert "note: transforms left out, 1 of 'thing'" in text
    assert "note: /pose is taken as the camera's own pose" in text
    assert "header stamps of /cam/color/image_raw, across at most 200 ms, 5 m/s or 360 deg/s" in text


def without_header_stamp(recording: Recording, topic: str, indices: range) -> None:
    """Take the header stamps of some of a topic's messages."""
    messages = [message for _, name, message in recording.messages if name == topic]
    for index in indices:
        messages[index].header.stamp.sec = messages[index].header.stamp.nanosec = 0


def test_messages_without_header_stamps_are_taken_at_their_times_of_recording_and_it_is_said(tmp_path: Path):
    recording = Recording()
    recording.add_images()
    add_pose_topic(recording)
    for topic in (COLOR, DEPTH):
        without_header_stamp(recording, topic, range(COUNT))
    text = convert(recording.write(tmp_path / "bag"), tmp_path / "out").text()
    check(tmp_path / "out", base_pose)
    assert (
        f"note: the messages on {COLOR} have no header stamps: the times at which they were recorded are used" in text
    )
    assert f"poses are interpolated at the times of recording of {COLOR}" in text


def test_two_clocks_on_one_topic_are_never_mixed(tmp_path: Path):
    recording = Recording()
    recording.add_images()
    add_pose_topic(recording)
    for topic in (COLOR, "/pose"):
        without_header_stamp(recording, topic, range(1))
    text = convert(recording.write(tmp_path / "bag"), tmp_path / "out").text()
    check(tmp_path / "out", base_pose, list(range(1, COUNT)))
    assert f"note: 1 of {COUNT} messages on {COLOR} are left out: their headers have no stamp" in text
    assert "messages on /pose are left out: their headers have no stamp" in text
