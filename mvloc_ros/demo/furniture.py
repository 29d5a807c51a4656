# SPDX-License-Identifier: Apache-2.0
"""Pieces of furniture as solids: box, table, chair, window, picture, bookcase, plant. Meters and degrees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mvloc_ros.demo.solids import Paint, Solid, turned

# The room: x, y, z in meters.
LENGTH, WIDTH, HEIGHT = 6.0, 5.0, 2.8

Xyz = tuple[float, float, float]
OAK, WALNUT, WHITE = Paint("oak"), Paint("walnut"), Paint("white")
DARK = Paint("white", (0.06, 0.06, 0.07))


def box(
    centre: Xyz,
    size: Xyz,
    paint: Paint,
    yaw: float = 0.0,
    tilt: float = 0.0,
    lean: float = 0.0,
    **faces: Paint,
) -> Solid:
    """A solid by its center; keyword arguments such as `south` set the paint of single faces."""
    return Solid(np.array(centre, float), np.array(size, float), turned(yaw, tilt, lean), paint, faces)


def stand(x: float, y: float, z: float, size: Xyz, paint: Paint, yaw: float = 0.0, **faces: Paint) -> Solid:
    """A solid that stands at height z; its bottom is invisible if that is the floor."""
    hidden = frozenset({"bottom"}) if z <= 0.0 else frozenset()
    return Solid(np.array([x, y, z + size[2] / 2]), np.array(size, float), turned(yaw), paint, faces, hidden)


def table(x: float, y: float, size: Xyz, paint: Paint, yaw: float = 0.0) -> list[Solid]:
    """A top on four legs; size is overall."""
    length, width, height = size
    solids = [stand(x, y, height - 0.04, (length, width, 0.04), paint, yaw)]
    for along in (-1, 1):
        for across in (-1, 1):
            leg = turned(yaw) @ np.array([along * (length / 2 - 0.04), across * (width / 2 - 0.04), 0])
            solids.append(stand(x + leg[0], y + leg[1], 0.0, (0.05, 0.05, height - 0.04), paint, yaw))
    return solids


def chair(x: float, y: float, yaw: float, tint: Xyz) -> list[Solid]:
    """A seat on four legs with a back on its own north side."""
    cushion = Paint("wool", tint)
    back = turned(yaw) @ np.array([0, 0.2, 0])
    return [
        *table(x, y, (0.42, 0.42, 0.44), WALNUT, yaw),
        stand(x, y, 0.44, (0.4, 0.4, 0.04), cushion, yaw),
        box((x + back[0], y + back[1], 0.7), (0.4, 0.04, 0.46), cushion, yaw, lean=-8),
    ]


def window(x: float, width: float, view: str) -> list[Solid]:
    """A glazed window in the north wall with frame, cross bars and sill."""
    y, low, high = WIDTH / 2, 0.95, 2.25
    middle, height = (low + high) / 2, high - low
    pane = Paint(view, whole=True, glows_with="sky", glass=True)
    solids = [box((x, y - 0.005, middle), (width, 0.01, height), WHITE, south=pane)]
    for side in (-1, 1):
        solids.append(box((x + side * width / 2, y - 0.03, middle), (0.08, 0.06, height + 0.08), WHITE))
        solids.append(box((x, y - 0.03, middle + side * height / 2), (width, 0.06, 0.08), WHITE))
    solids.append(box((x, y - 0.02, middle), (0.05, 0.04, height), WHITE))
    solids.append(box((x, y - 0.02, middle + 0.2), (width, 0.04, 0.05), WHITE))
    solids.append(box((x, y - 0.09, low - 0.06), (width + 0.24, 0.18, 0.04), OAK))
    return solids


def picture(wall: str, along: float, z: float, size: tuple[float, float], texture: str) -> Solid:
    """A framed picture on a wall; `along` is x for north and south, y for east and west."""
    width, height = size
    face = Paint(texture, whole=True)
    if wall in ("north", "south"):
        y = (WIDTH / 2 - 0.015) * (1 if wall == "north" else -1)
        inside = "south" if wall == "north" else "north"
        return replace(box((along, y, z), (width, 0.03, height), WALNUT), faces={inside: face})
    x = (LENGTH / 2 - 0.015) * (1 if wall == "east" else -1)
    inside = "west" if wall == "east" else "east"
    return replace(box((x, along, z), (0.03, width, height), WALNUT), faces={inside: face})


def bookcase(rng: np.random.Generator, y: float, width: float, height: float, shelves: int) -> list[Solid]:
    """Shelves against the east wall, with rows of books and a few ornaments."""
    depth, board = 0.32, 0.03
    x = LENGTH / 2 - depth / 2
    solids = [
        stand(LENGTH / 2 - 0.01, y, 0.0, (0.02, width, height), WALNUT),
        stand(x, y - width / 2, 0.0, (depth, board, height), WALNUT),
        stand(x, y + width / 2, 0.0, (depth, board, height), WALNUT),
    ]
    pitch = (height - board) / shelves
    boards = (max(0.001, shelf * pitch) for shelf in range(shelves + 1))
    solids += [stand(x, y, z, (depth, width, board), WALNUT) for z in boards]
    for shelf in range(shelves):
        z, left = shelf * pitch + board, y - width / 2 + 0.03
        while left < y + width / 2 - 0.2:
            row = min(float(rng.uniform(0.25, 0.6)), y + width / 2 - 0.03 - left)
            middle = left + row / 2
            if rng.random() < 0.7:
                spines = Paint(f"books {rng.integers(0, 10)}", whole=True)
                tall = pitch * float(rng.uniform(0.6, 0.8))
                solids.append(stand(x + 0.03, middle, z, (0.2, row - 0.02, tall), WALNUT, west=spines))
            else:
                tint = (*rng.uniform(0.1, 0.9, 2), float(rng.uniform(0.1, 0.6)))
                side = float(rng.uniform(0.1, 0.18))
                yaw = float(rng.uniform(-30, 30))
                solids.append(stand(x, middle, z, (side, side, side * 1.3), Paint("check", tint), yaw))
            left += row
    return solids


def plant(rng: np.random.Generator, place: Xyz, scale: float = 1.0) -> list[Solid]:
    """A pot with leaves in all directions."""
    x, y, z = place
    pot = 0.32 * scale
    solids = [stand(x, y, z, (pot, pot, pot), Paint("cardboard", (0.9, 0.5, 0.35)))]
    for number in range(14):
        yaw, rise = number * 137.5, float(rng.uniform(-75, -25))
        out = turned(yaw, rise) @ np.array([0.28 * scale, 0, 0])
        centre = (x + out[0], y + out[1], z + pot + out[2] + float(rng.uniform(0.0, 0.35)) * scale)
        tint = (float(rng.uniform(0.6, 1.0)), float(rng.uniform(0.8, 1.1)), 0.7)
        size = (0.42 * scale, 0.12 * scale, 0.008)
        solids.append(box(centre, size, Paint("leaf", tint), yaw=yaw, tilt=rise))
    solids.append(stand(x, y, z + pot, (0.03 * scale, 0.03 * scale, 0.4 * scale), Paint("leaf", (0.6, 0.5, 0.4))))
    return solids
