# SPDX-License-Identifier: Apache-2.0
"""Errors of poses, and their statistics."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from mvloc_ros.geometry import se3

Array = npt.NDArray[np.float64]

RECALL_THRESHOLDS = {"5cm_5deg": (0.05, 5.0), "10cm_5deg": (0.10, 5.0)}


@dataclass(frozen=True)
class ErrorSummary:
    """Statistics over the frames with a pose; percentiles interpolate linearly between ranks."""

    median: float
    mean: float
    p95: float
    max: float

    @staticmethod
    def of(errors: Array) -> ErrorSummary | None:
        """Statistics of the finite errors among `[N]`; None if there are none."""
        values = errors[np.isfinite(errors)]
        if not len(values):
            return None
        return ErrorSummary(
            float(np.median(values)), float(np.mean(values)), float(np.percentile(values, 95)), float(np.max(values))
        )


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of a set of poses; recall is the share of all frames with a true pose, so no pose is a failure."""

    translation_m: ErrorSummary | None
    rotation_deg: ErrorSummary | None
    recall: dict[str, float]

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class PoseErrors:
    """Errors of N poses: meters and degrees, `[N]`; NaN without a pose or a true pose."""

    translation_m: Array
    rotation_deg: Array

    @staticmethod
    def of(estimates: Array, truth: Array) -> PoseErrors:
        """Errors of estimated poses `[N, 4, 4]`; NaN stands for no pose."""
        known = np.isfinite(estimates).all(axis=(1, 2)) & np.isfinite(truth).all(axis=(1, 2))
        translation, rotation = np.full(len(truth), np.nan), np.full(len(truth), np.nan)
        if known.any():
            translation[known] = se3.translation_error(estimates[known], truth[known])
            rotation[known] = np.degrees(se3.rotation_error(estimates[known], truth[known]))
        return PoseErrors(translation, rotation)

    def of_frames(self, picked: npt.NDArray[np.bool_]) -> PoseErrors:
        """Errors of some of the frames, `[N]`."""
        return PoseErrors(self.translation_m[picked], self.rotation_deg[picked])

    def medians(self) -> tuple[float, float]:
        """Median errors: meters, degrees."""
        return float(np.median(self.translation_m)), float(np.median(self.rotation_deg))

    def figures(self) -> dict[str, float]:
        """Count, median and mean errors, for JSON."""
        translation, rotation = self.translation_m, self.rotation_deg
        return {
            "frames": len(translation),
            "median_m": float(np.median(translation)),
            "median_deg": float(np.median(rotation)),
            "mean_m": float(np.mean(translation)),
            "mean_deg": float(np.mean(rotation)),
        }

    def within(self, metres: float, degrees: float) -> float:
        """Share of the frames with errors within these limits; a frame without a pose is not."""
        if not len(self.translation_m):
            return 0.0
        # NaN compares false.
        return float(np.mean((self.translation_m <= metres) & (self.rotation_deg <= degrees)))

    def accuracy(self) -> Accuracy:
        """Summaries and recall."""
        recall = {name: self.within(*limits) for name, limits in RECALL_THRESHOLDS.items()}
        return Accuracy(ErrorSummary.of(self.translation_m), ErrorSummary.of(self.rotation_deg), recall)
