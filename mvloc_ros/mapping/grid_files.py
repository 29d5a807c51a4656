# SPDX-License-Identifier: Apache-2.0
"""An occupancy grid as Nav2's map_server reads it: map.pgm and map.yaml; and grid.png to look at.

map_server takes a pixel p as occupied where (255 - p) / 255 is above `occupied_thresh`, as free where it is below
`free_thresh`, and as unknown between them. The usual gray for unknown, 205, would be free with Nav2's usual
`free_thresh` of 0.25: unknown is 128 here, which is unknown with every usual pair of thresholds.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros import output_folder
from mvloc_ros.foreign_text import shown
from mvloc_ros.mapping.grid import MadeGrid
from mvloc_ros.mapping.grid_cells import Cell, Grid

IMAGE_FILE, YAML_FILE, PICTURE_FILE = "map.pgm", "map.yaml", "grid.png"
_FILES = frozenset((IMAGE_FILE, YAML_FILE, PICTURE_FILE))
_WHAT = "a grid"
_GRAY = {Cell.UNKNOWN: 128, Cell.FREE: 254, Cell.OCCUPIED: 0}
_PICTURE_PIXELS, _MOST_SCALE = 1600, 8
_PATH, _ORIGIN_X, _ORIGIN_Y = (200, 90, 20), (0, 0, 220), (0, 150, 0)  # blue, green, red
# Poses further apart are not of one walk.
_STEP_M = 0.5


def require_usable(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier grid. Raises OutputFolderError."""
    output_folder.require_usable(out, _WHAT, _FILES.__contains__)


def write_grid(out: Path | str, made: MadeGrid) -> None:
    """Write the folder whole or not at all; an earlier grid is replaced.

    Raises:
        OutputFolderError: the folder holds something else.
        StorageError: it cannot be written.
    """
    files: dict[str, bytes | str] = {
        IMAGE_FILE: image_bytes(made.grid),
        YAML_FILE: yaml_text(made),
        PICTURE_FILE: _png(picture(made)),
    }
    output_folder.write_results(Path(out), files, _WHAT, _FILES.__contains__)


def grays(grid: Grid) -> NDArray[np.uint8]:
    """The image `[rows, columns]`; its last row is the lowest y."""
    table = np.array([_GRAY[kind] for kind in Cell], np.uint8)
    return np.ascontiguousarray(table[grid.cells[::-1]])


def image_bytes(grid: Grid) -> bytes:
    """The content of map.pgm (binary, 8 bits)."""
    image = grays(grid)
    return f"P5\n{image.shape[1]} {image.shape[0]}\n255\n".encode() + image.tobytes()


def yaml_text(made: MadeGrid) -> str:
    """The content of map.yaml; the origin is the lower-left corner of the lower-left pixel."""
    x, y = (round(value, 6) for value in made.grid.frame.origin)
    options, floor = made.options, made.floor
    return (
        f"# Made by `mvloc grid` of the model {shown(made.bundle.name)}, {made.bundle.digest_in_words}.\n"
        f"# Frame {shown(made.bundle.manifest.frames.map)}; floor at z = {floor.height_m:.3f} m; surfaces "
        f"{options.low_m:g} to {options.high_m:g} m above it.\n"
        f"image: {IMAGE_FILE}\n"
        "mode: trinary\n"
        f"resolution: {made.grid.frame.resolution_m}\n"
        f"origin: [{x}, {y}, 0.0]\n"
        "negate: 0\n"
        "occupied_thresh: 0.65\n"
        "free_thresh: 0.25\n"
    )


def picture(made: MadeGrid) -> NDArray[np.uint8]:
    """The grid, enlarged, with the training path in blue and the frame's origin (x red, y green, 0.5 m), BGR."""
    image = cv2.cvtColor(grays(made.grid), cv2.COLOR_GRAY2BGR)
    scale = int(np.clip(_PICTURE_PIXELS // max(image.shape[:2]), 1, _MOST_SCALE))
    large = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    width = max(1, scale // 3)
    if made.poses is not None and len(made.poses):
        places = made.poses[:, :2, 3]
        pixels = _pixels(places, made.grid, scale)
        cuts = np.flatnonzero(np.linalg.norm(np.diff(places, axis=0), axis=1) > _STEP_M) + 1
        for part in np.split(pixels, cuts):
            cv2.polylines(large, [part.reshape(-1, 1, 2)], False, _PATH, width, cv2.LINE_AA)
    for end, color in (((0.5, 0.0), _ORIGIN_X), ((0.0, 0.5), _ORIGIN_Y)):
        start, stop = _pixels(np.array([(0.0, 0.0), end]), made.grid, scale).tolist()
        cv2.line(large, start, stop, color, width, cv2.LINE_AA)
    return np.asarray(large, dtype=np.uint8)


def _pixels(places: NDArray[np.float64], grid: Grid, scale: int) -> NDArray[np.int32]:
    """Pixels of the picture (column, row) of positions `[N, 2]`; far outside they end at 30,000."""
    index = places / grid.frame.resolution_m - grid.frame.first
    index[:, 1] = grid.frame.shape[0] - index[:, 1]
    return np.clip(np.rint(scale * index), -30_000, 30_000).astype(np.int32)


def _png(image: NDArray[np.uint8]) -> bytes:
    done, content = cv2.imencode(".png", image)
    assert done
    return content.tobytes()
