# SPDX-License-Identifier: Apache-2.0
"""How exact rendered views are: views of the demo's room at poses that no frame had, beside the exact images.

    python -m bench.rendered_views --views 60
    python -m bench.rendered_views --measured --views 60 --short-side 120
    python -m bench.rendered_views --short-side 120 --out docs/images/rendered_views.png

Views are drawn and rendered from the frames of one drive as for `mvloc train --rendered`, without the noise of the
sensor. The picture has in each row the nearest recorded frame, the rendered view, the exact image, rendered depth.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mvloc_ros.demo.camera_paths import Volume, drive
from mvloc_ros.demo.renderer import CAMERA, Renderer
from mvloc_ros.demo.room import build_room
from mvloc_ros.geometry import se3
from mvloc_ros.training.datasets import PosedFrames
from mvloc_ros.training.rendering.observed_space import observe
from mvloc_ros.training.rendering.places import is_clear, places_of
from mvloc_ros.training.rendering.pool import LEAST_COVERED
from mvloc_ros.training.rendering.selection import select
from mvloc_ros.training.rendering.source import sources_of
from mvloc_ros.training.rendering.view import View, render
from mvloc_ros.training.views import RgbdCameras

FRAMES, APART_S = 240, 0.4
_ROWS, _GAP, _FARTHEST_M = 3, 4, 6.0


class Compared(NamedTuple):
    """A view, the exact color and depth, the nearest recorded frame, and how far from that: meters and degrees."""

    view: View
    color: NDArray[np.uint8]
    depth: NDArray[np.float32]
    nearest: NDArray[np.uint8]
    apart_m: float
    apart_deg: float
    seconds: float

    def figures(self) -> tuple[float, ...]:
        """The columns of the table."""
        known = (self.view.depth > 0.0) & (self.depth > 0.0)
        error, true = (self.view.depth - self.depth)[known], self.depth[known]
        color = np.abs(self.view.color.astype(float) - self.color)[self.view.colored]
        far = 0.05 + 0.05 * true
        return (
            float(known.mean()),
            float(np.median(np.abs(error))),
            float(np.mean(error > far)),
            float(np.mean(error < -far)),
            float(np.median(color)),
            self.apart_m,
            self.apart_deg,
            self.seconds,
        )


NAMES = (
    "share of pixels with depth", "median depth error, m", "share far behind the surface", "share far before it",
    "median color error of 255", "to the nearest frame, m", "to the nearest frame, degrees", "seconds a view",
)  # fmt: skip


def compare(count: int, short_side: int, measured: bool) -> list[Compared]:
    """Rendered views of the room and what they should be."""
    camera = CAMERA.scaled_to(round(CAMERA.width * short_side / CAMERA.height), short_side)
    room, random = Renderer(build_room(), camera), np.random.default_rng(0)
    poses = drive(Volume(), (3, 1), np.arange(FRAMES) * APART_S)
    images = [room.measure(pose, random) if measured else room.exact(pose) for pose in poses]
    frames = PosedFrames(
        np.stack([image.color for image in images]),
        np.stack([image.depth for image in images]),
        np.ones((FRAMES, 2), np.float32),
        poses,
        np.arange(FRAMES, dtype=np.int64),
        ("drive",) * FRAMES,
    )
    source = sources_of(frames, RgbdCameras(camera, camera), torch.device("cpu"))[0]
    space, places = observe(source), places_of(source)
    found: list[Compared] = []
    while len(found) < count:
        pose = places.draw(random)
        if not is_clear(space, pose[:3, 3]) or select(source, pose, camera).covered < LEAST_COVERED:
            continue
        began = time.perf_counter()
        view = render(source, space, pose)
        seconds, exact = time.perf_counter() - began, room.exact(pose)
        metres, degrees = se3.translation_error(poses, pose), np.degrees(se3.rotation_error(poses, pose))
        nearest = int(np.argmin(metres + degrees / 45.0))
        found.append(
            Compared(view, exact.color, exact.depth, images[nearest].color, metres[nearest], degrees[nearest], seconds)
        )
    return found


def picture(found: list[Compared]) -> NDArray[np.uint8]:
    """RGB: some of the views that are far from any frame."""
    far = sorted(found, key=lambda one: -one.apart_m)[: 2 * _ROWS : 2]
    rows = []
    for one in far:
        gray = np.clip(255.0 * one.view.depth / _FARTHEST_M, 0, 255).astype(np.uint8)
        depth = cv2.applyColorMap(255 - gray, cv2.COLORMAP_VIRIDIS)[..., ::-1] * (gray > 0)[..., None]
        tiles = [one.nearest, one.view.color, one.color, depth]
        gap = np.full((len(gray), _GAP, 3), 255, np.uint8)
        rows.append(np.hstack([part for tile in tiles for part in (tile, gap)][:-1]))
        rows.append(np.full((_GAP, rows[0].shape[1], 3), 255, np.uint8))
    return np.vstack(rows[:-1]).astype(np.uint8)


def main() -> int:
    """Print the table, and write the picture if one is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=int, default=40, metavar="N", help="default: %(default)s")
    parser.add_argument("--short-side", type=int, default=60, metavar="PIXELS", help="default: %(default)s")
    parser.add_argument("--measured", action="store_true", help="frames with the noise of the demo's sensors")
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="write a picture of some views")
    args = parser.parse_args()
    found = compare(args.views, args.short_side, args.measured)
    table = np.array([one.figures() for one in found])
    for name, column in zip(NAMES, table.T, strict=True):
        low, middle, high = np.percentile(column, (10, 50, 90))
        print(f"{name:32} median {middle:8.4f}, 10 and 90 % of the views {low:8.4f} {high:8.4f}")
    if args.out is not None:
        cv2.imwrite(str(args.out), picture(found)[..., ::-1])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
