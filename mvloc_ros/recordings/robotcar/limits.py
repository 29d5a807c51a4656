# SPDX-License-Identifier: Apache-2.0
"""The fastest motion of a car that is interpolated."""

from __future__ import annotations

import math

from mvloc_ros.geometry.motion import MotionLimits

CAR_LIMITS = MotionLimits(60.0, math.radians(180.0))
