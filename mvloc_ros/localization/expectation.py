# SPDX-License-Identifier: Apache-2.0
"""Where the camera is expected before the depth image has told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Expectation:
    """Where something else than the depth image puts the camera: `[4, 4]`, and the covariance of that, 6x6."""

    T_map_camera: Array
    covariance: Array
