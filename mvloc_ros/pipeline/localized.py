# SPDX-License-Identifier: Apache-2.0
"""What became of one frame: its pose, the tracker's verdict, and the words and the state that are told of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.frontend.front_end import PairedFrame
from mvloc_ros.localization.estimate import PoseEstimate
from mvloc_ros.localization.tracker import State
from mvloc_ros.pipeline.robot_tracking import Placement


@dataclass(frozen=True, eq=False)
class Localized:
    """One frame whose pose was accepted or rejected."""

    paired: PairedFrame
    estimate: PoseEstimate
    placement: Placement

    @property
    def accepted(self) -> bool:
        """Whether the pose was accepted."""
        return self.placement.verdict.accepted

    @property
    def state(self) -> State:
        """The state after the frame: DEGRADED where something was less than asked for."""
        is_complete = self.estimate.is_complete and not self.paired.remark and not self.placement.notes
        return self.placement.verdict.state_of(is_complete=is_complete)

    @property
    def rejection(self) -> str:
        """Why the pose was rejected, in words; empty if it was accepted."""
        return "" if self.accepted else self.placement.verdict.reason

    @property
    def remark(self) -> str:
        """What else is said of the frame, in words: why an accepted pose is DEGRADED, or that a jump was confirmed."""
        jump = self.placement.verdict.reason if self.accepted else ""
        # Of a pair both say that an image is missing; of further sensors only the estimate says what that means.
        both = self.paired.remark, self.estimate.remark
        missing = both if self.estimate.further_used else (both[0] or both[1],)
        words = (jump, *missing, *self.placement.notes)
        return "; ".join(text for text in words if text)

    @property
    def reason(self) -> str:
        """Both in one text, the rejection first."""
        return "; ".join(text for text in (self.rejection, self.remark) if text)

    @property
    def network_T(self) -> NDArray[np.float64]:
        """Where the network alone puts the published frame, which is rigidly fixed to the camera; 4x4."""
        return self.estimate.network.T @ self.placement.T_camera_child
