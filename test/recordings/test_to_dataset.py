# SPDX-License-Identifier: Apache-2.0
"""`mvloc bag to-dataset`: recordings of both kinds, every source of poses, and what has none."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin
from synthetic_bag import (
    CAMERA,
    COLOR,
    COUNT,
    DEPTH,
    FRAME,
    INFO,
    PERIOD,
    START,
    T_BASE_CAMERA,
    Recording,
    add_pose_topic,
    base_pose,
    check,
    convert,
    encode,
    millimetres_of,
    rgb_of,
)

from mvloc_ros.cli import main
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.trajectory import Interpolation
from mvloc_ros.recordings import RecordingError, open_folder, read_color, read_depth, topics
from mvloc_ros.recordings.bag_info import summarise
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.from_folder import has_odometry, select_frames, write_bag
from mvloc_ros.recordings.message_builder import OPTICAL_ROTATION
from mvloc_ros.recordings.odometry_file import odometry_of
from mvloc_ros.recordings.transforms import TransformTree


def test_a_folder_comes_back_from_its_recording(seven_scenes: Path, tmp_path: Path):
    before = open_folder(seven_scenes)
    write_bag(before, select_frames(before), tmp_path / "bag", progress=False)
    code = main(["bag", "to-dataset", str(tmp_path / "bag"), "--out", str(tmp_path / "out"), "--pose-of", "depth",
                 "--licence", "CC0"])  # fmt: skip
    assert code == 0
    after = open_folder(tmp_path / "out")
    assert (after.pose_of, after.depth_registered, after.licence) == ("depth", False, "CC0")
    assert after.rate_hz == pytest.approx(30.0)
    for camera in ("color_camera", "depth_camera"):
        assert getattr(after, camera) == getattr(before, camera)
    np.testing.assert_allclose(after.T_color_depth, before.T_color_depth, atol=1e-12)
    pairs = list(zip(before.frames(), after.frames(), strict=True))
    assert len(pairs) == 12
    for old, new in pairs:
        np.testing.assert_array_equal(read_color(new.color), read_color(old.color))
        np.testing.assert_array_equal(read_depth(new.depth, 1000.0), read_depth(old.depth, 1000.0))
        np.testing.assert_allclose(new.T_map_camera, old.T_map_camera, atol=1e-12)
    # Sequences of the folder are a second or more apart in the recording, and cut the new one as well.
    assert [len({f.sequence for f in part}) for part in (after.train, after.test)] == [2, 1]


def test_odometry_through_the_static_transforms_to_the_camera(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    recording = Recording()
    recording.add_images()
    recording.add_poses("/odom", lambda stamp: recording.build.odometry(stamp, "map", "base_link", base_pose(stamp)))
    recording.add(topics.TF_STATIC, START, recording.build.transform(START, "base_link", FRAME, T_BASE_CAMERA))
    bag = recording.write(tmp_path / "bag")
    assert main(["bag", "to-dataset", str(bag), "--out", str(tmp_path / "out")]) == 0
    check(tmp_path / "out", lambda stamp: base_pose(stamp) @ T_BASE_CAMERA)
    printed = capsys.readouterr().out
    assert "8 training and 2 test frames" in printed
    assert "/odom of base_link in 'map'" in printed


@pytest.mark.parametrize("pans", [False, True])
def test_odometry_beside_the_poses_is_kept_with_the_cameras_place_on_the_robot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pans: bool
):
    """Poses in the map, and odometry in a frame of its own, which tells how the robot moved."""
    recording = Recording()
    recording.add_images()
    T_map_odom = se3.from_parts([1.0, 2.0, 0.0], [0.0, 0.0, 0.6, 0.8])
    recording.add_poses("/pose", lambda s: recording.build.pose(s, "map", base_pose(s) @ T_BASE_CAMERA))
    recording.add_poses(
        "/odom",
        lambda s: recording.build.odometry(s, "odom", "base_link", se3.inverse(T_map_odom) @ base_pose(s)),
    )
    if pans:
        for n in range(12):
            T = se3.from_parts([0.0, 0.0, 0.0], [0.0, 0.0, np.sin(0.01 * n), np.cos(0.01 * n)]) @ T_BASE_CAMERA
            stamp = START + n * PERIOD
            recording.add(topics.TF, stamp, recording.build.transform(stamp, "base_link", FRAME, T))
    else:
        recording.add(topics.TF_STATIC, START, recording.build.transform(START, "base_link", FRAME, T_BASE_CAMERA))
    bag = recording.write(tmp_path / "bag")
    words = ["--out", str(tmp_path / "out"), "--poses", "/pose", "--pose-frame", FRAME]
    assert main(["bag", "to-dataset", str(bag), *words]) == 0
    folder = open_folder(tmp_path / "out")
    found = odometry_of(folder)
    assert len(found) == len(list(folder.frames())) == 10
    assert "odometry: /odom, base_link in 'odom', at 10 of 10 frames" in capsys.readouterr().out
    assert has_odometry(folder) is not pans
    if pans:
        return
    np.testing.assert_allclose(folder.T_base_camera, T_BASE_CAMERA, atol=1e-9)
    for frame in folder.frames():
        T = T_map_odom @ found[frame.sequence, frame.index] @ T_BASE_CAMERA
        np.testing.assert_allclose(T, frame.T_map_camera, atol=5e-5)  # interpolated


def test_an_extrinsic_stands_for_missing_transforms(tmp_path: Path):
    recording = Recording()
    recording.add_images()
    recording.add_poses("/odom", lambda stamp: recording.build.odometry(stamp, "map", "base_link", base_pose(stamp)))
    bag = recording.write(tmp_path / "bag", StoragePlugin.MCAP)
    with pytest.raises(RecordingError, match=r"No chain of transforms leads from 'base_link' to 'cam_optical'.*extr"):
        convert(bag, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag"]
    main(["bag", "to-dataset", str(bag), "--out", str(tmp_path / "out"), "--extrinsic", "0.3", "-0.1", "0.5",
          "-0.5", "0.5", "-0.5", "0.5"])  # fmt: skip
    check(tmp_path / "out", lambda stamp: base_pose(stamp) @ T_BASE_CAMERA)


def test_a_ros1_bag_with_a_chain_of_moving_and_static_transforms(tmp_path: Path):
    """map -> odom (slow) -> base_link (fast) -> mast (static) -> camera (static), names with slashes."""
    recording = Recording(ros1=True)
    recording.add_images()
    T_map_odom = se3.from_parts([10.0, 20.0, 0.0], quaternion.exp(np.array([0.0, 0.0, 0.3])))
    T_mast = se3.from_parts([0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0])
    build = recording.build

    def map_odom(stamp: float) -> np.ndarray:
        return T_map_odom @ se3.from_parts([0.1 * (stamp - START) / 1e9, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0])

    recording.add_poses("/tf", lambda at: build.transform(at, "/map", "/odom", map_odom(at)), period=150_000_000)
    recording.add_poses("/tf", lambda stamp: build.transform(stamp, "/odom", "/base_link", base_pose(stamp)))
    # On /tf with a stamp of its own, as ROS 1's static publisher does: it never changes, so it always holds.
    recording.add("/tf", START, build.transform(START - 10**12, "/base_link", "/mast", T_mast))
    recording.add(topics.TF_STATIC, START, build.transform(START, "/mast", FRAME, T_BASE_CAMERA))
    bag = recording.write(tmp_path / "place.bag")
    assert summarise(bag).messages > 0
    with pytest.raises(RecordingError, match="is a ROS 1 bag, which `mvloc bag to-dataset`"), BagReader(bag):
        pass
    assert main(["bag", "to-dataset", str(bag), "--out", str(tmp_path / "out")]) == 0
    check(tmp_path / "out", lambda stamp: map_odom(stamp) @ base_pose(stamp) @ T_mast @ T_BASE_CAMERA)


def test_compressed_images_keep_their_bytes(tmp_path: Path):
    recording = Recording()
    build, jpegs = recording.build, []
    for index in range(COUNT):
        stamp = START + index * PERIOD
        jpegs.append(encode(np.full((24, 32, 3), 20 * index, np.uint8), ".jpg"))
        recording.add("/cam/color/image_raw/compressed", stamp,
                      build.compressed(stamp, FRAME, "bgr8; jpeg compressed bgr8", jpegs[-1]))  # fmt: skip
        recording.add("/cam/depth/image_raw/compressedDepth", stamp,
                      build.compressed(stamp, FRAME, "16UC1; compressedDepth png",
                                       bytes(12) + encode(millimetres_of(index))))  # fmt: skip
        recording.add(INFO, stamp, build.camera_info(stamp, FRAME, CAMERA))
    recording.add_poses("/pose", lambda stamp: build.pose(stamp, "map", base_pose(stamp)))
    summary = convert(recording.write(tmp_path / "bag"), tmp_path / "out")
    assert (summary.train, summary.test) == (8, 2)
    for index, frame in enumerate(open_folder(tmp_path / "out").frames()):
        assert frame.color.read_bytes() == jpegs[index]
        np.testing.assert_allclose(read_depth(frame.depth, 1000.0), millimetres_of(index) / 1000, rtol=1e-6)


def test_clouds_become_depth_of_the_colour_camera(tmp_path: Path):
    recording = Recording()
    build = recording.build
    T_camera_lidar = se3.inverse(se3.from_parts([0.2, 0.0, -0.1], OPTICAL_ROTATION))  # the lidar looks along x
    point = np.array([[0.4, -0.2, 8.0]])  # in the camera: column 15.5 + 26.25 * 0.05 = 16.8, row 10.8
    in_lidar = (point - T_camera_lidar[:3, 3]) @ T_camera_lidar[:3, :3]
    for index in range(COUNT):
        stamp = START + index * PERIOD
        recording.add(COLOR, stamp, build.color_image(stamp, FRAME, rgb_of(index)))
        recording.add(INFO, stamp, build.camera_info(stamp, FRAME, CAMERA))
        if index % 2 == 0:
            late = stamp + 45_000_000
            recording.add("/points", late, build.cloud(late, "lidar", np.vstack([in_lidar, [[-5.0, 0.0, 0.0]]])))
    recording.add(topics.TF_STATIC, START, build.transform(START, FRAME, "lidar", T_camera_lidar))
    recording.add_poses("/pose", lambda stamp: build.pose(stamp, "map", base_pose(stamp)))
    bag = recording.write(tmp_path / "bag")
    summary = convert(bag, tmp_path / "out", keep_unpaired=True)
    assert (summary.train, summary.test) == (8, 2)
    folder = open_folder(tmp_path / "out")
    frames = list(folder.frames())
    assert [frame.depth is not None for frame in frames] == [True, False] * 5
    depth = read_depth(frames[0].depth, folder.depth_units_per_metre)
    assert depth[11, 17] == pytest.approx(8.0, abs=1 / 256)
    assert np.count_nonzero(depth) == 1
    assert folder.depth_registered
    assert (folder.max_depth_m, folder.depth_of_points) == (80.0, True)
    assert convert(bag, tmp_path / "paired").left_out == {"without depth within 60 ms": 5}


def test_clouds_of_a_depth_camera_state_no_range_of_a_lidar(tmp_path: Path):
    recording = Recording()
    build = recording.build
    rows, columns = (grid.reshape(-1) for grid in np.mgrid[:240, :4])
    points = np.stack([columns / 100 - 0.02, rows / 1000 - 0.1, np.full(960, 2.0)], axis=1)
    for index in range(COUNT):
        stamp = START + index * PERIOD
        recording.add(COLOR, stamp, build.color_image(stamp, FRAME, rgb_of(index)))
        recording.add(INFO, stamp, build.camera_info(stamp, FRAME, CAMERA))
        cloud = build.cloud(stamp, FRAME, points)
        cloud.height, cloud.width, cloud.row_step = 240, 4, 48
        recording.add("/points", stamp, cloud)
    recording.add_poses("/pose", lambda stamp: build.pose(stamp, "map", base_pose(stamp)))
    convert(recording.write(tmp_path / "bag"), tmp_path / "out")
    folder = open_folder(tmp_path / "out")
    assert np.count_nonzero(read_depth(folder.train[0].depth, folder.depth_units_per_metre)) > 0
    assert (folder.max_depth_m, folder.depth_of_points) == (None, False)


def test_unregistered_depth_is_registered_on_request(tmp_path: Path):
    recording = Recording()
    recording.add_images(depth_frame="depth_optical")
    build = recording.build
    T = se3.from_parts([-0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0])
    recording.add(topics.TF_STATIC, START, build.transform(START, FRAME, "depth_optical", T))
    recording.add_poses("/pose", lambda stamp: build.pose(stamp, "map", base_pose(stamp)))
    for index in range(COUNT):  # a wall at 5 m instead of noise: it moves by 26.25 * 0.5 / 5 = 2.6 pixels
        stamp = START + index * PERIOD + 5_000_000
        recording.messages = [entry for entry in recording.messages if entry[:2] != (stamp, DEPTH)]
        recording.add(DEPTH, stamp, build.depth_image(stamp, "depth_optical", np.full((24, 32), 5000, np.uint16)))
    bag = recording.write(tmp_path / "bag")
    convert(bag, tmp_path / "raw")
    convert(bag, tmp_path / "registered", register=True)
    raw, registered = open_folder(tmp_path / "raw"), open_folder(tmp_path / "registered")
    assert (raw.depth_registered, registered.depth_registered) == (False, True)
    np.testing.assert_allclose(raw.T_color_depth, T, atol=1e-12)
    assert registered.T_color_depth is None
    depth = read_depth(registered.train[0].depth, 1000.0)
    assert (depth[:, 30:] == 0).all()
    np.testing.assert_array_equal(depth[:, :29], 5.0)


def test_poses_of_the_depth_camera_are_taken_at_its_stamps(tmp_path: Path):
    recording = Recording()
    recording.add_images()
    add_pose_topic(recording)
    convert(recording.write(tmp_path / "bag"), tmp_path / "out", pose_of="depth")
    for index, frame in enumerate(open_folder(tmp_path / "out").frames()):
        expected = base_pose(START + index * PERIOD + 5_000_000)
        np.testing.assert_allclose(frame.T_map_camera, expected, atol=1e-9)


def test_depth_units_can_be_chosen_and_65535_is_no_measurement(tmp_path: Path):
    recording = Recording()
    recording.add_images()
    add_pose_topic(recording)
    far = np.full((24, 32), 60_000, np.uint16)
    far[3, 4] = 65535
    recording.messages = [
        (stamp, topic, recording.build.depth_image(stamp, FRAME, far) if topic == DEPTH else message)
        for stamp, topic, message in recording.messages
    ]
    convert(recording.write(tmp_path / "bag"), tmp_path / "out", depth_units_per_metre=500.0)
    folder = open_folder(tmp_path / "out")
    depth = read_depth(folder.train[0].depth, folder.depth_units_per_metre)
    assert depth[3, 4] == 0.0
    assert depth[0, 0] == 60.0


def test_several_candidates_are_listed(tmp_path: Path):
    recording = Recording()
    recording.add_images()
    add_pose_topic(recording, "/slam")
    add_pose_topic(recording, "/gnss")
    stamp = START
    recording.add("/rear/image", stamp, recording.build.color_image(stamp, "rear", rgb_of(0)))
    bag = recording.write(tmp_path / "bag")
    with pytest.raises(RecordingError, match=r"2 colour image topics, /cam/color/image_raw, /rear/image: .* --color"):
        convert(bag, tmp_path / "out")
    with pytest.raises(RecordingError, match=r"2 sources of poses, /gnss, /slam: choose one with --poses"):
        convert(bag, tmp_path / "out", color=COLOR)
    with pytest.raises(RecordingError, match=r"no pose on /gps .pose topics: /gnss, /slam"):
        convert(bag, tmp_path / "out", color=COLOR, source="/gps")
    with pytest.raises(RecordingError, match=r"no colour image topic /cam .of this kind it has /cam/color"):
        convert(bag, tmp_path / "out", color="/cam")
    assert [path.name for path in tmp_path.iterdir()] == ["bag"]
    assert convert(bag, tmp_path / "out", color=COLOR, source="/slam").train == 8


def test_what_a_recording_lacks_is_named(tmp_path: Path):
    recording = Recording()
    add_pose_topic(recording)
    with pytest.raises(RecordingError, match=r"no colour image topic .it has /pose"):
        convert(recording.write(tmp_path / "blind"), tmp_path / "out")
    recording.add(COLOR, START, recording.build.color_image(START, FRAME, rgb_of(0)))
    with pytest.raises(RecordingError, match=r"no camera_info of /cam/color/image_raw topic"):
        convert(recording.write(tmp_path / "uncalibrated"), tmp_path / "out")
    nowhere = Recording()
    nowhere.add_images()
    with pytest.raises(RecordingError, match=r"has no poses: .*no transforms from 'map' to 'cam_optical'"):
        convert(nowhere.write(tmp_path / "nowhere"), tmp_path / "out")
    with pytest.raises(RecordingError, match=r"There is no recording at"):
        convert(tmp_path / "none.bag", tmp_path / "out")
    (tmp_path / "rubbish.bag").write_bytes(b"no bag at all")
    with pytest.raises(RecordingError, match=r"damaged or incomplete"):
        convert(tmp_path / "rubbish.bag", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_clocks_are_noticed(tmp_path: Path):
    recording = Recording()
    recording.add_images()
    hour = 3600 * 10**9
    recording.add_poses("/pose", lambda stamp: recording.build.pose(stamp + hour, "map", base_pose(stamp)))
    with pytest.raises(
        RecordingError, match=r"Of 10 colour images 0 can be used as frames .*\(10 without a pose at their time.*clock"
    ):
        convert(recording.write(tmp_path / "bag"), tmp_path / "out")


def test_what_is_left_out_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    recording = Recording()
    recording.add_images(skip_depth=(2,))
    add_pose_topic(recording)
    # Poses pause around image 5, image 7 is a truncated message's, image 0 comes twice.
    recording.messages = [entry for entry in recording.messages
                          if entry[1] != "/pose" or abs(entry[0] - START - 5 * PERIOD) > 90_000_000]  # fmt: skip
    broken = recording.build.color_image(START, FRAME, rgb_of(7))
    stamp = START + 7 * PERIOD
    recording.messages = [entry for entry in recording.messages if entry[:2] != (stamp, COLOR)]
    recording.add(COLOR, stamp, replace(broken, header=recording.build.header(stamp, FRAME), encoding="nonsense"))
    recording.add(COLOR, START, recording.build.color_image(START, FRAME, rgb_of(0)))
    with caplog.at_level(logging.WARNING):
        summary = convert(recording.write(tmp_path / "bag"), tmp_path / "out", max_gap_ns=100_000_000)
    assert summary.left_out == {
        "with the stamp of another image": 1,
        "without depth within 20 ms": 1,
        "without a pose at their time, between two poses that are too far apart in time": 1,
        "that cannot be read": 1,
    }
    assert "left out: 1 colour images that cannot be read" in summary.text()
    assert "nonsense" in caplog.text
    check(tmp_path / "out", base_pose, [0, 1, 3, 4, 6, 8, 9])
    assert [frame.index for frame in open_folder(tmp_path / "out").train] == [0, 1, 3, 4, 6]
    assert not list((tmp_path / "out").glob("seq-01/frame-000007*"))


def test_an_interrupted_run_goes_on_and_nothing_is_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    recording = Recording()
    recording.add_images()
    add_pose_topic(recording)
    bag = recording.write(tmp_path / "bag")
    other = Recording()
    other.add_images(skip_depth=(0,))
    add_pose_topic(other)
    other_bag = other.write(tmp_path / "other")
    from mvloc_ros.recordings.to_dataset import passes as module

    written = []

    def stopping(writer, name, *rest):
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(name)
        original(writer, name, *rest)

    original = module.write_color
    monkeypatch.setattr(module, "write_color", stopping)
    with pytest.raises(KeyboardInterrupt):
        convert(bag, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(RecordingError, match=r"written from another source .*delete .*\.out\.partial, which an interr"):
        convert(other_bag, tmp_path / "out")
    monkeypatch.setattr(module, "write_color", lambda *rest: (written.append(rest[1]), original(*rest)))
    convert(bag, tmp_path / "out")
    assert len(written) == len(set(written)) == 10, "an image was written twice"
    check(tmp_path / "out", base_pose)
    assert convert(bag, tmp_path / "out").source == "complete already"
    with pytest.raises(RecordingError, match=r"written from another source or with other options .*choose another"):
        convert(other_bag, tmp_path / "out")
    with pytest.raises(RecordingError, match=r"other options .options: "):
        convert(bag, tmp_path / "out", test_fraction=0.5)
    (tmp_path / "mine").mkdir()
    with pytest.raises(RecordingError, match=r"mine exists and was not written from a recording"):
        convert(bag, tmp_path / "mine")
    assert "office" not in json.loads((tmp_path / "out" / "source.json").read_text())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"test_fraction": 1.0}, "test fraction must be between"),
        ({"splat": 0.5}, "--splat must be 1 or more"),
        ({"depth_units_per_metre": 0.0}, "not --stored-depth-units 0"),
        ({"register": True, "pose_of": "depth"}, "use --pose-of color with --register"),
    ],
)
def test_impossible_options_are_refused(tmp_path: Path, options: dict, sentence: str):
    recording = Recording()
    recording.add_images()
    add_pose_topic(recording)
    with pytest.raises(RecordingError, match=sentence):
        convert(recording.write(tmp_path / "bag"), tmp_path / "out", **options)


def test_an_extrinsic_must_be_a_rotation(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    recording = Recording()
    arguments = ["bag", "to-dataset", str(recording.write(tmp_path / "bag")), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--extrinsic", "1", "2", "3", "0", "0", "0", "0"]) == 2
    assert "with a unit quaternion" in capsys.readouterr().err


def test_frames_beside_each_other_are_connected_through_their_parent():
    tree = TransformTree()
    T_base_left = se3.from_parts([1.0, 2.0, 3.0], quaternion.exp(np.array([0.1, 0.2, 0.3])))
    T_base_right = se3.from_parts([-1.0, 0.5, 0.0], quaternion.exp(np.array([-0.3, 0.1, 0.0])))
    tree.add("base", "left", None, T_base_left)
    tree.add("base", "right", None, T_base_right)
    expected = np.linalg.inv(T_base_left) @ T_base_right
    np.testing.assert_allclose(tree.sample("left", "right", 7, Interpolation(0)), expected, atol=1e-12)
    np.testing.assert_allclose(tree.sample("left", "base", 7, Interpolation(0)), np.linalg.inv(T_base_left), atol=1e-12)


def test_contradicting_transforms_are_refused():
    tree = TransformTree()
    tree.add("map", "base", 5, np.eye(4))
    tree.add("odom", "base", 5, np.eye(4))
    with pytest.raises(RecordingError, match=r"'base' more than one parent .map, odom"):
        tree.connects("map", "base")
    circle = TransformTree()
    circle.add("a", "b", None, np.eye(4))
    circle.add("b", "a", None, np.eye(4))
    with pytest.raises(RecordingError, match=r"cycle through"):
        circle.sample("a", "b", 0, Interpolation(0))
