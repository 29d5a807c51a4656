# SPDX-License-Identifier: Apache-2.0
"""The covariance of refined poses: how far the registration's information goes, and the errors that it cannot see.

The points of a frame share errors (of the map, of the poses it was made from, of the camera), so the Hessian's inverse
is too small by a factor, and has no floor. Both are found by maximum likelihood on refined poses of held-out frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.calibration.estimator import Figures
from mvloc_ros.calibration.trials import Trials
from mvloc_ros.inference.calibration_spec import RefinedCalibration

Array = NDArray[np.float64]

MIN_POSES = 20
# Powers of two of the scale; and floors as shares of the root mean square error.
_LOG_SCALES = tuple(float(power) for power in range(-6, 7))
_SHARES = (0.0, 0.3, 0.6, 0.9)
_REFINEMENTS = 4


@dataclass(frozen=True)
class _Model:
    scale: float
    floor_m: float
    floor_rad: float

    def of(self, covariances: Array, prior: Array) -> Array:
        """Covariances `[N, 6, 6]` from those that the registrations state, with the network's (6x6) in them."""
        known = np.linalg.inv(prior)
        information = np.linalg.inv(covariances) - known
        scaled = np.linalg.inv(information / self.scale + known)
        scaled = 0.5 * (scaled + np.swapaxes(scaled, 1, 2))
        return scaled + np.diag([self.floor_m**2] * 3 + [self.floor_rad**2] * 3)


def calibrate_refined(trials: Trials, prior: Array) -> RefinedCalibration | None:
    """Scale and floors by the trials; None with too few of them.

    Args:
        trials: refined poses of held-out frames.
        prior: covariance of the network's poses, 6x6, that the trials were made with.
    """
    if len(trials.errors) < MIN_POSES:
        return None
    model = _fit(trials.errors, trials.covariances, prior)
    blocks = np.array(trials.blocks)
    record: dict[str, Any] = {
        "frames": trials.frames,
        "blocks": len(set(trials.blocks)),
        "rejected": trials.rejected,
        "believed_but_wrong": trials.wrong,
        "before": Figures.of(trials.errors, trials.covariances).to_json(),
        "after": Figures.of(trials.errors, model.of(trials.covariances, prior)).to_json(),
        "cross_validated": None,
    }
    if len(np.unique(blocks)) > 1:
        stated = np.empty_like(trials.covariances)
        for name in np.unique(blocks):
            inside = blocks == name
            others = _fit(trials.errors[~inside], trials.covariances[~inside], prior)
            stated[inside] = others.of(trials.covariances[inside], prior)
        record["cross_validated"] = Figures.of(trials.errors, stated).to_json()
    return RefinedCalibration(model.scale, model.floor_m, model.floor_rad, record)


def _fit(errors: Array, covariances: Array, prior: Array) -> _Model:
    """The likeliest scale and floors: on a coarse grid, then around the best on ever finer ones."""
    rms = [float(np.sqrt(np.mean(errors[:, axes] ** 2))) for axes in (slice(0, 3), slice(3, 6))]

    def model(point: tuple[float, ...]) -> _Model:
        return _Model(2.0 ** point[0], max(0.0, point[1]) * rms[0], max(0.0, point[2]) * rms[1])

    def likelihood(point: tuple[float, ...]) -> float:
        return Figures.of(errors, model(point).of(covariances, prior)).log_likelihood

    best: tuple[float, ...] = max(product(_LOG_SCALES, _SHARES, _SHARES), key=likelihood)
    steps = np.array([0.5, 0.15, 0.15])
    for _ in range(_REFINEMENTS):
        around = [tuple(float(v) for v in np.array(best) + steps * move) for move in product((-1, 0, 1), repeat=3)]
        best = max(around, key=likelihood)
        steps /= 2.0
    return model(best)
