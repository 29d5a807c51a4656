# SPDX-License-Identifier: Apache-2.0
"""One recording of a robot's bad minute, through the node over DDS and through `mvloc replay`: the same answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from live_and_offline import frames, run, said, undisturbed

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.trajectory import read_tum
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.bag_writer import BagWriter, qos_profile
from mvloc_ros.recordings.message_builder import MessageBuilder
from mvloc_ros.replay.played_time import moved_by, read_references

pytestmark = [pytest.mark.dds, pytest.mark.timeout(300)]

START, PERIOD = 1_600_000_000_000_000_000, 66_666_667
FRAMES, KIDNAPPED_AT = 95, 68
DEPTH_IS_SILENT = range(25, 54)
# Around the half second after which images are processed alone: its end is no instant, least of all on a busy machine.
COLOR_PAUSES = range(32, 44)
HEIGHT, WIDTH = 48, 64
# Of the tiny bundle's camera, with another lens on the colour camera.
DEPTH_CAMERA = PinholeCamera(WIDTH, HEIGHT, 60.0, 60.0, 31.5, 23.5)
COLOR_CAMERA = PinholeCamera(WIDTH, HEIGHT, 84.0, 84.0, 31.5, 23.5)
COMPRESSED_DEPTH = topics.DEPTH_IMAGE + "/compressedDepth"
BASE_CAMERA = se3.from_parts([0.1, 0.0, 0.4], [-0.5, 0.5, -0.5, 0.5])
# A busy machine is no reason to go without a transform.
SETTINGS = ("gate:=true", "publish_frame:=odom", "pose_frame:=camera", "threads:=1", "transform_timeout:=2.0")


def brightness(index: int) -> int:
    return 40 + index


def millimetres(index: int) -> int:
    return 1500 if index < KIDNAPPED_AT else 4000  # 5 m further along y, by the tiny model


def odometry(stamp_ns: int) -> np.ndarray:
    """Of the base: as far as the camera really moves along x, which the kidnapping does not show in."""
    index = (stamp_ns - START) / PERIOD
    camera = se3.from_parts([2 * (40 + index) / 255, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0])
    return camera @ se3.inverse(BASE_CAMERA)


class Robot(MessageBuilder):
    """The messages of a robot with odometry whose depth camera sends compressedDepth."""

    def transform(self, stamp_ns: int, parent: str, child: str, T: np.ndarray) -> Any:
        return self._types[topics.TF_MESSAGE](transforms=[self._transform(stamp_ns, parent, child, T)])

    def compressed_depth(self, stamp_ns: int, pixels: np.ndarray) -> Any:
        png = cv2.imencode(".png", pixels)[1].reshape(-1)
        return self._types[topics.COMPRESSED_IMAGE](
            header=self.header(stamp_ns, topics.DEPTH_FRAME),
            format="16UC1; compressedDepth png",
            data=np.concatenate([np.zeros(12, np.uint8), png]),
        )


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without ground truth: odometry, a wrong colour camera, a depth camera that falls silent, a kidnapping."""
    path = tmp_path_factory.mktemp("robot") / "bag"
    with BagWriter(path) as writer:
        robot = Robot(writer.store)
        writer.add_topic(topics.TF_STATIC, topics.TF_MESSAGE, qos_profile(1, latched=True))
        for topic, kind in (
            (topics.TF, topics.TF_MESSAGE),
            (topics.COLOR_IMAGE, topics.IMAGE),
            (COMPRESSED_DEPTH, topics.COMPRESSED_IMAGE),
            (topics.COLOR_INFO, topics.CAMERA_INFO),
            (topics.DEPTH_INFO, topics.CAMERA_INFO),
        ):
            writer.add_topic(topic, kind)
        mount = robot.transform(START, "base_link", topics.COLOR_FRAME, BASE_CAMERA)
        writer.write(topics.TF_STATIC, START - PERIOD, mount)
        for index in range(FRAMES):
            write_frame(writer, robot, index)
    return path


def write_frame(writer: BagWriter, robot: Robot, index: int) -> None:
    stamp = START + index * PERIOD
    for when in (stamp - PERIOD // 2, stamp):
        writer.write(topics.TF, when, robot.transform(when, "odom", "base_link", odometry(when)))
    for topic, frame, camera in (
        (topics.COLOR_INFO, topics.COLOR_FRAME, COLOR_CAMERA),
        (topics.DEPTH_INFO, topics.DEPTH_FRAME, DEPTH_CAMERA),
    ):
        writer.write(topic, stamp, robot.camera_info(stamp, frame, camera))
    if index not in COLOR_PAUSES:
        rgb = np.full((HEIGHT, WIDTH, 3), brightness(index), np.uint8)
        # Frozen images are noticed: noise of mean 0, of which the model sees nothing.
        rgb[0, 0], rgb[0, 1] = brightness(index) + index % 7, brightness(index) - index % 7
        writer.write(topics.COLOR_IMAGE, stamp, robot.color_image(stamp, topics.COLOR_FRAME, rgb))
    depth = np.full((HEIGHT, WIDTH), millimetres(index), np.uint16)
    depth[0, 0], depth[0, 1] = depth[0, 2] + index % 5, depth[0, 2] - index % 5
    if index not in DEPTH_IS_SILENT:
        writer.write(COMPRESSED_DEPTH, stamp, robot.compressed_depth(stamp, depth))
    if index == DEPTH_IS_SILENT[-1]:
        # It is back between two colour images, so that it does not matter which of a pair is heard first.
        back = stamp + PERIOD // 2
        writer.write(COMPRESSED_DEPTH, back, robot.compressed_depth(back, depth))


WORDS = tuple(word for setting in SETTINGS for word in ("--parameter", setting))


@pytest.fixture(scope="module")
def offline(recording: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("offline")
    run("replay", recording, tiny_bundle, out, *WORDS)
    return out


@pytest.fixture(scope="module")
def live(recording: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return undisturbed(
        lambda out: run("live", recording, tiny_bundle, out, *WORDS), lambda: tmp_path_factory.mktemp("live")
    )


def test_live_and_offline_say_the_same_of_each_frame(offline: Path, live: Path):
    a, b = frames(live), frames(offline)
    assert len(a) == len(b) == FRAMES - len(COLOR_PAUSES)
    localized = [i for i, row in enumerate(b) if row["outcome"] in ("accepted", "rejected")]
    assert [said(a[i]) for i in localized] == [said(b[i]) for i in localized]
    others = [(a[i]["outcome"], b[i]["outcome"]) for i in range(len(b)) if i not in localized]
    assert set(others) == {("unpaired", "unpaired")}


def test_live_and_offline_give_the_same_poses(offline: Path, live: Path):
    with BagReader(live / "live") as reader:
        moved = moved_by(read_references(reader))
    a, b = read_tum(live / "estimate.tum"), read_tum(offline / "estimate.tum")
    np.testing.assert_array_equal(a.stamps_ns, moved(b.stamps_ns))
    assert se3.translation_error(a.poses, b.poses).max() < 1e-4
    assert np.rad2deg(se3.rotation_error(a.poses, b.poses)).max() < 1e-3


def test_what_happened_is_in_the_answers(offline: Path):
    """Else the two would agree on nothing in particular."""
    rows = frames(offline)
    of = {(int(row["stamp_ns"]) - START + PERIOD // 2) // PERIOD: row for row in rows}
    assert {of[i]["state"] for i in range(DEPTH_IS_SILENT[0])} == {"TRACKING"}
    first_alone = DEPTH_IS_SILENT[0] + 6
    assert {of[i]["outcome"] for i in range(DEPTH_IS_SILENT[0], first_alone)} == {"unpaired"}
    alone = [of[i] for i in DEPTH_IS_SILENT if i >= first_alone and i not in COLOR_PAUSES]
    assert {row["outcome"] for row in alone} == {"rejected"}
    assert all("poses of one image alone do not confirm a jump" in row["reason"] for row in alone)
    assert all(row["remark"].startswith("no depth image fits: the last on /camera/depth/image_raw") for row in alone)
    assert {of[i]["outcome"] for i in range(DEPTH_IS_SILENT[-1] + 1, KIDNAPPED_AT)} == {"accepted"}
    jumped = [of[i]["outcome"] for i in range(KIDNAPPED_AT, FRAMES)]
    assert jumped == ["rejected"] * 4 + ["accepted"] * (FRAMES - KIDNAPPED_AT - 4)
    assert "5 poses agree that the pose is 5.00 m from" in of[KIDNAPPED_AT + 4]["remark"]
    assert "from where odometry puts it" in of[KIDNAPPED_AT]["reason"]


def test_the_wrong_camera_is_named_by_the_node_and_by_the_replay(offline: Path, live: Path):
    notes = json.loads((offline / "report.json").read_text())["notes"]
    (wrong,) = [note for note in notes if note.startswith("the colour camera's focal length is 1.40 times")]
    assert wrong in (live / "node.log").read_text()
