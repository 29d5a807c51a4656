# SPDX-License-Identifier: Apache-2.0
"""The 7-Scenes layout and its traps."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from mvloc_ros.cli import main
from mvloc_ros.recordings import RecordingError, open_folder, read_color, read_depth
from mvloc_ros.recordings.contents import contents_text


def test_official_split_in_order_of_time(seven_scenes: Path):
    folder = open_folder(seven_scenes)
    assert (folder.layout, folder.pose_of, folder.depth_registered) == ("7scenes", "depth", False)
    assert [frame.sequence for frame in folder.train] == ["seq-01"] * 4 + ["seq-03"] * 4
    assert [frame.sequence for frame in folder.test] == ["seq-02"] * 4
    stamps = [frame.stamp_ns for frame in folder.frames()]
    assert stamps[0] == 1_000_000_000
    assert np.diff(stamps)[0] == 33_333_333
    assert stamps[4] - stamps[3] == 1_000_000_000
    assert np.all(np.diff(stamps) > 0)


def test_rotations_are_on_so3_and_the_pose_is_kept(seven_scenes: Path, pose_of):
    frame = open_folder(seven_scenes).test[1]
    rotation = frame.T_map_camera[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(frame.T_map_camera, pose_of(9), atol=1e-9)


def test_png_and_jpeg_are_both_found(seven_scenes: Path, color_of):
    folder = open_folder(seven_scenes)
    np.testing.assert_array_equal(read_color(folder.train[2].color), color_of(2))
    assert folder.test[2].color.suffix == ".jpg"
    assert np.abs(read_color(folder.test[2].color).astype(int) - color_of(2)).max() < 12
    depth = read_depth(folder.test[2].depth, folder.depth_units_per_metre)
    assert depth[0, 0] == depth[0, 1] == 0.0
    assert depth[5, 5] == pytest.approx(1.512)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (None, "1 without a pose file"),
        ("nan " * 16, "1 with an invalid pose"),
        ("1 0 0 0\n0 1 0 0\n0 0 1 0", "1 with an invalid pose"),
        ("2 0 0 0\n0 2 0 0\n0 0 2 0\n0 0 0 1", "1 with an invalid pose"),
        ("1 0 0 -1.#IND\n0 1 0 0\n0 0 1 0\n0 0 0 1", "1 with an invalid pose"),
        ("-1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1", "1 with an invalid pose"),
    ],
)
def test_a_frame_without_a_rigid_pose_is_left_out_and_counted(seven_scenes: Path, caplog, content, cause):
    path = seven_scenes / "seq-01" / "frame-000001.pose.txt"
    path.unlink() if content is None else path.write_text(content)
    with caplog.at_level(logging.WARNING):
        folder = open_folder(seven_scenes)
    assert [frame.index for frame in folder.train[:3]] == [0, 2, 3]
    assert folder.train[1].stamp_ns - folder.train[0].stamp_ns == pytest.approx(2e9 / 30, abs=1)
    assert cause in caplog.text


def test_a_frame_may_lack_one_image(seven_scenes: Path):
    (seven_scenes / "seq-02" / "frame-000000.depth.png").unlink()
    (seven_scenes / "seq-02" / "frame-000001.color.jpg").unlink()
    test = open_folder(seven_scenes).test
    assert test[0].depth is None
    assert test[1].color is None
    assert test[1].depth is not None


def test_an_empty_split_is_refused(seven_scenes: Path):
    (seven_scenes / "TestSplit.txt").write_text("# none\n")
    with pytest.raises(RecordingError, match="no usable test frame"):
        open_folder(seven_scenes)


def test_a_split_that_names_what_is_not_there_is_refused(seven_scenes: Path):
    (seven_scenes / "TestSplit.txt").write_text("sequence12\n")
    with pytest.raises(RecordingError, match=r"TestSplit\.txt names 'sequence12'.*seq-12"):
        open_folder(seven_scenes)


def test_a_split_that_names_a_sequence_twice_is_refused(seven_scenes: Path):
    """Its frames would be learned from, or judged, twice."""
    names = (seven_scenes / "TrainSplit.txt").read_text()
    (seven_scenes / "TrainSplit.txt").write_text(names + names)
    with pytest.raises(RecordingError, match=r"TrainSplit\.txt names '.*' twice"):
        open_folder(seven_scenes)


def test_a_sequence_in_both_splits_is_refused(seven_scenes: Path):
    (seven_scenes / "TestSplit.txt").write_text("sequence3\n")
    with pytest.raises(RecordingError, match="seq-03 for training and for test"):
        open_folder(seven_scenes)


def test_without_split_files_the_end_of_each_sequence_is_test(seven_scenes: Path):
    for name in ("TrainSplit.txt", "TestSplit.txt"):
        (seven_scenes / name).unlink()
    folder = open_folder(seven_scenes, test_fraction=0.25)
    assert [(frame.sequence, frame.index) for frame in folder.test] == [("seq-01", 3), ("seq-02", 3), ("seq-03", 3)]
    assert len(folder.train) == 9


def test_one_split_file_alone_is_refused(seven_scenes: Path):
    (seven_scenes / "TestSplit.txt").unlink()
    with pytest.raises(RecordingError, match=r"has TrainSplit\.txt but no TestSplit\.txt"):
        open_folder(seven_scenes)


def test_the_default_cameras_follow_the_image_size(seven_scenes: Path):
    folder = open_folder(seven_scenes)
    assert (folder.color_camera.width, folder.color_camera.height) == (32, 24)
    assert folder.color_camera.fx == pytest.approx(525 / 20)
    assert folder.depth_camera.fx == pytest.approx(585 / 20)


def test_camera_json_states_what_differs(seven_scenes: Path):
    camera = {"width": 32, "height": 24, "fx": 30, "fy": 31, "cx": 16, "cy": 12}
    values = {
        "color": camera,
        "depth": camera,
        "depth_registered": True,
        "pose_of": "color",
        "rate_hz": 10,
        "depth_units_per_metre": 4000,
        "licence": "CC0",
        "max_depth": 12.5,
        "depth_of_points": True,
    }
    plain = open_folder(seven_scenes)
    assert (plain.max_depth_m, plain.depth_of_points) == (None, False)
    (seven_scenes / "camera.json").write_text(json.dumps(values))
    folder = open_folder(seven_scenes)
    assert folder.color_camera.to_dict() == folder.depth_camera.to_dict() == camera
    assert (folder.pose_of, folder.depth_registered, folder.rate_hz, folder.licence) == ("color", True, 10.0, "CC0")
    assert (folder.depth_units_per_metre, folder.max_depth_m, folder.depth_of_points) == (4000.0, 12.5, True)
    assert folder.train[1].stamp_ns - folder.train[0].stamp_ns == 100_000_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not valid JSON"),
        ("[]", "must contain one JSON object"),
        ('{"rate": 3}', "unknown key 'rate'"),
        ('{"rate_hz": -1}', "rate_hz must be positive, not -1"),
        ('{"rate_hz": "fast"}', "rate_hz must be a number, not 'fast'"),
        ('{"max_depth": 0}', "max_depth must be positive, not 0"),
        ('{"depth_projection": "fisheye"}', "depth_projection must be pinhole or cylindrical"),
        ('{"pose_of": "lidar"}', "pose_of must be color or depth"),
        ('{"depth_registered": "no"}', "depth_registered must be true or false, not 'no'"),
        ('{"color": {"width": 32}}', "A camera needs width, height, fx, fy, cx, cy"),
        ('{"color": {"width": 32, "height": 24, "fx": NaN, "fy": 9, "cx": 9, "cy": 9}}', "NaN is not a number in JSON"),
        ('{"color": {"width": 64, "height": 48, "fx": 9, "fy": 9, "cx": 9, "cy": 9}}', "has 32x24 pixels"),
    ],
)
def test_a_wrong_camera_json_is_explained(seven_scenes: Path, text: str, words: str):
    (seven_scenes / "camera.json").write_text(text)
    with pytest.raises(RecordingError, match=words) as error:
        open_folder(seven_scenes)
    assert "camera.json" in str(error.value)


def test_what_is_no_recording_is_refused(tmp_path: Path):
    with pytest.raises(RecordingError, match="does not exist or is not a folder"):
        open_folder(tmp_path / "nowhere")
    with pytest.raises(RecordingError, match="neither the 7-Scenes layout"):
        open_folder(tmp_path)


@pytest.mark.parametrize("suffix", ["jpeg", "JPG", "PNG", "bmp", "ppm", "tiff", "webp"])
def test_images_of_any_kind_and_case_are_found(seven_scenes: Path, color_of, suffix: str):
    for path in seven_scenes.glob("seq-*/*.color.*"):
        image = cv2.imread(str(path))
        path.unlink()
        bare = path.with_name(path.name.split(".")[0] + f".color.{suffix}")
        options = [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == "webp" else [cv2.IMWRITE_JPEG_QUALITY, 100]
        bare.write_bytes(cv2.imencode(f".{suffix.lower()}", image, options)[1].tobytes())
    folder = open_folder(seven_scenes)
    found = read_color(folder.train[2].color)
    assert np.abs(found.astype(int) - color_of(2)).max() <= (12 if suffix in ("jpeg", "JPG") else 0)
    assert "8 training and 4 test frames with 12 color and 12 depth images, 30 Hz" in contents_text(folder)


def test_files_that_are_not_read_are_said(seven_scenes: Path, caplog: pytest.LogCaptureFixture):
    for path in seven_scenes.glob("seq-*/*.color.*"):
        path.rename(path.with_name(path.name.split(".")[0] + ".rgb.png"))
    with caplog.at_level(logging.WARNING):
        folder = open_folder(seven_scenes)
    assert "with 0 color and 12 depth images" in contents_text(folder)
    assert "4 files are not read" in caplog.text
    assert "the first: frame-000000.rgb.png" in caplog.text


@pytest.mark.parametrize("name", ["frame-0000.color.png", "frame-000000.color.jpg", "frame-0.pose.txt"])
def test_two_files_for_one_frame_are_refused(seven_scenes: Path, name: str):
    (seven_scenes / "seq-01" / name).write_bytes(b"")
    with pytest.raises(RecordingError, match=r"two (color|pose) files of frame 0, .* and .*: keep one"):
        open_folder(seven_scenes)


def test_numbers_that_are_times_are_refused(seven_scenes: Path):
    for path in (seven_scenes / "seq-01").glob("frame-000003.*"):
        path.rename(path.with_name(path.name.replace("000003", "1305031102175304123")))
    with pytest.raises(RecordingError, match=r"number 1305031102175304123, .*rgb\.txt"):
        open_folder(seven_scenes)


def test_text_of_other_systems_is_read(seven_scenes: Path, pose_of):
    before = [frame.T_map_camera for frame in open_folder(seven_scenes).frames()]
    first, second = (seven_scenes / "seq-01" / f"frame-00000{index}.pose.txt" for index in (0, 1))
    first.write_text(" ".join(first.read_text().split()[:12]) + "\n")  # KITTI's
    second.write_bytes(second.read_text().encode("utf-16"))
    for name in ("TrainSplit.txt", "TestSplit.txt"):
        path = seven_scenes / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    (seven_scenes / "camera.json").write_bytes(b"\xef\xbb\xbf" + b'{"rate_hz": 15}')
    folder = open_folder(seven_scenes)
    assert folder.rate_hz == 15
    np.testing.assert_allclose([frame.T_map_camera for frame in folder.frames()], before, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("TrainSplit.txt", b"sequence1\nsequ\xe9nce3\n", r"Line 2 of the split file .* is not UTF-8"),
        ("camera.json", b'{"licence": "\xe9"}', r"Line 1 of the camera file .* is not UTF-8"),
    ],
)
def test_text_that_is_not_utf8_is_named(seven_scenes: Path, name: str, content: bytes, sentence: str):
    (seven_scenes / name).write_bytes(content)
    with pytest.raises(RecordingError, match=sentence):
        open_folder(seven_scenes)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"1,0 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1", "commas.*'1,0 0 0 0'"),
        (b"\xe9", "is not UTF-8"),
        (b"1 2", "has 2 num"),
    ],
)
def test_what_is_wrong_with_a_pose_file_is_shown(seven_scenes: Path, caplog, content: bytes, said: str):
    (seven_scenes / "seq-01" / "frame-000001.pose.txt").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        folder = open_folder(seven_scenes)
    assert re.search(rf"1 with an invalid pose; the first: .*{said}", caplog.text)
    assert contents_text(folder).endswith("; 1 left out")


def test_from_folder_says_what_it_found(seven_scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (seven_scenes / "seq-03" / "frame-000001.color.jpg").unlink()
    assert main(["bag", "from-folder", str(seven_scenes), "--out", str(tmp_path / "bag")]) == 0
    said = "7-Scenes layout, 8 training and 4 test frames with 11 color and 12 depth images, 30 Hz"
    assert said in capsys.readouterr().out
