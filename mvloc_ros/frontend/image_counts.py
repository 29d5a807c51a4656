# SPDX-License-Identifier: Apache-2.0
"""What became of the images of one activation or one recording."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Counts:
    """What became of the images; each field is written by one thread only."""

    color_invalid: int = 0
    depth_invalid: int = 0
    pairs: int = 0
    single: int = 0
    undecodable: int = 0  # found when the frame is read: it goes on without the image, or fails
    without_pair: int = 0  # frames of further sensors alone
    further_invalid: dict[str, int] = field(default_factory=dict)  # by sensor
