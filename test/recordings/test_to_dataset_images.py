# SPDX-License-Identifier: Apache-2.0
"""`mvloc bag to-dataset`: intrinsics, units of depth, and the same pixels as in the node."""

from __future__ import annotations

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
    Recording,
    add_pose_topic,
    base_pose,
    convert,
    encode,
    millimetres_of,
    rgb_of,
)

from mvloc_ros.cli import main
from mvloc_ros.frontend.compressed import decode_compressed_color
from mvloc_ros.frontend.decode import DecodeError, decode_color, decode_depth
from mvloc_ros.geometry.projection import unproject
from mvloc_ros.model.preprocessing import prepare_color
from mvloc_ros.recordings import RecordingError, open_folder, read_color, read_depth


def with_camera(tmp_path: Path, change: Callable[[int, object], None], color: str = COLOR) -> Path:
    """A recording with poses whose camera_info messages were changed by `change(index, message)`."""
    recording = Recording()
    for index in range(COUNT):
        stamp = START + index * PERIOD
        info = recording.build.camera_info(stamp, FRAME, CAMERA)
        change(index, info)
        recording.add(color.rsplit("/", 1)[0] + "/camera_info", stamp, info)
        recording.add(color, stamp, recording.build.color_image(stamp, FRAME, rgb_of(index)))
        recording.add(DEPTH, stamp, recording.build.depth_image(stamp, FRAME, millimetres_of(index)))
    recording.add_poses("/pose", lambda stamp: recording.build.pose(stamp, "map", base_pose(stamp)))
    return recording.write(tmp_path / "changed")


def focal(message: object, k: float, p: float | None = None) -> None:
    message.k[0] = message.k[4] = k
    message.p[0] = message.p[5] = k if p is None else p


@pytest.mark.parametrize(
    ("color", "expected"), [("/rgb/rect/image", 25.0), ("/rectified/left/image", 25.0), ("/rgb/raw/image", 31.0)]
)
def test_the_rectified_image_has_the_intrinsics_p(tmp_path: Path, color: str, expected: float):
    bag = with_camera(tmp_path, lambda _, message: focal(message, 31.0, 25.0), color)
    summary = convert(bag, tmp_path / "out")
    assert open_folder(tmp_path / "out").color_camera.fx == expected
    matrix = "P" if expected == 25.0 else "K"
    assert f"colour camera: 32x24, focal lengths {expected} and {expected} px, {matrix} of " in summary.text()


def test_every_camera_info_is_looked_at(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    def change(index: int, message: object) -> None:
        if index < 2:  # a driver that has not read its calibration yet
            message.k[:] = message.p[:] = 0.0
        elif index == 2:
            focal(message, float("nan"))
        elif index > 6:
            focal(message, 29.0)

    text = convert(with_camera(tmp_path, change), tmp_path / "out").text()
    assert open_folder(tmp_path / "out").color_camera == CAMERA
    assert "2 messages of /cam/color/camera_info are of an uncalibrated camera and are skipped" in text
    assert "1 messages of /cam/color/camera_info cannot be used: " in text
    assert "3 of 10 messages of /cam/color/camera_info state another one (focal lengths 26.2 to 29.0 px" in text
    assert "the camera changes within the recording" in caplog.text


def test_a_recording_without_a_usable_camera_says_why(tmp_path: Path):
    bag = with_camera(tmp_path, lambda _, message: focal(message, float("nan")))
    with pytest.raises(
        RecordingError, match=r"cannot be right .*must be finite.* no message can be used.*--color-info"
    ):
        convert(bag, tmp_path / "out")


def test_distortion_is_said_in_the_summary(tmp_path: Path):
    def bend(_: int, message: object) -> None:
        message.d[0] = 0.3

    text = convert(with_camera(tmp_path, bend), tmp_path / "out").text()
    assert "note: the colour images are not rectified (plumb_bob distortion of up to 3 px) and are stored" in text


def with_depth(tmp_path: Path, values: np.ndarray, encoding: str = "16UC1") -> Path:
    """A recording with poses whose depth images all have these values."""
    recording = Recording()
    recording.add_images()
    add_pose_topic(recording)
    for _, topic, message in recording.messages:
        if topic == DEPTH:
            message.encoding, message.step = encoding, 32 * values.dtype.itemsize
            message.data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    return recording.write(tmp_path / "units")


@pytest.mark.parametrize(
    ("values", "encoding", "unit", "said"),
    [
        (np.full((24, 32), 15_000, np.uint16), "16UC1", 1e-4, "values look like tenths of a millimetre (0.0001 m)"),
        (np.full((24, 32), 1500, np.float32), "32FC1", 1e-3, "values look like millimetres (0.001 m)"),
    ],
)
def test_the_unit_of_recorded_depth_is_questioned_and_can_be_stated(
    tmp_path: Path, values: np.ndarray, encoding: str, unit: float, said: str, caplog: pytest.LogCaptureFixture
):
    bag = with_depth(tmp_path, values, encoding)
    words = ["bag", "to-dataset", str(bag), "--out"]
    assert main([*words, str(tmp_path / "wrong")]) == 0
    assert said in caplog.text
    assert "--depth-unit-m" in caplog.text
    assert ("100% of the measured depth cannot be stored at 1000 values a metre" in caplog.text) == (unit == 1e-3)
    caplog.clear()
    text = convert(bag, tmp_path / "right", depth_unit_m=unit).text()
    depth = read_depth(open_folder(tmp_path / "right").train[0].depth, 1000.0)
    np.testing.assert_allclose(depth, 1.5)
    assert f"depth: read as {unit:g} m a unit (by --depth-unit-m), median 1.5 m, 100% of the pixels measured" in text
    assert "values look like" not in caplog.text


def test_nothing_seen_is_no_measurement_in_a_fine_unit(tmp_path: Path):
    values = np.full((24, 32), 15_000, np.uint16)
    values[:20] = 65535  # 6.5 m in tenths of a millimetre
    bag = with_depth(tmp_path, values)
    assert "median 1.5 m, 17% of the pixels measured" in convert(bag, tmp_path / "out", depth_unit_m=1e-4).text()
    assert read_depth(open_folder(tmp_path / "out").train[0].depth, 1000.0)[0, 0] == 0.0


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ("1000000", "100% of the measured depth cannot be stored at 1e+06 values a metre"),
        ("0.01", "100% of the measured depth cannot be stored at 0.01 values a metre"),
        ("4", "depth is stored in steps of 0.25 m, at a median of 1.5 m"),
        ("5000", ""),
    ],
)
def test_a_unit_of_the_output_that_loses_depth_is_said(tmp_path: Path, stored: str, said: str, caplog, capsys):
    bag = with_depth(tmp_path, np.full((24, 32), 1500, np.uint16))
    flag = "--depth-units" if stored == "4" else "--stored-depth-units"  # the old name still serves
    assert main(["bag", "to-dataset", str(bag), "--out", str(tmp_path / "out"), flag, stored]) == 0
    assert said in caplog.text
    assert ("stored" in caplog.text) == bool(said)
    assert f"stored as {float(stored):g} values a metre" in capsys.readouterr().out


def test_clouds_in_millimetres_are_projected_in_metres(tmp_path: Path):
    recording = Recording()
    plane = unproject(np.full((24, 32), 2.0), CAMERA) * 1000.0
    for index in range(COUNT):
        stamp = START + index * PERIOD
        recording.add(INFO, stamp, recording.build.camera_info(stamp, FRAME, CAMERA))
        recording.add(COLOR, stamp, recording.build.color_image(stamp, FRAME, rgb_of(index)))
        recording.add("/points", stamp, recording.build.cloud(stamp, FRAME, plane))
    add_pose_topic(recording)
    text = convert(recording.write(tmp_path / "bag"), tmp_path / "out", depth_unit_m=1e-3).text()
    np.testing.assert_allclose(read_depth(open_folder(tmp_path / "out").train[0].depth, 256.0), 2.0, atol=1e-3)
    assert "depth: read as 0.001 m a unit (by --depth-unit-m), median 2 m" in text


def test_the_default_unit_leaves_the_source_as_it_was(tmp_path: Path):
    """An interrupted run of a version without the option can be continued."""
    convert(with_depth(tmp_path, np.full((24, 32), 1500, np.uint16)), tmp_path / "out")
    assert "depth_unit_m" not in (tmp_path / "out" / "source.json").read_text()


def test_bag_info_tells_how_far_depth_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    bag = with_depth(tmp_path, np.full((24, 32), 15_000, np.uint16))
    assert main(["bag", "info", str(bag)]) == 0
    said = capsys.readouterr().out
    assert f"{DEPTH}: 16UC1, 0.001 m a unit (REP 118), first image: median 15 m, 100% of the pixels measured" in said
    assert "values look like tenths of a millimetre (0.0001 m)" in said


def test_a_camera_info_of_another_frame_is_said(tmp_path: Path):
    def other(_: int, message: object) -> None:
        message.header.frame_id = "infra_optical"

    text = convert(with_camera(tmp_path, other), tmp_path / "out").text()
    assert "note: /cam/color/camera_info is of the frame 'infra_optical', the images of /cam/color/image_raw" in text


def turned_jpeg(rgb: np.ndarray) -> bytes:
    """A JPEG whose EXIF says that it is to be turned by 90 degrees."""
    data = encode(rgb, ".jpg")
    tiff = b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + bytes(4)
    exif = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]


def mosaic_of(rgb: np.ndarray, red_row: int = 0, red_column: int = 0) -> np.ndarray:
    """What a sensor behind a Bayer filter sees of it."""
    mosaic = rgb[..., 1].copy()
    mosaic[red_row::2, red_column::2] = rgb[red_row::2, red_column::2, 0]
    mosaic[1 - red_row :: 2, 1 - red_column :: 2] = rgb[1 - red_row :: 2, 1 - red_column :: 2, 2]
    return mosaic


PLAIN = np.full((24, 32, 3), (200, 100, 30), np.uint8)
NOISE = rgb_of(3)
FILES = {
    "turned": ("jpeg", turned_jpeg(PLAIN), PLAIN, 4),
    "bgr": ("rgb8; png compressed bgr8", encode(NOISE), NOISE, 0),
    "exchanged": ("rgb8; png compressed rgb8", encode(NOISE[..., ::-1]), NOISE, 0),
    "exchanged jpeg": ("bgr8; jpeg compressed rgb8", encode(PLAIN[..., ::-1], ".jpg"), PLAIN, 4),
    "mosaic": ("bayer_rggb8; png compressed ", encode(mosaic_of(PLAIN)), PLAIN, 0),
    "mosaic gbrg": ("bayer_gbrg8; png compressed ", encode(mosaic_of(PLAIN, red_row=1)), PLAIN, 0),
    "mosaic made colours": ("bayer_rggb8; jpeg compressed bgr8", encode(PLAIN, ".jpg"), PLAIN, 4),
    "16 bits": ("rgb16; png compressed bgr16", encode(NOISE.astype(np.uint16) * 257), NOISE, 0),
    "grey": ("mono8; png compressed ", encode(NOISE[..., 0]), NOISE[..., :1].repeat(3, axis=2), 0),
    "tiff": ("rgb8; tiff compressed bgr8", encode(NOISE, ".tiff"), NOISE, 0),
}


@pytest.mark.parametrize("name", FILES)
def test_node_folder_and_file_show_the_same_pixels(tmp_path: Path, name: str):
    words, data, expected, error = FILES[name]
    recording = Recording()
    build = recording.build
    for index in range(COUNT):
        stamp = START + index * PERIOD
        recording.add("/cam/color/image_raw/compressed", stamp, build.compressed(stamp, FRAME, words, data))
        recording.add(INFO, stamp, build.camera_info(stamp, FRAME, CAMERA))
    recording.add_poses("/pose", lambda stamp: build.pose(stamp, "map", base_pose(stamp)))
    convert(recording.write(tmp_path / "bag"), tmp_path / "out")
    trained = read_color(next(open_folder(tmp_path / "out").frames()).color)
    message = build.compressed(START, FRAME, words, data)
    seen = prepare_color(decode_compressed_color(message), 24, 32)
    np.testing.assert_array_equal(seen, trained)
    inside = np.s_[2:-2, 2:-2]  # a mosaic's border is interpolated otherwise
    assert np.abs(seen[inside].astype(int) - expected[inside]).max() <= error
    if name in ("turned", "bgr", "16 bits", "grey", "tiff"):
        path = tmp_path / f"file.{'jpg' if name == 'turned' else 'png'}"
        path.write_bytes(data)
        np.testing.assert_array_equal(read_color(path), seen)


def test_a_damaged_compressed_image_is_refused_where_a_file_is(tmp_path: Path):
    for suffix in (".jpg", ".png"):
        data = encode(NOISE, suffix)[:-40]
        (tmp_path / f"a{suffix}").write_bytes(data)
        with pytest.raises(RecordingError, match="it ends before"):
            read_color(tmp_path / f"a{suffix}")
        message = Recording().build.compressed(START, FRAME, "jpeg", data)
        with pytest.raises(DecodeError, match="it ends before"):
            decode_compressed_color(message)


@pytest.mark.parametrize("encoding", ["16SC1", "32SC1", "64FC1"])
def test_numbers_of_unknown_meaning_are_no_second_colour_topic(tmp_path: Path, encoding: str):
    recording = Recording()
    recording.add_images()
    add_pose_topic(recording)
    size = {"16SC1": np.int16, "32SC1": np.int32, "64FC1": np.float64}[encoding]
    numbers = recording.build._image(START, FRAME, encoding, np.full((24, 32), 900, size))
    recording.add("/cam/disparity", START, numbers)
    recording.add("/cam/disparity/compressed", START,
                  recording.build.compressed(START, FRAME, f"{encoding}; png compressed", b"x"))  # fmt: skip
    assert convert(recording.write(tmp_path / "bag"), tmp_path / "out").train == 8
    with pytest.raises(DecodeError, match=f"carries {encoding}, which is no colour image"):
        decode_color(numbers)
    with pytest.raises(DecodeError, match=f"carries the encoding '{encoding}'"):
        decode_depth(numbers)
    with pytest.raises(RecordingError, match="no colour image topic /cam/disparity"):
        convert(tmp_path / "bag", tmp_path / "other", color="/cam/disparity")
