# SPDX-License-Identifier: Apache-2.0
"""Image codes: PNG, JPEG, BMP, PNM, TIFF and WebP in files, and these, RVL and compressedDepth on topics."""

from __future__ import annotations

import struct
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace

import numpy as np

from bench.fuzzing.image_damage import COLOR_SUFFIXES, DEPTH_SUFFIXES, color_file, damaged_image, depth_file
from bench.fuzzing.kind import Input, require
from bench.fuzzing.messages_valid import DEPTH_PNG, QUANTISED, RVL, rvl_payload
from bench.fuzzing.mutators import damaged, odd_file
from bench.fuzzing.scene import color_of, depth_of, encoded
from mvloc_ros.frontend.compressed import decode_compressed_color, decode_compressed_depth
from mvloc_ros.limits import MOST_PIXELS
from mvloc_ros.recordings.images import image_size, read_color, read_depth

_EXTREMES = (float("nan"), float("inf"), -1.0, 1e30, -1e30, 65536.0)


class Codecs:
    """See the module."""

    def plain(self, folder: Path) -> list[Input]:
        """One image of each code, in a file and on a topic."""
        found = []
        for suffix in COLOR_SUFFIXES:
            path = folder / f"color{suffix}"
            path.write_bytes(encoded(color_of(0), suffix))
            found.append(Input(path.name, partial(_feed_color_file, path)))
        for suffix in DEPTH_SUFFIXES:
            path = folder / f"depth{suffix}"
            path.write_bytes(encoded(depth_of(0), suffix))
            found.append(Input(path.name, partial(_feed_depth_file, path)))
        found.append(Input("rvl", partial(_feed_depth, RVL, rvl_payload())))
        png = struct.pack("<iff", 0, 1e4, 0.0) + encoded(depth_of(0), ".png")
        return [*found, Input("quantised", partial(_feed_depth, QUANTISED, png))]

    def make(self, random: Random, folder: Path) -> Input:
        """One damaged image."""
        change = random.randrange(10)
        if change < 3:
            data, what = damaged(rvl_payload(), random) if random.random() < 0.7 else _claiming(random)
            (folder / "rvl").write_bytes(data)
            return Input(f"RVL: {what}", partial(_feed_depth, RVL, data))
        if change == 3:
            a, b = random.choice((1e4, *_EXTREMES)), random.choice((0.0, *_EXTREMES))
            image, what = encoded(depth_of(0), ".png"), f"quantisation {a}, {b}"
            data = struct.pack("<iff", random.choice((0, 1, -1, 2**31 - 1)), a, b) + image
            (folder / "quantised").write_bytes(data)
            return Input(what, partial(_feed_depth, QUANTISED, data))
        is_color = random.random() < 0.6
        data, suffix = color_file(random) if is_color else depth_file(random)
        data, what = damaged_image(data, random)
        path = folder / f"image{suffix}"
        path.write_bytes(data)
        if change == 4:
            what = odd_file(path, random)
        elif change < 7:
            name = (
                DEPTH_PNG
                if not is_color and random.random() < 0.5
                else random.choice(("", "png", "jpeg", "bayer_rggb8; png"))
            )
            data = struct.pack("<iff", 0, 0.0, 0.0) + data if name == DEPTH_PNG else data
            return Input(f"{suffix} on a topic: {what}", partial(_feed_color if is_color else _feed_depth, name, data))
        return Input(f"{suffix}: {what}", partial(_feed_color_file if is_color else _feed_depth_file, path))


def create() -> Codecs:
    """The kind."""
    return Codecs()


def _claiming(random: Random) -> tuple[bytes, str]:
    """RVL that claims another size than it has pixels."""
    sizes = (0, 1, 48, 64, 65536, 1 << 26, (1 << 32) - 1)
    columns, rows = random.choice(sizes), random.choice(sizes)
    payload = rvl_payload()
    return payload[:12] + struct.pack("<II", columns, rows) + payload[20:], f"{columns}x{rows} pixels claimed"


def _feed_color(name: str, data: bytes) -> None:
    image = decode_compressed_color(SimpleNamespace(format=name, data=data))
    require(0 < image.pixels.size <= 4 * MOST_PIXELS, "a colour image of an impossible size")


def _feed_depth(name: str, data: bytes) -> None:
    image = decode_compressed_depth(SimpleNamespace(format=name, data=data))
    require(0 < image.values.size <= MOST_PIXELS, "a depth image of an impossible size")
    require(image.metres_per_unit > 0.0, "depth without a unit")
    values = np.asarray(image.values, dtype=np.float64)
    require(not (values < 0.0).any(), "negative depth")


def _feed_color_file(path: Path) -> None:
    pixels = read_color(path)
    require(image_size(path) == (pixels.shape[1], pixels.shape[0]), "two sizes of one image")


def _feed_depth_file(path: Path) -> None:
    metres = read_depth(path, 1000.0)
    require(np.isfinite(metres).all() and (metres >= 0.0).all(), "depth that is negative or not finite")
