# SPDX-License-Identifier: Apache-2.0
"""The position error to be expected of a pose that is refined where a training camera was.

It is the covariance that the node computes, for the surfaces of the map that the camera had in view: their information
on the pose (how well they determine its six directions), divided by the bundle's inflation, which was measured on
held-out frames, together with the network's covariance for what the surfaces leave open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.depth_noise import depth_noise
from mvloc_ros.localization.inlier_residuals import information_of
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.scene_map import MapPoints, SceneMap
from mvloc_ros.localization.uncertainty import ResidualCovariance, with_floor
from mvloc_ros.mapping.grid_views import DepthView, Views, depth_views
from mvloc_ros.model.manifest import Manifest
from mvloc_ros.model.map_spec import SceneMapSpec

Array = NDArray[np.float64]

_MOST_VIEWS, _MOST_POINTS = 250, 100_000
# Registration thins its points to cubes of so many resolutions.
_THINNED = 3.0
_MARGIN = 4.0
_LEAST_POINTS = 20


@dataclass(frozen=True, eq=False)
class ExpectedError:
    """Per training view, and per point of the map.

    Attributes:
        places: `[N, 3]` of the views, map frame.
        sigma_m: `[N]`: root of the trace of the position's covariance.
        points: `[M, 3]` of the map, map frame.
        of_points_m: `[M]`: the geometric mean of `sigma_m` over the views that have the point in view; NaN for none.
    """

    places: Array
    sigma_m: Array
    points: Array
    of_points_m: Array


def expected_error(scene_map: SceneMap, views: Views, manifest: Manifest) -> ExpectedError:
    """Of a bundle's training views, of which at most 250 are taken, evenly."""
    spec = manifest.scene_map
    assert spec is not None
    prior = ResidualCovariance(manifest).of(color_used=True, depth_used=True)
    content = scene_map.thinned(_MOST_POINTS)
    # How many cubes of the registration one of these points stands for.
    weight = len(scene_map) / len(content.points) / _THINNED**2
    logs, counts = np.zeros(len(content.points)), np.zeros(len(content.points))
    places, sigmas = list[Array](), list[float]()
    for view in depth_views(scene_map, _chosen(views)):
        seen = _seen(view, content, views, scene_map.resolution_m)
        if len(seen) < _LEAST_POINTS:
            continue
        camera = se3.inverse(view.T_depth_map)[:3, 3]
        sigma = _sigma_m(content, seen, view, weight, spec, prior)
        logs[seen] += np.log(sigma)
        counts[seen] += 1.0
        places.append(camera)
        sigmas.append(sigma)
    of_points = np.full(len(counts), np.nan)
    of_points[counts > 0] = np.exp(logs[counts > 0] / counts[counts > 0])
    return ExpectedError(np.reshape(places, (-1, 3)), np.array(sigmas), content.points, of_points)


def _chosen(views: Views) -> Views:
    found = views.different()
    every = -(-len(found.poses) // _MOST_VIEWS)
    return Views(found.poses[::every], found.camera, found.near_m, found.far_m)


def _seen(view: DepthView, content: MapPoints, views: Views, resolution_m: float) -> NDArray[np.intp]:
    """Indices of the points that a view measures."""
    camera = se3.inverse(view.T_depth_map)[:3, 3]
    near = np.flatnonzero(np.abs(content.points - camera).max(axis=1) <= 1.5 * views.far_m)
    shown = near[view.shows(content.points[near], _MARGIN * resolution_m)]
    depth = (content.points[shown] - camera) @ view.T_depth_map[2, :3]
    facing = np.einsum("ni,ni->n", content.normals[shown], content.points[shown] - camera) < 0.0
    return np.asarray(shown[facing & (depth >= views.near_m) & (depth <= views.far_m)])


def _sigma_m(
    content: MapPoints, seen: NDArray[np.intp], view: DepthView, weight: float, spec: SceneMapSpec, prior: Array
) -> float:
    """Root of the trace of the position's covariance; the steps are those of `inlier_residuals`."""
    camera = se3.inverse(view.T_depth_map)[:3, 3]
    arms, normals = content.points[seen] - camera, content.normals[seen]
    depth = arms @ view.T_depth_map[2, :3]
    sigmas = np.hypot(depth_noise(depth), 0.25 * spec.resolution_m)
    jacobian = np.hstack([normals, np.cross(arms, normals)]) / sigmas[:, None]
    used = min(float(RefinementOptions().points), weight * len(seen))
    hessian = (used / len(seen)) * (jacobian.T @ jacobian)
    information, _ = information_of(hessian, float(np.median(depth)), spec.calibrated_inflation)
    covariance = with_floor(np.linalg.inv(information + np.linalg.inv(prior)), spec.calibration)
    return float(np.sqrt(np.trace(covariance[:3, :3])))
