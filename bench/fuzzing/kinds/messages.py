# SPDX-License-Identifier: Apache-2.0
"""Messages of the node's topics, through what the node does with them: read, localized, published."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped, TransformStamped
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from bench.fuzzing.bundle_feed import BUDGET_MS
from bench.fuzzing.kind import Input, require, require_covariance, require_finite, require_rigid
from bench.fuzzing.message_fields import mutated_message, sent
from bench.fuzzing.messages_valid import camera_info, compressed, images, pose_with_covariance, transform
from bench.fuzzing.scene import START_NS
from bench.fuzzing.tiny_bundle import write_tiny_bundle
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.frontend.camera_info import read_camera_info, training_view
from mvloc_ros.frontend.image_reader import ImageReader
from mvloc_ros.frontend.message_checks import to_nanoseconds
from mvloc_ros.frontend.stamp_guard import StampGuard
from mvloc_ros.frontend.transform_watch import TransformWatch
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame
from mvloc_ros.node.messages import matrix_of, pose_messages, pose_of
from mvloc_ros.node.odometry import _WatchedBuffer
from mvloc_ros.node.topic_monitor import TopicMonitor
from mvloc_ros.parameters.inputs import InputParameters
from mvloc_ros.recordings.transforms import transform_of


class Messages:
    """See the module."""

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="mvloc-fuzz-messages-")
        self.bundle = write_tiny_bundle(Path(self._home.name))
        backend = create_backend("onnxruntime", self.bundle, 1, report=lambda _: None)
        self.localizer = Localizer(self.bundle, backend, RefinementOptions(budget_ms=BUDGET_MS))
        self._made: dict[str, Callable[[Random], Any]] = {
            "image": lambda random: random.choice(images()),
            "compressed": lambda random: random.choice(compressed()),
            "camera_info": lambda _: camera_info(),
            "initialpose": lambda _: pose_with_covariance(),
            "tf": lambda _: transform(),
        }
        self._feeds: dict[str, Callable[[Any, Random], None]] = {
            "image": self._image,
            "compressed": self._image,
            "camera_info": self._info,
            "initialpose": _initial_pose,
            "tf": _transform,
        }

    def plain(self, folder: Path) -> list[Input]:
        """All valid messages."""
        messages = [*images(), *compressed(), camera_info(), pose_with_covariance(), transform()]
        names = {Image: "image", CompressedImage: "compressed", CameraInfo: "camera_info"}
        names |= {PoseWithCovarianceStamped: "initialpose", TransformStamped: "tf"}
        return [
            Input(
                f"{names[type(message)]} {n}",
                partial(self._feeds[names[type(message)]], sent(message, folder / f"{n}.cdr"), Random(0)),
            )
            for n, message in enumerate(messages)
        ]

    def make(self, random: Random, folder: Path) -> Input:
        """One message with some fields changed."""
        name = random.choice(list(self._made))
        message = self._made[name](random)
        what = mutated_message(message, random)
        received = sent(message, folder / f"{name}.cdr")
        return Input(f"{name}: {what}", partial(self._feeds[name], received, Random(random.random())))

    def _image(self, message: Any, random: Random) -> None:
        """As colour or as depth, with the parameters that choose how it is read; then localized and published."""
        is_raw = isinstance(message, Image)
        reader = ImageReader(_parameters(random, is_raw), lambda: self.bundle.manifest, None)
        model = read_camera_info(camera_info(), "color/image")
        reader.color_model = reader.depth_model = model
        stamp_ns = to_nanoseconds(message.header.stamp)
        TopicMonitor("colour").note(message, time.monotonic())
        StampGuard(lambda: START_NS, 1e9, lambda _: None).check("colour", stamp_ns)
        depth = (message.encoding if is_raw else message.format).startswith(("16UC1", "32FC1"))
        read: Any = (reader.read_depth if depth else reader.read_color)(message)
        content = read() if callable(read) else read
        color, measured = (None, content) if isinstance(content, DepthImage) else (content, None)
        _check_size(content)
        estimate = self.localizer.process(Frame(stamp_ns, message.header.frame_id, color, measured))
        require_rigid("a pose", estimate.pose.T)
        require_covariance("the covariance of a pose", estimate.pose.covariance)
        pose_messages(estimate.pose, "map")

    def _info(self, message: Any, random: Random) -> None:
        topic = random.choice(("color/image", "color/image_rect"))
        model = read_camera_info(message, topic)
        camera = model.camera
        require_finite("a camera", camera.fx, camera.fy, camera.cx, camera.cy)
        require(min(camera.fx, camera.fy, camera.width, camera.height) > 0, "a camera without size")
        require(str(model.distortion_text), "a distortion without words")
        view = training_view(model, self.bundle.manifest.color_camera)
        require_finite("the view of the training camera", view.left, view.top, view.right, view.bottom)


def create() -> Messages:
    """The kind."""
    return Messages()


def _parameters(random: Random, is_raw: bool) -> InputParameters:
    values = InputParameters(depth_unit_m=random.choice((0.0, 0.0, 0.001)), rescale_input=random.random() < 0.3)
    return values if is_raw else replace(values, color_transport="compressed", depth_source="compressed")


def _check_size(content: ColorImage | DepthImage) -> None:
    pixels = content.pixels if isinstance(content, ColorImage) else content.values
    require(pixels.size > 0, "an image without pixels")
    if isinstance(content, DepthImage):
        require(content.metres_per_unit > 0.0, "depth without a unit")


def _initial_pose(message: Any, _random: Random) -> None:
    pose = pose_of(message)
    require_rigid("an initial pose", pose.T)
    require_covariance("the covariance of an initial pose", pose.covariance)
    require(np.abs(pose.T[:3, 3]).max() < 1e8, "an initial pose that is not on the Earth")
    pose_messages(pose, "map")


def _transform(message: Any, random: Random) -> None:
    """Into TF's buffer, past what watches it, and out again; and as a recording's reader takes it."""
    T = transform_of(message.transform.translation, message.transform.rotation)
    if T is not None:
        require_rigid("a recorded transform", T)
    buffer = _WatchedBuffer(TransformWatch())
    store = buffer.set_transform_static if random.random() < 0.3 else buffer.set_transform
    store(transform(), "bench")
    store(message, "bench")
    for target, source in (("odom", "base_link"), (message.header.frame_id, message.child_frame_id)):
        found = SimpleNamespace(T=None)
        stamp = Time(nanoseconds=min(max(to_nanoseconds(message.header.stamp), 0), 2**62))
        if target and source and buffer.can_transform(target, source, stamp):
            found.T = matrix_of(buffer.lookup_transform(target, source, stamp))
        if found.T is not None and np.isfinite(found.T).all():  # what is not finite, the node does not use
            require_rigid("a transform of TF", found.T)
