# SPDX-License-Identifier: Apache-2.0
"""How a map whose z does not point up must be turned to be looked at from above."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.localization.scene_map import SceneMap
from mvloc_ros.mapping.grid_floor import camera_up, is_upright

Array = NDArray[np.float64]

_LEVEL_COSINES = tuple(float(np.cos(np.deg2rad(degrees))) for degrees in (30.0, 15.0, 8.0, 8.0))
_MOST_NORMALS = 500_000


def upright_turn(scene_map: SceneMap | None, poses: Array) -> Array:
    """Rotation 3x3 from a map's axes to axes with z up; the identity where z of the map points up.

    By the mean up direction of the training cameras, T_map_camera `[N, 4, 4]`, then by the surfaces that face it.
    """
    if is_upright(poses):
        return np.eye(3)
    up = camera_up(poses)
    if scene_map is not None:
        normals = scene_map.thinned(_MOST_NORMALS).normals
        for least in _LEVEL_COSINES:
            chosen = normals[normals @ up >= least]
            if len(chosen):
                up = np.median(chosen, axis=0)
                up /= np.linalg.norm(up)
    across = np.cross(np.eye(3)[int(np.argmin(np.abs(up)))], up)
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(up, across), up])
