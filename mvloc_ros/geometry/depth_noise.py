# SPDX-License-Identifier: Apache-2.0
"""How precisely a depth camera measures."""

from __future__ import annotations

from typing import Any, TypeVar, cast

_Values = TypeVar("_Values")


def depth_noise(depth_m: _Values) -> _Values:
    """Standard deviation in metres of a measurement along the axis: of a number, an array or a tensor, in its type.

    Of the first Kinect, from which other RGB-D cameras of its price differ by less than a factor of two (Nguyen,
    Izadi, Lovell: Modeling Kinect Sensor Noise, 3DIMPVT 2012, Eq. 3).
    """
    z: Any = depth_m
    return cast(_Values, 0.0012 + 0.0019 * (z - 0.4) ** 2)
