# SPDX-License-Identifier: Apache-2.0
"""`mvloc bag to-dataset`: recordings of both kinds, every source of poses, and what has none."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Ros2Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from mvloc_ros.cli import main
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.motion import MotionLimits
from mvloc_ros.geometry.projection import unproject
from mvloc_ros.geometry.trajectory import Interpolation
from mvloc_ros.inference.preprocess import prepare_color
from mvloc_ros.recordings import RecordingError, open_folder, read_color, read_depth, topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.from_folder import select_frames, write_bag
from mvloc_ros.recordings.info import summarise
from mvloc_ros.recordings.messages import OPTICAL_ROTATION, MessageBuilder
from mvloc_ros.recordings.transforms import TransformTree
from mvloc_ros.recordings.typestore import new_typestore
from mvloc_ros.replay.to_dataset.convert import to_dataset
from mvloc_ros.replay.to_dataset.options import DatasetOptions
from mvloc_ros.replay.to_dataset.poses import PoseOptions
from mvloc_ros.sensors.compressed import decode_compressed_color
from mvloc_ros.sensors.decode import DecodeError, decode_color, decode_depth

ODOMETRY = "nav_msgs/msg/Odometry"
CLOUD = "sensor_msgs/msg/PointCloud2"
CAMERA = PinholeCamera(32, 24, 26.25, 26.25, 15.5, 11.5)


class Messages(MessageBuilder):
    """The recordings' own messages, and those that other people's recordings have."""

    def transform(self, stamp_ns: int, parent: str, child: str, T: np.ndarray):
        p, q = se3.to_parts(T)
        t = self._types
        return t["tf2_msgs/msg/TFMessage"](transforms=[
            t["geometry_msgs/msg/TransformStamped"](
                header=self.header(stamp_ns, parent), child_frame_id=child,
                transform=t["geometry_msgs/msg/Transform"](
                    translation=t["geometry_msgs/msg/Vector3"](*map(float, p)),
                    rotation=t["geometry_msgs/msg/Quaternion"](*map(float, q)),
                ),
            )
        ])  # fmt: skip

    def odometry(self, stamp_ns: int, parent: str, child: str, T: np.ndarray):
        t = self._types
        pose = self.pose(stamp_ns, parent, T).pose
        zero = t["geometry_msgs/msg/Vector3"](0.0, 0.0, 0.0)
        twist = t["geometry_msgs/msg/Twist"](linear=zero, angular=zero)
        return t[ODOMETRY](
            header=self.header(stamp_ns, parent),
            child_frame_id=child,
            pose=t["geometry_msgs/msg/PoseWithCovariance"](pose=pose, covariance=np.zeros(36)),
            twist=t["geometry_msgs/msg/TwistWithCovariance"](twist=twist, covariance=np.zeros(36)),
        )

    def compressed(self, stamp_ns: int, frame: str, name: str, data: bytes):
        return self._types[topics.COMPRESSED_IMAGE](
            header=self.header(stamp_ns, frame), format=name, data=np.frombuffer(data, np.uint8)
        )

    def cloud(self, stamp_ns: int, frame: str, points: np.ndarray):
        field = self._types["sensor_msgs/msg/PointField"]
        points = np.ascontiguousarray(points, dtype="<f4")
        return self._types[CLOUD](
            header=self.header(stamp_ns, frame),
            height=1,
            width=len(points),
            fields=[field(name=name, offset=4 * i, datatype=7, count=1) for i, name in enumerate("xyz")],
            is_bigendian=False,
            point_step=12,
            row_step=12 * len(points),
            data=points.view(np.uint8).reshape(-1),
            is_dense=True,
        )


class Ros1Messages(Messages):
    """The same in ROS 1: headers count, and CameraInfo writes its matrices with capitals."""

    def header(self, stamp_ns: int, frame: str):
        seconds, nanoseconds = divmod(stamp_ns, 10**9)
        stamp = self._types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
        return self._types["std_msgs/msg/Header"](seq=7, stamp=stamp, frame_id=frame)

    def camera_info(self, stamp_ns: int, frame: str, camera: PinholeCamera):
        k = camera.matrix()
        region = self._types["sensor_msgs/msg/RegionOfInterest"](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )
        return self._types[topics.CAMERA_INFO](
            header=self.header(stamp_ns, frame),
            height=camera.height,
            width=camera.width,
            distortion_model="plumb_bob",
            D=np.zeros(5),
            K=k.reshape(-1),
            R=np.eye(3).reshape(-1),
            P=np.hstack([k, np.zeros((3, 1))]).reshape(-1),
            binning_x=0,
            binning_y=0,
            roi=region,
        )


def encode(image: np.ndarray, suffix: str = ".png") -> bytes:
    """RGB or one channel -> the bytes of a file."""
    bgr = np.ascontiguousarray(image[:, :, ::-1]) if image.ndim == 3 else image
    return cv2.imencode(suffix, bgr)[1].tobytes()


START, PERIOD, COUNT = 100_000_000_000, 100_000_000, 10
COLOR, DEPTH, INFO = "/cam/color/image_raw", "/cam/depth/image_raw", "/cam/color/camera_info"
FRAME = "cam_optical"
T_BASE_CAMERA = se3.from_parts([0.3, -0.1, 0.5], OPTICAL_ROTATION)


def rgb_of(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def millimetres_of(index: int) -> np.ndarray:
    depth = np.random.default_rng(100 + index).integers(300, 9000, (24, 32)).astype(np.uint16)
    depth[0, 0] = 0
    return depth


def base_pose(stamp_ns: float) -> np.ndarray:
    """A straight drive with a steady turn: interpolation is exact."""
    seconds = (stamp_ns - START) / 1e9
    return se3.from_parts([1.0 + 2.0 * seconds, -3.0, 0.0], quaternion.exp(np.array([0.0, 0.0, 0.2 * seconds])))


class Recording:
    """Collects messages and writes them in order of time as any kind of recording."""

    def __init__(self, ros1: bool = False) -> None:
        self.ros1 = ros1
        self.store = get_typestore(Stores.ROS1_NOETIC) if ros1 else new_typestore()
        if topics.TF_MESSAGE not in self.store.types:
            definition = "geometry_msgs/TransformStamped[] transforms"
            self.store.register(get_types_from_msg(definition, topics.TF_MESSAGE))
        self.build = (Ros1Messages if ros1 else Messages)(self.store)
        self.messages: list = []

    def add(self, topic: str, stamp_ns: int, message) -> None:
        self.messages.append((stamp_ns, topic, message))

    def add_images(self, depth_frame: str = FRAME, skip_depth: tuple[int, ...] = ()) -> None:
        for index in range(COUNT):
            stamp = START + index * PERIOD
            self.add(INFO, stamp, self.build.camera_info(stamp, FRAME, CAMERA))
            self.add(COLOR, stamp, self.build.color_image(stamp, FRAME, rgb_of(index)))
            if index not in skip_depth:
                late = stamp + 5_000_000
                self.add(DEPTH, late, self.build.depth_image(late, depth_frame, millimetres_of(index)))

    def add_poses(self, topic: str, make: Callable, period: int = 40_000_000) -> None:
        for stamp in range(START - period, START + COUNT * PERIOD + period, period):
            self.add(topic, stamp, make(stamp))

    def write(self, path: Path, plugin: StoragePlugin = StoragePlugin.SQLITE3) -> Path:
        self.messages.sort(key=lambda entry: entry[0])
        writer = Ros1Writer(path) if self.ros1 else Ros2Writer(path, version=8, storage_plugin=plugin)
        with writer:
            connections: dict = {}
            for stamp, topic, message in self.messages:
                kind = message.__msgtype__
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=self.store)
                serialize = self.store.serialize_ros1 if self.ros1 else self.store.serialize_cdr
                writer.write(connections[topic], stamp, serialize(message, kind))
        return path


def convert(bag: Path, out: Path, **options: object):
    poses = {name: options.pop(name) for name in list(options) if name in PoseOptions.__dataclass_fields__}
    return to_dataset(bag, out, DatasetOptions(poses=PoseOptions(**poses), **options), progress=False)


def check(out: Path, expected_pose: Callable, indices: list[int] | None = None) -> None:
    """Images, depth and poses of a folder made from `add_images`; the last fifth of the time is test."""
    folder = open_folder(out)
    indices = list(range(COUNT)) if indices is None else indices
    frames = list(folder.frames())
    assert len(frames) == len(indices)
    for frame, index in zip(frames, indices, strict=True):
        np.testing.assert_array_equal(read_color(frame.color), rgb_of(index))
        np.testing.assert_allclose(read_depth(frame.depth, 1000.0), millimetres_of(index) / 1000, rtol=1e-6)
        np.testing.assert_allclose(frame.T_map_camera, expected_pose(START + index * PERIOD), atol=1e-9)
    assert (folder.depth_registered, folder.pose_of, folder.rate_hz) == (True, "color", pytest.approx(10.0))
    assert folder.color_camera == folder.depth_camera == CAMERA
    assert [frame.sequence for frame in folder.test] == ["seq-02"] * 2


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


def add_pose_topic(recording: Recording, topic: str = "/pose") -> None:
    recording.add_poses(topic, lambda stamp: recording.build.pose(stamp, "map", base_pose(stamp)))


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
    with pytest.raises(RecordingError, match=r"Of 10 colour images 0 have .*\(10 without a pose at their time.*clock"):
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
    from mvloc_ros.replay.to_dataset import convert as module

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
        ({"test_fraction": 1.0}, "test fraction must lie between"),
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
    assert "quaternion of length 1" in capsys.readouterr().err


def test_frames_beside_each_other_are_connected_through_their_parent():
    tree = TransformTree()
    T_base_left = se3.from_parts([1.0, 2.0, 3.0], quaternion.exp(np.array([0.1, 0.2, 0.3])))
    T_base_right = se3.from_parts([-1.0, 0.5, 0.0], quaternion.exp(np.array([-0.3, 0.1, 0.0])))
    tree.add("base", "left", None, T_base_left)
    tree.add("base", "right", None, T_base_right)
    expected = np.linalg.inv(T_base_left) @ T_base_right
    np.testing.assert_allclose(tree.lookup("left", "right", 7, Interpolation(0)), expected, atol=1e-12)
    np.testing.assert_allclose(tree.lookup("left", "base", 7, Interpolation(0)), np.linalg.inv(T_base_left), atol=1e-12)


def test_contradicting_transforms_are_refused():
    tree = TransformTree()
    tree.add("map", "base", 5, np.eye(4))
    tree.add("odom", "base", 5, np.eye(4))
    with pytest.raises(RecordingError, match=r"'base' more than one parent .map, odom"):
        tree.connects("map", "base")
    circle = TransformTree()
    circle.add("a", "b", None, np.eye(4))
    circle.add("b", "a", None, np.eye(4))
    with pytest.raises(RecordingError, match=r"circle through"):
        circle.lookup("a", "b", 0, Interpolation(0))


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


T_MAP_ODOM = se3.from_parts([1.2, 0.0, 0.0], quaternion.exp(np.array([0.0, 0.0, np.radians(10.0)])))
MOUNT_TURNED = T_BASE_CAMERA @ se3.from_parts([0, 0, 0], quaternion.exp(np.array([0.0, 0.0, np.pi / 4])))


def with_transforms(*more: Callable[[Recording], None], map_odom: Callable = lambda at: T_MAP_ODOM) -> Recording:
    """Images, and map -> odom -> base_link on /tf, base_link -> camera on /tf_static; then what else is wanted."""
    recording = Recording()
    recording.add_images()
    build = recording.build
    recording.add_poses("/tf", lambda at: build.transform(at, "map", "odom", map_odom(at)))
    recording.add_poses("/tf", lambda at: build.transform(at, "odom", "base_link", base_pose(at)))
    recording.add(topics.TF_STATIC, START, build.transform(START, "base_link", FRAME, T_BASE_CAMERA))
    for add in more:
        add(recording)
    return recording


def static(parent: str, child: str, T: np.ndarray) -> Callable[[Recording], None]:
    return lambda recording: recording.add(topics.TF_STATIC, START, recording.build.transform(START, parent, child, T))


def beside(topic: str, parent: str, child: str, pose: Callable, shift_ns: int) -> Callable[[Recording], None]:
    """Another publisher of a transform, between the stamps of the first one."""
    return lambda recording: recording.add_poses(
        topic, lambda at: recording.build.transform(at + shift_ns, parent, child, pose(at + shift_ns))
    )


def shifted(at: float) -> np.ndarray:
    return se3.from_parts([0.0, 0.4, 0.0], [0, 0, 0, 1.0]) @ base_pose(at)


@pytest.mark.parametrize(
    ("add", "sentence"),
    [
        (
            static("map", "odom", np.eye(4)),
            r"'map -> odom' is on /tf_static and on /tf .* 1\.200 m and 20\.0 deg apart",
        ),
        (static("base_link", FRAME, MOUNT_TURNED), r"/tf_static has two values of 'base_link -> .* 90\.0 deg apart"),
        (beside("/tf", "odom", "base_link", shifted, 20_000_000), r"/tf of 'odom -> base_link' alt.* 0\.400 m and"),
        (beside("/tf", "odom", "base_link", shifted, 0), r"two different poses at 27 of 27 stamps.* 0\.400 m and"),
    ],
)
def test_two_sources_of_one_transform_are_refused(tmp_path: Path, add: Callable, sentence: str):
    bag = with_transforms(add).write(tmp_path / "bag")
    with pytest.raises(RecordingError, match=rf"{sentence}.*two publishers contradict each other; record again"):
        convert(bag, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_sources_that_agree_are_one(tmp_path: Path):
    nearly = T_MAP_ODOM @ se3.from_parts([0.001, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0])
    recording = with_transforms(static("map", "odom", nearly), static("base_link", FRAME, T_BASE_CAMERA))
    convert(recording.write(tmp_path / "bag"), tmp_path / "out")
    check(tmp_path / "out", lambda at: nearly @ base_pose(at) @ T_BASE_CAMERA)


def test_an_extrinsic_avoids_contradicting_mounts_on_tf(tmp_path: Path):
    bag = with_transforms(static("base_link", FRAME, MOUNT_TURNED)).write(tmp_path / "bag")
    with pytest.raises(RecordingError, match="name that frame with --pose-frame"):
        convert(bag, tmp_path / "out", source="tf", T_pose_camera=T_BASE_CAMERA)
    convert(bag, tmp_path / "out", source="tf", T_pose_camera=T_BASE_CAMERA, pose_frame="base_link")
    check(tmp_path / "out", lambda at: T_MAP_ODOM @ base_pose(at) @ T_BASE_CAMERA)


def jumping(at: float) -> np.ndarray:
    """A loop is closed 450 ms after the first image: 1.5 m."""
    y = 1.5 if at > START + 450_000_000 else 0.0
    return se3.from_parts([0.0, y, 0.0], [0.0, 0.0, 0.0, 1.0])


@pytest.mark.parametrize("source", ["/slam", "tf"])
def test_no_pose_is_made_up_inside_a_loop_closure(tmp_path: Path, source: str):
    recording = with_transforms(map_odom=jumping)
    build = recording.build
    recording.add_poses("/slam", lambda at: build.odometry(at, "map", "base_link", jumping(at) @ base_pose(at)))
    # Poses at 440 and 480 ms, so that the colour image at 400 ms is before the jump; one more comes inside of it.
    late = START + 460_000_000
    recording.add(INFO, late, build.camera_info(late, FRAME, CAMERA))
    recording.add(COLOR, late, build.color_image(late, FRAME, rgb_of(99)))
    recording.add(DEPTH, late, build.depth_image(late, FRAME, millimetres_of(99)))
    summary = convert(recording.write(tmp_path / "bag"), tmp_path / "out", source=source)
    reason = "without a pose at their time, between two poses that no motion within the limits connects"
    assert summary.left_out == {reason: 1}
    assert f"left out: 1 colour images {reason} (at 100.460 s)" in summary.text()
    name = "/slam" if source == "/slam" else "map -> odom"
    assert f"note: {name}: 1 step exceeds 5 m/s or 360 deg/s, at 100.440 s; the farthest is 1.5" in summary.text()
    # Without the step across the jump.
    assert re.search(r"motion from frame to frame: at most 0\.2\d\d m, 2\.\d\d m/s and 23 deg/s", summary.text())
    frames = list(open_folder(tmp_path / "out").frames())
    for index, frame in enumerate(frames):
        expected = jumping(START + index * PERIOD) @ base_pose(START + index * PERIOD) @ T_BASE_CAMERA
        np.testing.assert_allclose(frame.T_map_camera, expected, atol=1e-9)
    # What follows is no neighbour of what was before.
    assert [frame.sequence for frame in frames] == ["seq-01"] * 5 + ["seq-02"] * 3 + ["seq-03"] * 2
    fast = convert(tmp_path / "bag", tmp_path / "fast", source=source, limits=MotionLimits(max_speed=50.0))
    assert not fast.left_out


def test_an_odometry_that_does_not_say_what_it_is_of_asks_for_it(tmp_path: Path):
    recording = with_transforms()
    recording.add_poses("/odom", lambda at: recording.build.odometry(at, "map", "", base_pose(at)))
    bag = recording.write(tmp_path / "bag")
    with pytest.raises(RecordingError, match=r"/odom .*child_frame_id is empty.*--pose-frame cam_optical for the cam"):
        convert(bag, tmp_path / "out", source="/odom")
    summary = convert(bag, tmp_path / "out", source="/odom", pose_frame="base_link")
    assert "/odom of base_link in 'map'" in summary.text()
    check(tmp_path / "out", lambda at: base_pose(at) @ T_BASE_CAMERA)
    convert(bag, tmp_path / "camera", source="/odom", pose_frame=FRAME)
    check(tmp_path / "camera", base_pose)


@pytest.mark.parametrize("name", ["frame_id", "child_frame_id"])
def test_a_frame_that_changes_is_refused(tmp_path: Path, name: str):
    recording = with_transforms()

    def pose(at: int):
        late = at >= START + 500_000_000
        frames = ("odom" if late and name == "frame_id" else "map", "other" if late and name[0] == "c" else "base_link")
        return recording.build.odometry(at, *frames, base_pose(at))

    recording.add_poses("/odom", pose)
    bag = recording.write(tmp_path / "bag")
    with pytest.raises(RecordingError, match=rf"The {name} of /odom changes from '(map|base_link)' to .* at 100.520 s"):
        convert(bag, tmp_path / "out", source="/odom")


def test_poses_that_are_none_are_counted(tmp_path: Path):
    recording = Recording()
    recording.add_images()
    add_pose_topic(recording)
    for stamp in (START + 10_000_000, START + 50_000_000):
        message = recording.build.pose(stamp, "map", base_pose(stamp))
        message.pose.orientation.w = 1.5
        recording.add("/pose", stamp, message)
    broken = recording.build.transform(START, "map", "thing", np.eye(4))
    broken.transforms[0].transform.rotation.w = 0.0
    recording.add(topics.TF_STATIC, START, broken)
    text = convert(recording.write(tmp_path / "bag"), tmp_path / "out").text()
    assert "note: 2 messages on /pose are left out: a number is not finite, or the quaternion" in text
    assert "note: transforms left out, 1 of 'thing'" in text
    assert "note: /pose is taken as the camera's own pose" in text
    assert "header stamps of /cam/color/image_raw, across at most 200 ms, 5 m/s or 360 deg/s" in text


def without_header_stamp(recording: Recording, topic: str, indices: range) -> None:
    """Take the header stamps of some of a topic's messages."""
    messages = [message for _, name, message in recording.messages if name == topic]
    for index in indices:
        messages[index].header.stamp.sec = messages[index].header.stamp.nanosec = 0


def test_messages_without_header_stamps_are_taken_at_their_times_of_recording_and_it_is_said(tmp_path: Path):
    recording = Recording()
    recording.add_images()
    add_pose_topic(recording)
    for topic in (COLOR, DEPTH):
        without_header_stamp(recording, topic, range(COUNT))
    text = convert(recording.write(tmp_path / "bag"), tmp_path / "out").text()
    check(tmp_path / "out", base_pose)
    assert (
        f"note: the messages on {COLOR} have no header stamps: the times at which they were recorded are used" in text
    )
    assert f"poses are interpolated at the times of recording of {COLOR}" in text


def test_two_clocks_on_one_topic_are_never_mixed(tmp_path: Path):
    recording = Recording()
    recording.add_images()
    add_pose_topic(recording)
    for topic in (COLOR, "/pose"):
        without_header_stamp(recording, topic, range(1))
    text = convert(recording.write(tmp_path / "bag"), tmp_path / "out").text()
    check(tmp_path / "out", base_pose, list(range(1, COUNT)))
    assert f"note: 1 of {COUNT} messages on {COLOR} are left out: their headers have no stamp" in text
    assert "messages on /pose are left out: their headers have no stamp" in text
