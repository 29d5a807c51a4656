# SPDX-License-Identifier: Apache-2.0
"""Oxford RobotCar: a small drive in exactly its formats, whose depth and poses are known."""

from __future__ import annotations

import argparse
import csv
import logging
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvloc_ros.cli import main
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.motion_limits import MotionLimits
from mvloc_ros.geometry.trajectory import Interpolation
from mvloc_ros.recordings import RecordingError, open_folder, read_color, read_depth
from mvloc_ros.recordings.robotcar.layout import transforms
from mvloc_ros.recordings.robotcar.scans import read_scan
from mvloc_ros.recordings.robotcar.splits import SPLITS, split_traversals
from mvloc_ros.recordings.robotcar.trajectories import read_absolute, read_odometry
from mvloc_ros.recordings.robotcar.verbs import add_robotcar_arguments

FAST = MotionLimits(1e4, 1e4)  # for drives of metres and 90 degrees a millisecond
TRAIN, TEST = "2014-06-26-08-53-56", "2014-06-23-15-36-04"
WIDTH, HEIGHT = 32, 24
START_US, PERIOD_US, COUNT = 1403772836_000000, 62_500, 4
SPEED = 8.0  # metres per second, so half a metre from image to image
T_CAMERA_IMAGE = np.array([[0.0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # x right, y down, z forward
LEFT, RIGHT = (200, 100, 30), (20, 60, 240)


def bayer() -> np.ndarray:
    """GBRG of an image that is one colour left of column 16 and another one right of it."""
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rgb[:, :16], rgb[:, 16:] = LEFT, RIGHT
    raw = rgb[:, :, 1].copy()
    raw[0::2, 1::2], raw[1::2, 0::2] = rgb[0::2, 1::2, 2], rgb[1::2, 0::2, 0]
    return raw


def write_kit(root: Path, stereo: str = "0 0 0 0 0 0", ins: str = "0 0 0 0 0 0", lms: str = "1.5 0 0 0 0 0") -> None:
    """Camera models and extrinsics. The table takes each pixel from 2 columns right and 1 row below."""
    (root / "models").mkdir(parents=True)
    (root / "extrinsics").mkdir()
    matrix = "\n".join(" ".join(f"{value:.1f}" for value in row) for row in T_CAMERA_IMAGE)
    (root / "models" / "stereo_narrow_left.txt").write_text(f"20.0 20.0 15.5 11.5\n{matrix}\n")
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    np.stack([(u + 2).ravel(), (v + 1).ravel()]).tofile(root / "models" / "stereo_narrow_left_distortion_lut.bin")
    for name, text in {"stereo": stereo, "ins": ins, "lms_front": lms, "lms_rear": lms, "velodyne_left": lms}.items():
        (root / "extrinsics" / f"{name}.txt").write_text(text)


def image_us(index: int) -> int:
    return START_US + index * PERIOD_US


def ins_row(stamp: int) -> list:
    """A straight drive with a steady turn, far from the origin of UTM; interpolation of it is exact."""
    seconds = (stamp - START_US) / 1e6
    return [5735842.25 + 3.0 * seconds, 619947.5 - 2.0 * seconds, -112.125, 0.02, -0.01, 0.7 + 0.4 * seconds]


def write_drive(root: Path, name: str = TRAIN, scans: dict[int, list] | None = None, lidar: str = "lms_front") -> Path:
    """Images, INS every 20 ms, visual odometry from image to image, and the scans {stamp: points}."""
    drive = root / name
    for folder in ("stereo/centre", "gps", "vo", lidar):
        (drive / folder).mkdir(parents=True)
    for index in range(COUNT):
        assert cv2.imwrite(str(drive / "stereo" / "centre" / f"{image_us(index)}.png"), bayer())
    (drive / "stereo.timestamps").write_text("".join(f"{image_us(index)} 1\n" for index in range(COUNT)))
    columns = {
        "ins": [
            "timestamp",
            "ins_status",
            "latitude",
            "longitude",
            "altitude",
            "northing",
            "easting",
            "down",
            "utm_zone",
            "velocity_north",
            "velocity_east",
            "velocity_down",
            "roll",
            "pitch",
            "yaw",
        ]
    }
    columns["rtk"] = [name for name in columns["ins"] if name != "ins_status"]
    for kind, names in columns.items():
        with (drive / "gps" / f"{kind}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(names)
            for stamp in range(START_US - 30_000, image_us(COUNT) + 30_000, 20_000):
                pose = ins_row(stamp)
                pose[2] += 1.0 if kind == "rtk" else 0.0
                values = dict(zip(("northing", "easting", "down", "roll", "pitch", "yaw"), pose, strict=True))
                fixed = {"timestamp": stamp, "ins_status": "INS_SOLUTION_GOOD", "utm_zone": "30U"}
                writer.writerow([fixed.get(n, values.get(n, 51.76)) for n in names])
    with (drive / "vo" / "vo.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["source_timestamp", "destination_timestamp", "x", "y", "z", "roll", "pitch", "yaw"])
        for index in range(1, COUNT):
            writer.writerow([image_us(index), image_us(index - 1), SPEED * PERIOD_US / 1e6, 0, 0, 0, 0, 0])
    for stamp, points in (scans or {}).items():
        np.array(points, dtype="<f8").tofile(drive / lidar / f"{stamp}.bin")
    (drive / f"{lidar}.timestamps").write_text("".join(f"{stamp} 1\n" for stamp in sorted(scans or {START_US: []})))
    return drive


def run(tmp_path: Path, *options: str, drives: tuple[Path, ...] = ()) -> int:
    drives = drives or (tmp_path / TRAIN, tmp_path / TEST)
    lidar = () if "--lidar" in options else ("--lidar", "lms_front")
    return main(["dataset", "robotcar", *map(str, drives), "--out", str(tmp_path / "out"), *lidar, *options])


def pixels(path: Path) -> dict[tuple[int, int], float]:
    """(row, column) -> metres of the pixels that have a measurement."""
    depth = read_depth(path, 256.0)
    return {(int(v), int(u)): float(depth[v, u]) for v, u in zip(*np.nonzero(depth), strict=True)}


def test_depth_lands_on_the_pixel_and_only_from_the_past(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_kit(tmp_path)
    # A point 10 m ahead of the LIDAR and 1 m to the right, seen with each image; the LIDAR is 1.5 m before the camera.
    # From the image after, half a metre on, it is 11 m away: column 15.5 + 20 / 11 = 17.3, row 11.5, which is 12.
    scans = {image_us(1): [[10.0, 1.0, 77.0]], image_us(2) + 30_000: [[9.0, -2.0, 5.0], [-30.0, 0.0, 5.0]]}
    write_drive(tmp_path, TRAIN, scans)
    write_drive(tmp_path, TEST, scans)
    assert run(tmp_path) == 0
    printed = capsys.readouterr()
    assert "4 training and 4 test frames" in printed.out
    assert "left out: 2 depth maps without a point" in printed.out, "nothing had been scanned before the first images"
    folder = open_folder(tmp_path / "out")
    assert [frame.depth is not None for frame in folder.train] == [False, True, True, True]
    assert pixels(folder.train[1].depth) == {(12, 17): pytest.approx(11.5, abs=1 / 500)}  # 15.5 + 20 / 11.5 = 17.2
    assert pixels(folder.train[2].depth) == {(12, 17): pytest.approx(11.0, abs=1 / 500)}
    # The second scan was made 0.24 m after image 2, and image 3 is 0.26 m further on.
    second = 9.0 + 1.5 - 0.26
    column = math.floor(15.5 - 20 * 2 / second + 0.5)
    assert pixels(folder.train[3].depth) == {
        (12, 17): pytest.approx(10.5, abs=1 / 500),
        (12, column): pytest.approx(second, abs=1 / 500),
    }
    assert (folder.depth_registered, folder.depth_camera) == (True, folder.color_camera)
    assert (folder.max_depth_m, folder.depth_of_points, folder.depth_projection) == (80.0, True, "pinhole")
    assert folder.rate_hz == pytest.approx(16.0)
    assert {frame.sequence for frame in folder.train} == {f"seq-{TRAIN}"}
    assert {frame.sequence for frame in folder.test} == {f"seq-{TEST}"}


def test_a_window_to_both_sides_adds_what_was_scanned_later(tmp_path: Path):
    write_kit(tmp_path)
    scans = {image_us(2): [[10.0, 1.0, 0.0]]}
    write_drive(tmp_path, TRAIN, scans)
    write_drive(tmp_path, TEST, scans)
    assert run(tmp_path, "--window", "0", "--window-after", "0.07") == 0
    frames = open_folder(tmp_path / "out").train
    assert [frame.depth is not None for frame in frames] == [False, True, True, False]
    assert pixels(frames[1].depth) == {(12, 17): pytest.approx(12.0, abs=1 / 500)}


def test_images_are_demosaiced_and_undistorted(tmp_path: Path):
    write_kit(tmp_path)
    for name in (TRAIN, TEST):
        write_drive(tmp_path, name)
    assert run(tmp_path, "--lidar", "none") == 0
    folder = open_folder(tmp_path / "out")
    image = read_color(folder.train[0].color)
    # The table moves everything 2 columns left and 1 row up; what it takes from outside is black.
    np.testing.assert_array_equal(image[2:-4, 2:12], np.broadcast_to(LEFT, (18, 10, 3)))
    np.testing.assert_array_equal(image[2:-4, 16:28], np.broadcast_to(RIGHT, (18, 12, 3)))
    assert not image[-1:].any()
    assert not image[:, -2:].any()
    assert folder.train[0].depth is None


def rotation(angles: list[float]) -> np.ndarray:
    """Rz(yaw) Ry(pitch) Rx(roll), from quaternions."""
    roll, pitch, yaw = (quaternion.exp(np.eye(3)[i] * angle / 2) for i, angle in enumerate(angles))
    return quaternion.to_matrix(quaternion.multiply(yaw, quaternion.multiply(pitch, roll)))


def from_six(values: list[float]) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = rotation(values[3:]), values[:3]
    return T


@given(st.lists(st.floats(-3.0, 3.0), min_size=6, max_size=6))
def test_six_numbers_are_a_transform(values):
    np.testing.assert_allclose(transforms(values), from_six(values), atol=1e-12)


@pytest.mark.parametrize("source", ["ins", "rtk"])
def test_poses_are_of_the_cameras_optical_frame(tmp_path: Path, source: str):
    stereo, ins = [0.1, 0.2, -0.3, 0.01, -0.02, 0.03], [-1.7, 0.1, -0.4, -0.02, 0.01, 0.05]
    write_kit(tmp_path, stereo=" ".join(map(str, stereo)), ins=" ".join(map(str, ins)))
    for name in (TRAIN, TEST):
        write_drive(tmp_path, name)
    assert run(tmp_path, "--lidar", "none", "--poses", source) == 0
    frames = open_folder(tmp_path / "out").train
    assert len(frames) == COUNT
    for index, frame in enumerate(frames):
        pose = ins_row(image_us(index))
        T_world_ins = from_six(pose)
        T_world_ins[2, 3] += 1.0 if source == "rtk" else 0.0
        T_camera_ins = from_six(stereo) @ from_six(ins)
        expected = T_world_ins @ np.linalg.inv(T_camera_ins) @ T_CAMERA_IMAGE
        np.testing.assert_allclose(frame.T_map_camera[:3, 3], expected[:3, 3], atol=1e-6, rtol=0)
        # Roll and pitch make the slerp differ from the interpolated yaw in the seventh digit.
        assert se3.rotation_error(frame.T_map_camera, expected) < 1e-6


def test_a_panorama_sees_all_around(tmp_path: Path):
    write_kit(tmp_path)
    scans = {image_us(0): [[6.5, 0.05, 0.0], [-5.5, -0.05, 0.0], [-1.5, 3.0, 0.0]]}
    for name in (TRAIN, TEST):
        write_drive(tmp_path, name, scans)
    assert run(tmp_path, "--projection", "cylindrical", "--elevation", "-30", "30") == 0
    folder = open_folder(tmp_path / "out")
    assert (folder.depth_registered, folder.depth_projection) == (False, "cylindrical")
    # 32 columns of 11.25 degrees: ahead 16, to the right 24, behind on the left 0; the horizon is row 12.
    assert pixels(folder.train[0].depth) == {
        (12, 16): pytest.approx(8.0, abs=0.01),
        (12, 24): pytest.approx(3.0, abs=0.01),
        (12, 0): pytest.approx(4.0, abs=0.01),
    }


def test_depth_follows_the_images_size(tmp_path: Path):
    write_kit(tmp_path)
    scans = {image_us(0): [[10.0, 1.0, 0.0]]}
    for name in (TRAIN, TEST):
        write_drive(tmp_path, name, scans)
    assert run(tmp_path, "--short-side", "12", "--every", "2") == 0
    folder = open_folder(tmp_path / "out")
    assert (folder.color_camera.width, folder.color_camera.height, folder.color_camera.fx) == (16, 12, 10.0)
    assert [frame.index for frame in folder.train] == [0, 1]
    assert read_color(folder.train[0].color).shape == (12, 16, 3)
    # (15.5 + 20 / 11.5 + 0.5) / 2 - 0.5 = 8.4
    assert pixels(folder.train[0].depth) == {(6, 8): pytest.approx(11.5, abs=1 / 500)}


def test_velodyne_scans_of_both_forms_are_the_same_points(tmp_path: Path):
    raw = np.zeros((106, 2), np.uint8)
    for laser, column, units in ((8, 0, 2500), (31, 1, 10000), (0, 1, 400)):  # 5 m, 20 m, and 0.8 m: too near
        raw[32 + 2 * laser, column], raw[33 + 2 * laser, column] = units & 255, units >> 8
    for column, angle in enumerate((9000, 18000)):  # 90 and 180 degrees
        raw[96, column], raw[97, column] = angle & 255, angle >> 8
    assert cv2.imwrite(str(tmp_path / "1.png"), raw)
    up = math.radians(92.0 / 3.0)
    expected = np.array([[5.0, 0.0, -0.090805], [0.0, 20 * math.cos(up), 20 * math.sin(up) - 0.090805]])
    np.testing.assert_allclose(read_scan(tmp_path / "1.png", "velodyne_left"), expected, atol=1e-9)
    np.vstack([expected.T, [[7.0, 8.0]]]).astype("<f4").tofile(tmp_path / "2.bin")
    np.testing.assert_allclose(read_scan(tmp_path / "2.bin", "velodyne_left"), expected, atol=1e-6)
    np.array([[1.0, 2.0, 3.0], [np.nan, 0.0, 0.0], [0.0, 0.0, 0.0]]).tofile(tmp_path / "3.bin")
    np.testing.assert_array_equal(read_scan(tmp_path / "3.bin", "ldmrs"), [[1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(read_scan(tmp_path / "3.bin", "lms_rear"), [[1.0, 2.0, 0.0]])


def test_odometry_is_chained_in_either_direction_and_not_across_a_break(tmp_path: Path):
    lines = ["source_timestamp,destination_timestamp,x,y,z,roll,pitch,yaw"]
    turn = math.pi / 2
    lines += [f"2000,1000,1,0,0,0,0,{turn}", f"3000,2000,1,0,0,0,0,{turn}", "9000,8000,5,0,0,0,0,0"]
    (tmp_path / "vo.csv").write_text("\n".join(lines))
    odometry = read_odometry(tmp_path / "vo.csv")
    number, T = odometry.at(3_000_000, Interpolation(10**9, FAST))
    assert number == 0
    np.testing.assert_allclose(T[:3, 3], [1.0, 1.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(T[:3, 0], [-1.0, 0.0, 0.0], atol=1e-12)
    assert odometry.at(5_000_000, Interpolation(10**12, FAST)) is None
    assert odometry.at(8_500_000, Interpolation(10**9, FAST))[0] == 1
    # The same drive with sources before destinations.
    back = se3.inverse(from_six([1, 0, 0, 0, 0, turn]))
    (tmp_path / "back.csv").write_text("\n".join([
        lines[0], *(f"{a},{b},{back[0, 3]},{back[1, 3]},0,0,0,{-turn}" for a, b in ((1000, 2000), (2000, 3000))),
    ]))  # fmt: skip
    backwards = read_odometry(tmp_path / "back.csv")
    first, last = (backwards.at(stamp, Interpolation(10**9, FAST))[1] for stamp in (1_000_000, 3_000_000))
    np.testing.assert_allclose(se3.inverse(first) @ last, T, atol=1e-12)


def test_uncertain_ins_solutions_are_left_out_on_request(tmp_path: Path):
    write_kit(tmp_path)
    drive = write_drive(tmp_path)
    path = drive / "gps" / "ins.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *(line.replace("SOLUTION_GOOD", "BAD_GPS_AGREE") for line in lines[1:4]),
                               *lines[4:]]))  # fmt: skip
    assert len(read_absolute(path)) - len(read_absolute(path, good_only=True)) == 3
    path.write_text(path.read_text().replace("SOLUTION_GOOD", "INACTIVE"))
    with pytest.raises(RecordingError, match="contains no pose with INS_SOLUTION_GOOD"):
        read_absolute(path, good_only=True)


def test_no_pose_is_made_up_where_the_ins_jumps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    write_kit(tmp_path)
    for name in (TRAIN, TEST):
        write_drive(tmp_path, name)
    path = tmp_path / TRAIN / "gps" / "ins.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if int(row["timestamp"]) > image_us(1):
            row["northing"] = str(float(row["northing"]) + 10.0)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert run(tmp_path) == 0
    assert "1 images without a pose at their time, between two poses that no motion" in capsys.readouterr().out
    assert "ins.csv: 1 step exceeds 60 m/s or 180 deg/s, at " in caplog.text
    assert main(["dataset", "robotcar", str(tmp_path / TRAIN), str(tmp_path / TEST), "--lidar", "none", "--out",
                 str(tmp_path / "fast"), "--max-speed", "1000"]) == 0  # fmt: skip
    assert "without a pose" not in capsys.readouterr().out


def examples(text: str) -> list[argparse.Namespace]:
    """The commands of a text that write published traversals."""
    parser = argparse.ArgumentParser()
    add_robotcar_arguments(parser)
    commands = [line.split("#")[0].split() for line in text.splitlines() if "mvloc dataset robotcar 2014" in line]
    return [parser.parse_args(words[3:]) for words in commands]


@pytest.mark.parametrize("where", ["docs", "help"])
def test_examples_name_every_traversal_of_loop_and_full_and_one_window(where: str):
    parser = argparse.ArgumentParser()
    add_robotcar_arguments(parser)
    page = Path(__file__).parents[2] / "docs" / "datasets.md"
    found = examples(page.read_text() if where == "docs" else parser.epilog or "")
    named = [{str(path) for path in args.traversals} for args in found]
    assert named == [{*train, *test} for train, test in SPLITS.values()]
    assert {(args.window, args.window_after) for args in found} == {(10.0, 10.0)}


def test_splits_by_traversal():
    loop = ["2014-06-26-09-24-58", "2014-06-23-15-41-25", "2014-06-26-08-53-56"]
    assert split_traversals(loop, None) == ([loop[0], loop[2]], [loop[1]])
    full = ["2014-11-28-12-07-13", "2014-12-12-10-45-15"]
    assert split_traversals(full, None) == (full[:1], full[1:])
    assert split_traversals(["a", "b"], ["a"]) == (["b"], ["a"])
    for names, test, sentence in (
        ([loop[0], full[1]], None, "do not belong to one published split"),
        (["a", "b"], None, "choose those for testing with"),
        (["a", "b"], ["c"], "--test gives c, which is not one of the traversals: a, b"),
        (loop[:1], None, "is for test: add one"),
        (["a", "b"], ["a", "b"], "is for training"),
        (["a", "a"], ["a"], "given twice"),
    ):
        with pytest.raises(RecordingError, match=sentence):
            split_traversals(names, test)


def test_damaged_files_are_counted_and_an_interrupted_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch,
):  # fmt: skip
    write_kit(tmp_path)
    scans = {image_us(0): [[10.0, 1.0, 0.0]], image_us(1): [[1.0, 2.0, 3.0]]}
    for name in (TRAIN, TEST):
        write_drive(tmp_path, name, scans)
    (tmp_path / TRAIN / "lms_front" / f"{image_us(1)}.bin").write_bytes(bytes(25))
    image = tmp_path / TRAIN / "stereo" / "centre" / f"{image_us(2)}.png"
    image.write_bytes(image.read_bytes()[:-20])
    (tmp_path / TRAIN / "stereo" / "centre" / f"{image_us(1)}.png").unlink()
    from mvloc_ros.recordings.robotcar import writing

    original, written = writing.depth_map, []

    def stopping(*rest):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(rest[1])
        return original(*rest)

    monkeypatch.setattr(writing, "depth_map", stopping)
    assert run(tmp_path) == 130
    assert not (tmp_path / "out").exists()
    before = {path.relative_to(tmp_path / ".out.partial"): path.stat().st_ino
              for path in (tmp_path / ".out.partial").glob("*/*.png")}  # fmt: skip
    assert len(before) >= 4
    monkeypatch.setattr(writing, "depth_map", lambda *rest: (written.append(rest[1]), original(*rest))[1])
    with caplog.at_level(logging.WARNING):
        assert run(tmp_path) == 0
    assert len(written) == 6
    assert all((tmp_path / "out" / path).stat().st_ino == inode for path, inode in before.items()), "written twice"
    printed = capsys.readouterr().out
    for line in ("2 training and 4 test frames", "left out: 1 images that cannot be read",
                 "left out: 1 stamps without an image file", "depth in "):  # fmt: skip
        assert line in printed
    assert [frame.index for frame in open_folder(tmp_path / "out").train] == [0, 3]
    assert run(tmp_path) == 0
    assert "complete already" in capsys.readouterr().out
    assert run(tmp_path, "--window", "1") == 2
    assert "written from another source or with other options" in capsys.readouterr().err


def test_a_scan_that_is_damaged_is_counted_and_sparse_depth_is_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    write_kit(tmp_path)
    scans = {image_us(0): [[-10.0, 1.0, 0.0]], image_us(1): [[1.0, 2.0, 3.0]]}
    for name in (TRAIN, TEST):
        write_drive(tmp_path, name, scans)
        (tmp_path / name / "lms_front" / f"{image_us(1)}.bin").write_bytes(bytes(25))
    with caplog.at_level(logging.WARNING):
        assert run(tmp_path) == 0
    assert "left out: 2 scans of lms_front that are damaged" in capsys.readouterr().out
    assert "ends within a point" in caplog.text
    assert "Only 0.000 % of the pixels have depth" in caplog.text


@pytest.mark.parametrize(
    ("remove", "sentence"),
    [
        (f"{TRAIN}/gps/ins.csv", "has no gps/ins.csv: download it"),
        (f"{TRAIN}/vo/vo.csv", "has no vo/vo.csv"),
        (f"{TRAIN}/stereo.timestamps", "has no stereo.timestamps"),
        (f"{TRAIN}/lms_front.timestamps", "has no lms_front.timestamps"),
        ("models/stereo_narrow_left.txt", "give the folder of the data set's kit with --models"),
        ("models/stereo_narrow_left_distortion_lut.bin", "its table cannot be read"),
        ("extrinsics/lms_front.txt", "with --extrinsics"),
        ("extrinsics/ins.txt", "with --extrinsics"),
    ],
)
def test_missing_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], remove: str, sentence: str):
    write_kit(tmp_path)
    for name in (TRAIN, TEST):
        write_drive(tmp_path, name, {image_us(0): [[1.0, 1.0, 1.0]]})
    (tmp_path / remove).unlink()
    assert run(tmp_path) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error
    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".", "out"))]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (f"{TRAIN}/gps/ins.csv", "timestamp,northing\n1,2\n", "has no column 'easting'"),
        (f"{TRAIN}/vo/vo.csv", "source_timestamp,destination_timestamp,x,y,z,roll,pitch,yaw\n1,2,x,0,0,0,0,0\n",
         r"Line 2 of .*vo.csv is damaged"),
        (f"{TRAIN}/stereo.timestamps", "soon 1\n", "is not a list of `timestamp chunk`"),
        ("models/stereo_narrow_left.txt", "1 2 3\n", "must contain fx fy cx cy"),
        ("models/stereo_narrow_left_distortion_lut.bin", "12345678" * 5, "has 5 numbers, but images of 32x24"),
        ("extrinsics/stereo.txt", "1 2 3\n", "must contain six numbers"),
    ],
)  # fmt: skip
def test_damaged_files_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, sentence: str
):
    import re

    write_kit(tmp_path)
    for drive in (TRAIN, TEST):
        write_drive(tmp_path, drive, {image_us(0): [[1.0, 1.0, 1.0]]})
    (tmp_path / name).write_text(content)
    assert run(tmp_path) == 2
    assert re.search(sentence, capsys.readouterr().err)


def test_wrong_options_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_kit(tmp_path)
    for name in (TRAIN, TEST):
        write_drive(tmp_path, name)
    assert run(tmp_path, "--projection", "cylindrical", "--azimuth", "10", "-10") == 2
    assert "--azimuth or --elevation cannot be used" in capsys.readouterr().err
    assert run(tmp_path, "--every", "0") == 2
    assert "must be 1 or more" in capsys.readouterr().err
    assert run(tmp_path, drives=(tmp_path / "nowhere",)) == 2
    assert "nowhere does not exist or is not a folder" in capsys.readouterr().err
