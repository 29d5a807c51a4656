# SPDX-License-Identifier: Apache-2.0
"""Sensors that `camera.json` declares besides color and depth: read, written, kept, and told where they are wrong."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from frame_folder import write_frame, write_splits
from rig_folder import HERE, REAR, SIDE, add_sensors, declare

from mvloc_ros.frontend.camera_info import read_camera_info
from mvloc_ros.frontend.decode import decode_color, decode_depth
from mvloc_ros.recordings import RecordingError, open_folder, open_folders, read_color, topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.bare_folder import open_bare_folder
from mvloc_ros.recordings.camera_file import camera_file_content, read_camera_file
from mvloc_ros.recordings.contents import contents_text
from mvloc_ros.recordings.from_folder import depth_millimetres, select_frames, write_bag
from mvloc_ros.recordings.images import read_gray
from mvloc_ros.recordings.posed_links import write_posed_links
from mvloc_ros.replay.recorded_transforms import RecordedTransforms

CAMERA = {"width": 64, "height": 48, "fx": 60.0, "fy": 60.0, "cx": 31.5, "cy": 23.5}


def write_pair(root: Path, offset: int = 0) -> Path:
    """Two sequences of three frames of color and depth."""
    rng = np.random.default_rng(offset)
    for number in (1, 2):
        folder = root / f"seq-{number:02d}"
        folder.mkdir(parents=True)
        for i in range(3):
            pose = np.eye(4)
            pose[0, 3] = 0.1 * i + number + offset
            color = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            write_frame(folder, i, color, np.full((48, 64), 2000, np.uint16), pose)
    settings = {"color": CAMERA, "depth": CAMERA, "depth_registered": True, "pose_of": "color", "rate_hz": 10}
    (root / "camera.json").write_text(json.dumps(settings))
    write_splits(root, ["sequence1"], "sequence2")
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return add_sensors(write_pair(tmp_path / "pair"), tmp_path / "rig")


def test_the_declaration_is_read_in_its_order_and_written_again(folder: Path, tmp_path: Path) -> None:
    opened = open_folder(folder)
    assert [(sensor.name, sensor.kind) for sensor in opened.sensors] == [
        ("side", "gray"), ("rear", "color"), ("rear_depth", "depth"),
    ]  # fmt: skip
    np.testing.assert_array_equal(opened.sensors[1].pose, REAR)
    assert (opened.sensors[2].units_per_metre, opened.sensors[2].depth_max_m) == (500.0, 8.0)
    frame = opened.train[0]
    assert {name: path.name for name, path in frame.images().items()} == {
        name: f"frame-000000.{name}.png" for name in ("color", "depth", "side", "rear", "rear_depth")
    }
    again = tmp_path / "again"
    again.mkdir()
    (again / "camera.json").write_text(json.dumps(camera_file_content(opened)))
    assert read_camera_file(again)["sensors"] == opened.sensors
    declare(folder, None)
    assert "sensors" not in camera_file_content(open_folder(folder))
    assert "3 color and 3 depth images" not in contents_text(opened)
    assert contents_text(opened).count("6 color, 6 depth, 6 side, 6 rear and 6 rear_depth images") == 1
    assert "6 color and 6 depth images" in contents_text(open_folder(folder)), "what is not declared is not read"


@pytest.mark.parametrize(
    ("sensor", "reason"),
    [
        (7, "sensors.rear must be a mapping"),
        ({}, "sensors.rear.kind is missing"),
        ({"kind": "radar"}, "the kind of sensor rear must be color, gray, depth, not 'radar'"),
        ({"T_reference_sensor": [[1, 0], [0, 1]]}, "T_reference_sensor must be a rigid transform"),
        ({"max_depth": 3}, "sensors.rear is of kind 'color', which has no max_depth"),
        ({"kind": "depth", "max_depth": -1}, "max_depth must be positive"),
        ({"kind": "depth", "min_depth": 4, "max_depth": 3}, "needs 0 <= depth_min_m < depth_max_m"),
        ({"focal": 3}, "sensors.rear has the unknown key 'focal'; known are T_reference_sensor, camera"),
        ({"camera": {"width": 64}}, "A camera needs width, height"),
    ],
)
def test_what_is_wrong_in_it_is_one_sentence(tmp_path: Path, sensor: Any, reason: str) -> None:
    root = write_pair(tmp_path / "pair")
    whole = {"kind": "color", "camera": CAMERA, "T_reference_sensor": HERE.tolist()}
    declare(root, {"rear": {**whole, **sensor} if isinstance(sensor, dict) and sensor else sensor})
    with pytest.raises(RecordingError, match=r"camera.json cannot be used: ") as error:
        open_folder(root)
    assert reason in str(error.value)


@pytest.mark.parametrize("name", ["color", "pose", "present", "Rear", "a.b"])
def test_names_that_are_taken_or_no_part_of_a_file_name_are_refused(tmp_path: Path, name: str) -> None:
    root = write_pair(tmp_path / "pair")
    declare(root, {name: {"kind": "gray", "camera": SIDE, "T_reference_sensor": HERE.tolist()}})
    with pytest.raises(RecordingError, match=r"the sensor name .* is not accepted"):
        open_folder(root)


def test_a_frame_may_lack_an_image_and_one_of_them_alone_is_no_frame(folder: Path) -> None:
    first, second = (folder / "seq-01" / f"frame-00000{i}" for i in (0, 1))
    Path(f"{first}.rear.png").unlink()
    Path(f"{second}.color.png").unlink()
    Path(f"{second}.depth.png").unlink()
    opened = open_folder(folder)
    assert [sorted(name for name, _ in frame.further) for frame in opened.train] == [
        ["rear_depth", "side"], ["rear", "rear_depth", "side"],
    ]  # fmt: skip
    assert [left.reason for left in opened.left_out] == ["without an image"]
    shutil.copy(f"{first}.side.png", f"{first}.side.jpg")
    with pytest.raises(RecordingError, match="has two side files of frame 0"):
        open_folder(folder)


def test_the_layout_of_tum_has_no_place_for_them(tmp_path: Path) -> None:
    (tmp_path / "rgb").mkdir()
    rows = []
    for i in range(10):
        cv2.imwrite(str(tmp_path / "rgb" / f"{i}.png"), np.zeros((48, 64, 3), np.uint8))
        rows.append((f"{i}.0 rgb/{i}.png", f"{i}.0 {0.1 * i} 0 0 0 0 0 1"))
    (tmp_path / "rgb.txt").write_text("".join(f"{image}\n" for image, _ in rows))
    (tmp_path / "depth.txt").write_text("")
    (tmp_path / "groundtruth.txt").write_text("".join(f"{pose}\n" for _, pose in rows))
    (tmp_path / "camera.json").write_text(json.dumps({"color": CAMERA, "depth": CAMERA}))
    assert open_folder(tmp_path).layout == "tum"
    declare(tmp_path, {"side": {"kind": "gray", "camera": SIDE, "T_reference_sensor": HERE.tolist()}})
    with pytest.raises(RecordingError, match=r"there is no image frame-N.side.EXT \(7-Scenes layout\)"):
        open_folder(tmp_path)


def test_folders_of_one_place_must_declare_the_same(folder: Path, tmp_path: Path) -> None:
    other = add_sensors(write_pair(tmp_path / "second", 5), tmp_path / "other")
    joined = open_folders([folder, other])
    assert joined.sensors == open_folder(folder).sensors
    assert all(len(frame.further) == 3 for frame in joined.train)
    values = json.loads((other / "camera.json").read_text())["sensors"]
    declare(other, {"side": values["side"]})
    with pytest.raises(RecordingError, match=r"the declaration of further sensors is side .*gray.* in the second"):
        open_folders([folder, other])


def test_posed_copies_keep_the_images(folder: Path, tmp_path: Path) -> None:
    bare = open_bare_folder(folder)
    poses = {(frame.sequence, frame.index): np.eye(4) for frame in bare.frames}
    write_posed_links(bare, poses, tmp_path / "posed")
    opened = open_folder(tmp_path / "posed")
    assert opened.sensors == bare.sensors
    assert all(len(frame.further) == 3 for frame in (*opened.train, *opened.test))


def test_a_recording_of_topics_has_the_sensors(folder: Path, tmp_path: Path) -> None:
    """Their images to the last bit (depth as millimetres), intrinsics and places."""
    opened = open_folder(folder)
    frames = select_frames(opened)
    write_bag(opened, frames, tmp_path / "bag", progress=False)
    with BagReader(tmp_path / "bag") as reader:
        for sensor in opened.sensors:
            images = [message for _, _, message in reader.messages((topics.sensor_image(sensor.name),))]
            infos = [message for _, _, message in reader.messages((topics.sensor_info(sensor.name),))]
            assert len(images) == len(infos) == len(frames)
            assert {image.header.frame_id for image in images} == {topics.sensor_frame(sensor.name)}
            assert read_camera_info(infos[0], topics.sensor_image(sensor.name)).camera == sensor.camera
            for image, frame in zip(images, sorted(frames, key=lambda f: f.stamp_ns), strict=True):
                path = dict(frame.further)[sensor.name]
                if sensor.kind == "depth":
                    np.testing.assert_array_equal(
                        decode_depth(image).values, depth_millimetres(path, sensor.units_per_metre)
                    )
                else:
                    read = read_gray if sensor.kind == "gray" else read_color
                    np.testing.assert_array_equal(decode_color(image).pixels, read(path))
        transforms = RecordedTransforms.of(reader)
        for sensor in opened.sensors:
            found = transforms.lookup(topics.COLOR_FRAME, topics.sensor_frame(sensor.name), frames[0].stamp_ns)
            np.testing.assert_allclose(found.T, sensor.pose, atol=1e-9)
    write_bag(replace(opened, sensors=()), frames, tmp_path / "pair_bag", progress=False)
    with BagReader(tmp_path / "pair_bag") as reader:
        assert not any("rear" in name for name in reader.topics)
