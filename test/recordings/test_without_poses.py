# SPDX-License-Identifier: Apache-2.0
"""`mvloc bag to-dataset --poses none`: images and cameras of a recording without poses, and its odometry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic_bag import (
    CAMERA,
    COUNT,
    FRAME,
    PERIOD,
    START,
    T_BASE_CAMERA,
    Recording,
    base_pose,
    convert,
    encode,
    millimetres_of,
    rgb_of,
)

from mvloc_ros.cli import main
from mvloc_ros.geometry.trajectory import read_tum
from mvloc_ros.recordings import RecordingError, read_color, read_depth, topics
from mvloc_ros.recordings.bare_folder import open_bare_folder
from mvloc_ros.recordings.camera_file import read_camera_file


def bare(bag: Path, out: Path, *more: str) -> int:
    return main(["bag", "to-dataset", str(bag), "--out", str(out), "--poses", "none", *more])


def add_odometry(recording: Recording, topic: str = "/odom", pose=base_pose) -> None:
    recording.add_poses(topic, lambda stamp: recording.build.odometry(stamp, "odom", "base_link", pose(stamp)))


def check_images(out: Path) -> None:
    """Images in one sequence, cameras, and nothing that only a folder with poses has."""
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    frames = {f"seq-01/frame-{i:06d}.{kind}.png" for i in range(COUNT) for kind in ("color", "depth")}
    assert names - {"seq-01/odometry.tum"} == {"camera.json", "source.json", *frames}
    for index in range(COUNT):
        stem = f"{out}/seq-01/frame-{index:06d}"
        np.testing.assert_array_equal(read_color(Path(f"{stem}.color.png")), rgb_of(index))
        depth = read_depth(Path(f"{stem}.depth.png"), 1000.0)
        np.testing.assert_allclose(depth, millimetres_of(index) / 1000, rtol=1e-6)
    settings = read_camera_file(out)
    assert settings["color_camera"] == settings["depth_camera"] == CAMERA
    assert settings["rate_hz"] == pytest.approx(10.0)


def check_odometry(out: Path) -> None:
    """The pose of the base at each image's own time, at the stamp that readers of the layout give its frame."""
    sequence = open_bare_folder(out).sequences[0]
    odometry = sequence.odometry
    assert odometry.stamps_ns.tolist() == [frame.stamp_ns for frame in sequence.frames]
    np.testing.assert_allclose(odometry.poses, [base_pose(START + i * PERIOD) for i in range(COUNT)], atol=1e-6)


def test_a_topic_of_odometry_is_kept_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    recording = Recording()
    recording.add_images()
    add_odometry(recording)
    recording.add(topics.TF_STATIC, START, recording.build.transform(START, "base_link", FRAME, T_BASE_CAMERA))
    bag = recording.write(tmp_path / "bag")
    assert bare(bag, tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert f"{tmp_path / 'out'}: {COUNT} frames\n" in printed
    assert f"odometry: /odom, base_link in 'odom', at {COUNT} of {COUNT} frames" in printed
    assert "poses: none were read" in printed
    check_images(tmp_path / "out")
    check_odometry(tmp_path / "out")
    text = (tmp_path / "out" / "seq-01" / "odometry.tum").read_text()
    assert "# pose of base_link in odom, from /odom\n# cam_optical in base_link, x y z qx qy qz qw: 0.300" in text
    assert bare(bag, tmp_path / "out") == 0
    assert "complete already" in capsys.readouterr().out


def test_odometry_of_transforms(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    recording = Recording()
    recording.add_images()
    recording.add_poses("/tf", lambda at: recording.build.transform(at, "odom", "base_link", base_pose(at)))
    assert bare(recording.write(tmp_path / "bag"), tmp_path / "out") == 0
    assert f"odometry: /tf, base_link in 'odom', at {COUNT} of {COUNT} frames" in capsys.readouterr().out
    check_odometry(tmp_path / "out")


@pytest.mark.parametrize(
    ("odometry", "sentence"),
    [
        ((), "odometry: none (the recording has no topic of odometry, and no odom -> base_link in /tf)"),
        (("/odom", "/visual"), "odometry: none (the recording has 2 topics of odometry, /odom, /visual, and no odom"),
    ],
)
def test_no_odometry_is_said(
    tmp_path: Path, odometry: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
):
    recording = Recording()
    recording.add_images()
    for topic in odometry:
        add_odometry(recording, topic)
    assert bare(recording.write(tmp_path / "bag"), tmp_path / "out") == 0
    assert sentence in capsys.readouterr().out
    check_images(tmp_path / "out")
    assert not (tmp_path / "out" / "seq-01" / "odometry.tum").exists()


def test_odometry_that_contradicts_itself_is_not_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    recording = Recording()
    recording.add_images()
    add_odometry(recording)
    shift = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0.4], [0, 0, 1, 0], [0, 0, 0, 1]])
    add_odometry(recording, pose=lambda at: shift @ base_pose(at))
    assert bare(recording.write(tmp_path / "bag"), tmp_path / "out") == 0
    assert "odometry: none (it cannot be used: /odom has two different poses at" in capsys.readouterr().out
    assert not (tmp_path / "out" / "seq-01" / "odometry.tum").exists()


def test_odometry_of_a_part_of_the_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    recording = Recording()
    recording.add_images()
    for stamp in range(START, START + 4 * PERIOD + 1, 20_000_000):
        recording.add("/odom", stamp, recording.build.odometry(stamp, "odom", "base_link", base_pose(stamp)))
    assert bare(recording.write(tmp_path / "bag"), tmp_path / "out") == 0
    assert f"at 5 of {COUNT} frames" in capsys.readouterr().out
    assert len(read_tum(tmp_path / "out" / "seq-01" / "odometry.tum")) == 5


def test_a_pause_stays_in_one_sequence_and_in_the_numbers(tmp_path: Path):
    recording = Recording()
    build = recording.build
    for index in (0, 1, 2, 3, 40, 41):
        stamp = START + index * PERIOD
        recording.add("/cam/color/camera_info", stamp, build.camera_info(stamp, FRAME, CAMERA))
        recording.add("/cam/color/image_raw", stamp, build.color_image(stamp, FRAME, rgb_of(index)))
        recording.add("/cam/depth/image_raw", stamp, build.depth_image(stamp, FRAME, millimetres_of(index)))
    assert bare(recording.write(tmp_path / "bag"), tmp_path / "out") == 0
    names = sorted(path.name for path in (tmp_path / "out" / "seq-01").glob("*.color.png"))
    assert names == [f"frame-{i:06d}.color.png" for i in (0, 1, 2, 3, 40, 41)]


def test_an_image_that_cannot_be_read_is_left_out_with_its_odometry(tmp_path: Path):
    recording = Recording()
    build = recording.build
    for index in range(COUNT):
        stamp = START + index * PERIOD
        data = encode(rgb_of(index)) if index != 3 else b"\x89PNG no image"
        recording.add("/cam/color/camera_info", stamp, build.camera_info(stamp, FRAME, CAMERA))
        recording.add("/cam/color/compressed", stamp, build.compressed(stamp, FRAME, "png", data))
        recording.add("/cam/depth/image_raw", stamp, build.depth_image(stamp, FRAME, millimetres_of(index)))
    add_odometry(recording)
    summary = convert(recording.write(tmp_path / "bag"), tmp_path / "out", source="none")
    assert (summary.train, summary.left_out["that cannot be read"]) == (COUNT - 1, 1)
    assert not list((tmp_path / "out").rglob("frame-000003*"))
    assert len(read_tum(tmp_path / "out" / "seq-01" / "odometry.tum")) == COUNT - 1


@pytest.mark.parametrize(
    "option",
    [["--pose-frame", "base_link"], ["--extrinsic", "0", "0", "0", "0", "0", "0", "1"], ["--map-frame", "world"],
     ["--test-fraction", "0.3"]],
    ids=lambda option: option[0],
)  # fmt: skip
def test_options_of_poses_have_no_meaning_there(tmp_path: Path, option: list[str], capsys: pytest.CaptureFixture[str]):
    recording = Recording()
    recording.add_images()
    assert bare(recording.write(tmp_path / "bag"), tmp_path / "out", *option) == 2
    assert capsys.readouterr().err == (
        f"mvloc bag to-dataset: --poses none writes a folder without poses, so {option[0]} has no meaning: remove it.\n"
    )
    assert not (tmp_path / "out").exists()


def test_images_without_partners_are_refused(tmp_path: Path):
    recording = Recording()
    recording.add_images(skip_depth=tuple(range(1, COUNT)))
    with pytest.raises(RecordingError, match=r"1 can be used as frames \(9 without depth within 20 ms\): widen --max-"):
        convert(recording.write(tmp_path / "bag"), tmp_path / "out", source="none")
