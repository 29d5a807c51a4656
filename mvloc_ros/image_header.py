# SPDX-License-Identifier: Apache-2.0
"""The size that an image file states, read from its first bytes before anything is decoded.

A few hundred kilobytes of PNG or WebP can hold gigabytes of pixels of one colour.
"""

from __future__ import annotations

import re
import struct

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8"
_PNM = re.compile(rb"P[1-6](?:\s+(?:#[^\n]*\n)*)(\d{1,9})(?:\s+(?:#[^\n]*\n)*)(\d{1,9})")
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_NO_FRAME = (0xC4, 0xC8, 0xCC)
"""JPEG markers among those of frames (0xc0 to 0xcf) that stand for tables and an extension."""
_BARE = (0x01, *range(0xD0, 0xD9))
"""JPEG markers without a length."""


def stated_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels of a PNG, JPEG, BMP, PNM, WebP or TIFF file; None where none can be found."""
    try:
        if data.startswith(PNG_SIGNATURE):
            return _unpack(">II", data, 16) if data[12:16] == b"IHDR" else None
        if data.startswith(JPEG_START):
            return _jpeg_size(data)
        if data.startswith(b"BM"):
            return _bmp_size(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp_size(data)
        if data[:4] in (b"II*\0", b"MM\0*"):
            return _tiff_size(data, "<" if data.startswith(b"I") else ">")
        found = _PNM.match(data[:4096])
        return (int(found[1]), int(found[2])) if found else None
    except struct.error:  # it ends within its header
        return None


def _unpack(layout: str, data: bytes, at: int) -> tuple[int, int]:
    width, height = struct.unpack_from(layout, data, at)
    return int(width), int(height)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = len(JPEG_START)
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # filling
            at += 1
        elif marker in _BARE:
            at += 2
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            height, width = _unpack(">HH", data, at + 5)
            return width, height
        elif marker in (0xD9, 0xDA):  # the end, or pixels, before a size
            return None
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _bmp_size(data: bytes) -> tuple[int, int]:
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = _unpack("<HH" if header == 12 else "<ii", data, 18)
    return abs(width), abs(height)  # a negative height means rows from the top


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = _unpack("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    return None


def _tiff_size(data: bytes, order: str) -> tuple[int, int] | None:
    (directory,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, directory)
    values = {}
    for entry in range(count):
        at = directory + 2 + 12 * entry
        tag, kind = struct.unpack_from(order + "HH", data, at)
        if tag in (_TIFF_WIDTH, _TIFF_HEIGHT):
            (values[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, at + 8)
    return (values[_TIFF_WIDTH], values[_TIFF_HEIGHT]) if len(values) == 2 else None
