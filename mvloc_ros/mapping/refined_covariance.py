# SPDX-License-Identifier: Apache-2.0
"""The covariance of refined poses: a scale for the information of the registration, and a floor.

The points of a frame have common errors (of the map, of its poses, of the camera), so the inverse of the Hessian is too
small by a factor, and lacks a floor. Both are estimated by maximum likelihood on refined poses of held-out frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import chi_square
from mvloc_ros.mapping.covariance_estimator import Figures
from mvloc_ros.mapping.refined_trials import Trials
from mvloc_ros.model.calibration_spec import RefinedCalibration

Array = NDArray[np.float64]

MIN_POSES = 20
# Grid of log2 of the scale, and of floors relative to the RMSE.
_LOG_SCALES = (-6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0)
_SHARES = (0.0, 0.4, 0.8)
_REFINEMENTS = 6
# Number of groups of blocks for cross-validation.
_GROUPS = 5


@dataclass(frozen=True)
class _Model:
    scale: float
    floor_m: float
    floor_rad: float

    def of(self, information: Array, known: Array) -> Array:
        """Covariances `[N, 6, 6]` from the information of the registrations `[N, 6, 6]` and of the network (6x6)."""
        scaled = np.asarray(np.linalg.inv(information / self.scale + known), dtype=np.float64)
        scaled = 0.5 * (scaled + np.swapaxes(scaled, 1, 2))
        return scaled + np.diag([self.floor_m**2] * 3 + [self.floor_rad**2] * 3)


def calibrate_refined(trials: Trials, prior: Array) -> RefinedCalibration | None:
    """Estimate scale and floors from the trials; None with too few of them.

    Args:
        trials: refined poses of held-out frames.
        prior: covariance of network poses in the trials, 6x6.
    """
    if len(trials.errors) < MIN_POSES:
        return None
    known = np.asarray(np.linalg.inv(prior), dtype=np.float64)
    errors, information, blocks = trials.errors, _information(trials.covariances, known), np.array(trials.blocks)
    model = _fit(errors, information, known)
    record: dict[str, Any] = {
        "frames": trials.frames,
        "blocks": len(set(trials.blocks)),
        "rejected": trials.rejected,
        "accepted_but_wrong": trials.wrong,
        "before": Figures.of(errors, trials.covariances).to_json(),
        "after": Figures.of(errors, model.of(information, known)).to_json(),
        "cross_validated": None,
    }
    groups = np.unique(blocks, return_inverse=True)[1] % _GROUPS
    if len(np.unique(groups)) > 1:
        stated = np.empty_like(trials.covariances)
        for group in np.unique(groups):
            inside = groups == group
            stated[inside] = _fit(errors[~inside], information[~inside], known).of(information[inside], known)
        record["cross_validated"] = Figures.of(errors, stated).to_json()
    return RefinedCalibration(model.scale, model.floor_m, model.floor_rad, record)


def _information(covariances: Array, known: Array) -> Array:
    """The information of the registrations without that of the network, `[N, 6, 6]`, positive semidefinite."""
    values, vectors = np.linalg.eigh(np.linalg.inv(covariances) - known)
    return (vectors * np.maximum(values, 0.0)[:, None, :]) @ np.swapaxes(vectors, 1, 2)


def _fit(errors: Array, information: Array, known: Array) -> _Model:
    """The scale and floors with maximum likelihood: on a coarse grid, then refined around the best."""
    rms = [float(np.sqrt(np.mean(errors[:, axes] ** 2))) for axes in (slice(0, 3), slice(3, 6))]

    def model(point: tuple[float, ...]) -> _Model:
        return _Model(2.0 ** point[0], max(0.0, point[1]) * rms[0], max(0.0, point[2]) * rms[1])

    def likelihood(point: tuple[float, ...]) -> float:
        covariances = model(point).of(information, known)
        return -float(np.sum(chi_square.squared(errors, covariances) + np.linalg.slogdet(covariances)[1]))

    best: tuple[float, ...] = max(product(_LOG_SCALES, _SHARES, _SHARES), key=likelihood)
    steps = np.array([_LOG_SCALES[1] - _LOG_SCALES[0], _SHARES[1], _SHARES[1]]) / 2.0
    for _ in range(_REFINEMENTS):
        for axis, sign in product(range(3), (-1.0, 1.0)):
            moved = tuple(value + sign * steps[i] * (i == axis) for i, value in enumerate(best))
            best = max(best, moved, key=likelihood)
        steps /= 2.0
    return model(best)
