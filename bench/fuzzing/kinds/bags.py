# SPDX-License-Identifier: Apache-2.0
"""Recordings: mcap, sqlite3 and ROS 1 files with bits, runs and ends damaged; metadata.yaml; hostile messages."""

from __future__ import annotations

import logging
import tempfile
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import yaml
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Ros2Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from bench.fuzzing import values
from bench.fuzzing.kind import Input, require, require_finite, require_rigid
from bench.fuzzing.mutators import copy_links, damaged, odd_file, replace_bytes
from bench.fuzzing.scene import CAMERA, FRAMES, PERIOD_NS, START_NS, color_of, depth_of, pose_of
from mvloc_ros.recordings import open_folder, topics
from mvloc_ros.recordings.bag_info import summarise
from mvloc_ros.recordings.bag_reader import open_bag
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.message_builder import MessageBuilder
from mvloc_ros.recordings.to_dataset.bag_to_folder import to_dataset
from mvloc_ros.recordings.to_dataset.dataset_options import DatasetOptions
from mvloc_ros.recordings.to_dataset.pose_source import PoseOptions
from mvloc_ros.recordings.typestore import new_typestore
from mvloc_ros.replay.run import CollectedPoses

ODOMETRY = "nav_msgs/msg/Odometry"
COLOR, DEPTH, INFO, POSE, ODOM = (
    "/cam/color/image_raw",
    "/cam/depth/image_raw",
    "/cam/color/camera_info",
    "/pose",
    "/odom",
)
CAMERA_FRAME = "cam_optical"
_log = logging.getLogger(__name__)


class Bags:
    """See the module."""

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="mvloc-fuzz-bags-")
        self.home = Path(self._home.name)
        (self.home / "mcap").mkdir()
        (self.home / "sqlite3").mkdir()
        (self.home / "ros1").mkdir()
        _write_ros2(self.home / "mcap" / "bag", StoragePlugin.MCAP)
        _write_ros2(self.home / "sqlite3" / "bag", StoragePlugin.SQLITE3)
        _write_ros1(self.home / "ros1" / "bag.bag")
        self.forms = ("mcap", "sqlite3", "ros1")

    def plain(self, folder: Path) -> list[Input]:
        """One recording of each form."""
        found = []
        for form in self.forms:
            copy_links(self.home / form, folder / form)
            found.append(Input(form, partial(_feed, _bag(folder / form), folder / form / "out", ODOM)))
        return found

    def make(self, random: Random, folder: Path) -> Input:
        """One recording, damaged."""
        form = random.choice(("mcap", "mcap", "sqlite3", "sqlite3", "ros1"))
        change = random.randrange(10)
        bag = folder / ("bag.bag" if form == "ros1" else "bag")
        if change < 3 and form != "ros1":
            plugin = StoragePlugin.MCAP if form == "mcap" else StoragePlugin.SQLITE3
            what = _write_ros2(bag, plugin, random)
        else:
            copy_links(self.home / form, folder)
            files = [bag] if form == "ros1" else sorted(bag.iterdir())
            path = next(f for f in files if (f.suffix == ".yaml") == (form != "ros1" and change in (3, 4)))
            what = f"{path.name} {self._damage(path, random, change)}"
        poses = random.choice((ODOM, POSE))
        return Input(f"{form}: {what}", partial(_feed, bag, folder / "out", poses))

    def _damage(self, path: Path, random: Random, change: int) -> str:
        if change == 9:
            return odd_file(path, random)
        if path.suffix == ".yaml" and random.random() < 0.6:
            text, what = values.mutated(yaml.safe_load(path.read_text()), random)  # JSON is YAML, nearly
            replace_bytes(path, text.encode("utf-8", "surrogatepass"))
            return what
        data, what = damaged(path.read_bytes(), random)
        replace_bytes(path, data)
        return what


def create() -> Bags:
    """The kind."""
    return Bags()


def _bag(folder: Path) -> Path:
    return folder / ("bag.bag" if (folder / "bag.bag").exists() else "bag")


class _Builder(MessageBuilder):
    """The recordings' own messages and odometry."""

    def odometry(self, stamp_ns: int, T: np.ndarray) -> Any:
        """nav_msgs/Odometry of the camera itself."""
        types = self._types
        zero = types["geometry_msgs/msg/Vector3"](0.0, 0.0, 0.0)
        twist = types["geometry_msgs/msg/Twist"](linear=zero, angular=zero)
        return types[ODOMETRY](
            header=self.header(stamp_ns, "map"),
            child_frame_id=CAMERA_FRAME,
            pose=types["geometry_msgs/msg/PoseWithCovariance"](
                pose=self.pose(stamp_ns, "map", T).pose, covariance=np.zeros(36)
            ),
            twist=types["geometry_msgs/msg/TwistWithCovariance"](twist=twist, covariance=np.zeros(36)),
        )


class _Ros1Builder(_Builder):
    """ROS 1: headers count, CameraInfo has capitals."""

    def header(self, stamp_ns: int, frame: str) -> Any:
        """std_msgs/Header with seq."""
        seconds, nanoseconds = divmod(stamp_ns, 10**9)
        stamp = self._types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
        return self._types["std_msgs/msg/Header"](seq=7, stamp=stamp, frame_id=frame)

    def camera_info(self, stamp_ns: int, frame: str, camera: Any) -> Any:
        """sensor_msgs/CameraInfo."""
        region = self._types["sensor_msgs/msg/RegionOfInterest"](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )
        k = camera.matrix()
        return self._types[topics.CAMERA_INFO](
            header=self.header(stamp_ns, frame), height=camera.height, width=camera.width, distortion_model="plumb_bob",
            D=np.zeros(5), K=k.reshape(-1), R=np.eye(3).reshape(-1), P=np.hstack([k, np.zeros((3, 1))]).reshape(-1),
            binning_x=0, binning_y=0, roi=region,
        )  # fmt: skip


def _messages(build: _Builder) -> list[tuple[int, str, Any]]:
    found: list[tuple[int, str, Any]] = []
    for index in range(FRAMES):
        stamp = START_NS + index * PERIOD_NS
        found.append((stamp, INFO, build.camera_info(stamp, CAMERA_FRAME, CAMERA)))
        found.append((stamp + 1, COLOR, build.color_image(stamp, CAMERA_FRAME, color_of(index))))
        found.append((stamp + 2, DEPTH, build.depth_image(stamp, CAMERA_FRAME, depth_of(index))))
    for index in range(-1, FRAMES + 1):
        stamp = START_NS + index * PERIOD_NS
        found.append((stamp + 3, POSE, build.pose(stamp, "map", pose_of(index))))
        found.append((stamp + 4, ODOM, build.odometry(stamp, pose_of(index))))
    return sorted(found, key=lambda entry: entry[0])


def _write_ros2(path: Path, plugin: StoragePlugin, random: Random | None = None) -> str:
    """A recording; with `random`, some of its messages are damaged in fields or bytes. What was done, in words."""
    store, done = new_typestore(), []
    hostile = (
        set() if random is None else {random.randrange(5 * FRAMES + 4) for _ in range(random.choice((1, 1, 3, 20)))}
    )
    with Ros2Writer(path, version=8, storage_plugin=plugin) as writer:
        connections: dict[str, Any] = {}
        for index, (stamp, topic, message) in enumerate(_messages(_Builder(store))):
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            if random is not None and index in hostile and random.random() < 0.6:
                done.append(f"{topic}: {_spoil(message, random)}")
            data = bytes(store.serialize_cdr(message, kind))
            if random is not None and index in hostile and random.random() < 0.5:
                data, what = damaged(data, random)
                done.append(f"{topic}: {what}")
            if random is not None and index in hostile and random.random() < 0.1:
                stamp = random.choice((0, 1, 2**62, 2**63 - 1))  # noqa: PLW2901
                done.append(f"{topic} at {stamp}")
            writer.write(connections[topic], stamp, data)
    return ", ".join(done[:4])


def _write_ros1(path: Path) -> None:
    store = get_typestore(Stores.ROS1_NOETIC)
    if topics.TF_MESSAGE not in store.types:
        store.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms", topics.TF_MESSAGE))
    with Ros1Writer(path) as writer:
        connections: dict[str, Any] = {}
        for stamp, topic, message in _messages(_Ros1Builder(store)):
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            writer.write(connections[topic], stamp, store.serialize_ros1(message, kind))


def _spoil(message: Any, random: Random) -> str:
    """Put a senseless value into a field of a message of `rosbags`."""
    owner = message
    for _ in range(4):
        name = random.choice([item for item in owner.__dataclass_fields__ if item != "__msgtype__"])
        old = getattr(owner, name)
        if not hasattr(old, "__dataclass_fields__"):
            break
        owner = old
    if isinstance(old, float):
        new: Any = random.choice((np.nan, np.inf, 1e30, -1e200, 0.0))
    elif isinstance(old, str):
        new = random.choice(("", "x" * 5000, "rgb8", "32FC1", "a\nb\x1b[31m", "64FC9999999"))
    elif isinstance(old, np.ndarray) and old.dtype.kind == "f":
        new = old.copy()
        new[random.randrange(new.size)] = random.choice((np.nan, np.inf, 1e30, 0.0, -1.0))
    elif isinstance(old, np.ndarray):
        new = old[: random.randrange(old.size)] if old.size else old
    elif isinstance(old, int):
        new = random.choice((0, 1, 255)) if name == "is_bigendian" else random.choice((0, 1, 65536, 2**31 - 1))
    else:
        return "nothing"
    object.__setattr__(owner, name, new)
    return f"{name} is {str(new)[:30]!r}"


def _feed(bag: Path, out: Path, poses: str) -> None:
    """As `mvloc bag info`, `mvloc bag to-dataset` and the readers of a live run read it."""
    refusals: list[RecordingError] = []
    try:
        require(summarise(bag).text(), "a summary without words")
        collected = CollectedPoses(POSE)
        with open_bag(bag) as reader:
            if POSE in reader.topics and reader.topics[POSE].type == topics.POSE:
                for _, _, message in reader.messages((POSE,)):
                    collected.take(message)
        for T in collected.poses.values():
            require_rigid("a recorded pose", T)
    except RecordingError as error:
        refusals.append(error)
    try:
        options = DatasetOptions(poses=PoseOptions(source=poses))
        to_dataset(bag, out, options, progress=False, force=True)
        folder = open_folder(out)
        for frame in folder.frames():
            if frame.T_map_camera is not None:
                require_rigid("a pose of the data set", frame.T_map_camera)
                require(np.abs(frame.T_map_camera[:3, 3]).max() < 1e8, "a pose that is not on the Earth")
        require_finite("the camera", list(folder.color_camera.to_dict().values()))
    except RecordingError as error:
        refusals.append(error)
    if refusals:
        raise refusals[0]
