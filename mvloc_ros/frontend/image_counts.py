# SPDX-License-Identifier: Apache-2.0
"""What became of the images of one activation or one recording."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Counts:
    """What became of the images; each field is written by one thread only."""

    color_invalid: int = 0
    depth_invalid: int = 0
    pairs: int = 0
    single: int = 0
    undecodable: int = 0  # of the pair, found when the frame is read: it goes on without the image, or fails
    without_pair: int = 0  # frames of further sensors alone
    further_invalid: dict[str, int] = field(default_factory=dict)  # by sensor
    further_undecodable: dict[str, int] = field(default_factory=dict)  # by sensor

    @staticmethod
    def of(sensors: Iterable[str]) -> Counts:
        """Nothing counted yet, of the pair and these further sensors."""
        names = list(sensors)
        return Counts(further_invalid=dict.fromkeys(names, 0), further_undecodable=dict.fromkeys(names, 0))

    def note_undecodable(self, modality: str) -> None:
        """An image of `color`, `depth` or a further sensor could not be decoded when its frame was read."""
        if modality in self.further_undecodable:
            self.further_undecodable[modality] += 1
        else:
            self.undecodable += 1
