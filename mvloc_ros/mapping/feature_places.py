# SPDX-License-Identifier: Apache-2.0
"""Where the features of keyframes lie: as far as was measured there, and beyond by the map.

A wall that is too far away for the depth sensor at a keyframe was measured from nearer by, and is in the map.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.projection import transform_points
from mvloc_ros.localization.local_features import ImageFeatures, LocalFeatures
from mvloc_ros.localization.scene_map import SceneMap
from mvloc_ros.mapping.drawn_depth import nearest_depth, surfaces_around

Array = NDArray[np.float64]

# Half the columns of the image that features are found in.
_COLUMNS = 160
_NEAREST_M, _FARTHEST_M = 0.3, 20.0
# Depths around a feature that differ by more than this share are of an edge, whose side is not known. A point covers
# pixels beyond its surface's edge, as its square is not turned like the surface.
_EDGE, _AROUND = 0.08, 2
# Between points there are gaps.
_LEAST_DRAWN = 0.6


def places_of(
    features: Sequence[ImageFeatures], poses: Array, scene_map: SceneMap, camera: PinholeCamera
) -> list[LocalFeatures]:
    """The features of frames, each where it lies, with a progress bar; those of which that is not known are left out.

    Args:
        features: of each frame.
        poses: T_map_camera `[N, 4, 4]` of the same frames.
        scene_map: what lies where.
        camera: the colour camera, at any size.
    """
    small = camera.scaled_to(_COLUMNS, round(_COLUMNS * camera.height / camera.width))
    found: list[LocalFeatures] = [one.at(one.depth) for one in features]
    with tqdm(total=len(features), desc="places of features", unit="frame") as progress:
        for chosen, points, _, size_m in surfaces_around(scene_map, poses[:, :3, 3], _FARTHEST_M):
            for i in chosen:
                one = features[i]
                if not np.isfinite(one.depth).all():
                    drawn = _drawn(points, poses[i] @ one.T_camera_color, small, size_m)
                    found[i] = one.at(np.where(np.isfinite(one.depth), one.depth, _read(drawn, one.rays, small)))
                progress.update()
    return found


def _drawn(points: Array, T_map_color: Array, camera: PinholeCamera, size_m: float) -> NDArray[np.float32]:
    """Depth image of what a colour camera has before it."""
    near = np.linalg.norm(points - T_map_color[:3, 3], axis=1) < _FARTHEST_M
    seen = transform_points(se3.inverse(T_map_color), points[near])
    return nearest_depth(seen[seen[:, 2] > _NEAREST_M], camera, size_m)


def _read(image: NDArray[np.float32], rays: Array, camera: PinholeCamera) -> Array:
    """Depth `[N]` along rays `[N, 3]`; NaN where there is none, and at edges."""
    column = np.rint(rays[:, 0] * camera.fx + camera.cx).astype(np.intp)
    row = np.rint(rays[:, 1] * camera.fy + camera.cy).astype(np.intp)
    wide, side = np.pad(image, _AROUND, mode="edge"), range(2 * _AROUND + 1)
    column, row = np.clip(column, 0, camera.width - 1), np.clip(row, 0, camera.height - 1)
    around = np.stack([wide[row + down, column + right] for down in side for right in side])
    drawn = np.isfinite(around)
    low, high = around.min(axis=0), np.where(drawn, around, 0.0).max(axis=0)
    known = (drawn.mean(axis=0) >= _LEAST_DRAWN) & (high <= (1.0 + _EDGE) * low)
    return np.where(known, 0.5 * (np.where(known, low, 0.0) + high), np.nan)
