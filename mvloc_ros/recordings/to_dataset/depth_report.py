# SPDX-License-Identifier: Apache-2.0
"""The unit of the recorded depth, its range, and whether the folder can store it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.frontend.depth_check import unit_text
from mvloc_ros.geometry.depth_statistics import DepthTally, unusual
from mvloc_ros.recordings.folder_writer import DEPTH_LIMIT
from mvloc_ros.recordings.to_dataset.image_conversion import unit_of

_COARSEST = 0.02
"""A step of the stored values larger than this share of the median is a loss of its own."""


class DepthReport:
    """Fed with depth as it is written; every n-th image counts."""

    def __init__(
        self, message_type: str, depth_unit_m: float, units_per_metre: float, images: int, name: str = "depth"
    ) -> None:
        """Take what depth is read and stored as, how many images there will be, and which sensor it is of."""
        self._name = name
        self._type, self._given_m, self._units = message_type, depth_unit_m, units_per_metre
        self._every, self._seen, self._unit_m = max(1, images // 200), 0, 0.0
        self._tally = DepthTally(0.5 / units_per_metre, (DEPTH_LIMIT - 0.5) / units_per_metre)

    def add(self, message: Any, metres: NDArray[np.float32]) -> None:
        """A message and the depth map in metres that was made of it."""
        if self._seen % self._every == 0:
            self._unit_m = self._unit_m or unit_of(message, self._type, self._given_m)
            self._tally.add(metres)
        self._seen += 1

    def lines(self, is_lidar: bool) -> tuple[str, str]:
        """What depth is, for the summary, and what cannot be right (empty if nothing)."""
        if not self._seen:
            return "", ""
        found = self._tally.result()
        text = f"{self._name}: read as {unit_text(self._unit_m, self._given_m, '--depth-unit-m')}, {found.text()}; "
        text += f"stored as {self._units:g} values a metre"
        if not found.measured:
            return text, f"no {self._name} image has a measurement: check the {self._name} topic"
        strange = "" if is_lidar else unusual(found.median_m, self._unit_m)
        # That option is of the pair's depth: others are read in the unit of REP 118, as in the node.
        remedy_of_unit = (
            "state it with --depth-unit-m" if self._name == "depth" else "let its driver send that of REP 118"
        )
        stated = f": {remedy_of_unit}" if strange else ""
        if found.inside <= 0.5:
            why = strange or f"the median is {found.median_m:.3g} m"
            remedy = stated or ": choose another --stored-depth-units"
            return text, (
                f"{1.0 - found.inside:.0%} of the measured {self._name} cannot be stored at {self._units:g} values a "
                f"metre ({0.5 / self._units:.3g} to {DEPTH_LIMIT / self._units:.3g} m) and is lost; {why}{remedy}"
            )
        if strange:
            return text, ("" if self._name == "depth" else f"{self._name}: ") + strange + stated
        if 1.0 / self._units > _COARSEST * found.median_m:
            return text, (
                f"{self._name} is stored in steps of {1.0 / self._units:.3g} m, at a median of {found.median_m:.3g} m: "
                "choose larger --stored-depth-units"
            )
        return text, ""
