# SPDX-License-Identifier: Apache-2.0
"""The furnished room: 6 m (x) by 5 m (y) by 2.8 m (z).

Map frame: z up, origin on the floor in the middle of the room; the windows are in the north wall (y = +2.5), the
brick wall with the bookcase is east (x = +3), the door is south, the sofa west. Only a rug is in the middle
(|x| < 2.1, |y| < 1.5), where the camera moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mvloc_ros.demo.furniture import HEIGHT, LENGTH, WIDTH
from mvloc_ros.demo.room_layout import furnish
from mvloc_ros.demo.solids import Paint, Solid, Surface
from mvloc_ros.demo.texture_atlas import Atlas, Texture, pack, paint_all

ROOM_SIZE = (LENGTH, WIDTH, HEIGHT)
DEFAULT_ROOM_SEED = 7
WALLS = 6  # the first surfaces of a room: floor, ceiling, north, south, east, west
_OVERLAP = 0.001  # m, so that there are no gaps between them


@dataclass(frozen=True)
class Room:
    """Solids, the surfaces of walls and solids, the textures and the atlas that they are drawn from."""

    solids: tuple[Solid, ...]
    surfaces: tuple[Surface, ...]
    textures: Mapping[str, Texture]
    atlas: Atlas


def build_room(seed: int = DEFAULT_ROOM_SEED) -> Room:
    """The room; the seed determines textures and small objects, the furniture is always the same."""
    textures = paint_all(seed)
    solids = furnish(np.random.default_rng((seed, 3)))
    surfaces = (*_shell(), *(surface for solid in solids for surface in solid.surfaces()))
    return Room(solids, surfaces, textures, pack(textures))


def _shell() -> list[Surface]:
    """Floor, ceiling and walls, seen from inside."""
    x, y, z = LENGTH / 2, WIDTH / 2, HEIGHT
    return [
        _wall("floor", (0, 0, 0), (1, 0, 0), (0, -1, 0), x, y),
        _wall("ceiling", (0, 0, z), (1, 0, 0), (0, 1, 0), x, y),
        _wall("striped wall", (0, y, z / 2), (1, 0, 0), (0, 0, -1), x, z / 2),
        _wall("painted wall", (0, -y, z / 2), (-1, 0, 0), (0, 0, -1), x, z / 2),
        _wall("brick wall", (x, 0, z / 2), (0, -1, 0), (0, 0, -1), y, z / 2),
        _wall("leafy wall", (-x, 0, z / 2), (0, 1, 0), (0, 0, -1), y, z / 2),
    ]


def _wall(
    texture: str,
    centre: tuple[float, float, float],
    right: tuple[int, int, int],
    down: tuple[int, int, int],
    half_width: float,
    half_height: float,
) -> Surface:
    axes = np.array([centre, right, down], dtype=np.float64)
    paint = Paint(texture, whole=True)
    return Surface(axes[0], axes[1], axes[2], half_width + _OVERLAP, half_height + _OVERLAP, paint)
