# SPDX-License-Identifier: Apache-2.0
"""What a run of the localizer left behind, live or offline, before it is evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mvloc_ros.evaluation.wake_ups import WakeUpResult
from mvloc_ros.foreign_text import shown
from mvloc_ros.geometry.motion_limits import MotionLimits
from mvloc_ros.geometry.stamp_text import SECOND_NS
from mvloc_ros.geometry.trajectory import Interpolation, Trajectory
from mvloc_ros.recordings.damage import TopicLoss
from mvloc_ros.recordings.pose_series import jump_text, stamp_text
from mvloc_ros.recordings.transforms import frame_name, transform_of
from mvloc_ros.replay.errors import ReplayError
from mvloc_ros.replay.outcomes import Outcome

_NEAR_NS = 200_000_000
"""Poses further apart in time say nothing of each other."""

Floats = npt.NDArray[np.float64]
Stamps = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Run:
    """One run over a recording.

    `frames_ns` are the stamps of the frames that were there to be localized; `truth` may lack some of
    them, or all. `latency_ms` holds, per step, {stamp of the frame: milliseconds}. `drops` counts by
    cause what gave no pose. `covariances` are 6x6 in ROS order, {stamp of the pose: covariance}. `notes` are
    remarks for the reader of the report. `network` are the network's own poses of the frames that have one, rejected
    ones included, if any pose of `estimates` was refined; else None. `network_of_accepted`: of the rejected frames
    nobody knows the network's poses. `map_frame` and `truth_frame` are the frames of estimates and truth, empty where
    no message says. `losses` are the messages that the recordings lack.
    `outcomes` say what became of each frame, {stamp of the frame: outcome}. `wake_up`: what starts without knowledge
    came to, if any were made. `sensors` are the model's besides color and depth; empty too where nobody tells.
    """

    source: str
    recording: str
    model: str
    backend: str
    frames_ns: Stamps
    truth: Trajectory
    estimates: Trajectory
    latency_ms: Mapping[str, Mapping[int, float]]
    drops: Mapping[str, int]
    training_poses: Floats | None
    tolerance_ns: int = 0
    notes: tuple[str, ...] = field(default=())
    covariances: Mapping[int, Floats] = field(default_factory=dict)
    network: Trajectory | None = None
    network_of_accepted: bool = False
    outcomes: Mapping[int, Outcome] = field(default_factory=dict)
    map_frame: str = ""
    truth_frame: str = ""
    losses: tuple[TopicLoss, ...] = ()
    wake_up: WakeUpResult | None = None
    sensors: tuple[str, ...] = ()

    @property
    def frame_notes(self) -> tuple[str, ...]:
        """That truth and estimates are in different frames: no transform between the two is applied."""
        if not len(self.truth.stamps_ns) or self.map_frame == self.truth_frame:
            return ()
        map_frame, truth_frame = (
            repr(name) if name else "no named frame" for name in (self.map_frame, self.truth_frame)
        )
        return (
            f"the estimates are in {map_frame}, the ground truth is in {truth_frame}: the errors are those of the "
            "localization only if both are the same frame; record the ground truth in the frame of the map",
        )


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
    frames: dict[str, int] = field(default_factory=dict)  # header.frame_id -> stamp of the first pose in it

    def take(self, message: Any | None) -> None:
        """A decoded geometry_msgs/PoseStamped; None where it is damaged."""
        T = None if message is None else pose_matrix(message.pose)
        if message is None or T is None:  # a tracking system that lost its target sends zeros, or NaN
            self.no_poses += 1
        else:
            self.poses[header_stamp(message)] = T
            self.frames.setdefault(frame_name(message.header.frame_id), header_stamp(message))

    def frame(self) -> str:
        """The frame that the poses are in; empty where there are none or the messages do not say.

        Raises ReplayError where it changes: no error could be computed of such poses.
        """
        if len(self.frames) > 1:
            (first, _), (second, stamp_ns) = list(self.frames.items())[:2]
            raise ReplayError(
                f"The frame_id of {self.topic} changes from {shown(first)!r} to {shown(second)!r} at "
                f"{stamp_text(stamp_ns)}: its poses do not belong together; name another topic, or record it "
                "in one frame."
            )
        return next(iter(self.frames), "")

    def stamped(self) -> Trajectory:
        """What was collected, in order of time."""
        return Trajectory.collect(self.poses)

    def notes(self) -> tuple[str, ...]:
        """For the reader of the report: what was left out."""
        return (f"{self.no_poses} messages on {self.topic} hold no pose and are left out",) if self.no_poses else ()

    def step_notes(self) -> tuple[str, ...]:
        """Of ground truth: steps that stand out as no motion, as of a tracking system that loses its target.

        A car may be faster than the limits all the time, so a step must also be five times the median one.
        """
        poses, least = self.stamped(), MotionLimits()
        if len(poses.stamps_ns) < 2:
            return ()
        trajectory = Trajectory(poses.stamps_ns, poses.poses)
        steps = trajectory.steps
        speed, turn = (float(np.median(way / steps.seconds)) for way in (steps.distance_m, steps.angle_rad))
        limits = MotionLimits(max(least.max_speed, 5.0 * speed), max(least.max_turn_rate, 5.0 * turn))
        text = jump_text(self.topic, trajectory, Interpolation(_NEAR_NS, limits))
        return (text,) if text else ()
