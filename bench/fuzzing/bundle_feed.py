# SPDX-License-Identifier: Apache-2.0
"""A bundle given to all that read one: as the node loads it, and as the commands do."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.fuzzing.kind import require, require_covariance, require_finite, require_rigid
from bench.fuzzing.scene import CAMERA, color_of, depth_of
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.scene_map import read_scene_map
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame
from mvloc_ros.model.validation_file import VALIDATION_FILE, read_validation

BUDGET_MS = 20.0
FRAME = Frame(10**9, "camera", ColorImage(color_of(0), "rgb"), DepthImage(depth_of(0), 0.001))


def feed_bundle(path: Path) -> None:
    """Read everything in it, run its network, localize a frame. Raises what the readers raise, and SenselessError."""
    bundle = read_bundle(path)
    _check_manifest(bundle)
    trajectory = bundle.training_trajectory()
    if trajectory is not None:
        require_finite("the training poses", trajectory.poses, trajectory.stamps_ns)
    if VALIDATION_FILE in bundle.manifest.files:
        for name, poses in read_validation(bundle.path / VALIDATION_FILE).poses.items():
            known = np.isfinite(poses).any(axis=(1, 2))
            for T in poses[known]:
                require_rigid(f"a pose of {name} in {VALIDATION_FILE}", T)
    if bundle.manifest.scene_map is not None:
        content = read_scene_map(bundle)
        points = content.content(range(len(content.tiles)))
        require_finite("a point or normal of the scene map", points.points, points.normals, content.correction)
        require(len(content) == bundle.manifest.scene_map.points, "a scene map with another number of points")
    for precision in ("fp32", *bundle.manifest.precisions):
        _localize(bundle, precision)


def _check_manifest(bundle: Bundle) -> None:
    manifest = bundle.manifest
    require_finite("the manifest's position", manifest.position.offset_m, manifest.position.scale_m)
    require(manifest.frames.map.strip(), "a frame of the map without a name")


def _localize(bundle: Bundle, precision: str) -> None:
    backend = create_backend("onnxruntime", bundle, 1, precision=precision, report=lambda _: None)
    try:
        localizer = Localizer(bundle, backend, RefinementOptions(budget_ms=BUDGET_MS))
        localizer.warm_up()
        require_covariance("the covariance of the network's poses", localizer.covariance)
        estimate = localizer.process(FRAME)
        require_rigid("a pose", estimate.pose.T)
        require_covariance("the covariance of a pose", estimate.pose.covariance)
        require(np.isfinite(estimate.expert_share).all(), "the experts' shares are not finite")
    finally:
        backend.close()


assert CAMERA.width == FRAME.color.pixels.shape[1]  # type: ignore[union-attr]
