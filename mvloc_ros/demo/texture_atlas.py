# SPDX-License-Identifier: Apache-2.0
"""All textures of the room by name, and their atlas with mipmaps.

The atlas has each texture at several levels, each half the size of the previous one, so that a distant or slanted
surface can be sampled without aliasing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mvloc_ros.demo import material_textures as materials
from mvloc_ros.demo import painted_textures as painted
from mvloc_ros.demo.material_textures import Image, Rng

LEVELS = 5
ATLAS_WIDTH = 4096
_BORDER = 2  # repeated edge texels, so that linear interpolation never reaches a neighbour

_CALENDAR = ("MAY", "1 2 3 4 5", "6 7 8 9 10", "11 12 13")
Painter = Callable[[Rng, int, int], Image]
# Name -> (width m, height m, texels per meter, painter(rng, height, width)).
_MATERIALS: Mapping[str, tuple[float, float, float, Painter]] = {
    "floor": (6.0, 5.0, 200, lambda g, h, w: materials.planks(g, h, w, (176, 126, 82), 24)),
    "ceiling": (6.0, 5.0, 60, lambda g, h, w: materials.plaster(g, h, w, (232, 228, 220), 0.05)),
    "brick wall": (5.0, 2.8, 200, lambda g, h, w: materials.bricks(g, h, w, (178, 98, 72), 15)),
    "striped wall": (6.0, 2.8, 160, lambda g, h, w: materials.stripes(g, h, w, (226, 208, 160), (206, 180, 124), 26)),
    "leafy wall": (5.0, 2.8, 200, lambda g, h, w: materials.wallpaper(g, h, w, (188, 206, 214), (74, 116, 120), 74)),
    "painted wall": (6.0, 2.8, 120, lambda g, h, w: materials.plaster(g, h, w, (134, 164, 122), 0.05)),
    "oak": (1.6, 1.6, 220, lambda g, h, w: materials.wood(g, h, w, (190, 146, 96))),
    "walnut": (1.6, 1.6, 220, lambda g, h, w: materials.wood(g, h, w, (112, 74, 50))),
    "white": (1.6, 1.6, 100, lambda g, h, w: materials.plaster(g, h, w, (232, 230, 224), 0.03)),
    "wool": (1.6, 1.6, 200, lambda g, h, w: materials.cloth(g, h, w, (214, 208, 196))),
    "check": (1.6, 1.6, 200, lambda g, h, w: materials.cloth(g, h, w, (226, 214, 196), 14)),
    "leaf": (0.4, 0.4, 200, lambda g, h, w: materials.wood(g, h, w, (92, 150, 74))),
    "cardboard": (0.8, 0.8, 200, lambda g, h, w: materials.cloth(g, h, w, (188, 148, 102))),
    "rug": (2.6, 1.8, 220, lambda g, h, w: painted.rug(g, h, w, (150, 40, 44))),
    "curtain": (0.5, 1.7, 160, lambda g, h, w: materials.folds(g, h, w, (206, 196, 186))),
    "door": (0.9, 2.05, 160, lambda g, h, w: painted.panels(g, h, w, (208, 200, 178), 2, 3)),
    "sideboard": (1.6, 0.8, 180, lambda g, h, w: painted.panels(g, h, w, (62, 118, 124), 4, 1)),
    "wardrobe": (1.1, 2.0, 160, lambda g, h, w: painted.panels(g, h, w, (150, 108, 70), 2, 2)),
    "drawers": (0.45, 0.6, 200, lambda g, h, w: painted.panels(g, h, w, (220, 216, 206), 1, 3)),
    "tv cabinet": (1.6, 0.45, 180, lambda g, h, w: painted.panels(g, h, w, (96, 66, 46), 3, 1)),
    "radiator": (1.2, 0.6, 160, lambda g, h, w: painted.ribs(g, h, w, (236, 234, 228), 16)),
    "clock": (0.36, 0.36, 260, painted.clock_face),
    "television": (1.15, 0.66, 200, painted.screen),
    "monitor": (0.55, 0.34, 260, painted.screen),
    "left view": (1.4, 1.3, 200, painted.window_view),
    "right view": (1.1, 1.3, 200, painted.window_view),
    "calendar": (0.35, 0.5, 260, lambda g, h, w: painted.poster(g, h, w, _CALENDAR)),
    "chart": (0.6, 0.8, 260, lambda g, h, w: painted.poster(g, h, w, ("E", "F P", "T O Z", "L P E D"))),
    "note": (0.5, 0.35, 260, lambda g, h, w: painted.poster(g, h, w, ("MIND", "THE ROBOT"))),
}  # fmt: skip
_PAINTERS: tuple[Painter, ...] = (painted.landscape, painted.abstract, painted.blocks, painted.portrait)
PAINTINGS = 16
BOOK_ROWS = 10


@dataclass(frozen=True)
class Texture:
    """An image uint8 [H, W, 3] and the size of the real object in meters (width, height)."""

    image: Image
    size: tuple[float, float]


@dataclass(frozen=True)
class Atlas:
    """image: uint8 RGB [A, ATLAS_WIDTH, 3]; corner and extent: texture -> pixels [LEVELS, 2] (x, y)."""

    image: Image
    corner: Mapping[str, npt.NDArray[np.float64]]
    extent: Mapping[str, npt.NDArray[np.float64]]


def paint_all(seed: int) -> dict[str, Texture]:
    """All textures of the room; each has its own generator, so that one can be changed without the others."""
    textures = {}
    for name, (width, height, density, painter) in _MATERIALS.items():
        rng = np.random.default_rng((seed, zlib.crc32(name.encode())))
        textures[name] = Texture(painter(rng, round(height * density), round(width * density)), (width, height))
    for number in range(PAINTINGS):
        rng = np.random.default_rng((seed, 1, number))
        frame = ((70, 48, 34), (30, 30, 32), (196, 164, 92))[number % 3]
        picture = painted.framed(_PAINTERS[number % len(_PAINTERS)](rng, 150, 190), frame, 7)
        textures[f"painting {number}"] = Texture(picture, (0.8, 0.64))
    for number in range(BOOK_ROWS):
        rng = np.random.default_rng((seed, 2, number))
        textures[f"books {number}"] = Texture(painted.books(rng, 60, 180), (0.8, 0.27))
    return textures


def pack(textures: Mapping[str, Texture]) -> Atlas:
    """Place all levels of all textures on one sheet, row by row, tallest first."""
    tiles: list[tuple[str, int, Image]] = []
    for name, texture in textures.items():
        image = texture.image
        for level in range(LEVELS):
            tiles.append((name, level, image))
            half = (max(1, image.shape[1] // 2), max(1, image.shape[0] // 2))
            image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    tiles.sort(key=lambda tile: -tile[2].shape[0])
    corner = {name: np.zeros((LEVELS, 2)) for name in textures}
    extent = {name: np.zeros((LEVELS, 2)) for name in textures}
    x = y = tallest = 0
    for name, level, image in tiles:
        height, width = image.shape[0] + 2 * _BORDER, image.shape[1] + 2 * _BORDER
        if x + width > ATLAS_WIDTH:
            x, y, tallest = 0, y + tallest, 0
        corner[name][level] = x + _BORDER, y + _BORDER
        extent[name][level] = image.shape[1], image.shape[0]
        x, tallest = x + width, max(tallest, height)
    sheet = np.zeros((y + tallest, ATLAS_WIDTH, 3), np.uint8)
    for name, level, image in tiles:
        left, top = (corner[name][level] - _BORDER).astype(int)
        padded = cv2.copyMakeBorder(image, _BORDER, _BORDER, _BORDER, _BORDER, cv2.BORDER_REPLICATE)
        sheet[top : top + padded.shape[0], left : left + padded.shape[1]] = padded
    return Atlas(sheet, corner, extent)
