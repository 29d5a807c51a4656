# SPDX-License-Identifier: Apache-2.0
"""Messages of random fields, through all that reads them: an image, a named loss, and nothing else."""

from __future__ import annotations

import array
import random
import struct
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from geometry_msgs.msg import PoseWithCovarianceStamped
from mvloc_ros.msg import LocalizationStatus
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from stand_in_server import StandInServer, nothing
from std_msgs.msg import Header

from mvloc_ros.errors import MvlocError
from mvloc_ros.frontend.camera_check import differences
from mvloc_ros.frontend.camera_info import CameraInfoError, read_camera_info
from mvloc_ros.frontend.clouds import decode_cloud
from mvloc_ros.frontend.compressed import decode_compressed_depth
from mvloc_ros.frontend.decode import decode_color
from mvloc_ros.frontend.depth_check import depth_problem, statistics_of
from mvloc_ros.frontend.front_end import FrontEndOptions, PairedFrame
from mvloc_ros.frontend.image_reader import ImageReader
from mvloc_ros.frontend.message_checks import require_frame
from mvloc_ros.frontend.rvl import encode_rvl
from mvloc_ros.frontend.stamp_guard import StampGuard
from mvloc_ros.geometry.camera import View
from mvloc_ros.limits import MOST_CAMERA_FRAMES, MOST_LOG_CHARACTERS
from mvloc_ros.localization.gate import GateLimits
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.tracker import Fix, Tracker
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.manifest import Manifest
from mvloc_ros.model.preprocessing import crop, prepare_color, prepare_depth
from mvloc_ros.node.messages import pose_of
from mvloc_ros.node.pipeline import Pipeline
from mvloc_ros.node.status import bound, diagnostics
from mvloc_ros.node.topic_monitor import TopicMonitor
from mvloc_ros.parameters.inputs import InputParameters

SIZES = (0, 1, 2, 3, 12, 16, 48, 64, 1000, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
NUMBERS = (0.0, -0.0, 1.0, -1.0, 60.0, 31.5, 1e-300, 1e300, -1e300, 1e308, np.inf, -np.inf, np.nan)
NAMES = ("", "camera", "/camera", "x" * 300, "a\nb", "\x1b[2J", "\u202e", "\x00", "\ufffd", "camera ")
ENCODINGS = (
    "rgb8", "bgr8", "rgba8", "mono8", "8UC1", "8UC3", "16UC1", "mono16", "32FC1", "16SC1", "64FC4", "bayer_rggb8",
    "bayer_gbrg16", "yuv422", "uyvy", "nv21", "8UC99999999999", "8UC", "", "rgb8\n", "\x1b[31m", "x" * 100_000,
)  # fmt: skip
FORMATS = (
    "jpeg", "png", "", "rgb8; jpeg compressed bgr8", "bayer_rggb8; png compressed", "16UC1; compressedDepth",
    "16UC1; compressedDepth png", "32FC1; compressedDepth png", "16UC1; compressedDepth rvl",
    "32FC1; compressedDepth rvl", ";;;", "x" * 100_000, "\x1b[2J; compressedDepth",
)  # fmt: skip


class Maker:
    """Messages as a hostile publisher could send them: each field within the range of its type, and no more sense."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def number(self) -> float:
        return float(self.chance.choice(NUMBERS))

    def size(self) -> int:
        return self.chance.choice(SIZES)

    def bytes(self, count: int) -> array.array:
        return array.array("B", self.chance.randbytes(min(count, 20_000)))

    def header(self) -> Header:
        header = Header(frame_id=self.chance.choice(NAMES))
        header.stamp.sec = self.chance.choice((-(2**31), -1, 0, 1, 1_800_000_000, 2**31 - 1))
        header.stamp.nanosec = self.chance.choice((0, 1, 999_999_999, 10**9, 2**32 - 1))
        return header

    def image(self) -> Image:
        height, width = (48, 64) if self.chance.random() < 0.6 else (self.size(), self.size())
        step = self.chance.choice((width, 2 * width, 3 * width, 4 * width, self.size(), 193)) % 2**32
        count = self.chance.choice((0, 1, height * step, height * step - 1, 48 * 64 * 4))
        return Image(
            header=self.header(), height=height, width=width, step=step, encoding=self.chance.choice(ENCODINGS),
            is_bigendian=self.chance.choice((0, 1, 255)), data=self.bytes(max(count, 0)),
        )  # fmt: skip

    def compressed(self) -> CompressedImage:
        data = bytearray(self._code())
        if self.chance.random() < 0.5:
            data = struct.pack("<iff", 0, self.number() % 1e38, self.number() % 1e38) + data
        for _ in range(self.chance.choice((0, 0, 1, 8))):
            if data:
                data = bytearray(data)
                data[self.chance.randrange(min(len(data), 200))] = self.chance.randrange(256)
        end = self.chance.choice((len(data), len(data), self.chance.randrange(len(data) + 1)))
        return CompressedImage(
            header=self.header(), format=self.chance.choice(FORMATS), data=array.array("B", bytes(data[:end]))
        )

    def _code(self) -> bytes:
        kind = self.chance.choice((".png", ".jpg", ".bmp", "depth", "rvl", "random"))
        if kind == "random":
            return bytes(self.bytes(self.chance.randrange(300)))
        depth = np.array([self.chance.randrange(65536) for _ in range(12 * 16)], np.uint16).reshape(12, 16)
        if kind == "rvl":
            size = (self.size(), self.size()) if self.chance.random() < 0.3 else (16, 12)
            return struct.pack("<II", *size) + encode_rvl(depth).tobytes()
        picture = depth if kind == "depth" else np.dstack([depth % 256] * 3).astype(np.uint8)
        return bytes(cv2.imencode(".png" if kind == "depth" else kind, picture)[1])

    def cloud(self) -> PointCloud2:
        names = ("x", "y", "z") if self.chance.random() < 0.6 else self.chance.choices(("x", "y", "z", "", "i\n"), k=4)
        kind = self.chance.choice((7, 7, 8, 0, 2, 255))
        made = [
            PointField(
                name=name, offset=4 * n if self.chance.random() < 0.7 else self.size(), datatype=kind,
                count=1 if self.chance.random() < 0.9 else self.size(),
            )
            for n, name in enumerate(names)
        ]  # fmt: skip
        height, width = (1, 100) if self.chance.random() < 0.6 else (self.size(), self.size())
        step = self.chance.choice((12, 16, 32, self.size()))
        values = [self.number() for _ in range(400)]
        with np.errstate(over="ignore"):
            data = np.array(values, np.float64 if kind == 8 else np.float32).tobytes()
        return PointCloud2(
            header=self.header(), height=height, width=width, fields=made, point_step=step,
            row_step=self.chance.choice((0, (width * step) % 2**32, self.size())),
            is_bigendian=self.chance.random() < 0.3, data=array.array("B", data),
        )  # fmt: skip

    def info(self) -> CameraInfo:
        info = CameraInfo(header=self.header())
        info.width, info.height = (64, 48) if self.chance.random() < 0.6 else (self.size(), self.size())
        info.k = np.array([60.0, 0.0, 31.5, 0.0, 60.0, 23.5, 0.0, 0.0, 1.0])
        info.d = [self.number() for _ in range(self.chance.choice((0, 4, 5, 8, 14, 15, 65, 5000)))]
        info.distortion_model = self.chance.choice(("plumb_bob", "equidistant", "", "x" * 10_000, "\n"))
        for matrix in (info.k, info.p):
            for _ in range(self.chance.choice((0, 1, 3))):
                matrix[self.chance.randrange(len(matrix))] = self.number()
        info.binning_x, info.binning_y = self.chance.choice((0, 1, 2)), self.chance.choice((0, 1, 2, self.size()))
        if self.chance.random() < 0.3:
            info.roi.x_offset, info.roi.width, info.roi.height = self.size(), self.size(), self.size()
        return info

    def pose(self) -> PoseWithCovarianceStamped:
        message = PoseWithCovarianceStamped(header=self.header())
        pose = message.pose.pose
        pose.orientation.w = 1.0
        message.pose.covariance = np.diag([0.25, 0.25, 0.0, 0.0, 0.0, 0.07]).reshape(36)
        for _ in range(self.chance.choice((0, 1, 1, 5))):
            part, name = self.chance.choice(((pose.position, "x"), (pose.position, "z"), (pose.orientation, "y")))
            setattr(part, name, self.number())
        for _ in range(self.chance.choice((0, 1, 1, 5))):
            message.pose.covariance[self.chance.randrange(36)] = self.number()
        return message


@pytest.fixture
def manifest(tiny_bundle: Path) -> Manifest:
    return read_bundle(tiny_bundle).manifest


def reader_of(manifest: Manifest, **changes: Any) -> ImageReader:
    return ImageReader(InputParameters(**changes), lambda: manifest, None)


def outcomes(read: Callable[[], object], rounds: int) -> Counter[str]:
    """How often something was read and how often it was refused; what else is raised passes through."""
    found: Counter[str] = Counter()
    said = []
    for _ in range(rounds):
        try:
            read()
            found["read"] += 1
        except MvlocError as error:
            said.append(str(error))
    assert all(text.isprintable() for text in said)
    assert max(map(len, said)) < MOST_LOG_CHARACTERS
    return found + Counter(refused=len(said))


def with_content(made: Any) -> Any:
    return made() if callable(made) else made


# Warnings of NumPy about such numbers are no outcome; they are errors where the numbers would be accepted.
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("transport", ["raw", "compressed"])
@pytest.mark.parametrize("rescale", [False, True])
def test_color_images(manifest, transport: str, rescale: bool):
    maker, reader = Maker(1), reader_of(manifest, color_transport=transport, rescale_input=rescale)

    def read() -> None:
        if maker.chance.random() < 0.5:
            try:
                reader.color_model = read_camera_info(maker.info(), "color/image")
            except CameraInfoError:
                reader.color_model = None
        message = maker.image() if transport == "raw" else maker.compressed()
        image = with_content(reader.read_color(message))
        assert prepare_color(image, 12, 16).shape == (12, 16, 3)

    found = outcomes(read, 400)
    assert found["read"] > 0
    assert found["refused"] > 100


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("source", ["image", "compressed", "cloud"])
@pytest.mark.parametrize("rescale", [False, True])
def test_depth_images(manifest, source: str, rescale: bool):
    maker, reader = Maker(2), reader_of(manifest, depth_source=source, rescale_input=rescale)
    make = {"image": maker.image, "compressed": maker.compressed, "cloud": maker.cloud}[source]

    def read() -> None:
        if maker.chance.random() < 0.5:
            try:
                reader.color_model = read_camera_info(maker.info(), "color/image")
            except CameraInfoError:
                reader.color_model = None
        message = make()
        if source == "cloud":
            message.header.frame_id = "camera"
            reader._color_frame = "camera"  # as an image before it told
        image = with_content(reader.read_depth(message))
        assert prepare_depth(image, 12, 16).shape == (12, 16)
        statistics = statistics_of([image], manifest.input)
        statistics.text()
        depth_problem(statistics, image.metres_per_unit, manifest.input, "depth_unit_m")

    found = outcomes(read, 400)
    assert found["read"] > 0
    assert found["refused"] > 100


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_camera_infos(manifest):
    maker = Maker(3)

    def read() -> None:
        message = maker.info()
        require_frame("A camera_info", message.header.frame_id)
        model = read_camera_info(message, maker.chance.choice(("color/image", "color/image_rect")))
        assert np.isfinite([model.camera.fx, model.camera.fy, model.camera.cx, model.camera.cy]).all()
        for rescale in (False, True):
            texts = differences("colour", model, manifest.color_camera, manifest.input, rescale)
            assert all(text.isprintable() for text in texts)

    found = outcomes(read, 1500)
    assert found["read"] > 50
    assert found["refused"] > 500


def test_initial_poses_are_refused_or_leave_a_tracker_that_judges():
    maker = Maker(4)
    fix = Fix(Pose(2_000_000_000, np.eye(4), 1e-4 * np.eye(6)))

    def read() -> None:
        message = maker.pose()
        hint = pose_of(message)
        covariance = hint.covariance + np.diag(np.where(np.diag(hint.covariance) > 0.0, 0.0, 1.0))  # as the node does
        tracker = Tracker(GateLimits())
        with np.errstate(all="raise", under="ignore"):
            tracker.hint(Pose(hint.stamp_ns, hint.T, covariance), None)
            verdict = tracker.update(fix)
        assert verdict.accepted or verdict.reason

    found = outcomes(read, 1500)
    assert found["read"] > 50
    assert found["refused"] > 500


@pytest.mark.parametrize(
    ("variances", "correlation"), [((-1.0,) * 6, 0.0), ((0.25, 0.25, 0.25, 0.07, 0.07, 0.07), 5.0)]
)
def test_an_initial_pose_whose_covariance_is_none_is_refused(variances: tuple[float, ...], correlation: float):
    """The gate's distance would be the root of a negative number, and any pose would be accepted."""
    message = PoseWithCovarianceStamped()
    message.pose.pose.orientation.w = 1.0
    covariance = np.diag(variances)
    covariance[0, 1] = covariance[1, 0] = correlation
    message.pose.covariance = covariance.reshape(36)
    with pytest.raises(MvlocError, match="not symmetric and positive semidefinite"):
        pose_of(message)


def not_localized(_: object) -> None:
    raise MvlocError("not localized")


def test_headers_through_the_whole_pipeline(manifest):
    """Stamps and frame ids of every kind: each image is taken or named, and no failure is an unexpected one."""
    maker, problems, failures = Maker(5), [], []
    reader = reader_of(manifest)
    guard = StampGuard(time.time_ns, 1.0, lambda _: None)
    monitors = TopicMonitor("colour"), TopicMonitor("depth")
    options = FrontEndOptions("color", 20_000_000, single_wait_s=0.5)
    readers = reader.read_color, reader.read_depth

    def server(put: Callable[[PairedFrame], None]) -> StandInServer:
        return StandInServer(
            put, not_localized, options, *readers, guard.check, lambda _name, _stamp, text: problems.append(text)
        )

    pipeline = Pipeline(server, nothing, nothing, lambda _, text: failures.append(text))
    try:
        for n in range(1000):
            color, depth = maker.image(), maker.image()
            if n % 2:
                color.header.stamp.sec, color.header.stamp.nanosec = divmod(10**18 + n, 10**9)
                color.header.frame_id = f"camera{n}"
            monitors[0].note(color, float(n))
            monitors[1].note(depth, float(n))
            pipeline.take_color(color)
            pipeline.take_depth(depth)
    finally:
        pipeline.stop()
    counts = pipeline.server.front.counts
    assert len(problems) == counts.color_invalid + counts.depth_invalid
    assert counts.color_invalid < 1000
    assert not [text for text in problems + failures if "unexpectedly" in text or "Error:" in text]
    assert all(text.isprintable() and len(text) < MOST_LOG_CHARACTERS for text in problems)
    assert len(pipeline.server.front._frame_ids) <= MOST_CAMERA_FRAMES
    assert all(len(monitor.look) < 120 and monitor.look.isprintable() for monitor in monitors)


def test_ever_new_frame_ids_are_refused_by_name(make_image):
    problems = []

    def server(put: Callable[[PairedFrame], None]) -> StandInServer:
        said = {"on_problem": lambda _name, _stamp, text: problems.append(text)}
        return StandInServer(put, not_localized, FrontEndOptions("color", 1), **said)

    pipeline = Pipeline(server, nothing, nothing, nothing)
    try:
        for n in range(1000):
            image = make_image(np.zeros((2, 2, 3), np.uint8), 10**18 + n, f"camera{n}", encoding="rgb8")
            for _ in range(2):
                pipeline.take_color(image)
    finally:
        pipeline.stop()
    assert pipeline.server.front.counts.color_invalid == 2 * (1000 - MOST_CAMERA_FRAMES)
    assert "'camera16', after images of 16 other frames" in problems[0]


def test_what_would_take_all_memory_or_is_impossible_is_refused_by_name():
    big = View(-3.0, -3.0, 4.0, 4.0)
    with pytest.raises(MvlocError, match="at most 67108864 pixels are accepted; check its camera_info"):
        crop(np.zeros((6000, 6000), np.uint8), big)
    with pytest.raises(MvlocError, match="claims 8193x8192 pixels"):
        decode_color(Image(height=8192, width=8193, encoding="mono8", step=8193, data=array.array("B", [0])))
    png = cv2.imencode(".png", np.ones((12, 16), np.uint16))[1].tobytes()
    for a, b in ((np.nan, 1.0), (1.0, np.inf), (0.0, 1.0), (-1.0, 0.0)):
        data = array.array("B", struct.pack("<iff", 0, a, b) + png)
        message = CompressedImage(format="32FC1; compressedDepth png", data=data)
        with pytest.raises(MvlocError, match=r"its quantisation .* is impossible"):
            decode_compressed_depth(message)


def test_a_cloud_of_very_many_fields_is_refused_in_a_short_sentence():
    message = PointCloud2(height=1, width=1, point_step=12, row_step=12, data=array.array("B", bytes(12)))
    message.fields = [PointField(name=f"\x1bfield{n}" * 100, offset=0, datatype=7, count=1) for n in range(10_000)]
    with pytest.raises(MvlocError, match=r"and 9992 more\)") as caught:
        decode_cloud(message)
    assert len(str(caught.value)) < 900
    assert str(caught.value).isprintable()


def test_a_frame_id_is_a_name():
    assert require_frame("It", "camera_färbe") == "camera_färbe"
    assert require_frame("It", "") == ""
    for frame_id, words in (
        ("x" * 1_000_000, "a frame_id of 1000000 characters"),
        ("a\nb", r"not printed as themselves \(a\\nb\)"),
    ):
        with pytest.raises(MvlocError, match=words):
            require_frame("It", frame_id)


def test_the_texts_of_a_status_are_bounded():
    message = LocalizationStatus(reason="\x1b\n" * 1_000_000, last_rejection="x" * 1_000_000, state=3)
    bound(message)
    entry = diagnostics(message, "mvloc", Header()).status[0]
    texts = [message.reason, message.last_rejection, *(value.value for value in entry.values)]
    assert all(text.isprintable() and len(text) <= MOST_LOG_CHARACTERS for text in texts)
