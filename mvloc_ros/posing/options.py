# SPDX-License-Identifier: Apache-2.0
"""How poses are found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PosingOptions:
    """Attributes:
    use_odometry: whether odometry beside the images is used.
    threads: of reading images and verifying closures.
    """

    use_odometry: bool = True
    threads: int = 2
