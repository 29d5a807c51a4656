# SPDX-License-Identifier: Apache-2.0
"""The size that an image states: right for every format that is read, and refused before any pixel is decoded."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from mvloc_ros import image_bytes
from mvloc_ros.image_header import PNG_SIGNATURE, stated_size
from mvloc_ros.limits import MOST_PIXELS


def png(width: int, height: int, bits: int, color_type: int) -> bytes:
    """A PNG that states its size and holds almost nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return PNG_SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".ppm", ".pgm", ".webp", ".tif"])
@pytest.mark.parametrize("gray", [False, True])
def test_the_stated_size_is_the_size(suffix: str, gray: bool):
    image = np.random.default_rng(0).integers(0, 256, (37, 53) if gray else (37, 53, 3), dtype=np.uint8)
    if (suffix, gray) == (".ppm", True) or (suffix, gray) == (".pgm", False):
        pytest.skip("not a combination of that format")
    data = cv2.imencode(suffix, image)[1].tobytes()
    assert stated_size(data) == (53, 37)
    assert image_bytes.decode(data).shape[:2] == (37, 53)


def test_lossy_webp_and_progressive_jpeg_too():
    image = np.zeros((37, 53, 3), np.uint8)
    assert stated_size(cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, 50])[1].tobytes()) == (53, 37)
    assert stated_size(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()) == (53, 37)
    assert stated_size(b"P5\n# made by hand\n53 37\n255\n") == (53, 37)


JPEG = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
HUGE_JPEG = JPEG.replace(b"\x00\x08\x00\x08\x03", b"\xff\xff\xff\xff\x03", 1)


@pytest.mark.parametrize(
    "data",
    [
        png(40000, 20000, 16, 0),
        png(20000, 20000, 16, 6),
        png((1 << 31) - 1, (1 << 31) - 1, 8, 2),
        HUGE_JPEG,
        b"P5 40000 40000 255\n",
        b"BM" + bytes(12) + struct.pack("<Iii", 40, 40000, -40000) + bytes(40),
    ],
)
def test_what_claims_too_many_pixels_is_never_decoded(data: bytes, monkeypatch: pytest.MonkeyPatch):
    decoded = []
    monkeypatch.setattr(cv2, "imdecode", lambda *_: decoded.append(1))
    for decode in (image_bytes.decode, image_bytes.decode_color):
        with pytest.raises(image_bytes.ImageBytesError, match=f"pixels, 1 to {MOST_PIXELS} are accepted"):
            decode(data)
    assert not decoded


@pytest.mark.parametrize("end", [1, 2, 8, 20, 24, 100, -2])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_what_is_cut_short_is_refused(suffix: str, end: int):
    data = cv2.imencode(suffix, np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))[1].tobytes()
    with pytest.raises(image_bytes.ImageBytesError):
        image_bytes.decode(data[:end])
    # What stands behind the cut does not matter.
    with pytest.raises(image_bytes.ImageBytesError):
        image_bytes.decode(data[:end] + bytes(100))


@pytest.mark.parametrize("data", [b"GIF89a" + bytes(40), b"RIFF____WEBPVP8X", b"II*\0" + b"\xff" * 8, b"P5", b"BM"])
def test_what_states_no_size_is_refused(data: bytes):
    with pytest.raises(image_bytes.ImageBytesError, match="not a PNG, a JPEG or another supported image"):
        image_bytes.decode(data)
