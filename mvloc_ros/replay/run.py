# SPDX-License-Identifier: Apache-2.0
"""What a run of the localizer left behind, live or offline, before it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mvloc_ros.recordings.stamps import SECOND_NS
from mvloc_ros.recordings.transforms import transform_of
from mvloc_ros.replay.outcomes import Outcome

Floats = npt.NDArray[np.float64]
Stamps = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class StampedPoses:
    """Poses [N, 4, 4] at strictly increasing stamps [N] in nanoseconds; N may be 0."""

    stamps_ns: Stamps
    poses: Floats

    @staticmethod
    def collect(poses: Mapping[int, Floats]) -> StampedPoses:
        """From {stamp: 4x4}, in any order."""
        stamps = np.array(sorted(poses), dtype=np.int64)
        return StampedPoses(stamps, np.array([poses[int(stamp)] for stamp in stamps]).reshape(-1, 4, 4))


@dataclass(frozen=True, eq=False)
class Run:
    """One run over a recording.

    `frames_ns` are the stamps of the frames that were there to be localized; `truth` may lack some of
    them, or all. `latency_ms` holds, per step, {stamp of the frame: milliseconds}. `drops` counts by
    cause what gave no pose. `covariances` are 6x6 in ROS order, {stamp of the pose: covariance}. `notes` are
    remarks for the reader of the report. `network` are the network's own poses of the frames that have one, rejected
    ones included, if any pose of `estimates` was refined; else None. `network_of_believed`: of the rejected frames
    nobody knows the network's poses. `outcomes` say what became of each frame, {stamp of the frame: outcome}.
    """

    source: str
    recording: str
    model: str
    backend: str
    frames_ns: Stamps
    truth: StampedPoses
    estimates: StampedPoses
    latency_ms: Mapping[str, Mapping[int, float]]
    drops: Mapping[str, int]
    training_poses: Floats | None
    tolerance_ns: int = 0
    notes: tuple[str, ...] = field(default=())
    covariances: Mapping[int, Floats] = field(default_factory=dict)
    network: StampedPoses | None = None
    network_of_believed: bool = False
    outcomes: Mapping[int, Outcome] = field(default_factory=dict)


def header_stamp(message: object) -> int:
    """Header stamp of a decoded message in nanoseconds."""
    stamp = message.header.stamp  # type: ignore[attr-defined]
    return int(stamp.sec) * SECOND_NS + int(stamp.nanosec)


def pose_matrix(pose: Any) -> Floats | None:
    """4x4 of a decoded geometry_msgs/Pose; None where it is no pose (NaN, a quaternion that nobody filled)."""
    return transform_of(pose.position, pose.orientation)


@dataclass
class CollectedPoses:
    """Poses by the stamps of their messages; those that are none are counted and left out."""

    topic: str
    poses: dict[int, Floats] = field(default_factory=dict)
    no_poses: int = 0

    def take(self, message: Any | None) -> None:
        """A decoded geometry_msgs/PoseStamped; None where it is damaged."""
        T = None if message is None else pose_matrix(message.pose)
        if T is None:  # a tracking system that lost its target sends zeros, or NaN
            self.no_poses += 1
        else:
            self.poses[header_stamp(message)] = T

    def stamped(self) -> StampedPoses:
        """What was collected, in order of time."""
        return StampedPoses.collect(self.poses)

    def notes(self) -> tuple[str, ...]:
        """For the reader of the report: what was left out."""
        return (f"{self.no_poses} messages on {self.topic} hold no pose and are left out",) if self.no_poses else ()
