# SPDX-License-Identifier: Apache-2.0
"""What the localizer says of one frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.tracker import Fix

if TYPE_CHECKING:
    from mvloc_ros.localization.judging import Refined

Array = NDArray[np.float64]


@dataclass(frozen=True)
class StepTimes:
    """Wall time of the steps of one frame in milliseconds."""

    preprocess_ms: float
    inference_ms: float
    localization_ms: float
    refinement_ms: float = 0.0
    verification_ms: float = 0.0


@dataclass(frozen=True, eq=False)
class PoseEstimate:
    """Where the camera was when a frame was taken: the optical frame of the camera that the model was trained for.

    Attributes:
        pose: refined where that was possible, else the network's.
        network: the network's own.
        color_used, depth_used: which of the pair's experts took part.
        expert_share: prior, colour, depth, further sensors: share of each expert in the joint precision, summing to 1.
        times: of the steps.
        remark: why a modality was not used, or the pose not refined although it should be, in words; else empty.
        refined: whether the pose was registered to the scene map.
        score: how well geometry and colour support it, 0 to 1; NaN where nothing verified it.
        rejection: why the pose is rejected, in words; else empty.
        unverified: what kept the scene map from judging the pose, in words; else empty, as without a scene map.
        is_repeated: the depth image is that of an earlier frame, and so is the pose.
        T_odom_camera: the camera at the same stamp in odometry's frame, 4x4; None without.
        details: of the refinement; None where there was none.
        further_used: of each further sensor of the model, whether its expert took part.
    """

    pose: Pose
    network: Pose
    color_used: bool
    depth_used: bool
    expert_share: tuple[float, ...]
    times: StepTimes
    remark: str = ""
    refined: bool = False
    score: float = math.nan
    rejection: str = ""
    unverified: str = ""
    is_repeated: bool = False
    T_odom_camera: Array | None = None
    details: Refined | None = None
    further_used: Mapping[str, bool] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is less than was asked for: all images used, and the pose refined if it should be."""
        return self.color_used and self.depth_used and all(self.further_used.values()) and not self.remark

    def fix(self) -> Fix:
        """The pose as the tracker takes it."""
        # Where something else than the verdict on the poses rejects them, they say nothing of the place.
        found = self.details if self.details is not None and self.rejection == self.details.rejection else None
        return Fix(
            self.pose,
            self.T_odom_camera,
            is_partial=not (self.color_used and self.depth_used),
            is_repeated=self.is_repeated,
            is_of_keyframe=self.details is not None and self.details.is_of_keyframe,
            rejection=self.rejection,
            is_weak=found is not None and found.is_weak,
            follows=found is not None and found.follows,
            unverified=self.unverified,
            candidates=() if found is None else found.candidates,
        )
