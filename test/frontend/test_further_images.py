# SPDX-License-Identifier: Apache-2.0
"""Messages of further sensors: read by kind, in frames of the pair and without it, and named where they are no use."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from rig_bundle import CAMERA, REAR

from mvloc_ros.frontend.camera_info import CameraModel
from mvloc_ros.frontend.decode import DecodeError
from mvloc_ros.frontend.extrinsic_check import extrinsic_problem
from mvloc_ros.frontend.front_end import FrontEnd, FrontEndOptions, PairedFrame
from mvloc_ros.frontend.image_reader import ImageReader
from mvloc_ros.frontend.transport_names import info_topic
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import View
from mvloc_ros.geometry.transform_lookup import Found
from mvloc_ros.model.frame import ColorImage, DepthImage
from mvloc_ros.model.modalities import Sensor
from mvloc_ros.parameters.errors import ParameterError
from mvloc_ros.parameters.sensor_topics import read_sensor_topics, sensor_topics_text
from mvloc_ros.parameters.table import NodeParameters

MS = 1_000_000
START = 10**18
PIXELS = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)


def header(stamp_ns: int, frame_id: str) -> Any:
    seconds, nanoseconds = divmod(stamp_ns, 10**9)
    return SimpleNamespace(stamp=SimpleNamespace(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)


def raw(encoding: str, pixels: np.ndarray, stamp_ns: int = START, frame_id: str = "rear") -> Any:
    height, width = pixels.shape[:2]
    return SimpleNamespace(
        header=header(stamp_ns, frame_id), encoding=encoding, height=height, width=width, is_bigendian=0,
        step=pixels.nbytes // height, data=np.ascontiguousarray(pixels).view(np.uint8).reshape(-1),
    )  # fmt: skip


def sensor(kind: str) -> Sensor:
    return Sensor("rear", kind, CAMERA, tuple(map(float, REAR.ravel())))


def read(kind: str, message: Any) -> Any:
    found = ImageReader(NodeParameters(), lambda: manifest_of(sensor(kind)), None).read_further("rear", message)
    return found() if callable(found) else found


def manifest_of(*sensors: Sensor) -> Any:
    return SimpleNamespace(sensors=[SimpleNamespace(sensor=one) for one in sensors])


def test_after_an_exchange_images_are_rescaled_to_the_camera_of_the_new_model() -> None:
    before = sensor("gray")
    running = [before]
    reader = ImageReader(NodeParameters(rescale_input=True), lambda: manifest_of(*running), None)
    reader.further_models["rear"] = CameraModel(CAMERA, "rear", "", 0.0)
    message = raw("mono8", PIXELS.astype(np.uint8))
    assert reader.read_further("rear", message).view == View(0.0, 0.0, 1.0, 1.0)
    running[:] = [replace(before, camera=replace(CAMERA, fx=2 * CAMERA.fx, fy=2 * CAMERA.fy))]
    found = reader.read_further("rear", message).view
    assert found.right - found.left == pytest.approx(0.5, abs=0.01)


def test_images_are_read_by_kind() -> None:
    bytes_of = PIXELS.astype(np.uint8)
    gray = read("gray", raw("mono8", bytes_of))
    assert isinstance(gray, ColorImage)
    assert gray.order == "mono"
    np.testing.assert_array_equal(gray.pixels, bytes_of)
    assert read("gray", raw("rgb8", np.repeat(bytes_of[..., None], 3, 2))).order == "rgb"
    png = SimpleNamespace(
        header=header(START, "rear"), format="png", data=cv2.imencode(".png", bytes_of)[1].reshape(-1)
    )
    np.testing.assert_array_equal(read("gray", png).pixels, bytes_of)
    depth = read("depth", raw("16UC1", PIXELS))
    assert isinstance(depth, DepthImage)
    assert depth.metres_per_unit == 0.001
    assert read("depth", raw("32FC1", PIXELS.astype(np.float32))).metres_per_unit == 1.0
    coded = np.concatenate([np.zeros(12, np.uint8), cv2.imencode(".png", PIXELS)[1].reshape(-1)])
    compressed = SimpleNamespace(header=header(START, "rear"), format="16UC1; compressedDepth png", data=coded)
    np.testing.assert_array_equal(read("depth", compressed).values, PIXELS)


@pytest.mark.parametrize(("kind", "encoding"), [("depth", "mono8"), ("gray", "16UC1"), ("color", "32FC1")])
def test_an_image_of_another_kind_names_its_sensor(kind: str, encoding: str) -> None:
    item = {"mono8": np.uint8, "16UC1": np.uint16, "32FC1": np.float32}[encoding]
    with pytest.raises(DecodeError, match=r"^Sensor rear: "):
        read(kind, raw(encoding, PIXELS.astype(item)))


class Ends:
    """A front end with a rear camera, and what it gave."""

    def __init__(self, wait_s: float = 0.5) -> None:
        self.frames: list[PairedFrame] = []
        self.problems: list[tuple[str, int, str]] = []
        color, depth = ColorImage(np.zeros((4, 4, 3), np.uint8), "rgb"), DepthImage(np.ones((4, 4), np.uint16), 0.001)
        self.end = FrontEnd(
            FrontEndOptions("color", 20 * MS, single_wait_s=wait_s),
            lambda _: color,
            lambda _: depth,
            lambda *_: None,
            self.frames.append,
            lambda *said: self.problems.append(said),
            {"rear": lambda message: message.image()},
        )

    def pair(self, stamp_ns: int, now_s: float) -> None:
        message = SimpleNamespace(header=header(stamp_ns, "front"))
        self.end.take_color(message, now_s)
        self.end.take_depth(message, now_s)

    def rear(self, stamp_ns: int, now_s: float, image: Any = None) -> None:
        content = ColorImage(np.ones((4, 4, 3), np.uint8), "rgb")
        message = SimpleNamespace(header=header(stamp_ns, "rear"), image=image or (lambda: content))
        self.end.take_further("rear", message, now_s)


def test_a_frame_has_the_further_image_and_its_skew() -> None:
    ends = Ends()
    ends.rear(START + 3 * MS, 0.0)
    ends.pair(START, 0.01)
    ends.end.settle()
    (paired,) = ends.frames
    assert (paired.stamp_ns, paired.frame_id, dict(paired.further_skew_ns)) == (START, "front", {"rear": 3 * MS})
    frame, known = ends.end.read(paired)
    assert (set(frame.further), known.remark) == ({"rear"}, "")
    assert ends.end.frames == {"color": "front", "depth": "front", "rear": "rear"}


def test_without_the_pair_the_further_image_carries_the_stamp_and_the_pose_stays_the_front_cameras() -> None:
    ends = Ends()
    ends.pair(START, 0.0)
    for n in range(1, 12):
        ends.rear(START + 100 * n * MS, 0.1 * n)
        ends.end.tick(0.1 * n)
    last = ends.frames[-1]
    assert (last.stamp_ns, last.frame_id, set(last.images)) == (START + 1100 * MS, "front", {"rear"})
    assert last.remark.startswith("no colour image fits: the last on the colour topic came 1.1 s ago; no depth image")
    assert ends.end.counts.without_pair == len(ends.frames) - 1 == 6
    frame, _ = ends.end.read(last)
    assert (frame.color, frame.depth) == (None, None)


def test_a_further_image_that_cannot_be_read_costs_that_sensor_alone() -> None:
    def fail() -> Any:
        raise DecodeError("It is broken.")

    for wait_s in (0.0, 0.5):
        ends = Ends(wait_s)
        ends.rear(START, 0.0, image=fail)
        assert ends.problems == [("rear", START, "It is broken.")]
        assert ends.end.counts.further_invalid == {"rear": 1}
        ends.rear(START + MS, 0.0, image=lambda: fail)
        ends.pair(START + MS, 0.0)
        ends.end.settle()
        frame, known = ends.end.read(ends.frames[-1])
        assert frame.color is not None
        assert (dict(frame.further), known.remark) == ({}, "It is broken.")


def test_topics_are_named_by_sensor() -> None:
    text = "thermal:=/t/image_raw/compressed rear:=rear/image"
    found = read_sensor_topics(text, ["rear", "thermal", "side"], "m")
    assert list(found.items()) == [("rear", "rear/image"), ("thermal", "/t/image_raw/compressed")]
    assert read_sensor_topics(sensor_topics_text(found), list(found), "m") == found
    assert [info_topic(topic) for topic in found.values()] == ["rear/camera_info", "/t/camera_info"]
    assert info_topic("image") == "camera_info"
    for wrong, why in (("rear", "is no name:=topic"), ("x:=/x", "the model m has the sensors rear"),
                       ("rear:=/a rear:=/b", "names rear twice: /a and /b")):  # fmt: skip
        with pytest.raises(ParameterError, match=why):
            read_sensor_topics(wrong, ["rear"], "m")


class Transforms:
    """TF that knows one transform."""

    def __init__(self, T: np.ndarray | None) -> None:
        self.T = T

    def lookup(self, _target: str, _source: str, _stamp_ns: int, wait: bool = True) -> Found:
        return Found(self.T, self.T is not None, "")

    def forget(self) -> None:
        """Nothing moves."""


def test_a_sensor_that_sits_elsewhere_is_told_with_both_numbers() -> None:
    def problem(T: np.ndarray | None) -> str:
        return extrinsic_problem(sensor("color"), "front", "rear", Transforms(T), START)

    turned = se3.from_parts([0.0, 0.0, 0.0], [np.sin(np.radians(1.5)), 0.0, 0.0, np.cos(np.radians(1.5))])
    moved = se3.from_parts([0.019, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0])
    assert problem(None) == problem(REAR) == problem(REAR @ moved) == ""
    assert "0.0 cm and 3.0 degrees from where the sensor rear was" in problem(REAR @ turned)
    assert "3.8 cm and 0.0 degrees" in problem(REAR @ moved @ moved)
