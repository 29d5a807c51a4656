# SPDX-License-Identifier: Apache-2.0
"""Light maps with shadows for every surface of the room, computed once on a coarse grid for each light.

Light is additive, so any setting of the lamps is a weighted sum of these maps and can be changed cheaply. Lamps are
sets of points with Lambert's cosine and inverse-square falloff; `ambient` is the share of the hemisphere within
reach that is not blocked (ambient occlusion).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mvloc_ros.demo.lighting import LAMPS, Lamp, Setting
from mvloc_ros.demo.room import ROOM_SIZE, WALLS
from mvloc_ros.demo.solids import Solid, Surface

FloatMap = npt.NDArray[np.float32]

GAMMA = 2.2
_CELL = 0.1  # m between grid points
_SHEET_WIDTH = 1024
_REACH = 0.8  # m, range of ambient occlusion
_SMALL = 0.25  # m; shadows of smaller solids are below the resolution of the grid
_GLOW = 2.4  # brightness of a lit shade or window, in units of the walls' mean


def _cuts(solid: Solid, start: FloatMap, end: FloatMap) -> npt.NDArray[np.bool_]:
    """Which segments [3, N] -> [3, N] the solid cuts (slab test in its own frame)."""
    to_box = (solid.rotation * (2 / solid.size)).T.astype(np.float32)
    origin = to_box @ (start - solid.centre.astype(np.float32)[:, None])
    way = to_box @ (end - start)
    way[np.abs(way) < 1e-7] = 1e-7  # parallel to a face: never crosses it
    middle, half = -origin / way, np.abs(1 / way)
    entry, leave = middle - half, middle + half
    first = np.maximum(np.maximum(entry[0], entry[1]), entry[2])
    last = np.minimum(np.minimum(leave[0], leave[1]), leave[2])
    return np.asarray((first < last) & (last > 0) & (first < 1))


def _hemisphere(count: int) -> npt.NDArray[np.float64]:
    """Directions about +z, denser towards it (cosine-weighted), on a spiral of the golden angle."""
    radius = np.sqrt((np.arange(count) + 0.5) / count)
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), np.sqrt(1 - radius**2)], axis=-1)


def _glows(solid: Solid) -> bool:
    """Whether the solid glows: lamps are inside their shades, so shades must be transparent to light."""
    return any(paint.glows_with for paint in (solid.paint, *solid.faces.values()))


class LightMaps:
    """The light at the points of a grid on every surface, for each light separately.

    origin, step: [F, 2] each; grid column = origin + step * coordinate on the surface (m), likewise the row.
    """

    def __init__(self, surfaces: Sequence[Surface], solids: Sequence[Solid]) -> None:
        self._lay_out(surfaces)
        opaque = [solid for solid in solids if max(solid.size) > _SMALL and not _glows(solid)]
        self._maps = {name: self._shine(lamp, opaque) for name, lamp in LAMPS.items()}
        for name in LAMPS:
            self._maps[name] /= self._maps[name][self._of_walls].mean()
            self._maps[name][self._glow == name] = _GLOW
        self._maps["ambient"] = self._occlusion(opaque)

    def _lay_out(self, surfaces: Sequence[Surface]) -> None:
        """Compute the grid points and their positions on the sheet."""
        count = len(surfaces)
        self.origin, self.step = np.zeros((count, 2)), np.zeros((count, 2))
        points, normals, tints, glows, rows, columns = [], [], [], [], [], []
        x = y = tallest = 0
        for index, face in enumerate(surfaces):
            half = np.array([face.half_width, face.half_height])
            cells = np.maximum(2, np.ceil(2 * half / _CELL).astype(int) + 1)
            inner = half - np.minimum(0.005, 0.2 * half)
            if x + cells[0] > _SHEET_WIDTH:
                x, y, tallest = 0, y + tallest, 0
            self.step[index] = (cells - 1) / (2 * half)
            self.origin[index] = np.array([x, y]) + (cells - 1) / 2
            column, row = np.meshgrid(np.arange(cells[0]), np.arange(cells[1]))
            across = (column.ravel() / (cells[0] - 1) * 2 - 1) * inner[0]
            along = (row.ravel() / (cells[1] - 1) * 2 - 1) * inner[1]
            points.append(face.centre + across[:, None] * face.right + along[:, None] * face.down)
            normals.append(np.repeat(face.normal[None], len(across), axis=0))
            tints.append(np.repeat(np.array([face.paint.tint]), len(across), axis=0))
            glows.append(np.full(len(across), face.paint.glows_with or ""))
            rows.append(row.ravel() + y)
            columns.append(column.ravel() + x)
            x, tallest = x + int(cells[0]), max(tallest, int(cells[1]))
        self._normals = np.concatenate(normals).astype(np.float32)
        self._points = np.concatenate(points).astype(np.float32) + 0.004 * self._normals
        self._tints = np.concatenate(tints).astype(np.float32)
        self._glow = np.concatenate(glows)
        self._place = np.concatenate(rows), np.concatenate(columns)
        self._shape = (y + tallest, _SHEET_WIDTH)
        self._of_walls = slice(0, sum(len(chunk) for chunk in points[:WALLS]))

    def _shine(self, lamp: Lamp, solids: Sequence[Solid]) -> FloatMap:
        """Direct light of one lamp at all grid points, in arbitrary units."""
        total = np.zeros(len(self._points), np.float32)
        for sample in lamp.samples.astype(np.float32):
            way = sample - self._points
            distance = np.maximum(np.linalg.norm(way, axis=1), 0.25)
            strength = np.maximum(np.einsum("ij,ij->i", way, self._normals), 0) / distance**3
            if lamp.towards is not None:
                strength *= np.maximum(-way @ lamp.towards.astype(np.float32), 0) / distance
            lit = np.flatnonzero(strength > 0)
            start = np.ascontiguousarray(self._points[lit].T)
            blocked = np.zeros(len(lit), np.bool_)
            for solid in solids:
                blocked |= _cuts(solid, start, sample[:, None])
            total[lit] += strength[lit] * ~blocked
        return total

    def _occlusion(self, solids: Sequence[Solid]) -> FloatMap:
        """Share of the hemisphere without occlusion in range, including by the walls of the room."""
        up = np.where(np.abs(self._normals[:, 2:]) < 0.9, (0, 0, 1), (1, 0, 0)).astype(np.float32)
        side = np.cross(up, self._normals)
        side /= np.linalg.norm(side, axis=1, keepdims=True)
        other = np.cross(self._normals, side)
        directions = _hemisphere(14).astype(np.float32)
        low, high = np.array([-0.5, -0.5, 0]) * ROOM_SIZE, np.array([0.5, 0.5, 1]) * ROOM_SIZE
        ends = [self._points + _REACH * (a * side + b * other + c * self._normals) for a, b, c in directions]
        free = np.array([np.all((end > low) & (end < high), axis=1) for end in ends])
        for solid in solids:
            offset = (self._points - solid.centre.astype(np.float32)) @ solid.rotation.astype(np.float32)
            apart = np.abs(offset.T) - (solid.size[:, None] / 2 + _REACH)
            near = np.flatnonzero((apart[0] < 0) & (apart[1] < 0) & (apart[2] < 0))
            start = np.ascontiguousarray(self._points[near].T)
            for number, end in enumerate(ends):
                free[number, near] &= ~_cuts(solid, start, np.ascontiguousarray(end[near].T))
        return np.asarray(0.25 + 0.75 * free.mean(axis=0), dtype=np.float32)

    def sheet(self, setting: Setting, exposure: float = 1.0) -> FloatMap:
        """Light times tint, gamma-encoded, float32 [rows, columns, 3].

        Encoded values of a texture times this give the encoded image at once, since (a b)^(1/2.2) = a^(1/2.2)
        b^(1/2.2). The setting's brightness is the mean light on walls, floor and ceiling after exposure.
        """
        light = np.zeros((len(self._points), 3), np.float32)
        for name, color in setting.intensities.items():
            light += self._maps[name][:, None] * np.asarray(color, np.float32)
        light *= setting.brightness * exposure / light[self._of_walls].mean()
        sheet = np.zeros((*self._shape, 3), np.float32)
        sheet[self._place] = np.maximum(light * self._tints, 0) ** (1 / GAMMA)
        return sheet
