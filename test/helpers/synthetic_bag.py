# SPDX-License-Identifier: Apache-2.0
"""A short synthetic recording of any kind, to be converted by `mvloc bag to-dataset`, and what must come out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Ros2Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.recordings import open_folder, read_color, read_depth, topics
from mvloc_ros.recordings.message_builder import OPTICAL_ROTATION, MessageBuilder
from mvloc_ros.recordings.to_dataset.bag_to_folder import to_dataset
from mvloc_ros.recordings.to_dataset.dataset_options import DatasetOptions
from mvloc_ros.recordings.to_dataset.pose_source import PoseOptions
from mvloc_ros.recordings.typestore import new_typestore

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

    def imu(self, stamp_ns: int, frame: str, gyro: np.ndarray, accel: np.ndarray, missing: str = ""):
        """`missing` is "gyro" or "accel", which the covariance then says (REP-145)."""
        vector = self._types["geometry_msgs/msg/Vector3"]
        covariances = {name: np.zeros(9) for name in ("orientation", "gyro", "accel")}
        for name in ("orientation", missing):
            if name:
                covariances[name][0] = -1.0
        return self._types[topics.IMU](
            header=self.header(stamp_ns, frame),
            orientation=self._types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0),
            orientation_covariance=covariances["orientation"],
            angular_velocity=vector(*map(float, gyro)),
            angular_velocity_covariance=covariances["gyro"],
            linear_acceleration=vector(*map(float, accel)),
            linear_acceleration_covariance=covariances["accel"],
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


def add_pose_topic(recording: Recording, topic: str = "/pose") -> None:
    recording.add_poses(topic, lambda stamp: recording.build.pose(stamp, "map", base_pose(stamp)))
