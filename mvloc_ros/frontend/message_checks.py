# SPDX-License-Identifier: Apache-2.0
"""The checks that every message passes on its way in, and every pose on its way out: stamps, frame ids, numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.errors import MvlocError
from mvloc_ros.foreign_text import shown
from mvloc_ros.limits import MOST_NAME_CHARACTERS

_NS = 1_000_000_000
Array = NDArray[np.float64]


class MessageError(MvlocError):
    """A message from outside says something that cannot be."""


def to_nanoseconds(stamp: Any) -> int:
    """Nanoseconds of builtin_interfaces/Time."""
    return int(stamp.sec) * _NS + int(stamp.nanosec)


def require_stamp(what: str, stamp: Any) -> int:
    """Nanoseconds of a stamp that ROS time can hold.

    Raises:
        MessageError: it is before 1970, or its nanoseconds are a second or more.
    """
    if stamp.sec < 0 or stamp.nanosec >= _NS:
        raise MessageError(
            f"{what} has a stamp of {stamp.sec} s and {stamp.nanosec} ns, which ROS time cannot hold (it begins in "
            "1970, and a second has 1e9 ns); correct the driver or clock that stamps it."
        )
    return to_nanoseconds(stamp)


def require_frame(what: str, frame_id: str) -> str:
    """A frame id that is empty, or can be a frame's name.

    Raises:
        MessageError: it is longer than a name can be, or has characters that are not printed as themselves.
    """
    if len(frame_id) > MOST_NAME_CHARACTERS:
        raise MessageError(
            f"{what} has a frame_id of {len(frame_id)} characters ({shown(frame_id)}), at most "
            f"{MOST_NAME_CHARACTERS} are accepted; mend its publisher."
        )
    if shown(frame_id, MOST_NAME_CHARACTERS) != frame_id:
        raise MessageError(
            f"{what} has a frame_id with characters that are not printed as themselves ({shown(frame_id)}); mend its "
            "publisher."
        )
    return frame_id


def require_finite(what: str, *values: Array) -> None:
    """The check that every pose, covariance and transform passes on its way out of the node.

    Raises:
        MessageError: a number is not finite, so that nothing may be published.
    """
    if not all(np.isfinite(value).all() for value in values):
        raise MessageError(
            f"{what} has numbers that are not finite, and nothing is published; look at the transforms between camera, "
            "base and odometry."
        )
