# SPDX-License-Identifier: Apache-2.0
"""The covariances of network poses, from the validation frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.mapping.covariance_estimator import Figures, choose, cross_validated
from mvloc_ros.mapping.errors import CalibrationError
from mvloc_ros.model.calibration_spec import NetworkCalibration
from mvloc_ros.model.manifest import Manifest
from mvloc_ros.model.validation_file import ValidationPoses

Array = NDArray[np.float64]

MIN_FRAMES = 20


def calibrate_network(manifest: Manifest, found: ValidationPoses, truth: Array) -> NetworkCalibration:
    """Covariances with both modalities and with each alone.

    Args:
        manifest: of the bundle; its `residual_variance` is the covariance "before".
        found: poses of the validation frames by the network.
        truth: their true poses, `[N, 4, 4]`.

    Raises:
        CalibrationError: there are too few frames with both modalities.
    """
    known = {name: np.isfinite(poses).all(axis=(1, 2)) for name, poses in found.poses.items()}
    errors = {name: pose_error(poses[known[name]], truth[known[name]]) for name, poses in found.poses.items()}
    count = len(errors.get("both", ()))
    if count < MIN_FRAMES:
        raise CalibrationError(
            f"The bundle has {count} validation frames with color and depth, too few to estimate the errors of its "
            f"network (at least {MIN_FRAMES} are needed); record more frames, or train with a larger "
            "validation_fraction (of a preset file, or --validation-fraction of `mvloc train`)."
        )
    both, blocks = errors["both"], np.array(found.sequences)[known["both"]].tolist()
    mixture = choose(both, blocks)
    measured = mixture.of(both)
    single = (errors.get(name) for name in ("color", "depth"))
    color, depth = (None if e is None or len(e) < MIN_FRAMES else _numbers(mixture.of(e)) for e in single)
    refitted = bool(manifest.training.get("refitted_to_validation_frames"))
    record: dict[str, Any] = {
        "of": "the network before it was refitted to all frames" if refitted else "the network",
        "frames": count,
        "blocks": len(set(blocks)),
        "mixture": vars(mixture).copy(),
        "before": Figures.of(both, np.diag(np.array(manifest.residual_variance))).to_json(),
        "after": Figures.of(both, measured).to_json(),
        "cross_validated": cross_validated(mixture, both, blocks).to_json() if len(set(blocks)) > 1 else None,
    }
    return NetworkCalibration(_numbers(measured), color, depth, record)


def _numbers(matrix: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in (0.5 * (matrix + matrix.T)).ravel())
