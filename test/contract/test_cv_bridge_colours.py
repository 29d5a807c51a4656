# SPDX-License-Identifier: Apache-2.0
"""cv_bridge.CvBridge: conversions between encodings, and those that it refuses."""

from __future__ import annotations

from array import array

import cv2
import numpy as np
import pytest
from cv_bridge import CvBridge, CvBridgeError
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import Image

# Columns: channel that holds red, green, blue, alpha.
COLOURS = {
    "rgb8": "rgb",
    "bgr8": "bgr",
    "rgba8": "rgba",
    "bgra8": "bgra",
    "rgb16": "rgb",
    "bgr16": "bgr",
    "rgba16": "rgba",
    "bgra16": "bgra",
}
colour_encodings = st.sampled_from(sorted(COLOURS))


def image_message(image: np.ndarray, encoding: str) -> Image:
    result = Image(height=image.shape[0], width=image.shape[1], encoding=encoding)
    result.step = image.nbytes // image.shape[0]
    result.data = array("B", image.tobytes())
    return result


@pytest.fixture(scope="module")
def bridge() -> CvBridge:
    return CvBridge()


def bits(encoding: str) -> int:
    return 16 if encoding.endswith("16") else 8


@settings(deadline=None, max_examples=120)
@given(source=colour_encodings, target=colour_encodings, seed=st.integers(0, 99))
def test_between_colours(bridge: CvBridge, source: str, target: str, seed: int) -> None:
    """Every channel lands where the name says, 8 and 16 bits are scaled, and a missing alpha becomes opaque."""
    random = np.random.default_rng(seed)
    full = 2 ** bits(source) - 1
    image = random.integers(0, full, (4, 6, len(COLOURS[source])), dtype=f"uint{bits(source)}", endpoint=True)
    converted = bridge.imgmsg_to_cv2(image_message(image, source), target)
    assert converted.dtype == f"uint{bits(target)}"
    assert converted.shape == (4, 6, len(COLOURS[target]))
    scale = (2 ** bits(target) - 1) / full
    for place, channel in enumerate(COLOURS[target]):
        if channel in COLOURS[source]:
            expected = image[:, :, COLOURS[source].index(channel)] * scale
            np.testing.assert_allclose(converted[:, :, place], expected, atol=0.51)
        else:
            assert (converted[:, :, place] == 2 ** bits(target) - 1).all()


@pytest.mark.parametrize("source", ["rgb8", "bgr8", "rgba8", "bgra8", "rgb16", "bgr16"])
def test_colour_to_grey(bridge: CvBridge, source: str) -> None:
    full = 2 ** bits(source) - 1
    image = np.random.default_rng(1).integers(0, full, (4, 6, len(COLOURS[source])), dtype=f"uint{bits(source)}")
    red, green, blue = (image[:, :, COLOURS[source].index(channel)].astype(float) for channel in "rgb")
    expected = 0.299 * red + 0.587 * green + 0.114 * blue
    grey = bridge.imgmsg_to_cv2(image_message(image, source), f"mono{bits(source)}")
    np.testing.assert_allclose(grey, expected, atol=1.0 if bits(source) == 8 else 8.0)


@pytest.mark.parametrize("target", ["rgb8", "bgr8", "rgba8", "bgra8"])
def test_grey_to_colour(bridge: CvBridge, target: str) -> None:
    image = np.arange(24, dtype=np.uint8).reshape(4, 6)
    converted = bridge.imgmsg_to_cv2(image_message(image, "mono8"), target)
    for place in range(3):
        np.testing.assert_array_equal(converted[:, :, place], image)


def test_grey_depths_are_scaled(bridge: CvBridge) -> None:
    image = np.array([[0, 1, 128, 255]], np.uint8)
    wide = bridge.imgmsg_to_cv2(image_message(image, "mono8"), "mono16")
    np.testing.assert_array_equal(wide, image.astype(np.uint16) * 257)
    np.testing.assert_array_equal(bridge.imgmsg_to_cv2(image_message(wide, "mono16"), "mono8"), image)


def test_depth_images_keep_their_units(bridge: CvBridge) -> None:
    """16UC1 in millimetres becomes floating millimetres, not metres."""
    image = np.array([[0, 1, 1234, 65535]], np.uint16)
    converted = bridge.imgmsg_to_cv2(image_message(image, "16UC1"), "32FC1")
    assert converted.dtype == np.float32
    np.testing.assert_array_equal(converted, image)
    np.testing.assert_array_equal(bridge.imgmsg_to_cv2(image_message(converted, "32FC1"), "16UC1"), image)


def test_float_to_integer_rounds_and_saturates(bridge: CvBridge) -> None:
    image = np.array([[-5.0, 0.4, 0.6, 70000.0]], np.float32)
    converted = bridge.imgmsg_to_cv2(image_message(image, "32FC1"), "16UC1")
    np.testing.assert_array_equal(converted, [[0, 0, 1, 65535]])


def test_colour_may_lose_its_name(bridge: CvBridge) -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    np.testing.assert_array_equal(bridge.imgmsg_to_cv2(image_message(image, "rgb8"), "8UC3"), image)
    wide = np.arange(8, dtype=np.uint16).reshape(2, 4)
    np.testing.assert_array_equal(bridge.imgmsg_to_cv2(image_message(wide, "mono16"), "16UC1"), wide)


@pytest.mark.parametrize(
    ("source", "shape", "dtype", "target"),
    [
        ("16UC1", (2, 2), np.uint16, "mono8"),
        ("16UC1", (2, 2), np.uint16, "mono16"),
        ("32FC1", (2, 2), np.float32, "mono8"),
        ("8UC3", (2, 2, 3), np.uint8, "rgb8"),
        ("8UC1", (2, 2), np.uint8, "bgr8"),
        ("16UC1", (2, 2), np.uint16, "8UC3"),
        ("rgb8", (2, 2, 3), np.uint8, "8UC1"),
        ("bayer_rggb8", (2, 2), np.uint8, "rgba8"),
        ("rgb8", (2, 2, 3), np.uint8, "bayer_rggb8"),
        ("rgb8", (2, 2, 3), np.uint8, "nonsense"),
    ],
)
def test_conversions_without_sense(
    bridge: CvBridge, source: str, shape: tuple[int, ...], dtype: type, target: str
) -> None:
    with pytest.raises(CvBridgeError):
        bridge.imgmsg_to_cv2(image_message(np.zeros(shape, dtype), source), target)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_names_the_first_two_rows(bridge: CvBridge, pattern: str, depth: int) -> None:
    """A scene of one colour, seen through the mosaic that the name describes, gets its colour back."""
    colour = {"r": 200, "g": 120, "b": 40}
    cell = np.array([[colour[pattern[0]], colour[pattern[1]]], [colour[pattern[2]], colour[pattern[3]]]])
    mosaic = np.tile(cell, (6, 6)).astype(f"uint{depth}")
    sent = image_message(mosaic, f"bayer_{pattern}{depth}")
    inner = (slice(3, -3), slice(3, -3))
    assert (bridge.imgmsg_to_cv2(sent, f"rgb{depth}")[inner] == [200, 120, 40]).all()
    assert (bridge.imgmsg_to_cv2(sent, f"bgr{depth}")[inner] == [40, 120, 200]).all()
    grey = bridge.imgmsg_to_cv2(sent, f"mono{depth}")[inner].astype(float)
    np.testing.assert_allclose(grey, 0.299 * 200 + 0.587 * 120 + 0.114 * 40, atol=1.0)


@pytest.mark.parametrize(("encoding", "order"), [("yuv422", "uyvy"), ("yuv422_yuy2", "yuyv")])
def test_packed_colour(bridge: CvBridge, encoding: str, order: str) -> None:
    """yuv422 is U Y V Y, yuv422_yuy2 is Y U Y V; two pixels share U and V (BT.601)."""
    y, u, v = 120, 90, 200
    packed = np.tile([{"y": y, "u": u, "v": v}[letter] for letter in order], (4, 3)).astype(np.uint8).reshape(4, 6, 2)
    sent = image_message(packed, encoding)
    luma = 1.164 * (y - 16)
    expected = [luma + 1.596 * (v - 128), luma - 0.813 * (v - 128) - 0.392 * (u - 128), luma + 2.017 * (u - 128)]
    np.testing.assert_allclose(bridge.imgmsg_to_cv2(sent, "rgb8")[0, 0], expected, atol=2.0)
    np.testing.assert_allclose(bridge.imgmsg_to_cv2(sent, "bgr8")[3, 5], expected[::-1], atol=2.0)
    assert (bridge.imgmsg_to_cv2(sent, "mono8") == y).all()
    # The same numbers by the library that both providers stand on.
    code = cv2.COLOR_YUV2RGB_UYVY if order == "uyvy" else cv2.COLOR_YUV2RGB_YUY2
    np.testing.assert_array_equal(bridge.imgmsg_to_cv2(sent, "rgb8"), cv2.cvtColor(packed, code))
