# SPDX-License-Identifier: Apache-2.0
"""`mvloc bag to-dataset --trajectory`: forms and frames of other systems, their times, and what contradicts depth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from synthetic_bag import COLOR, DEPTH, FRAME, INFO, START, T_BASE_CAMERA, Recording
from walk import CAMERA, FRAMES, RATE_HZ, depth_at, pose_at

from mvloc_ros.cli import main
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.recordings import open_folder, topics
from mvloc_ros.recordings.agreement.explanations import T_BODY_OPTICAL
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.trajectory_file import TrajectoryOptions, read_trajectory_file, up_note

PERIOD = round(1e9 / RATE_HZ)
STAMPS = [START + i * PERIOD for i in range(FRAMES)]
POSES = np.array([pose_at(i / RATE_HZ) for i in range(FRAMES)])
BODY = POSES @ se3.inverse(T_BODY_OPTICAL)
BASE = POSES @ se3.inverse(T_BASE_CAMERA)
NEXT_NS = 1_000_000_000_000_000_000


def recorded(path: Path, with_base: bool = False) -> Path:
    """The walk as a recording without poses."""
    recording, build = Recording(), None
    build = recording.build
    rgb = np.random.default_rng(1).integers(0, 255, (CAMERA["height"], CAMERA["width"], 3), dtype=np.uint8)
    for stamp, pose in zip(STAMPS, POSES, strict=True):
        recording.add(INFO, stamp, build.camera_info(stamp, FRAME, PinholeCamera(**CAMERA)))
        recording.add(COLOR, stamp, build.color_image(stamp, FRAME, rgb))
        recording.add(DEPTH, stamp, build.depth_image(stamp, FRAME, depth_at(pose)))
    if with_base:
        recording.add(topics.TF_STATIC, START, build.transform(START, "base_link", FRAME, T_BASE_CAMERA))
    return recording.write(path)


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("trajectory") / "bag")


@pytest.fixture(scope="module")
def robot_bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("trajectory") / "robot", with_base=True)


def tum(poses: np.ndarray, stamp: Callable[[int], str] = lambda ns: f"{ns / 1e9:.6f}", tail: str = "") -> str:
    lines = []
    for number, (ns, T) in enumerate(zip(STAMPS, poses, strict=False)):
        values = " ".join(f"{value:.9f}" for part in se3.to_parts(T) for value in part)
        lines.append(f"{stamp(ns)} {values}{tail.format(number=number)}")
    return "\n".join(lines) + "\n"


def matrices(poses: np.ndarray) -> str:
    return "".join(" ".join(f"{value:.9f}" for value in T[:3].ravel()) + "\n" for T in poses)


def convert(bag: Path, out: Path, text: str, *more: str) -> int:
    file = out.with_name("poses.txt")
    file.write_text(text)
    return main(["bag", "to-dataset", str(bag), "--out", str(out), "--trajectory", str(file), *more])


def check(out: Path, count: int = FRAMES) -> None:
    frames = list(open_folder(out).frames())
    assert len(frames) == count
    np.testing.assert_allclose([frame.T_map_camera for frame in frames], POSES[:count], atol=2e-6)


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (
            tum(POSES),
            [],
            "100 poses with times in TUM's form, of the camera's optical frame (z forward, x",
        ),
        (tum(POSES, lambda ns: f"{ns / 1e9:.4f}"), ["--trajectory-format", "tum"], "habit of tum"),
        (tum(POSES, lambda ns: f"{ns}.000000"), ["--trajectory-format", "orbslam"], "(the habit of orbslam"),
        (matrices(POSES), [], "100 poses without times in a 3x4 matrix a line, of the camera's optical frame"),
        (
            matrices(BODY),
            ["--trajectory-format", "rtabmap"],
            "of the camera with the axes of a robot (x forward",
        ),
        (
            tum(BODY, tail=" {number}"),
            [],
            "rtabmap's form with a node's number, of the camera with the axes",
        ),
        (tum(BODY), ["--trajectory-format", "rtabmap"], "(the habit of rtabmap; else --trajectory-frame)"),
        (tum(POSES), ["--trajectory-format", "rtabmap", "--trajectory-frame", "optical"], "(as given)"),
        (tum(BODY), ["--trajectory-frame", "body"], "(as given)"),
        (tum(BASE), ["--extrinsic", "0.3", "-0.1", "0.5", "-0.5", "0.5", "-0.5", "0.5"], "with --extrinsic"),
    ],
    ids=[
        "tum",
        "tum-0.1ms",
        "orbslam-ns",
        "kitti",
        "rtabmap-0",
        "rtabmap-11",
        "rtabmap-10",
        "rtabmap-1",
        "body",
        "extr",
    ],
)
def test_forms_of_other_systems(
    bag: Path, tmp_path: Path, text: str, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    assert convert(bag, tmp_path / "out", text, *options) == 0
    printed = capsys.readouterr().out
    assert said in printed
    timed = (
        "one pose for each of 100 frames, in order" if "matrix" in printed else "100 of 100 images (100%) got a pose"
    )
    assert timed in printed
    check(tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (tum(BASE, tail=" {number}"), [], "of base_link (the habit of rtabmap"),
        (tum(BASE), ["--trajectory-frame", "base_link"], "of base_link (as given)"),
    ],
)
def test_poses_of_the_robot_go_through_its_transforms(
    robot_bag: Path, tmp_path: Path, text: str, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    assert convert(robot_bag, tmp_path / "out", text, *options) == 0
    assert said in capsys.readouterr().out
    check(tmp_path / "out")


@pytest.mark.parametrize(
    ("which", "poses", "options", "remedy"),
    [
        ("bag", BODY, [], "with --trajectory-frame body"),
        ("bag", POSES, ["--trajectory-frame", "body"], "with --trajectory-frame optical"),
        ("robot_bag", BASE, [], "with --trajectory-frame base_link"),
        ("robot_bag", POSES, ["--trajectory-format", "rtabmap"], "with --trajectory-frame optical"),
    ],
)
def test_the_wrong_frame_is_refused_with_the_right_one(
    which: str, poses: np.ndarray, options: list[str], remedy: str, tmp_path: Path,
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str],
):  # fmt: skip
    assert convert(request.getfixturevalue(which), tmp_path / "out", tum(poses), *options) == 2
    error = capsys.readouterr().err
    assert "poses and depth contradict each other" in error
    assert f"would fit {remedy}, the poses being of" in error
    assert not (tmp_path / "out").exists()


def test_times_of_a_part_and_times_between(bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """30 seconds would be needed, 3 are there, 5 ms late: interpolated, stated, and warned of."""
    late = [pose_at(i / RATE_HZ + 0.005) for i in range(30)]
    text = tum(np.array(late), lambda ns: f"{(ns + 5_000_000) / 1e9:.6f}")
    assert convert(bag, tmp_path / "out", text) == 0
    printed = capsys.readouterr().out
    assert "note: trajectory: 29 of 100 images (29%) got a pose; the nearest pose is 5 ms away (median), at most 5 ms" \
        in printed  # fmt: skip
    assert "left out: 71 colour images without a pose at their time" in printed
    assert len(list(open_folder(tmp_path / "out").frames())) == 29


def test_sparse_poses_with_rounded_times_are_of_their_images(bag: Path, tmp_path: Path):
    """One pose a second, rounded to 0.1 ms: far too far apart to interpolate, but each is of an image."""
    lines = tum(POSES, lambda ns: f"{ns / 1e9 + 3e-5:.5f}").splitlines()[::10]
    assert convert(bag, tmp_path / "out", "\n".join(lines), "--force") == 0
    frames = sorted(open_folder(tmp_path / "out").frames(), key=lambda frame: frame.T_map_camera[0, 3])
    expected = sorted(POSES[::10], key=lambda T: T[0, 3])
    np.testing.assert_allclose([frame.T_map_camera for frame in frames], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        (matrices(POSES[:99]), [], "has 99 poses without times, one a frame, but the recording has 100 frames, 100"),
        (tum(POSES, lambda ns: f"{ns / 1e9 + 1e5:.3f}"), [], "No image has a pose in "),
        (tum(POSES, tail=" {number}"), ["--trajectory-format", "tum"], "give --trajectory-format rtabmap, or omit it"),
        (
            tum(POSES),
            ["--trajectory-frame", "imu"],
            "frame imu is neither optical nor body nor a frame of",
        ),
        (tum(POSES), ["--poses", "/odom"], "--trajectory gives the poses, so --poses has no meaning: remove it."),
        (tum(POSES), ["--pose-frame", "base"], "remove it; say what they are of with --trajectory-frame."),
        (tum(POSES), ["--trajectory-frame", "body", "--extrinsic", *"0000001"], "omit --trajectory-frame"),
        (tum(POSES, lambda ns: f"{ns % NEXT_NS}"), [], "look like nanoseconds; write them in seconds"),
    ],
)
def test_what_does_not_fit_is_refused(
    bag: Path, tmp_path: Path, text: str, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
):
    assert convert(bag, tmp_path / "out", text, *options) == 2
    assert sentence in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["poses.txt"]


def test_a_frame_without_a_file_is_refused(bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    command = ["bag", "to-dataset", str(bag), "--out", str(tmp_path / "out")]
    assert main([*command, "--trajectory-frame", "body"]) == 2
    assert "--trajectory-frame describes a trajectory: give its file with --trajectory." in capsys.readouterr().err


def test_small_nanoseconds_are_read_where_the_system_writes_them(tmp_path: Path):
    path = tmp_path / "t.txt"
    path.write_text(tum(POSES, str))
    assert read_trajectory_file(TrajectoryOptions(path, "orbslam")).stamps_ns.tolist() == STAMPS
    path.write_text(tum(POSES))
    with pytest.raises(RecordingError, match="which is not of --trajectory-format kitti"):
        read_trajectory_file(TrajectoryOptions(path, "kitti"))


def test_another_trajectory_is_another_folder(bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert convert(bag, tmp_path / "out", tum(POSES)) == 0
    assert convert(bag, tmp_path / "out", tum(POSES)) == 0
    assert "complete already" in capsys.readouterr().out
    moved = POSES.copy()
    moved[:, 0, 3] += 1.0
    assert convert(bag, tmp_path / "out", tum(moved)) == 2
    assert "was written from another source or with other options" in capsys.readouterr().err


def test_a_map_whose_z_is_not_up_is_noted():
    assert up_note(POSES) == ""
    first = se3.inverse(POSES[0]) @ POSES
    assert "up is about -y of the map and not +z" in up_note(first)
