# SPDX-License-Identifier: Apache-2.0
"""Decompression with a bound: the size that a file states is not allocated in advance."""

from __future__ import annotations

import bz2
import sys
from typing import Any, BinaryIO

import lz4.frame

from mvloc_ros.foreign_text import quoted
from mvloc_ros.recordings.rosbag2.storage_base import DamageError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


_PART_BYTES = 1 << 20
_KINDS = {"zstd": zstd.ZstdDecompressor, "lz4": lz4.frame.LZ4FrameDecompressor, "bz2": bz2.BZ2Decompressor}


def decompressed(data: bytes, kind: str, most_bytes: int) -> bytes:
    """The content of `data`.

    Args:
        data: one frame or several.
        kind: `zstd`, `lz4`, `bz2`, or empty for none.
        most_bytes: the largest content that is accepted.

    Raises:
        DamageError: it is not of the kind, cut short, or larger.
    """
    if kind == "":
        parts = data
    elif kind in _KINDS:
        parts = _frames(data, kind, most_bytes)
    else:
        raise DamageError(f"the compression {quoted(kind, 40)} is unknown")
    if len(parts) > most_bytes:
        raise DamageError(f"it holds more than {most_bytes} bytes")
    return parts


def _frames(data: bytes, kind: str, most_bytes: int) -> bytes:
    parts: list[bytes] = []
    left = most_bytes
    while data:
        frame: Any = _KINDS[kind]()
        try:
            content = frame.decompress(data, max_length=left + 1)
        except Exception as error:  # ZstdError, RuntimeError, MemoryError: each library has its own
            raise DamageError(f"its {kind} data cannot be decompressed ({error})") from error
        parts.append(content)
        left -= len(content)
        if left < 0:
            raise DamageError(f"it holds more than {most_bytes} bytes")
        if not frame.eof:
            raise DamageError(f"its {kind} data is truncated")
        data = frame.unused_data or b""
    return parts[0] if len(parts) == 1 else b"".join(parts)


def copy_decompressed(packed: BinaryIO, target: BinaryIO, most_bytes: int) -> None:
    """Write the content of a zstd file. Raises DamageError where it is none, or holds more than `most_bytes`."""
    try:
        with zstd.open(packed, "rb") as content:
            while part := content.read(_PART_BYTES):
                most_bytes -= len(part)
                if most_bytes < 0:
                    raise DamageError("its content needs more than half of the free space of the temporary folder")
                target.write(part)
    except (zstd.ZstdError, EOFError) as error:
        raise DamageError(f"it cannot be decompressed ({error})") from error
