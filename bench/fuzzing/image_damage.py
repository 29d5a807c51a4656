# SPDX-License-Identifier: Apache-2.0
"""Images in all codes, damaged so that their decoders are reached: checksums fit, headers claim what is not there."""

from __future__ import annotations

import struct
import zlib
from random import Random

from bench.fuzzing.mutators import damaged
from bench.fuzzing.scene import color_of, depth_of, encoded

COLOR_SUFFIXES = (".png", ".jpg", ".bmp", ".ppm", ".tiff", ".webp")
DEPTH_SUFFIXES = (".png", ".pgm", ".tiff")
_PNG = b"\x89PNG\r\n\x1a\n"
_SIZES = (0, 1, 1 << 14, 65535, 1 << 20, 1 << 30, (1 << 32) - 1)


def color_file(random: Random) -> tuple[bytes, str]:
    """The bytes of a colour image in some code, and its suffix."""
    suffix = random.choice(COLOR_SUFFIXES)
    return encoded(color_of(random.randrange(3)), suffix), suffix


def depth_file(random: Random) -> tuple[bytes, str]:
    """The bytes of a depth image in some code, and its suffix."""
    suffix = random.choice(DEPTH_SUFFIXES)
    return encoded(depth_of(random.randrange(3)), suffix), suffix


def damaged_image(data: bytes, random: Random) -> tuple[bytes, str]:
    """The bytes of another image, most likely one that no longer is any."""
    if data.startswith(_PNG) and random.random() < 0.7:
        return _damaged_png(data, random)
    if random.random() < 0.08:
        return bomb(random)
    return damaged(data, random)


def bomb(random: Random) -> tuple[bytes, str]:
    """A PNG of few bytes that holds very many pixels of one colour."""
    side = random.choice((8000, 16384, 60000))
    rows = min(side, 4096)
    packer = zlib.compressobj(9)
    row = bytes(1 + side)
    packed = b"".join(packer.compress(row * 64) for _ in range(rows // 64)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    return _PNG + b"".join(_chunk(kind, content) for kind, content in parts), f"a PNG of {side}x{side} pixels"


def _damaged_png(data: bytes, random: Random) -> tuple[bytes, str]:
    """One chunk changed, with its checksum."""
    chunks, at = [], len(_PNG)
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    index = random.randrange(len(chunks))
    kind, content = chunks[index]
    if kind == b"IHDR" and random.random() < 0.6:
        content = struct.pack(">II", random.choice(_SIZES), random.choice(_SIZES)) + content[8:]
        what = f"a header of {struct.unpack_from('>II', content)} pixels"
    elif random.random() < 0.2:
        chunks.insert(
            index, (random.choice((b"tRNS", b"PLTE", b"eXIf", b"iCCP", b"acTL", b"\0\0\0\0")), random.randbytes(30))
        )
        what = "a chunk more"
        return _PNG + b"".join(_chunk(k, c) for k, c in chunks), what
    else:
        content, what = damaged(content, random)
    chunks[index] = kind, content
    return _PNG + b"".join(_chunk(k, c) for k, c in chunks), f"{kind.decode('ascii', 'replace')}: {what}"


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
