# SPDX-License-Identifier: Apache-2.0
"""How poses are found."""

from __future__ import annotations

from dataclasses import dataclass

from mvloc_ros.recordings.train_test_split import TEST_FRACTION


@dataclass(frozen=True)
class PosingOptions:
    """Attributes:
    use_odometry: whether odometry beside the images is used.
    use_imu: whether the IMU beside the images is used.
    level_floor: whether the floor is taken as level, where a camera at a constant height above it shows that it is on a
        robot with wheels.
    origin: where the first camera is in the map: x and y in meters, and its heading against x in degrees.
    test_fraction: the share of the posed frames that is held out for tests, in stretches.
    threads: of reading images and verifying closures.
    """

    use_odometry: bool = True
    use_imu: bool = True
    level_floor: bool = True
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    test_fraction: float = TEST_FRACTION
    threads: int = 2
