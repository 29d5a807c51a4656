# SPDX-License-Identifier: Apache-2.0
"""Image messages to arrays: every encoding, padding, byte order, and damage."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mvloc_ros.frontend.decode import DecodeError, decode_color, decode_depth
from mvloc_ros.model.preprocessing import prepare_color, prepare_depth

HEIGHT, WIDTH = 6, 8
RGB = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def image(pixels: np.ndarray, encoding: str, padding: int = 0, big_endian: bool = False) -> SimpleNamespace:
    """A message with `padding` bytes of rubbish after each row."""
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(pixels.shape[0], -1)
    rubbish = np.full((pixels.shape[0], padding), 0xAA, np.uint8)
    data = np.hstack([rows, rubbish]).tobytes()
    return SimpleNamespace(
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=rows.shape[1] + padding,
        is_bigendian=int(big_endian),
        data=data,
    )


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("rgba8", np.dstack([RGB, RGB[..., 0]])),
        ("bgra8", np.dstack([RGB[..., ::-1], RGB[..., 0]])),
    ],
)
def test_every_colour_order_becomes_the_same_rgb_without_a_copy(encoding, pixels, padding):
    message = image(pixels, encoding, padding)
    decoded = decode_color(message)
    assert np.shares_memory(decoded.pixels, np.frombuffer(message.data, np.uint8))
    np.testing.assert_array_equal(prepare_color(decoded, HEIGHT, WIDTH), RGB)


def test_mono_becomes_grey():
    grey = prepare_color(decode_color(image(RGB[..., 0], "mono8", 3)), HEIGHT, WIDTH)
    np.testing.assert_array_equal(grey, np.repeat(RGB[..., :1], 3, axis=2))


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize(
    ("encoding", "kind", "unit"), [("16UC1", "u2", 0.001), ("mono16", "u2", 0.001), ("32FC1", "f4", 1.0)]
)
def test_depth_arrives_in_metres_whatever_the_byte_order(encoding, kind, unit, big_endian):
    metres = np.linspace(0.5, 8.0, HEIGHT * WIDTH).round(3).reshape(HEIGHT, WIDTH)
    stored = (metres / unit).round(3).astype((">" if big_endian else "<") + kind)
    decoded = decode_depth(image(stored, encoding, padding=4, big_endian=big_endian))
    np.testing.assert_allclose(prepare_depth(decoded, HEIGHT, WIDTH), metres, atol=1e-6)


def test_depth_keeps_what_is_no_measurement():
    values = np.array([[np.nan, np.inf], [-np.inf, 2.0]], np.float32)
    prepared = prepare_depth(decode_depth(image(values, "32FC1")), 2, 2)
    np.testing.assert_array_equal(prepared, values)


@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [("rgb16", RGB.astype(np.uint16) * 257), ("bayer_rggb8", RGB[..., 0]), ("yuv422", RGB[..., :2])],
)
def test_other_encodings_go_through_cv_bridge(encoding, pixels):
    decoded = decode_color(image(pixels, encoding))
    assert decoded.order == "rgb"
    assert decoded.pixels.shape == (HEIGHT, WIDTH, 3)
    if encoding == "rgb16":
        np.testing.assert_allclose(decoded.pixels.astype(int), RGB.astype(int), atol=1)


def test_resizing_depth_takes_the_sample_at_the_pixel_centre():
    values = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)
    prepared = prepare_depth(decode_depth(image(values, "16UC1")), 12, 16)
    np.testing.assert_allclose(prepared, values[2::4, 2::4] * np.float32(0.001), rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoding": "h264"}, "h264"),
        ({"encoding": "16UC1"}, "swapped"),
        ({"height": 0}, "empty"),
        ({"data": b""}, "empty"),
        ({"data": b"123"}, "3 bytes"),
        ({"step": 3}, "step is 3"),
    ],
)
def test_damaged_colour_is_named(change, words):
    message = image(RGB, "rgb8")
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(DecodeError, match=words):
        decode_color(message)


@pytest.mark.parametrize(("encoding", "words"), [("rgb8", "16UC1"), ("8UC1", "32FC1")])
def test_depth_of_a_wrong_encoding_is_named(encoding, words):
    with pytest.raises(DecodeError, match=words):
        decode_depth(image(RGB if encoding == "rgb8" else RGB[..., 0], encoding))
