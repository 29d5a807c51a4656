# SPDX-License-Identifier: Apache-2.0
"""`mvloc bag to-dataset --sensor`: folders of recordings with sensors besides color and depth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_bag import (
    CAMERA,
    COLOR,
    COUNT,
    DEPTH,
    FRAME,
    PERIOD,
    START,
    Recording,
    add_pose_topic,
    base_pose,
    check,
    encode,
    millimetres_of,
    rgb_of,
)

from mvloc_ros.cli import main
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.model.modalities import Sensor
from mvloc_ros.recordings import RecordingError, open_folder, read_color, read_depth, topics
from mvloc_ros.recordings.bare_folder import open_bare_folder
from mvloc_ros.recordings.camera_file import sensor_content
from mvloc_ros.recordings.from_folder import select_frames, write_bag
from mvloc_ros.recordings.images import read_gray
from mvloc_ros.recordings.to_dataset.bag_to_folder import to_dataset
from mvloc_ros.recordings.to_dataset.dataset_options import DatasetOptions
from mvloc_ros.recordings.to_dataset.pose_source import PoseOptions
from mvloc_ros.recordings.to_dataset.sensor_choice import SensorChoice
from mvloc_ros.recordings.to_dataset.sensor_images import partners

MS = 1_000_000
REAR = se3.from_parts([0.1, 0.0, -0.3], quaternion.exp(np.array([0.0, np.pi / 2 - 0.005, 0.0])))
SMALL = PinholeCamera(20, 16, 18.0, 18.5, 9.5, 7.5)


def gray_of(index: int) -> np.ndarray:
    return np.random.default_rng(50 + index).integers(0, 256, (16, 20), dtype=np.uint8)


def rig(skew_ns: int = 3 * MS, static: bool = True, skip: tuple[int, ...] = (2, 7)) -> Recording:
    """Color, depth and poses; a rear color camera without two images, a thermal one, and rear depth of 10 images."""
    recording = Recording()
    recording.add_images()
    add_pose_topic(recording)
    build = recording.build
    for index in range(COUNT):
        stamp = START + index * PERIOD + skew_ns
        if index not in skip:
            rear = build.color_image(stamp, "rear_optical", np.ascontiguousarray(rgb_of(index)[:, ::-1]))
            recording.add("/rear/image_raw", stamp, rear)
        recording.add("/rear/camera_info", stamp, build.camera_info(stamp, "rear_optical", CAMERA))
        recording.add("/thermal/image_raw", stamp, build.gray_image(stamp, "thermal_optical", gray_of(index)))
        recording.add("/thermal/camera_info", stamp, build.camera_info(stamp, "thermal_optical", SMALL))
        behind = build.depth_image(stamp, "rear_optical", millimetres_of(index + 50))
        recording.add("/rear_depth/image_raw", stamp, behind)
        recording.add("/rear_depth/camera_info", stamp, build.camera_info(stamp, "rear_optical", CAMERA))
    if static:
        place(recording, "rear_optical", REAR)
        place(recording, "thermal_optical", np.eye(4))
    return recording


def place(recording: Recording, frame: str, T: np.ndarray, topic: str = "/tf_static", stamp: int = START) -> None:
    recording.add(topic, stamp, recording.build.transform(stamp, FRAME, frame, T))


def words(bag: Path, out: Path, *options: str) -> list[str]:
    return ["bag", "to-dataset", str(bag), "--out", str(out), *options]


ALL = ("--sensor", "rear:=/rear/image_raw", "--sensor", "thermal:=/thermal/image_raw",
       "--sensor", "rear_depth:=/rear_depth/image_raw")  # fmt: skip


def test_a_recording_becomes_a_folder_that_declares_its_sensors(tmp_path: Path, capsys) -> None:
    bag = rig().write(tmp_path / "bag")
    assert main(words(bag, tmp_path / "out", *ALL)) == 0
    printed = capsys.readouterr().out
    folder = open_folder(tmp_path / "out")
    assert [(sensor.name, sensor.kind, sensor.camera) for sensor in folder.sensors] == [
        ("rear", "color", CAMERA), ("thermal", "gray", SMALL), ("rear_depth", "depth", CAMERA),
    ]  # fmt: skip
    for sensor, T in zip(folder.sensors, (REAR, np.eye(4), REAR), strict=True):
        np.testing.assert_allclose(sensor.pose, T, atol=1e-6)
    check(tmp_path / "out", base_pose)
    for index, frame in enumerate(folder.frames()):
        images = dict(frame.further)
        assert ("rear" in images) == (index not in (2, 7))
        if "rear" in images:
            np.testing.assert_array_equal(read_color(images["rear"]), rgb_of(index)[:, ::-1])
        np.testing.assert_array_equal(read_gray(images["thermal"]), gray_of(index))
        depth = read_depth(images["rear_depth"], folder.sensors[2].units_per_metre)
        np.testing.assert_allclose(depth, millimetres_of(index + 50) / 1000, rtol=1e-6)
    assert (
        "sensor rear: color 32x24 of /rear/image_raw, in 8 of 10 frames (2 without), median skew +3.0 ms\n" in printed
    )
    assert "rear place: x, y, z 0.100, 0.000, -0.300 m in the color camera, turned by 179.43 deg about" in printed
    assert "thermal camera: 20x16, focal lengths 18.0 and 18.5 px" in printed
    assert "rear_depth: read as 0.001 m a unit (REP 118)" in printed
    assert "stored as 1000 values a metre" in printed
    assert "the recording also has" not in printed
    assert main(words(bag, tmp_path / "out", *ALL)) == 0
    assert "in 8 of 10 frames" in capsys.readouterr().out, "of a folder that is complete already"


def test_without_the_option_the_folder_is_as_ever_and_further_cameras_are_named(tmp_path: Path, capsys) -> None:
    named = ("--color", COLOR, "--depth", DEPTH)
    assert main(words(rig().write(tmp_path / "rig"), tmp_path / "a", *named)) == 0
    assert (
        "note: the recording also has images on /rear/image_raw (color), /rear_depth/image_raw (depth), "
        "/thermal/image_raw (gray): --sensor NAME:=TOPIC takes those of further cameras"
    ) in capsys.readouterr().out
    pair = Recording()
    pair.add_images()
    add_pose_topic(pair)
    assert main(words(pair.write(tmp_path / "pair"), tmp_path / "b", *named)) == 0
    assert "also has" not in capsys.readouterr().out
    a, b = (sorted(path for path in (tmp_path / name).rglob("*") if path.is_file()) for name in "ab")
    assert [path.relative_to(tmp_path / "a") for path in a] == [path.relative_to(tmp_path / "b") for path in b]
    different = [path.name for path, other in zip(a, b, strict=True) if path.read_bytes() != other.read_bytes()]
    assert different == ["source.json"]
    assert "sensors" not in json.loads((tmp_path / "a" / "source.json").read_text())["options"]
    assert "sensors" not in json.loads((tmp_path / "a" / "camera.json").read_text())


def compressed(kind: str, index: int) -> tuple[str, bytes]:
    """Format and data of an image of the rear camera, in a transport."""
    if kind == "jpeg":
        return "bgr8; jpeg compressed bgr8", encode(rgb_of(index), ".jpg")
    if kind == "gray jpeg":
        return "mono8; jpeg compressed ", encode(rgb_of(index)[:, :, 1], ".jpg")
    header = np.array([0], "<i4").tobytes() + np.zeros(2, "<f4").tobytes()
    return "16UC1; compressedDepth png", header + encode(millimetres_of(index))


@pytest.mark.parametrize("kind", ["jpeg", "gray jpeg", "depth"])
@pytest.mark.parametrize("poses", ["/pose", "none"])
def test_compressed_images_are_kept_as_they_came(tmp_path: Path, kind: str, poses: str) -> None:
    recording = rig()
    topic = "/extra/image_raw/" + ("compressedDepth" if kind == "depth" else "compressed")
    for index in range(COUNT):
        stamp = START + index * PERIOD
        recording.add(topic, stamp, recording.build.compressed(stamp, "rear_optical", *compressed(kind, index)))
        recording.add("/extra/camera_info", stamp, recording.build.camera_info(stamp, "rear_optical", CAMERA))
    bag = recording.write(tmp_path / "bag")
    options = ("--color", COLOR, "--depth", DEPTH, "--poses", poses, "--sensor", f"extra:={topic}")
    assert main(words(bag, tmp_path / "out", *options)) == 0
    folder = open_bare_folder(tmp_path / "out")
    (sensor,) = folder.sensors
    assert sensor.kind == {"jpeg": "color", "gray jpeg": "gray", "depth": "depth"}[kind]
    assert len(folder.frames) == COUNT
    for index, frame in enumerate(folder.frames):
        path = dict(frame.further)["extra"]
        if kind == "depth":
            np.testing.assert_allclose(read_depth(path, 1000.0), millimetres_of(index) / 1000, rtol=1e-6)
        else:
            assert path.read_bytes() == compressed(kind, index)[1]
    if kind == "gray jpeg":
        assert read_gray(path).shape == (24, 32)


def test_the_other_transport_of_a_sensor_is_no_candidate_for_the_pair(tmp_path: Path, capsys) -> None:
    recording = rig()
    for index in range(COUNT):
        stamp = START + index * PERIOD
        message = recording.build.compressed(stamp, "rear_optical", *compressed("jpeg", index))
        recording.add("/rear/image_raw/compressed", stamp, message)
    options = [word.replace("rear/image_raw", "rear/image_raw/compressed") for word in ALL]
    assert main(words(recording.write(tmp_path / "bag"), tmp_path / "out", *options)) == 0
    assert "colour: /cam/color/image_raw; depth: /cam/depth/image_raw" in capsys.readouterr().out
    frames = list(open_folder(tmp_path / "out").frames())
    assert {dict(frame.further)["rear"].suffix for frame in frames} == {".jpg"}


def test_a_color_topic_of_a_thermal_camera_is_gray_where_that_is_said(tmp_path: Path) -> None:
    bag = rig().write(tmp_path / "bag")
    options = ("--color", COLOR, "--depth", DEPTH, "--sensor", "rear:=/rear/image_raw", "--sensor-kind", "rear:=gray")
    assert main(words(bag, tmp_path / "out", *options)) == 0
    folder = open_folder(tmp_path / "out")
    assert folder.sensors[0].kind == "gray"
    expected = cv2.cvtColor(np.ascontiguousarray(rgb_of(0)[:, ::-1]), cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(read_gray(dict(next(iter(folder.frames())).further)["rear"]), expected)


def test_the_place_may_be_given_and_a_damaged_image_costs_itself_alone(tmp_path: Path, caplog) -> None:
    recording = rig(static=False)
    for stamp, topic, message in recording.messages:
        if topic == "/rear/image_raw" and stamp == START + 3 * PERIOD + 3 * MS:
            message.encoding = "nonsense"
    given = ["0.1", "0", "-0.3", "0", "1", "0", "0"]
    options = ("--color", COLOR, "--depth", DEPTH, "--sensor", "rear:=/rear/image_raw")
    assert main(words(recording.write(tmp_path / "bag"), tmp_path / "out", *options,
                      "--sensor-extrinsic", "rear", *given)) == 0  # fmt: skip
    folder = open_folder(tmp_path / "out")
    np.testing.assert_allclose(folder.sensors[0].pose, [[-1, 0, 0, 0.1], [0, 1, 0, 0], [0, 0, -1, -0.3], [0, 0, 0, 1]])
    there = [index for index, frame in enumerate(folder.frames()) if frame.further]
    assert there == [0, 1, 4, 5, 6, 8, 9]
    assert "1 images of rear left out, which cannot be read: " in caplog.text


def no_infos(recording: Recording) -> None:
    recording.messages = [entry for entry in recording.messages if entry[1] != "/rear/camera_info"]


def moves(recording: Recording) -> None:
    for index in range(COUNT):
        turned = se3.from_parts([0, 0, 0], quaternion.exp(np.array([0.0, 0.01 * index, 0.0])))
        place(recording, "rear_optical", turned, "/tf", START + index * PERIOD)


def of_other_size(recording: Recording) -> None:
    for _, topic, message in recording.messages:
        if topic == "/rear/camera_info":
            message.width = 64


def nothing(_: Recording) -> None:
    """Leaves the recording as it is."""


REAR_ALONE = "--sensor rear:=/rear/image_raw"
A, BACK = "--sensor a:=/rear/image_raw", "--sensor a:=/rear_depth/image_raw"
REFUSED: list[tuple[Callable[[Recording], None], dict[str, Any], str, str]] = [
    (nothing, {"static": False}, REAR_ALONE, "do not tell where the sensor rear sits: none lead from 'rear_optical', "
     "the frame of /rear/image_raw, to 'cam_optical'; record /tf_static too, or give it with --sensor-extrinsic rear"),
    (moves, {"static": False}, REAR_ALONE, "rear moves against the color camera (cam_optical -> rear_optical changes)"),
    (no_infos, {}, REAR_ALONE, "No camera_info of /rear/image_raw is beside it, as /rear/camera_info would be: record"),
    (of_other_size, {}, REAR_ALONE, "A rear image has 32x24 pixels, but its camera_info is for 64x24"),
    (nothing, {"skew_ns": 40 * MS}, REAR_ALONE, "No image of the sensor rear on /rear/image_raw is within 20 ms of a "
     "frame (the nearest is 40.0 ms away): widen --max-skew"),
    (nothing, {}, "--sensor rear:=/back", "no images on the topic that --sensor rear:=/back names (topics of images: "
     "/cam/color/image_raw, "),
    (nothing, {}, "--sensor rear", "--sensor rear is no NAME:=VALUE; write it as --sensor rear:=/rear/color/image_raw"),
    (nothing, {}, "--sensor Rear:=/rear/image_raw", "the sensor name 'Rear' is not accepted"),
    (nothing, {}, f"{A} --sensor b:=/rear/image_raw", "/rear/image_raw for two sensors"),
    (nothing, {}, f"{A} --sensor a:=/thermal/image_raw", "names the sensor a twice"),
    (nothing, {}, f"--sensor a:={COLOR}", "names a topic of color and depth"),
    (nothing, {}, f"{A} --sensor-kind a:=depth", "The images of --sensor a:=/rear/image_raw are rgb8"),
    (nothing, {}, f"{BACK} --sensor-kind a:=gray", "(a color or gray one has 8 bits, in a folder and in the node)"),
    (nothing, {}, f"{A} --sensor-kind b:=gray", "names the sensor b, but --sensor has a"),
    (nothing, {}, f"{A} --sensor-kind a:=radar", "--sensor-kind is color, gray, depth, not radar"),
    (nothing, {}, f"{A} --sensor-extrinsic a 1 2 3 0 0 0 0", "with a unit quaternion"),
    (nothing, {}, f"{A} --sensor-extrinsic a 1 2 3 0 0 0 x", "needs seven numbers"),
    (nothing, {}, f"{A} --sensor-extrinsic a 1 2 3 0 0 0 1 --sensor-extrinsic a 1 2 3 0 0 0 1", "the sensor a twice"),
    (nothing, {}, "--sensor-info a:=/rear/camera_info", "but --sensor is not given"),
    (nothing, {}, f"{A} --sensor-info a:=/nowhere", "has no camera_info of /rear/image_raw topic /nowhere"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "how", "options", "sentence"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_what_cannot_be_used_is_one_sentence(tmp_path: Path, capsys, spoil, how, options: str, sentence: str) -> None:
    recording = rig(**how)
    spoil(recording)
    bag = recording.write(tmp_path / "bag")
    assert main(words(bag, tmp_path / "out", "--color", COLOR, "--depth", DEPTH, *options.split())) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / ".out.partial").exists()


def test_an_interrupted_conversion_goes_on_with_its_sensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mvloc_ros.recordings.to_dataset import sensor_images

    bag, count, original = rig().write(tmp_path / "bag"), 0, sensor_images.write_color

    def stopping(*words: Any, **more: Any) -> None:
        nonlocal count
        count += 1
        if count == 7:
            raise KeyboardInterrupt
        original(*words, **more)

    monkeypatch.setattr(sensor_images, "write_color", stopping)
    choices = (SensorChoice("rear", "/rear/image_raw"), SensorChoice("thermal", "/thermal/image_raw"))
    options = DatasetOptions(COLOR, DEPTH, sensors=choices)
    with pytest.raises(KeyboardInterrupt):
        to_dataset(bag, tmp_path / "out", options, progress=False)
    with pytest.raises(RecordingError, match="with other options"):
        to_dataset(bag, tmp_path / "out", DatasetOptions(COLOR, DEPTH, sensors=choices[:1]), progress=False)
    to_dataset(bag, tmp_path / "out", options, progress=False)
    assert count == 7 + 12, "of 8 rear and 10 thermal images 6 had been written, and one of these was in work"
    assert sum(len(frame.further) for frame in open_folder(tmp_path / "out").frames()) == 18


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 2000), unique=True, max_size=12),
    st.lists(st.integers(0, 2000), unique=True, max_size=12),
    st.integers(0, 60),
)
def test_partners_are_within_the_tolerance_in_order_and_each_image_is_in_one_frame(frames, images, tolerance) -> None:
    pairs = partners(frames, images, tolerance)
    assert set(pairs) <= set(frames)
    assert len(set(pairs.values())) == len(pairs)
    assert set(pairs.values()) <= set(images)
    assert list(pairs) == sorted(pairs)
    assert list(pairs.values()) == sorted(pairs.values())
    assert all(abs(image - frame) <= tolerance for frame, image in pairs.items())
    for frame in set(frames) - set(pairs):  # nothing that only this frame could have is left
        near = [image for image in images if abs(image - frame) <= tolerance and image not in pairs.values()]
        others = [
            other for other in frames if other != frame and any(abs(other - image) <= 2 * tolerance for image in near)
        ]
        assert not near or others


def write_rig(root: Path, sensors: list[tuple[Sensor, list[bool]]], seed: int) -> Path:
    """Five frames; of each sensor random images in the frames that are to have one, in the first always."""
    random = np.random.default_rng(seed)
    folder = root / "seq-01"
    folder.mkdir(parents=True)
    content: dict[str, Any] = {"color": SMALL.to_dict(), "depth": SMALL.to_dict(), "depth_registered": True}
    content |= {"pose_of": "color", "rate_hz": 10, "sensors": {s.name: sensor_content(s) for s, _ in sensors}}
    (root / "camera.json").write_text(json.dumps(content))
    for index in range(5):
        stem = folder / f"frame-{index:06d}"
        cv2.imwrite(f"{stem}.color.png", random.integers(0, 256, (16, 20, 3), dtype=np.uint8))
        cv2.imwrite(f"{stem}.depth.png", random.integers(1, 9000, (16, 20)).astype(np.uint16))
        np.savetxt(f"{stem}.pose.txt", se3.from_parts([0.05 * index, 0, 0], [0, 0, 0, 1]))
        for sensor, there in sensors:
            size = sensor.camera.height, sensor.camera.width
            image = random.integers(0, 256, size, dtype=np.uint8)
            if sensor.kind == "depth":
                image = random.integers(0, 9000, size).astype(np.uint16)
            elif sensor.kind == "color":
                image = random.integers(0, 256, (*size, 3), dtype=np.uint8)
            if index == 0 or there[index]:
                cv2.imwrite(f"{stem}.{sensor.name}.png", image)
    return root


CAMERAS = st.builds(
    lambda width, height, f: PinholeCamera(width, height, f, 1.01 * f, width / 2 - 0.5, height / 2 - 0.25),
    st.integers(8, 40), st.integers(8, 30), st.floats(10.0, 60.0),
)  # fmt: skip
PLACES = st.builds(
    lambda p, r: se3.from_parts(p, quaternion.exp(np.array(r))),
    st.tuples(*[st.floats(-2.0, 2.0)] * 3), st.tuples(*[st.floats(-1.7, 1.7)] * 3),
)  # fmt: skip
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name not in {"color", "depth", "present", "pose", "target", "all", "none"}
)
RIGS = st.lists(
    st.tuples(
        st.builds(
            lambda name, kind, camera, T: Sensor(name, kind, camera, tuple(map(float, T.ravel()))),
            NAMES, st.sampled_from(["color", "gray", "depth"]), CAMERAS, PLACES,
        ),
        st.lists(st.booleans(), min_size=5, max_size=5),
    ),
    min_size=1, max_size=3, unique_by=lambda entry: entry[0].name,
)  # fmt: skip


@settings(max_examples=8, deadline=None)
@given(RIGS, st.integers(0, 1000), st.sampled_from([None, 10.0, 30.0]))
def test_a_folder_comes_back_from_its_recording(tmp_path_factory, sensors, seed: int, rate_hz: float | None) -> None:
    root = tmp_path_factory.mktemp("round")
    folder = open_folder(write_rig(root / "rig", sensors, seed))
    write_bag(folder, select_frames(folder), root / "bag", rate_hz=rate_hz, progress=False)
    choices = tuple(SensorChoice(sensor.name, topics.sensor_image(sensor.name)) for sensor, _ in sensors)
    # Only the pair's own topics are left, so that these need not be named.
    options = DatasetOptions(poses=PoseOptions(source="none"), sensors=choices)
    to_dataset(root / "bag", root / "back", options, progress=False)
    back = open_bare_folder(root / "back")
    assert len(back.sensors) == len(folder.sensors)
    for found, sensor in zip(back.sensors, folder.sensors, strict=True):
        assert (found.name, found.kind, found.camera) == (sensor.name, sensor.kind, sensor.camera)
        assert found.units_per_metre == sensor.units_per_metre
        np.testing.assert_allclose(found.pose, sensor.pose, atol=1e-6)
    for new, old in zip(back.frames, folder.frames(), strict=True):
        assert new.images().keys() == old.images().keys()
        for name, path in old.images().items():
            pixels = [cv2.imread(str(each), cv2.IMREAD_UNCHANGED) for each in (new.images()[name], path)]
            np.testing.assert_array_equal(*pixels)
