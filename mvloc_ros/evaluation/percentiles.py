# SPDX-License-Identifier: Apache-2.0
"""Percentiles of times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Percentiles:
    """Of times in milliseconds."""

    p50: float
    p95: float
    p99: float
    max: float


def percentiles(milliseconds: npt.NDArray[np.float64]) -> Percentiles | None:
    """Percentiles of the finite values; None if there are none."""
    values = milliseconds[np.isfinite(milliseconds)]
    if not len(values):
        return None
    return Percentiles(*(float(value) for value in np.percentile(values, [50, 95, 99, 100])))
