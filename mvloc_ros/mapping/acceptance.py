# SPDX-License-Identifier: Apache-2.0
"""From trials to the score's weights, its threshold, and the inflation of a registration's covariance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.localization.verification import CONTRAST, NAMES
from mvloc_ros.mapping.acceptance_trials import BESIDE, EITHER, OF_TWO_MOMENTS, RIGHT_KINDS, Trial
from mvloc_ros.model.map_spec import AcceptanceSpec

Array = NDArray[np.float64]

FALSE_ACCEPT_RATE = 0.005
MIN_TRIALS = 30
"""Right ones, and wrong ones, that a threshold is set on at least."""
_ODOMETRY = 10.0
"""So many times more of the wrong poses that nothing but the colour image contradicts may pass where odometry speaks
for them: depth of an earlier moment follows from the pose accepted last only where the camera has not moved."""
_OF_FOLLOWED = tuple(name for name in NAMES if name != "observability")
"""What the depth image leaves open is known from the pose accepted last."""
_STEPS = 4000
# Weight decay per trial: evidence that separates right from wrong without exception would else get weights without end.
_DECAY = 1e-3


def right_and_wrong(trials: Sequence[Trial]) -> tuple[int, int]:
    """How many trials ended at the right pose and how many elsewhere, of those that no rule rejects."""
    judged = [trial for trial in trials if not trial.ruled_out]
    # Those beside the true pose say nothing of the network, however often they lead to it.
    right = sum(trial.right and trial.kind != BESIDE for trial in judged)
    return right, sum(not trial.right for trial in judged)


def fit_followed(
    trials: Sequence[Trial], false_accept_rate: float = FALSE_ACCEPT_RATE
) -> tuple[AcceptanceSpec | None, AcceptanceSpec | None]:
    """The score of poses that follow from none, and that of poses that follow from the one accepted last.

    A pose that agrees with where odometry puts the camera needs less evidence of its own than one out of nowhere.
    The second is None where there are too few trials for it: then the first is for all.
    """
    followed = [trial for trial in trials if trial.refined.follows]
    others = [trial for trial in trials if not trial.refined.follows]
    first = fit_acceptance(others, false_accept_rate)
    second = fit_acceptance(followed, false_accept_rate, _ODOMETRY * false_accept_rate, names=_OF_FOLLOWED)
    return (fit_acceptance(trials, false_accept_rate), None) if first is None or second is None else (first, second)


def fit_place(trials: Sequence[Trial], false_accept_rate: float = FALSE_ACCEPT_RATE) -> AcceptanceSpec | None:
    """The score that tells the place of a frame from others; None with too few trials.

    Depth of another moment is no matter of the place. It is what only the colour image contradicts, so that without
    such trials geometry counts more, and the light less.
    """
    return fit_acceptance(
        [trial for trial in trials if not trial.refined.follows and trial.kind not in OF_TWO_MOMENTS], false_accept_rate
    )


def fit_acceptance(
    trials: Sequence[Trial],
    false_accept_rate: float = FALSE_ACCEPT_RATE,
    by_odometry: float | None = None,
    names: Sequence[str] = NAMES,
) -> AcceptanceSpec | None:
    """The score that tells right from wrong trials; None with too few of either.

    Logistic regression with weights of at least 0, right and wrong counting the same. The threshold lets through
    `false_accept_rate` of the wrong trials, and of each kind of them of which there are enough; where that leaves room
    below the right ones, it stands in the middle. `by_odometry` is the rate of `threshold_by_odometry`,
    `names` the evidence that is asked for.
    """
    # What a rule rejects is rejected whatever the score.
    judged = np.array([not trial.ruled_out for trial in trials], dtype=bool)
    counted = [trial for trial in trials if not trial.ruled_out]
    right = np.array([trial.right for trial in counted], dtype=bool)
    if min(right_and_wrong(trials)) < MIN_TRIALS:
        return None
    values = _values(counted, right, names)
    weights, bias = _logistic(values, right)
    logits = values @ weights + bias
    kinds = np.array([trial.kind for trial in counted])
    wrong = [logits[~right], *(logits[~right & (kinds == kind)] for kind in sorted(set(kinds[~right])))]
    enough = [some for some in wrong if len(some) >= MIN_TRIALS]
    limit = _limit(logits[right], enough, false_accept_rate)
    accepted = np.zeros(len(trials), dtype=bool)
    accepted[judged] = logits >= limit
    return AcceptanceSpec(
        bias=bias,
        weights={name: float(weight) for name, weight in zip(names, weights, strict=True)},
        typical={name: float(value) for name, value in zip(names, np.median(values[right], axis=0), strict=True)},
        threshold=_probability(limit),
        false_accept_rate=false_accept_rate,
        summary=_summary(trials, accepted),
        threshold_by_odometry=None if by_odometry is None else _probability(_limit(logits[right], enough, by_odometry)),
    )


def _limit(right: Array, wrong: Sequence[Array], false_accept_rate: float) -> float:
    """The logit that lets so many of each kind of wrong ones through at most."""
    lowest = max(float(np.quantile(some, 1.0 - false_accept_rate)) for some in wrong)
    highest = float(np.quantile(right, 0.01))
    return 0.5 * (lowest + highest) if highest > lowest else lowest


def _probability(logit: float) -> float:
    return float(np.clip(1.0 / (1.0 + np.exp(-logit)), 1e-6, 1.0 - 1e-6))


def _values(trials: Sequence[Trial], right: NDArray[np.bool_], names: Sequence[str]) -> Array:
    """Evidence `[N, len(names)]`; what the colour image could not be compared for is what is typical of right ones."""
    typical = {}
    for name in CONTRAST:
        values = [getattr(trial.evidence, name) for trial, yes in zip(trials, right, strict=True) if yes]
        typical[name] = float(np.nanmedian(values)) if np.isfinite(values).any() else 1.0
    rows = []
    for trial in trials:
        missing = {name: value for name, value in typical.items() if math.isnan(getattr(trial.evidence, name))}
        found = replace(trial.evidence, **missing).values()
        rows.append([found[name] for name in names])
    return np.array(rows)


def inflation(trials: Sequence[Trial]) -> float | None:
    """By how much the points' information is too large for the errors of right trials; None with too few.

    Such that the median of the normalised squared error is that of a chi-square with six degrees of freedom, with the
    registration's information alone.
    """
    squared = [
        float(trial.error @ trial.refined.support.hessian @ trial.error)
        for trial in trials
        if trial.right and trial.error is not None
    ]
    if len(squared) < MIN_TRIALS:
        return None
    return max(1.0, float(np.median(squared)) / 5.348)


def _logistic(values: Array, right: NDArray[np.bool_]) -> tuple[Array, float]:
    """Weights and bias by projected gradient descent with momentum (Nesterov); the problem is convex."""
    rows = np.hstack([values, np.ones((len(values), 1))])
    share = np.where(right, 0.5 / np.count_nonzero(right), 0.5 / np.count_nonzero(~right))
    # The curvature of the loss is at most a quarter of the largest eigenvalue of the second moments.
    step = 1.0 / (0.25 * np.linalg.eigvalsh((rows * share[:, None]).T @ rows)[-1] + _DECAY)
    beta, ahead = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    for turn in range(_STEPS):
        probability = 1.0 / (1.0 + np.exp(-np.clip(rows @ ahead, -50.0, 50.0)))
        decay = _DECAY * np.append(ahead[:-1], 0.0)
        new = ahead - step * (rows.T @ (share * (probability - right)) + decay)
        new[:-1] = np.maximum(new[:-1], 0.0)
        ahead = new + turn / (turn + 3.0) * (new - beta)
        beta = new
    return beta[:-1], float(beta[-1])


def _summary(trials: Sequence[Trial], accepted: NDArray[np.bool_]) -> dict[str, Any]:
    """Of each kind of trial, how many there were and what share of them was accepted."""
    # A start elsewhere may end at the right pose, and one near it at a wrong one.
    near = RIGHT_KINDS
    names = [t.kind if t.right == (t.kind in near) else "right" if t.right else "missed" for t in trials]
    for i, trial in enumerate(trials):
        if trial.kind in EITHER:
            names[i] = f"{trial.kind}, {'right' if trial.right else 'wrong'}"
    total = Counter(names)
    passed = Counter(name for name, yes in zip(names, accepted, strict=True) if yes)
    return {
        name: {"trials": count, "accepted": round(passed[name] / count, 4)} for name, count in sorted(total.items())
    }
