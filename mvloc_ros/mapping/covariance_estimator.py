# SPDX-License-Identifier: Apache-2.0
"""A covariance from few, correlated errors: second moments with shrinkage, chosen by cross-validation over blocks.

Errors of neighboring frames of a video are correlated, so the effective number of errors is about the number of blocks.
Five blocks cannot determine 21 numbers: a full covariance is then too small in directions without errors by chance. So
it is mixed with its own diagonal, and with one variance for all three axes of position and of rotation; the mixture is
the most conservative one that gives each block, when it is estimated from the others, a likelihood within one standard
error of the best (the one-standard-error rule: Breiman et al., Classification and Regression Trees, 1984, 3.4.3).

Second moments, without clipping or quantiles: those would exclude the blocks with larger errors, which decide how often
the truth is outside the 95 % ellipsoid (docs/calibration.md has the figures).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.evaluation.consistency import BLOCKS
from mvloc_ros.geometry import chi_square

Array = NDArray[np.float64]

# Of 0.1 mm and 0.1 mrad: no axis is known exactly.
_LEAST_VARIANCE = 1e-8
_STEPS = 4
# With fewer blocks the standard error of a comparison is unreliable.
_FEWEST_BLOCKS = 4


@dataclass(frozen=True)
class Mixture:
    """Shares of the full covariance, its diagonal, and one variance each for position and rotation; their sum is 1."""

    full: float
    diagonal: float
    isotropic: float

    def of(self, errors: Array) -> Array:
        """The covariance 6x6 of errors `[N, 6]`, about zero, since the bias is an error for the user of a pose."""
        moments = errors.T @ errors / len(errors) + _LEAST_VARIANCE * np.eye(6)
        variances = np.diag(moments)
        isotropic = np.repeat([variances[:3].mean(), variances[3:].mean()], 3)
        return self.full * moments + np.diag(self.diagonal * variances + self.isotropic * isotropic)


# Used if blocks cannot be compared.
CONSERVATIVE = Mixture(0.0, 0.0, 1.0)
MIXTURES = tuple(
    Mixture(full / _STEPS, (_STEPS - full - isotropic) / _STEPS, isotropic / _STEPS)
    for isotropic in range(_STEPS, -1, -1)
    for full in range(_STEPS - isotropic + 1)
)


@dataclass(frozen=True)
class Figures:
    """Consistency of covariances with the errors of N frames.

    Attributes:
        anees, anees_position, anees_rotation: mean NEES per degree of freedom; 1 is right.
        coverage_95: share of the frames inside the ellipsoid of 95 %.
        log_likelihood: Gaussian, mean over the frames, nats.
    """

    anees: float
    anees_position: float
    anees_rotation: float
    coverage_95: float
    log_likelihood: float

    @staticmethod
    def of(errors: Array, covariances: Array) -> Figures:
        """Of errors `[N, 6]` and covariances `[N, 6, 6]` or 6x6."""
        covariances = np.broadcast_to(covariances, (len(errors), 6, 6))
        nees = {name: chi_square.squared(errors[:, axes], covariances[:, axes, axes]) for name, axes in BLOCKS.items()}
        return Figures(
            anees=float(nees["pose"].mean()) / 6,
            anees_position=float(nees["position"].mean()) / 3,
            anees_rotation=float(nees["rotation"].mean()) / 3,
            coverage_95=float(np.mean(chi_square.cdf(nees["pose"], 6) <= 0.95)),
            log_likelihood=float(np.mean(_log_likelihoods(errors, covariances))),
        )

    def to_json(self) -> dict[str, float]:
        """Rounded to four digits after the point."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def choose(errors: Array, blocks: Sequence[str]) -> Mixture:
    """The most conservative mixture within one standard error of the most likely one, for errors `[N, 6]`.

    Each block is evaluated with the covariance of the others. `CONSERVATIVE` with fewer than four blocks. The order of
    `MIXTURES` starts with the most conservative one.
    """
    names = np.array(blocks)
    blocks_known = np.unique(names)
    if len(blocks_known) < _FEWEST_BLOCKS:
        return CONSERVATIVE
    frames = np.stack([_log_likelihoods(errors, _from_other_blocks(mixture, errors, names)) for mixture in MIXTURES])
    sums = np.stack([frames[:, names == block].sum(axis=1) for block in blocks_known], axis=1)
    lost = sums[np.argmax(sums.sum(axis=1))] - sums
    noise = np.sqrt(len(blocks_known)) * lost.std(axis=1, ddof=1)
    return MIXTURES[int(np.argmax(lost.sum(axis=1) <= noise))]


def cross_validated(mixture: Mixture, errors: Array, blocks: Sequence[str]) -> Figures:
    """Figures of each block with the covariance of the others; needs at least two blocks."""
    return Figures.of(errors, _from_other_blocks(mixture, errors, np.array(blocks)))


def _from_other_blocks(mixture: Mixture, errors: Array, names: NDArray[np.str_]) -> Array:
    """For each of N errors the covariance of the other blocks, `[N, 6, 6]`."""
    covariances = np.empty((len(errors), 6, 6))
    for name in np.unique(names):
        covariances[names == name] = mixture.of(errors[names != name])
    return covariances


def _log_likelihoods(errors: Array, covariances: Array) -> Array:
    """Gaussian, of each of N errors, nats."""
    nees = chi_square.squared(errors, covariances)
    return np.asarray(-0.5 * (nees + np.linalg.slogdet(covariances)[1] + 6 * np.log(2 * np.pi)), dtype=np.float64)
