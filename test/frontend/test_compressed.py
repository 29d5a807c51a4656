# SPDX-License-Identifier: Apache-2.0
"""CompressedImage messages: colour, depth of both kinds, and what cannot be read."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mvloc_ros.frontend.compressed import decode_compressed_color, decode_compressed_depth
from mvloc_ros.frontend.decode import DecodeError
from mvloc_ros.frontend.rvl import encode_rvl
from mvloc_ros.model.preprocessing import prepare_color, prepare_depth

A, B = 100.0 * 101.0, 1.0 - 100.0 * 101.0 / 10.0
"""The transport's own quantisation of metres for a range of 10 m and a quantum of 100 at one metre."""
RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
MILLIMETRES = np.random.default_rng(1).integers(300, 60000, (6, 8), dtype=np.uint16)

HUGE_PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 40000, 20000, 16, 0, 0, 0, 0)
HUGE_DEPTH = SimpleNamespace(format="16UC1; compressedDepth", data=bytes(12) + HUGE_PNG)
HUGE_COLOR = SimpleNamespace(format="rgb8; png compressed bgr8", data=HUGE_PNG)


def zero_runs(columns: int, rows: int) -> SimpleNamespace:
    head = bytes(12) + struct.pack("<II", columns, rows)
    return SimpleNamespace(format="16UC1; compressedDepth rvl", data=head + bytes(10**6))


def message(image: np.ndarray, suffix: str, name: str, header: bytes = b"") -> SimpleNamespace:
    return SimpleNamespace(format=name, data=header + cv2.imencode(suffix, image)[1].tobytes())


def rvl(
    image: np.ndarray, name: str = "16UC1; compressedDepth rvl", columns: int = 0, length: int | None = None
) -> SimpleNamespace:
    head = struct.pack("<iff", 0, A, B) + struct.pack("<II", columns or image.shape[1], image.shape[0])
    return SimpleNamespace(format=name, data=(head + encode_rvl(image).tobytes())[:length])


def test_colour_is_rgb_after_png_and_nearly_after_jpeg():
    bgr = np.ascontiguousarray(RGB[..., ::-1])
    png = decode_compressed_color(message(bgr, ".png", "rgb8; png compressed bgr8"))
    np.testing.assert_array_equal(prepare_color(png, 6, 8), RGB)
    smooth = np.full((8, 8, 3), (10, 120, 240), np.uint8)
    jpeg = decode_compressed_color(message(np.ascontiguousarray(smooth[..., ::-1]), ".jpg", "jpeg"))
    np.testing.assert_allclose(prepare_color(jpeg, 8, 8), smooth, atol=4)
    grey = decode_compressed_color(message(RGB[..., 0], ".png", "mono8; png compressed"))
    np.testing.assert_array_equal(prepare_color(grey, 6, 8)[..., 1], RGB[..., 0])


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("16UC1; compressedDepth png", bytes(12)),
        ("16UC1; compressedDepth", bytes(12)),
        ("16UC1", bytes(12)),  # the transport's first versions named nothing more
        ("16UC1; png compressed", b""),
    ],
)
def test_millimetres_keep_all_16_bits(name, header):
    depth = decode_compressed_depth(message(MILLIMETRES, ".png", name, header))
    np.testing.assert_array_equal(depth.values, MILLIMETRES)
    assert depth.metres_per_unit == 0.001


def test_a_stated_unit_counts_in_every_code():
    assert decode_compressed_depth(rvl(MILLIMETRES), 1e-4).metres_per_unit == 1e-4
    header = struct.pack("<iff", 0, A, B)
    quantised = message(MILLIMETRES, ".png", "32FC1; compressedDepth png", header)
    assert decode_compressed_depth(quantised, 1e-3).metres_per_unit == 1e-3
    assert decode_compressed_depth(quantised).metres_per_unit == 1.0


def test_rvl_keeps_all_16_bits():
    depth = decode_compressed_depth(rvl(MILLIMETRES))
    np.testing.assert_array_equal(depth.values, MILLIMETRES)
    assert depth.metres_per_unit == 0.001


@pytest.mark.parametrize("code", ["png", "rvl"])
def test_quantised_metres_come_back_and_zero_is_no_measurement(code):
    metres = np.linspace(0.5, 9.5, 48).reshape(6, 8)
    quantised = (A / metres + B).round().astype(np.uint16)
    quantised[0, 0] = 0
    name = f"32FC1; compressedDepth {code}"
    png = message(quantised, ".png", name, struct.pack("<iff", 0, A, B))
    result = prepare_depth(decode_compressed_depth(png if code == "png" else rvl(quantised, name)), 6, 8)
    assert result[0, 0] == 0.0
    np.testing.assert_allclose(result.ravel()[1:], metres.ravel()[1:], rtol=0.01)


@pytest.mark.parametrize(
    ("decode", "wrong", "sentence"),
    [
        (decode_compressed_color, SimpleNamespace(format="jpeg", data=b""), r"jpeg, 0 bytes\) cannot be decoded"),
        (decode_compressed_color, SimpleNamespace(format="", data=b"rubbish"), "no format stated, 7 bytes"),
        (decode_compressed_color, message(MILLIMETRES, ".png", "16UC1; png compressed"), "uint16 .* no colour image"),
        (decode_compressed_color, SimpleNamespace(format="16UC1; compressedDepth", data=b""), "compressed depth"),
        (decode_compressed_depth, message(RGB, ".jpg", "bgr8; jpeg compressed bgr8"), "JPEG cannot hold depth"),
        (decode_compressed_depth, SimpleNamespace(format="16UC1; compressedDepth png", data=b"x"), "ends within"),
        (decode_compressed_depth, SimpleNamespace(format="16UC1; compressedDepth", data=bytes(40)), "not a PNG"),
        (decode_compressed_depth, rvl(MILLIMETRES, columns=9), "ends, after|do not add up"),
        (decode_compressed_depth, rvl(MILLIMETRES, columns=1 << 31), "claims 2147483648x6 pixels"),
        (decode_compressed_depth, HUGE_DEPTH, "states 40000x20000 pixels"),
        (decode_compressed_color, HUGE_COLOR, "states 40000x20000 pixels"),
        (decode_compressed_depth, zero_runs(8, 6), "1000000 bytes are more than 48 pixels"),
        (decode_compressed_depth, zero_runs(8192, 8192), "a run is empty"),
        (decode_compressed_depth, rvl(MILLIMETRES, length=19), "ends within its header"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_explained(decode, wrong, sentence):
    with pytest.raises(DecodeError, match=sentence):
        decode(wrong)
