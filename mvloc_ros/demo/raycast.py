# SPDX-License-Identifier: Apache-2.0
"""Ray casting: surface, depth and position on the surface for each pixel, exact, and vectorized over pixels.

For a rectangle with normal n and a ray p = o + z d through a pixel, d = ((u - cx)/fx, (v - cy)/fy, 1), the plane gives
1/z = (n . d) / (n . (c - o)): linear in the pixel (u, v), and so are both coordinates on the rectangle divided by z.
One rectangle therefore costs three linear forms and two comparisons per pixel of its bounding box. z is the optical
depth (along the camera's axis), as depth cameras report it, not the length of the ray.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mvloc_ros.demo.solids import Surface
from mvloc_ros.geometry.camera import PinholeCamera

FloatMap = npt.NDArray[np.float32]

_NEAR = 0.02  # m, near plane


@dataclass(frozen=True)
class Hits:
    """The ray casting result, every field [H, W].

    face: index of the surface; depth: z (m); right, down: position on the surface from its center (m); cosine:
    of the angle between ray and normal.
    """

    face: npt.NDArray[np.intp]
    depth: FloatMap
    right: FloatMap
    down: FloatMap
    cosine: FloatMap


class Raycaster:
    """Casts the rays of one camera against a fixed set of surfaces."""

    def __init__(self, surfaces: Sequence[Surface], camera: PinholeCamera) -> None:
        self.camera = camera
        self._centre = np.array([face.centre for face in surfaces])
        self._right = np.array([face.right for face in surfaces])
        self._down = np.array([face.down for face in surfaces])
        self._normal = np.array([face.normal for face in surfaces])
        self._half = np.array([(face.half_width, face.half_height) for face in surfaces])
        steps = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])[None] * self._half[:, None]
        self._corners = (
            self._centre[:, None] + steps[..., :1] * self._right[:, None] + steps[..., 1:] * self._down[:, None]
        )
        self._u = np.arange(camera.width, dtype=np.float32)
        self._v = np.arange(camera.height, dtype=np.float32)
        x, y = (self._u - camera.cx) / camera.fx, (self._v - camera.cy) / camera.fy
        self._ray_length = np.sqrt(1 + x[None] ** 2 + y[:, None] ** 2).astype(np.float32)

    def trace(self, T_map_camera: npt.ArrayLike) -> Hits:
        """Cast the rays of a pose (4x4, optical frame: z forward, x right, y down)."""
        pose = np.asarray(T_map_camera, dtype=np.float64)
        rotation, origin = pose[:3, :3], pose[:3, 3]
        ahead = self._centre - origin
        distance = np.einsum("ij,ij->i", self._normal, ahead)  # negative on the painted side
        boxes, seen = self._bounds(rotation, origin)
        candidates = np.flatnonzero(seen & (distance < -1e-6))
        inverse, right, down = self._linear_forms(candidates, rotation, ahead, distance)

        height, width = self.camera.height, self.camera.width
        nearest = np.full((height, width), 1e-6, np.float32)
        winner = np.full((height, width), -1, np.intp)
        rows, columns = self._v[None] * inverse[:, 1:2] + inverse[:, 2:], self._u[None] * inverse[:, :1]
        right_rows, right_columns = self._v[None] * right[:, 1:2] + right[:, 2:], self._u[None] * right[:, :1]
        down_rows, down_columns = self._v[None] * down[:, 1:2] + down[:, 2:], self._u[None] * down[:, :1]
        halves = self._half[candidates].astype(np.float32)
        for k, (left, top, end, bottom) in enumerate(boxes[candidates].tolist()):
            here = np.s_[top:bottom, left:end]
            inverse_depth = rows[k, top:bottom, None] + columns[k, left:end]
            inside = inverse_depth > nearest[here]
            across = np.abs(right_rows[k, top:bottom, None] + right_columns[k, left:end])
            inside &= across <= halves[k, 0] * inverse_depth
            along = np.abs(down_rows[k, top:bottom, None] + down_columns[k, left:end])
            inside &= along <= halves[k, 1] * inverse_depth
            np.copyto(nearest[here], inverse_depth, where=inside)
            np.copyto(winner[here], k, where=inside)
        return self._gather(candidates, winner, nearest, right, down, distance)

    def _bounds(
        self, rotation: npt.NDArray[np.float64], origin: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
        """Pixel boxes [F, 4] (left, top, end, bottom) around all surfaces, and which of them are in the image.

        An edge across the near plane is clipped there, so that its part in front of the camera is included.
        """
        corners = (self._corners - origin) @ rotation
        following = np.roll(corners, -1, axis=1)
        z, next_z = corners[..., 2], following[..., 2]
        crosses = (z > _NEAR) != (next_z > _NEAR)
        share = np.where(crosses, (_NEAR - z) / np.where(crosses, next_z - z, 1.0), 0.0)
        cuts = corners + share[..., None] * (following - corners)
        points = np.concatenate([corners, cuts], axis=1)
        valid = np.concatenate([z > _NEAR, crosses], axis=1)
        depth = np.where(valid, points[..., 2], 1.0)
        camera = self.camera
        u = np.where(valid, camera.fx * points[..., 0] / depth + camera.cx, np.nan)
        v = np.where(valid, camera.fy * points[..., 1] / depth + camera.cy, np.nan)
        seen = valid.any(axis=1)
        u[~seen], v[~seen] = -1.0, -1.0
        low = np.stack([np.nanmin(u, axis=1), np.nanmin(v, axis=1)], axis=1)
        high = np.stack([np.nanmax(u, axis=1), np.nanmax(v, axis=1)], axis=1)
        size = np.array([camera.width, camera.height])
        low = np.clip(np.floor(low), 0, size).astype(np.intp)
        high = np.clip(np.ceil(high) + 1, 0, size).astype(np.intp)
        return np.concatenate([low, high], axis=1), seen & np.all(high > low, axis=1)

    def _linear_forms(
        self,
        chosen: npt.NDArray[np.intp],
        rotation: npt.NDArray[np.float64],
        ahead: npt.NDArray[np.float64],
        distance: npt.NDArray[np.float64],
    ) -> tuple[FloatMap, FloatMap, FloatMap]:
        """Coefficients [K, 3] of (u, v, 1) for 1/z, right/z and down/z."""
        camera = self.camera
        to_pixels = np.array(
            [[1 / camera.fx, 0, -camera.cx / camera.fx], [0, 1 / camera.fy, -camera.cy / camera.fy], [0, 0, 1]]
        )
        inverse = self._normal[chosen] @ rotation / distance[chosen, None]
        forms = [inverse]
        for axis in (self._right[chosen], self._down[chosen]):
            offset = np.einsum("ij,ij->i", axis, ahead[chosen])
            forms.append(axis @ rotation - offset[:, None] * inverse)
        one, two, three = ((form @ to_pixels).astype(np.float32) for form in forms)
        return one, two, three

    def _gather(
        self,
        candidates: npt.NDArray[np.intp],
        winner: npt.NDArray[np.intp],
        nearest: FloatMap,
        right: FloatMap,
        down: FloatMap,
        distance: npt.NDArray[np.float64],
    ) -> Hits:
        """Depth and position on the surface, for the nearest surface of each pixel."""
        depth = np.reciprocal(nearest)
        places = []
        for form in (right, down):
            place = np.take(form[:, 0], winner) * self._u
            place += np.take(form[:, 1], winner) * self._v[:, None]
            place += np.take(form[:, 2], winner)
            place *= depth
            places.append(place)
        away = np.abs(distance[candidates]).astype(np.float32)
        cosine = np.take(away, winner) * nearest / self._ray_length
        return Hits(np.take(candidates, winner), depth, places[0], places[1], cosine.astype(np.float32, copy=False))
