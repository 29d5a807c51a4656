# SPDX-License-Identifier: Apache-2.0
"""What is taken away from the test frames."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mvloc_ros.training.datasets import PosedFrames

COLOR, DEPTH = 0, 1  # columns of `PosedFrames.present`


@dataclass(frozen=True)
class Protocol:
    """One way of judging: `missing` is the column of the modality that is taken away, None for neither.

    With `blank` a black image, or a depth map without depth, is passed off as a measurement, as in the
    paper's Table 4. Otherwise the network is told that the modality is missing: MVLoc leaves its expert out.
    """

    name: str
    label: str
    missing: int | None = None
    blank: bool = False

    def apply(self, frames: PosedFrames) -> PosedFrames:
        """The frames without it; what stays shares the memory."""
        if self.missing is None:
            return frames
        if not self.blank:
            present = frames.present.copy()
            present[:, self.missing] = 0.0
            return replace(frames, present=present)
        if self.missing == COLOR:
            return replace(frames, color=np.zeros_like(frames.color))
        return replace(frames, depth=np.zeros_like(frames.depth))


BOTH = Protocol("both", "colour and depth")
BLANK_DEPTH = Protocol("blank-depth", "depth missing: blank image (the paper's protocol)", DEPTH, blank=True)
DROPPED_DEPTH = Protocol("dropped-depth", "depth missing: expert dropped", DEPTH)
BLANK_COLOR = Protocol("blank-color", "colour missing: blank image", COLOR, blank=True)
DROPPED_COLOR = Protocol("dropped-color", "colour missing: expert dropped", COLOR)

PROTOCOLS = {
    "table2": (BOTH,),
    "table3": (BOTH,),
    "table4": (BOTH, BLANK_DEPTH, DROPPED_DEPTH, BLANK_COLOR, DROPPED_COLOR),
    "figure3": (BOTH,),
}
