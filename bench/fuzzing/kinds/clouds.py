# SPDX-License-Identifier: Apache-2.0
"""PointCloud2: fields, sizes, byte order and points, projected as the node projects them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from bench.fuzzing.kind import Input, require, require_finite
from bench.fuzzing.message_fields import NUMBERS, mutated_message, sent
from bench.fuzzing.messages_valid import cloud
from bench.fuzzing.scene import CAMERA
from mvloc_ros.frontend.clouds import decode_cloud, project_cloud

_SPLATS = (1.0, 1.0, 3.0)


class Clouds:
    """See the module."""

    def plain(self, folder: Path) -> list[Input]:
        """Organised and not, of both sizes of numbers and both byte orders."""
        made = [cloud(), cloud(64, 1), cloud(kind="<f8"), cloud(kind=">f4")]
        return [
            Input(f"cloud {n}", partial(_feed, sent(message, folder / f"{n}.cdr"), 1.0, np.eye(4)))
            for n, message in enumerate(made)
        ]

    def make(self, random: Random, folder: Path) -> Input:
        """One cloud with some fields changed, or points that are none."""
        message = cloud(*random.choice(((64, 48), (64, 1))), random.choice(("<f4", "<f8", ">f4")))
        change = _extreme_points if random.random() < 0.25 else mutated_message
        what = change(message, random)
        T = np.eye(4)
        T[0, 3] = random.choice((0.0, 0.1, 1e8))
        return Input(what, partial(_feed, sent(message, folder / "cloud.cdr"), random.choice(_SPLATS), T))


def create() -> Clouds:
    """The kind."""
    return Clouds()


def _extreme_points(message: Any, random: Random) -> str:
    kind = np.dtype((">" if message.is_bigendian else "<") + ("f4" if message.point_step == 12 else "f8"))
    points = np.frombuffer(bytes(message.data), dtype=kind).copy()
    value = random.choice(NUMBERS)
    with np.errstate(over="ignore"):
        points[random.randrange(3) :: random.choice((1, 3, 7))] = value
    message.data = points.tobytes()
    return f"points with {value}"


def _feed(message: Any, splat: float, T: Any) -> None:
    points = decode_cloud(message)
    require_finite("the points of a cloud", points)
    depth = project_cloud(message, CAMERA, T, splat)
    require(depth.shape == (CAMERA.height, CAMERA.width), "a depth image of another size")
    require((depth >= 0.0).all(), "a depth image with negative or undefined depth")
