# SPDX-License-Identifier: Apache-2.0
"""Normalised squared errors and the chi-square distribution that they have where covariances are right."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_ERF = np.vectorize(math.erf, otypes=[np.float64])


def squared(errors: ArrayLike, covariances: ArrayLike) -> Array:
    """Normalised estimation errors squared, `[N]`: e^T C^-1 e of errors `[N, D]` and C `[N, D, D]` or `[D, D]`."""
    e = np.asarray(errors, dtype=np.float64)
    c = np.broadcast_to(np.asarray(covariances, dtype=np.float64), (*e.shape, e.shape[-1]))
    return np.einsum("ni,ni->n", e, np.linalg.solve(c, e[..., None])[..., 0])


def cdf(x: ArrayLike, dof: int) -> Array:
    """Probability of a value of at most `x` (not negative); closed form, for 3 and 6 degrees of freedom.

    Raises:
        ValueError: other degrees of freedom.
    """
    half = 0.5 * np.asarray(x, dtype=np.float64)
    if dof == 3:
        root = np.sqrt(half)
        return np.asarray(_ERF(root) - 2.0 / math.sqrt(math.pi) * root * np.exp(-half))
    if dof == 6:
        return np.asarray(1.0 - np.exp(-half) * (1.0 + half + 0.5 * half**2))
    raise ValueError(f"no closed form for {dof} degrees of freedom here")


def mean_bounds(count: int, dof: int, probability: float = 0.95) -> tuple[float, float]:
    """Bounds of the mean NEES per degree of freedom of `count` independent frames with right covariances.

    Two-sided, by the transformation of Wilson and Hilferty (PNAS 1931): right to 0.1 % from 100 degrees of freedom in
    total, to 3 % from 6.
    """
    total = count * dof
    z, spread = NormalDist().inv_cdf(0.5 + 0.5 * probability), math.sqrt(2.0 / (9.0 * total))
    low, high = (max(0.0, 1.0 - spread**2 + sign * z * spread) ** 3 for sign in (-1.0, 1.0))
    return low, high
