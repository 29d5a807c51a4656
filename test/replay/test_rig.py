# SPDX-License-Identifier: Apache-2.0
"""A robot with a rear and a thermal camera whose front camera falls silent: through `mvloc replay`, and over DDS."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from live_and_offline import frames, mvloc, run, said, undisturbed
from rig_bundle import CAMERA, write_rig_bundle

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import Trajectory, read_tum
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.bag_writer import BagWriter
from mvloc_ros.recordings.message_builder import MessageBuilder
from mvloc_ros.replay.played_time import moved_by, read_references

START, PERIOD = 1_600_000_000_000_000_000, 66_666_667
SKEW = 5_000_000
"""The rear camera's stamps are behind the others'."""
FRAMES, THERMAL_STARTS = 95, 20
FRONT_IS_SILENT = range(40, 75)
# Around the half second after which frames are made without the pair: its end is no instant.
REAR_PAUSES = range(46, 51)
FIRST_LED, LED = 45, 25
REAR, THERMAL = "/robot/rear/image_raw", "/camera/thermal/image_raw"


def brightness(index: int) -> int:
    return 40 + index


def gray(index: int) -> np.ndarray:
    """Noise of mean 0 makes every image its own."""
    pixels = np.full((CAMERA.height, CAMERA.width), brightness(index), np.uint8)
    pixels[0, 0], pixels[0, 1] = brightness(index) + index % 7, brightness(index) - index % 7
    return pixels


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rig_bundle(tiny_bundle, tmp_path_factory.mktemp("rig"))


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rear and thermal are heard half a period before their first image of a frame, so that frames wait for it."""
    path = tmp_path_factory.mktemp("robot") / "bag"
    with BagWriter(path) as writer:
        build = MessageBuilder(writer.store)
        for topic in (topics.COLOR_IMAGE, topics.DEPTH_IMAGE, REAR, THERMAL):
            writer.add_topic(topic, topics.IMAGE)
            writer.add_topic(topic.rsplit("/", 1)[0] + "/camera_info", topics.CAMERA_INFO)
        rear(writer, build, START - PERIOD // 2, 0)
        for index in range(FRAMES):
            stamp = START + index * PERIOD
            if index not in FRONT_IS_SILENT:
                front(writer, build, stamp, index)
            if index == THERMAL_STARTS:
                thermal(writer, build, stamp - PERIOD // 2)
            if index >= THERMAL_STARTS:
                thermal(writer, build, stamp)
            if index not in REAR_PAUSES:
                rear(writer, build, stamp + SKEW, index)
            if index == FRONT_IS_SILENT[-1]:
                # It is back between two rear images, so that it does not matter which is heard first.
                color(writer, build, stamp + PERIOD // 2, index)
    return path


def color(writer: BagWriter, build: MessageBuilder, stamp: int, index: int) -> None:
    rgb = np.repeat(gray(index)[..., None], 3, axis=2)
    writer.write(topics.COLOR_IMAGE, stamp, build.color_image(stamp, topics.COLOR_FRAME, rgb))


def front(writer: BagWriter, build: MessageBuilder, stamp: int, index: int) -> None:
    info = build.camera_info(stamp, topics.COLOR_FRAME, CAMERA)
    writer.write(topics.COLOR_INFO, stamp, info)
    writer.write(topics.DEPTH_INFO, stamp, info)
    color(writer, build, stamp, index)
    depth = np.full((CAMERA.height, CAMERA.width), 1500, np.uint16)
    depth[0, 0], depth[0, 1] = 1500 + index % 5, 1500 - index % 5
    writer.write(topics.DEPTH_IMAGE, stamp, build.depth_image(stamp, topics.DEPTH_FRAME, depth))


def rear(writer: BagWriter, build: MessageBuilder, stamp: int, index: int) -> None:
    writer.write("/robot/rear/camera_info", stamp, build.camera_info(stamp, "rear", CAMERA))
    rgb = np.repeat(gray(index)[..., None], 3, axis=2)
    writer.write(REAR, stamp, build.color_image(stamp, "rear", rgb))


def thermal(writer: BagWriter, build: MessageBuilder, stamp: int) -> None:
    writer.write("/camera/thermal/camera_info", stamp, build.camera_info(stamp, "thermal", CAMERA))
    pixels = np.full((CAMERA.height, CAMERA.width), 75, np.uint8)
    writer.write(THERMAL, stamp, build.gray_image(stamp, "thermal", pixels))


# The rear camera's topic has no standard name, the thermal one's has.
SETTINGS = ("--sensor", f"rear:={REAR}", "--parameter", "gate:=true", "--parameter", "threads:=1")


@pytest.fixture(scope="module")
def offline(recording: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("offline")
    run("replay", recording, bundle, out, *SETTINGS)
    return out


@pytest.fixture(scope="module")
def live(recording: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return undisturbed(
        lambda out: run("live", recording, bundle, out, *SETTINGS), lambda: tmp_path_factory.mktemp("live")
    )


def presence(estimates: Trajectory, stamp: int) -> int:
    """Which modalities the network was given: 1 color, 2 depth, 4 rear, 8 thermal."""
    (at,) = np.flatnonzero(estimates.stamps_ns == stamp)
    return round(float(estimates.poses[at, 2, 3] - 30.0) / 0.02)


def test_each_frame_has_the_sensors_that_there_are(offline: Path) -> None:
    found = read_tum(offline / "estimate.tum")
    for index in range(FRAMES):
        stamp = START + index * PERIOD
        if index not in FRONT_IS_SILENT:
            assert presence(found, stamp) == 3 + 4 + 8 * (index >= THERMAL_STARTS), index
        elif index >= FIRST_LED and index not in REAR_PAUSES:
            assert presence(found, stamp + SKEW) == 4 + 8, index
    led = [index for index in FRONT_IS_SILENT if index >= FIRST_LED and index not in REAR_PAUSES]
    assert len(found.stamps_ns) == FRAMES - len(FRONT_IS_SILENT) + LED
    # The pose goes on along x, as bright as it is.
    x = {START + index * PERIOD + SKEW: 10 + 2 * brightness(index) / 255 for index in led}
    for stamp, T in zip(found.stamps_ns, found.poses, strict=True):
        assert T[0, 3] == pytest.approx(x.get(stamp, T[0, 3]), abs=1e-3)
        assert T[1, 3] == pytest.approx(23.0, abs=1e-3)


def test_what_is_missing_is_said(offline: Path) -> None:
    rows = {(int(row["stamp_ns"]) - START) // PERIOD: row for row in frames(offline)}
    assert {rows[index]["state"] for index in range(THERMAL_STARTS)} == {"DEGRADED"}
    assert rows[3]["remark"] == (
        f"no thermal image has come on {THERMAL} yet; no image of thermal, for which no covariance was measured (9 "
        "times that with all is given)"
    )
    assert {rows[index]["state"] for index in range(THERMAL_STARTS, FRONT_IS_SILENT[0])} == {"TRACKING"}
    notes = json.loads((offline / "report.json").read_text())["notes"]
    assert "thermal: 65 of 76 images are in frames" in notes
    assert f"{LED} frames are of further sensors alone" in notes


PRECISIONS = {"prior": 1.0, "color": 2.0, "depth": 1.0, "rear": 1.0, "thermal": 1.0}
"""Of the experts of `tiny_network.rig_network`."""


def test_shares_and_skews_of_each_frame_go_by_the_name_of_the_sensor(offline: Path) -> None:
    used = {"rear": 0, "thermal": 0}
    for row in frames(offline):
        if row["outcome"] != "accepted":
            assert not any(row[f"{name}_share"] for name in PRECISIONS)
            continue
        is_front = (int(row["stamp_ns"]) - START) % PERIOD == 0
        there = {"prior"} | ({"color", "depth"} if is_front else set())
        there |= {name for name in ("rear", "thermal") if row[f"{name}_skew_s"]}
        total = sum(PRECISIONS[name] for name in there)
        for name, precision in PRECISIONS.items():
            expected = precision / total if name in there else 0.0
            assert float(row[f"{name}_share"]) == pytest.approx(expected, abs=1e-6)
        if "rear" in there:
            assert float(row["rear_skew_s"]) == pytest.approx(1e-9 * SKEW if is_front else 0.0, abs=1e-9)
        used = {name: count + (name in there) for name, count in used.items()}
    figures = json.loads((offline / "report.json").read_text())["sensors"]
    assert list(figures) == ["rear", "thermal"]
    assert {name: one["poses"] for name, one in figures.items()} == used
    assert figures["rear"]["median_skew_s"] == pytest.approx(1e-9 * SKEW, abs=1e-9)
    assert figures["thermal"]["median_share"] == pytest.approx(1 / 6, abs=1e-6)


def test_a_pair_has_no_columns_of_sensors(recording: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    report = run("replay", recording, tiny_bundle, tmp_path)
    assert "sensors" not in report
    assert not any(name.endswith(("_share", "_skew_s")) for name in frames(tmp_path)[0])


def test_without_the_rear_camera_the_thermal_one_makes_the_frames(
    recording: Path, bundle: Path, tmp_path: Path
) -> None:
    run("replay", recording, bundle, tmp_path, *SETTINGS, "--without", "rear")
    found = read_tum(tmp_path / "estimate.tum")
    assert presence(found, START + 30 * PERIOD) == 3 + 8
    assert presence(found, START + 60 * PERIOD) == 8
    rows = {(int(row["stamp_ns"]) - START) // PERIOD: row for row in frames(tmp_path)}
    assert rows[30]["remark"].startswith("no image of rear, for which no covariance was measured")


def test_names_are_checked(recording: Path, bundle: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    for words, model, problem in (
        (("--sensor", "reer:=/x"), bundle, "sensor_topics names reer, but the model of this run has the sensors rear,"),
        (("--sensor", "rear:=/x"), tiny_bundle, "has no sensors besides color and depth"),
        (("--sensor", "rear:=/nothing"), bundle, "has no message on /nothing"),
        (("--sensor", "rear"), bundle, "rear in sensor_topics is no name:=topic"),
        (("--without", "reer"), bundle, "--without reer names no modality of the model, which has color, depth, rear,"),
    ):
        result = mvloc("replay", str(recording), "--model", str(model), "--out", str(tmp_path), *words)
        assert result.returncode == 2
        assert problem in result.stderr


def test_a_sensor_without_a_topic_is_absent_and_that_is_said(recording: Path, bundle: Path, tmp_path: Path) -> None:
    result = mvloc("replay", str(recording), "--model", str(bundle), "--out", str(tmp_path))
    assert result.returncode == 0, result.stderr
    notes = json.loads((tmp_path / "report.json").read_text())["notes"]
    (note,) = [note for note in notes if note.startswith("the model takes rear too")]
    assert "their covariance is not one that was measured" in note


@pytest.mark.dds
@pytest.mark.timeout(300)
def test_live_and_offline_say_the_same_and_give_the_same_poses(offline: Path, live: Path) -> None:
    a, b = frames(live), frames(offline)
    assert len(a) == len(b) == FRAMES - len(FRONT_IS_SILENT) + 1 + LED
    assert [said(row) for row in a if row["outcome"] != "unpaired"] == [
        said(row) for row in b if row["outcome"] != "unpaired"
    ]
    with BagReader(live / "live") as reader:
        moved = moved_by(read_references(reader))
    seen, expected = read_tum(live / "estimate.tum"), read_tum(offline / "estimate.tum")
    np.testing.assert_array_equal(seen.stamps_ns, moved(expected.stamps_ns))
    assert se3.translation_error(seen.poses, expected.poses).max() < 1e-4
    of_sensors = [name for name in a[0] if name.endswith(("_share", "_skew_s"))]
    assert len(of_sensors) == len(PRECISIONS) + 2
    for name in of_sensors:
        assert [row[name] for row in a] == [row[name] for row in b], name
    reports = [json.loads((out / "report.json").read_text()) for out in (live, offline)]
    assert reports[0]["sensors"] == reports[1]["sensors"]
    of_images = [[note for note in report["notes"] if "images are in frames" in note] for report in reports]
    assert of_images[0] == of_images[1]


@pytest.mark.dds
@pytest.mark.timeout(300)
def test_the_counters_of_a_live_run_say_what_became_of_each_image(live: Path) -> None:
    with BagReader(live / "live") as reader:
        last = [message for _, _, message in reader.messages(("/mvloc/status",))][-1]
    assert list(last.sensors) == ["rear", "thermal"]
    dropped = last.sensors_dropped_unpaired + last.sensors_dropped_invalid
    waiting = last.sensors_received - last.sensors_in_frames - dropped
    assert list(last.sensors_received) == [FRAMES - len(REAR_PAUSES) + 1, FRAMES - THERMAL_STARTS + 1]
    assert (waiting >= 0).all()
    assert (waiting <= 5).all()
    assert last.without_pair == LED
