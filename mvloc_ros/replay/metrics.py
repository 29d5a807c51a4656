# SPDX-License-Identifier: Apache-2.0
"""Figures from errors and times: summaries, recall, percentiles."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from mvloc_ros.geometry import se3

Array = npt.NDArray[np.float64]

RECALL_THRESHOLDS = {"5cm_5deg": (0.05, 5.0), "10cm_5deg": (0.10, 5.0)}


@dataclass(frozen=True)
class ErrorSummary:
    """Of the frames that have a pose; percentiles interpolate linearly between ranks."""

    median: float
    mean: float
    p95: float
    max: float


@dataclass(frozen=True)
class Accuracy:
    """Errors of a set of poses; recall is the share of ALL frames that have truth: one without a pose is a failure."""

    translation_m: ErrorSummary | None
    rotation_deg: ErrorSummary | None
    recall: dict[str, float]

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Percentiles:
    """Of times in milliseconds."""

    p50: float
    p95: float
    p99: float
    max: float


def pose_errors(estimates: Array, truth: Array) -> tuple[Array, Array]:
    """(metres [N], degrees [N]) between poses [N, 4, 4]; NaN where either is NaN (no pose, no truth)."""
    known = np.isfinite(estimates).all(axis=(1, 2)) & np.isfinite(truth).all(axis=(1, 2))
    translation, rotation = np.full(len(truth), np.nan), np.full(len(truth), np.nan)
    if known.any():
        translation[known] = se3.translation_error(estimates[known], truth[known])
        rotation[known] = np.degrees(se3.rotation_error(estimates[known], truth[known]))
    return translation, rotation


def accuracy(translation_m: Array, rotation_deg: Array) -> Accuracy:
    """Summaries and recall of errors [N], in which NaN marks a frame without a pose."""
    # NaN compares false, which is what makes a missing pose a failure.
    recall = {
        name: float(np.mean((translation_m <= metres) & (rotation_deg <= degrees))) if len(translation_m) else 0.0
        for name, (metres, degrees) in RECALL_THRESHOLDS.items()
    }
    return Accuracy(_summary(translation_m), _summary(rotation_deg), recall)


def percentiles(milliseconds: Array) -> Percentiles | None:
    """Percentiles of the finite values; None where there are none."""
    values = milliseconds[np.isfinite(milliseconds)]
    if not len(values):
        return None
    return Percentiles(*(float(value) for value in np.percentile(values, [50, 95, 99, 100])))


def _summary(errors: Array) -> ErrorSummary | None:
    values = errors[np.isfinite(errors)]
    if not len(values):
        return None
    return ErrorSummary(
        float(np.median(values)), float(np.mean(values)), float(np.percentile(values, 95)), float(np.max(values))
    )
