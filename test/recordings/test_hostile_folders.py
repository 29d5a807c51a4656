# SPDX-License-Identifier: Apache-2.0
"""Folders of data from elsewhere: only regular files of the folder are read, and every damage is named."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from mvloc_ros.errors import MvlocError
from mvloc_ros.limits import MOST_IMAGE_FILE_BYTES, MOST_MANIFEST_BYTES
from mvloc_ros.recordings import RecordingError, open_folder, read_color, read_depth
from mvloc_ros.recordings.robotcar.camera_model import read_camera_model
from mvloc_ros.recordings.robotcar.layout import Traversal
from mvloc_ros.recordings.robotcar.scans import read_scan
from mvloc_ros.recordings.robotcar.trajectories import read_absolute, read_odometry

ODD = {
    "pipe": (os.mkfifo, "it is a named pipe, not a regular file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a regular file"),
    "folder": (Path.mkdir, "it is a folder, not a regular file"),
}


def depth_of_file(path: Path) -> object:
    return read_depth(path, 1000.0)


def ldmrs_scan(path: Path) -> object:
    return read_scan(path, "ldmrs")


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("read", [read_color, depth_of_file, ldmrs_scan])
def test_only_regular_files_are_images_and_scans(tmp_path: Path, kind: str, read: Callable[[Path], object]):
    make, sentence = ODD[kind]
    make(tmp_path / "odd.bin")
    with pytest.raises(RecordingError, match=sentence):
        read(tmp_path / "odd.bin")


@pytest.mark.parametrize("read", [read_color, ldmrs_scan])
def test_a_file_beyond_the_bound_is_not_read(tmp_path: Path, read: Callable[[Path], object]):
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(MOST_IMAGE_FILE_BYTES + 1)
    with pytest.raises(RecordingError, match=f"at most {MOST_IMAGE_FILE_BYTES} are accepted"):
        read(tmp_path / "large.bin")


@pytest.mark.parametrize("name", ["/etc/passwd", "../desk/rgb/1.png", "rgb/../../x.png"])
@pytest.mark.parametrize("list_name", ["rgb.txt", "depth.txt"])
def test_a_list_names_no_file_elsewhere(tum: Path, list_name: str, name: str):
    lines = (tum / list_name).read_text().splitlines()
    lines[-1] = f"{lines[-1].split()[0]} {name}"
    (tum / list_name).write_text("\n".join(lines))
    with pytest.raises(RecordingError, match=rf"{list_name} names '{name}', which is not in {tum}: list files"):
        open_folder(tum)


def test_links_to_images_elsewhere_are_followed(tum: Path, tmp_path: Path):
    (tum / "rgb").rename(tmp_path / "disk")
    (tum / "rgb").mkdir()
    for image in (tmp_path / "disk").iterdir():
        (tum / "rgb" / image.name).symlink_to(image)
    frame = open_folder(tum).train[0]
    assert frame.color is not None
    assert read_color(frame.color).any()


@pytest.mark.parametrize("stamp", ["1e999999999", "1e400", "0e999999999"])
def test_a_stamp_of_millions_of_digits_is_refused_at_once(tum: Path, stamp: str):
    with (tum / "rgb.txt").open("a") as file:
        file.write(f"{stamp} rgb/1.png\n")
    with pytest.raises(MvlocError):
        open_folder(tum)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        (
            "color",
            {"width": "32", "height": 24, "fx": 5, "fy": 5, "cx": 1, "cy": 1},
            "width must be a number, not '32'",
        ),
        (
            "color",
            {"width": 32.5, "height": 24, "fx": 5, "fy": 5, "cx": 1, "cy": 1},
            "32.5 is not a whole number",
        ),
        (
            "color",
            {"width": True, "height": 24, "fx": 5, "fy": 5, "cx": 1, "cy": 1},
            "must be a number, not True",
        ),
        ("color", {"width": 32, "height": 24, "fx": 0, "fy": 5, "cx": 1, "cy": 1}, "must be positive"),
        ("color", {"width": 10**9, "height": 24, "fx": 1, "fy": 5, "cx": 1, "cy": 1}, "pixels, not 1000000000x24"),
        (
            "color",
            {"width": 10**400, "height": 24, "fx": 1, "fy": 5, "cx": 1, "cy": 1},
            "too large|digits",
        ),
        ("color", [1], "color must be a mapping, not a list"),
        ("rate_hz", "30", "rate_hz must be a number, not '30'"),
        ("rate_hz", 0, "rate_hz must be positive, not 0"),
        ("max_depth", None, "max_depth must be a number, not None"),
        ("licence", 5, "licence must be a text, not 5"),
        (
            "T_color_depth",
            [["1", 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
            "must be a number, not '1'",
        ),
        ("T_color_depth", "x", "T_color_depth must be a rigid transform"),
        ("pose_of", "x" * 5000, "pose_of must be color or depth, not 'xxx"),
    ],
)
def test_the_values_of_a_camera_file_are_checked(seven_scenes: Path, key: str, value: object, sentence: str):
    (seven_scenes / "camera.json").write_text(json.dumps({key: value}))
    with pytest.raises(RecordingError, match=sentence) as caught:
        open_folder(seven_scenes)
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"rate_hz": NaN}', "NaN is not a number in JSON"),
        ('{"rate_hz": 1e999}', "is too large"),
        ('{"rate_hz": 1, "rate_hz": 2}', "the name 'rate_hz' occurs twice"),
        ("[" * 5000, "nested deeper than"),
        (" " * (MOST_MANIFEST_BYTES + 1), f"at most {MOST_MANIFEST_BYTES} are accepted"),
    ],
)
def test_a_camera_file_is_json_within_bounds(seven_scenes: Path, text: str, sentence: str):
    (seven_scenes / "camera.json").write_text(text)
    with pytest.raises(RecordingError, match=sentence):
        open_folder(seven_scenes)


@pytest.mark.parametrize("stamp", ["-5", "9" * 19, "9" * 5000, "1.5", ""])
def test_stamps_of_robotcar_are_times(tmp_path: Path, stamp: str):
    (tmp_path / "stereo.timestamps").write_text(f"1403772836000000 1\n{stamp or 'x'} 1\n")
    with pytest.raises(RecordingError, match="its line 2 is"):
        Traversal(tmp_path).stamps_ns("stereo")
    path = tmp_path / "ins.csv"
    path.write_text(f"timestamp,northing,easting,down,roll,pitch,yaw\n{stamp},1,2,3,0,0,0\n")
    with pytest.raises(RecordingError, match=r"Line 2 of .*ins.csv is damaged"):
        read_absolute(path)
    path = tmp_path / "vo.csv"
    path.write_text(f"source_timestamp,destination_timestamp,x,y,z,roll,pitch,yaw\n1,{stamp},0,0,0,0,0,0\n")
    with pytest.raises(RecordingError, match=r"Line 2 of .*vo.csv is damaged"):
        read_odometry(path)


def test_the_table_of_a_camera_model_is_a_regular_file(tmp_path: Path):
    (tmp_path / "x.txt").write_text(" ".join(["1"] * 4 + ["1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1"]))
    os.mkfifo(tmp_path / "x_distortion_lut.bin")
    with pytest.raises(RecordingError, match="it is a named pipe"):
        read_camera_model(tmp_path, "x", "gbrg", (4, 4))


@pytest.mark.parametrize("layout", ["seven_scenes", "tum"])
def test_any_damage_gives_data_or_a_sentence(request: pytest.FixtureRequest, layout: str):
    """Seeded mutations of one file at a time: frames or an MvlocError, and images or a RecordingError."""
    root = request.getfixturevalue(layout)
    T = [[1, 0, 0, 0.1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    (root / "camera.json").write_text(json.dumps({"rate_hz": 30, "T_color_depth": T}))
    files = sorted(path for path in root.rglob("*") if path.is_file())
    dice = random.Random(11)
    for _ in range(120):
        path = dice.choice([path for path in files if path.suffix != ".png" or dice.random() < 0.3])
        data = path.read_bytes()
        path.write_bytes(mutated(data, dice))
        try:
            folder = open_folder(root)
            for frame in folder.frames():
                if frame.color == path:
                    assert read_color(path).dtype == "uint8"
                elif frame.depth == path:
                    assert read_depth(path, 1000.0).dtype == "float32"
        except MvlocError:
            pass
        path.write_bytes(data)
    assert open_folder(root).train


def mutated(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    kind, place = dice.randrange(5), dice.randrange(len(changed))
    if kind == 0:
        changed[place] ^= 1 << dice.randrange(8)
    elif kind == 1:
        del changed[place:]
    elif kind == 2:
        changed[place : place + 50] = bytes(len(changed[place : place + 50]))
    elif kind == 3:
        changed[place:place] = dice.choice([b"nan", b"1e999", b"-", b"9" * 500, b"\n", b"[[[[", b"\xff\xfe", b"../"])
    else:
        changed[place:place] = changed[: dice.randrange(len(changed))]
    return bytes(changed)
