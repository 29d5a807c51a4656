# SPDX-License-Identifier: Apache-2.0
"""How poses are found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PosingOptions:
    """Attributes:
    use_odometry: whether odometry beside the images is used.
    level_floor: whether the floor is taken as level, where a camera at a constant height above it shows that it is on a
        robot with wheels.
    origin: where the first camera is in the map: x and y in meters, and its heading against x in degrees.
    threads: of reading images and verifying closures.
    """

    use_odometry: bool = True
    level_floor: bool = True
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    threads: int = 2
