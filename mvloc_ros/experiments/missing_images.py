# SPDX-License-Identifier: Apache-2.0
"""The protocols of an evaluation: which modality is missing in the test frames, and how."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mvloc_ros.training.datasets import COLOR, DEPTH, PosedFrames


@dataclass(frozen=True)
class Protocol:
    """One way of evaluating: `missing` is `COLOR` or `DEPTH`, None if the frames are evaluated as they are.

    With `blank` the image is replaced by a black one, or by a depth map without depth, and still marked as present, as
    in the paper's Table 4. Otherwise it is marked as missing, and MVLoc omits its expert.
    """

    name: str
    label: str
    missing: int | None = None
    blank: bool = False

    def apply(self, frames: PosedFrames) -> PosedFrames:
        """The frames without that modality; the other arrays share their memory."""
        if not self.blank:
            return frames.without(self.missing)
        if self.missing == COLOR:
            return replace(frames, color=np.zeros_like(frames.color))
        return replace(frames, depth=np.zeros_like(frames.depth))


BOTH = Protocol("both", "color and depth")
BLANK_DEPTH = Protocol("blank-depth", "depth missing: blank image (the paper's protocol)", DEPTH, blank=True)
DROPPED_DEPTH = Protocol("dropped-depth", "depth missing: expert dropped", DEPTH)
BLANK_COLOR = Protocol("blank-color", "color missing: blank image", COLOR, blank=True)
DROPPED_COLOR = Protocol("dropped-color", "color missing: expert dropped", COLOR)

PROTOCOLS = {
    "table2": (BOTH,),
    "table3": (BOTH,),
    "table4": (BOTH, BLANK_DEPTH, DROPPED_DEPTH, BLANK_COLOR, DROPPED_COLOR),
    "figure3": (BOTH,),
}
