# SPDX-License-Identifier: Apache-2.0
"""Which points of a map are stable over sessions: what one session saw and another one sees through is not.

A session is a sequence of the training data. Frames of each are compared with the map: its points are projected into a
thinned depth image, and a point is seen, seen through or hidden there. As in `localization.free_space`, the nearest of
a pixel and its neighbors decides whether the point was surely seen through, wherever in the pixel an edge lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import small_gicp
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.depth_noise import depth_noise
from mvloc_ros.geometry.projection import image_points, transform_points
from mvloc_ros.localization.depth_points import DepthCamera
from mvloc_ros.localization.scene_map import MapPoints
from mvloc_ros.mapping.fusion import PosedDepth
from mvloc_ros.recordings import FrameRecord

Array = NDArray[np.float64]

_MOST_FRAMES, _LEAST_OF_SESSION = 300, 40
"""Frames that are compared: so many in all, unless sessions are many."""
_COLUMNS = 160
_SIGMAS = 3.0
# Share of the distance by which poses and the distortion of a depth camera let surfaces of two recordings differ.
_SYSTEMATIC = 0.02
# Least cosine between ray and normal: edge on, a small error of the pose moves the surface far along the ray.
_FACING = 0.1
# Frames of a session that must see through a point, and their share among those that see it or through it.
_LEAST_FRAMES, _LEAST_SHARE = 3, 0.9
# Points nearest to one, and itself, of which more than half must be contradicted: single ones are errors.
_NEIGHBORS = 9


@dataclass(frozen=True)
class Unstable:
    """What was left out of a map.

    Attributes:
        sessions: sequences whose frames were compared; with one there is nothing to compare.
        points: of the map before.
        left_out: of these, those that a session sees through.
        square_meters: their surface.
    """

    sessions: int
    points: int
    left_out: int
    square_meters: float

    @property
    def text(self) -> str:
        """One line for the terminal."""
        share = self.left_out / max(1, self.points)
        return (
            f"left out of the map: {share:.2%} of its surface, about {self.square_meters:.2g} m2, which one of "
            f"{self.sessions} sequences saw and another one sees through"
        )


def frames_to_compare(records: Sequence[FrameRecord]) -> list[list[FrameRecord]]:
    """Of each session frames spread over it; none of all if there is only one session."""
    sessions: dict[str, list[FrameRecord]] = {}
    for record in records:
        if (record.depth is not None or record.further) and record.T_map_camera is not None:
            sessions.setdefault(record.sequence, []).append(record)
    if len(sessions) < 2:
        return []
    most = max(_LEAST_OF_SESSION, _MOST_FRAMES // len(sessions))
    return [
        [own[i] for i in np.unique(np.linspace(0, len(own) - 1, min(most, len(own))).round().astype(int))]
        for own in sessions.values()
    ]


def is_unstable(
    content: MapPoints, sessions: Iterable[Iterable[PosedDepth]], camera: DepthCamera, resolution_m: float
) -> NDArray[np.bool_]:
    """Which points of a map one session saw and another one surely sees through.

    Args:
        content: the map, `[N]` points.
        sessions: the frames of each.
        camera: of the depth images of the pair, as for the map.
        resolution_m: of the map.

    Returns:
        `[N]`.
    """
    seen, contradicted = [], []
    for frames in sessions:
        looks = np.zeros((2, len(content.points)), dtype=np.int32)
        for frame in frames:
            for count, index in zip(looks, _looks(content, frame, camera, resolution_m), strict=True):
                count[index] += 1
        seen.append(looks[0] > 0)
        contradicted.append((looks[1] >= _LEAST_FRAMES) & (looks[1] >= _LEAST_SHARE * looks.sum(axis=0)))
    found = np.zeros(len(content.points), dtype=bool)
    for one, through in enumerate(contradicted):
        others = [is_seen for other, is_seen in enumerate(seen) if other != one]
        if others:
            found |= through & np.any(others, axis=0)
    return _by_neighbors(content.points, found)


def _looks(
    content: MapPoints, frame: PosedDepth, camera: DepthCamera, resolution_m: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the points that a frame sees, and of those that it sees through; the others are hidden or unclear."""
    camera = camera if frame.eye is None else frame.eye.depth
    height, width = frame.depth.values.shape
    step = max(1, round(width / _COLUMNS))
    full = camera.camera.scaled_to(width, height)
    nearest, farthest = _measured(frame, camera, full, step)
    points = transform_points(se3.inverse(frame.T_map_depth), content.points)
    ahead = np.flatnonzero((points[:, 2] > camera.near_m) & (points[:, 2] < camera.far_m))
    u, v = image_points(points[ahead], full)
    column, row = (np.rint((x - step // 2) / step) for x in (u, v))
    inside = (column >= 0) & (column < nearest.shape[1]) & (row >= 0) & (row < nearest.shape[0])
    index, column, row = ahead[inside], column[inside].astype(np.intp), row[inside].astype(np.intp)
    rays = points[index]
    normals = content.normals[index] @ frame.T_map_depth[:3, :3]
    cosine = np.abs(np.einsum("ni,ni->n", normals, rays)) / np.linalg.norm(rays, axis=1)
    near, far, z = nearest[row, column], farthest[row, column], rays[:, 2]
    noise, differ = _SIGMAS * depth_noise(z), _SYSTEMATIC * z + resolution_m
    known = (near > 0.0) & (cosine > _FACING)
    # What surfaces may differ by along their normals is more along the ray. Between the two nothing is clear.
    is_through = known & (near > z + noise + differ / np.maximum(cosine, _FACING))
    is_seen = known & (near <= z + noise + differ) & (far >= z - noise - differ)
    return index[is_seen], index[is_through]


def _measured(frame: PosedDepth, camera: DepthCamera, full: PinholeCamera, step: int) -> tuple[Array, Array]:
    """Of every `step`-th pixel the nearest and the farthest of it and its neighbors; 0 where one of them has none."""
    # Beyond the range of the map a measurement still tells that there is nothing before it.
    reaching = DepthCamera(camera.camera, camera.near_m, 2.0 * camera.far_m, camera.correction)
    points = reaching.points(frame.depth, _COLUMNS)
    height, width = frame.depth.values.shape
    image = np.zeros(((height - step // 2 + step - 1) // step, (width - step // 2 + step - 1) // step))
    u, v = image_points(points, full)
    column, row = (np.rint((x - step // 2) / step).astype(np.intp) for x in (u, v))
    image[row, column] = points[:, 2]
    square = np.ones((3, 3), np.uint8)
    nearest = cv2.erode(image, square, borderType=cv2.BORDER_CONSTANT, borderValue=0.0)
    return np.asarray(nearest), np.where(nearest > 0.0, cv2.dilate(image, square), 0.0)


def _by_neighbors(points: Array, marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What most of the neighbors of each point are, and itself."""
    if not marked.any():
        return marked
    tree = small_gicp.KdTree(points, num_threads=1)
    index, _ = tree.batch_knn_search(points, min(_NEIGHBORS, len(points)), 1)
    return np.asarray(marked[np.asarray(index).astype(np.intp)].mean(axis=1) > 0.5)
