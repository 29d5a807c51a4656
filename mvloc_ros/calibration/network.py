# SPDX-License-Identifier: Apache-2.0
"""The covariances of the network's poses, from the frames that were held out of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.calibration.errors import CalibrationError
from mvloc_ros.calibration.estimator import Figures, choose, cross_validated
from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.inference.calibration_spec import NetworkCalibration
from mvloc_ros.inference.manifest import Manifest
from mvloc_ros.inference.validation_file import ValidationPoses

Array = NDArray[np.float64]

MIN_FRAMES = 20


def calibrate_network(manifest: Manifest, found: ValidationPoses, truth: Array) -> NetworkCalibration:
    """Covariances with both modalities and with each alone.

    Args:
        manifest: of the bundle; its `residual_variance` is what the figures "before" are of.
        found: the held-out frames as the network placed them.
        truth: `[N, 4, 4]`, where they were taken.

    Raises:
        CalibrationError: there are too few frames with both modalities.
    """
    errors = {name: pose_error(poses, truth) for name, poses in found.poses.items()}
    known = {name: np.isfinite(values).all(axis=1) for name, values in errors.items()}
    count = int(np.count_nonzero(known.get("both", ())))
    if count < MIN_FRAMES:
        raise CalibrationError(
            f"The bundle has {count} validation frames with colour and depth, too few to say how wrong its network is "
            f"({MIN_FRAMES} are needed); train with a larger --validation-fraction or more frames."
        )
    blocks = np.array(found.sequences)
    both, kept = errors["both"][known["both"]], blocks[known["both"]]
    mixture = choose(both, kept.tolist())
    covariance = {
        name: mixture.of(errors[name][known[name]]) if np.count_nonzero(known.get(name, ())) >= MIN_FRAMES else None
        for name in ("both", "color", "depth")
    }
    measured = covariance["both"]
    assert measured is not None
    refitted = bool(manifest.training.get("refitted_to_validation_frames"))
    record: dict[str, Any] = {
        "of": "the network before it was refitted to all frames" if refitted else "the network",
        "frames": count,
        "blocks": len(set(kept.tolist())),
        "mixture": vars(mixture).copy(),
        "before": Figures.of(both, np.diag(np.array(manifest.residual_variance))).to_json(),
        "after": Figures.of(both, measured).to_json(),
        "cross_validated": _cross_validated(both, kept.tolist(), mixture),
    }
    return NetworkCalibration(_numbers(measured), *(_maybe(covariance[name]) for name in ("color", "depth")), record)


def _cross_validated(errors: Array, blocks: Sequence[str], mixture: Any) -> Mapping[str, float] | None:
    return cross_validated(mixture, errors, blocks).to_json() if len(set(blocks)) > 1 else None


def _maybe(matrix: Array | None) -> tuple[float, ...] | None:
    return None if matrix is None else _numbers(matrix)


def _numbers(matrix: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in (0.5 * (matrix + matrix.T)).ravel())
