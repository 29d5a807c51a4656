# SPDX-License-Identifier: Apache-2.0
"""Consistency of covariances with errors: NEES, coverage, sparsification.

NEES (normalized estimation error squared) is e^T C^-1 e. Its mean per degree of freedom (ANEES) is 1 for consistent
covariances, above 1 for covariances that are too small (Bar-Shalom, Li, Kirubarajan: Estimation with Applications,
5.4). Sparsification removes the frames with the largest stated uncertainty and computes the error of the rest; AUSE is
the area between that curve and the one of an oracle that removes the largest errors (Ilg et al., ECCV 2018).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from mvloc_ros.geometry import chi_square

Array = npt.NDArray[np.float64]

LEVELS = (0.50, 0.68, 0.95)
BLOCKS = {"position": slice(0, 3), "rotation": slice(3, 6), "pose": slice(0, 6)}
REMOVED = np.linspace(0.0, 0.95, 20)
"""Shares of the frames that sparsification removes."""


@dataclass(frozen=True)
class BlockConsistency:
    """Consistency of position, rotation, or both.

    Attributes:
        dof: 3, or 6 for the pose.
        anees: mean NEES / dof.
        bounds: 95 % interval of `anees` for right covariances and independent frames; those of a video are correlated.
        median: median NEES over the median of a chi-square; robust against outliers, unlike the mean.
        coverage: share of the frames inside the ellipsoid of each probability of `LEVELS`.
        rms, sigma: RMSE (m, rad; None for the pose), and its expectation from the covariances.
        ause: area between the sparsification curve and the oracle's, as a share of the mean error; None for the pose.
    """

    dof: int
    anees: float
    bounds: tuple[float, float]
    median: float
    coverage: dict[str, float]
    rms: float | None
    sigma: float | None
    ause: float | None

    @property
    def verdict(self) -> str:
        """In words; empty if `anees` is not finite."""
        if not np.isfinite(self.anees):
            return ""
        low, high = self.bounds
        return "too confident" if self.anees > high else "too cautious" if self.anees < low else "as stated"

    def to_dict(self) -> dict[str, object]:
        """For JSON; NaN and infinity become null."""
        values = {name: value if _is_json(value) else None for name, value in asdict(self).items()}
        return {**values, "verdict": self.verdict or None}


def _is_json(value: object) -> bool:
    return not isinstance(value, float) or bool(np.isfinite(value))


@dataclass(frozen=True, eq=False)
class Consistency:
    """Consistency over all frames with a pose, a covariance and a true pose.

    Attributes:
        frames: their number.
        blocks: by the names of `BLOCKS`.
        nees: name -> `[N]`.
        curves: position or rotation -> `[2, len(REMOVED)]`: mean error of the remaining frames over that of all, by
            stated uncertainty and by the oracle.
    """

    frames: int
    blocks: dict[str, BlockConsistency]
    nees: dict[str, Array]
    curves: dict[str, Array]

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        curves = {name: dict(zip(("stated", "oracle"), c.tolist(), strict=True)) for name, c in self.curves.items()}
        return {
            "frames": self.frames,
            **{name: block.to_dict() for name, block in self.blocks.items()},
            "sparsification": {"removed": REMOVED.tolist(), **curves},
        }


def consistency(errors: Array, covariances: Array) -> Consistency | None:
    """Consistency of covariances `[N, 6, 6]` with errors `[N, 6]` (ROS order, map axes); None for N = 0."""
    if not len(errors):
        return None
    blocks, nees, curves = {}, {}, {}
    for name, axes in BLOCKS.items():
        e, c = errors[:, axes], covariances[:, axes, axes]
        nees[name] = chi_square.squared(e, c)
        sizes, stated = np.linalg.norm(e, axis=1), _size(c)
        single = name != "pose"
        if single:
            curves[name] = np.stack([sparsification(sizes, stated), sparsification(sizes, sizes)])
        blocks[name] = _block(nees[name], sizes, stated, curves.get(name))
    return Consistency(len(errors), blocks, nees, curves)


def _size(covariances: Array) -> Array:
    """Expected RMSE `[N]`; rounded, so that values that differ in their last bits are equal."""
    size = np.sqrt(np.trace(covariances, axis1=1, axis2=2))
    digits = np.floor(np.log10(np.maximum(size, np.finfo(np.float64).tiny)))
    return np.round(size / 10.0**digits, 9) * 10.0**digits


def _block(nees: Array, sizes: Array, stated: Array, curve: Array | None) -> BlockConsistency:
    dof = 6 if curve is None else 3
    probability = chi_square.cdf(nees, dof)
    return BlockConsistency(
        dof=dof,
        anees=float(np.mean(nees)) / dof,
        bounds=chi_square.mean_bounds(len(nees), dof),
        median=float(np.median(nees)) / {3: 2.36597, 6: 5.34812}[dof],
        coverage={f"{level:.0%}": float(np.mean(probability <= level)) for level in LEVELS},
        rms=None if curve is None else float(np.sqrt(np.mean(sizes**2))),
        sigma=None if curve is None else float(np.sqrt(np.mean(stated**2))),
        ause=None if curve is None else float(np.mean(curve[0] - curve[1])),
    )


def sparsification(errors: Array, uncertainty: Array) -> Array:
    """Mean error without the `REMOVED` shares of the most uncertain frames, over the mean of all errors `[N]`.

    Frames of equal uncertainty have no order, so each has their mean error: a constant uncertainty gives a constant
    curve.
    """
    _, group = np.unique(uncertainty, return_inverse=True)
    means = np.bincount(group, errors) / np.bincount(group)
    ordered = means[np.sort(group)]
    total = max(float(np.mean(errors)), np.finfo(np.float64).tiny)
    return np.array([np.mean(ordered[: max(1, round(len(errors) * (1.0 - share)))]) / total for share in REMOVED])
