# SPDX-License-Identifier: Apache-2.0
"""The odometry of a recording: one topic of nav_msgs/Odometry, or odom -> base_link in /tf; or why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import NoPose, Trajectory
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.odometry_file import write_odometry
from mvloc_ros.recordings.to_dataset.pose_source import PoseCollector, PoseOptions, PoseSource
from mvloc_ros.recordings.topics import BASE_FRAME, ODOM_FRAME

Array = NDArray[np.float64]

_RIGID = 1e-3
"""Metres, and elements of the rotation: a camera that moves less on the robot does not move."""


@dataclass(frozen=True)
class OdometrySource:
    """Poses of the base in the odometry frame; without a `source`, `why` says why there is none."""

    source: PoseSource | None
    camera_frame: str
    why: str = ""

    def at(self, stamps_ns: Sequence[int]) -> Trajectory:
        """T_odom_base, interpolated at those of the stamps that have it."""
        if self.source is None:
            return Trajectory.collect({})
        found = {stamp: self.source.at(stamp) for stamp in stamps_ns}
        return Trajectory.collect({stamp: T for stamp, T in found.items() if not isinstance(T, NoPose)})

    def text(self, found: int | None = None, frames: int = 0) -> str:
        """Which odometry was taken, or why none."""
        if self.source is None:
            return f"odometry: none ({self.why})"
        share = "" if found is None else f", at {found} of {frames} frames"
        return f"odometry: {self.source.name}, {self.source.frame} in {self.source.fixed_frame!r}{share}"

    def lines(self) -> Iterator[str]:
        """Steps of the odometry that are too fast, as a note."""
        if self.source is None:
            return
        for line in self.source.lines():
            yield f"note: odometry: {line}"

    def mount(self, stamps_ns: Sequence[int]) -> Array | None:
        """T_base_camera where the recording tells it, and it is the same at all stamps: not of a camera that pans."""
        found = [self._mount_at(stamp) for stamp in stamps_ns]
        first = found[0]
        if first is None or any(T is None or not np.allclose(T, first, rtol=0.0, atol=_RIGID) for T in found):
            return None
        return first

    def _mount_at(self, stamp_ns: int) -> Array | None:
        if self.source is None:
            return None
        try:
            T = self.source.tree.sample(
                self.source.frame, self.camera_frame, stamp_ns, self.source.options.interpolation
            )
        except RecordingError:
            return None
        return None if isinstance(T, NoPose) else T

    def write(self, folder: Path, numbers: Mapping[int, int], rate_hz: float) -> int:
        """Write `odometry.tum` of a sequence, if there is any; how many of its frames have it.

        Args:
            folder: of the sequence.
            numbers: of its frames, by their stamps.
            rate_hz: by which their numbers count time.
        """
        found = self.at(list(numbers))
        if len(found):
            poses = {numbers[int(stamp)]: T for stamp, T in zip(found.stamps_ns, found.poses, strict=True)}
            write_odometry(folder, poses, rate_hz, self.comments(next(iter(numbers))))
        return len(found)

    def without(self, poses: PoseSource) -> OdometrySource:
        """The same, unless it is what the poses of the frames come from, and so tells nothing beside them."""
        if self.source is None or self.source.fixed_frame != poses.fixed_frame:
            return self
        return OdometrySource(None, self.camera_frame, f"{self.source.name} is what the poses come from")

    def comments(self, stamp_ns: int) -> tuple[str, ...]:
        """What the file of the odometry says of its frames, and of the camera at a stamp, where that is known."""
        assert self.source is not None
        lines = [f"pose of {self.source.frame} in {self.source.fixed_frame}, from {self.source.name}"]
        T = self._mount_at(stamp_ns)
        if T is not None:
            numbers = " ".join(f"{value:.9f}" for part in se3.to_parts(T) for value in np.ravel(part))
            lines.append(f"{self.camera_frame} in {self.source.frame}, x y z qx qy qz qw: {numbers}")
        return tuple(lines)


def find_odometry(collected: PoseCollector, options: PoseOptions, camera_frame: str) -> OdometrySource:
    """The one source of odometry that a recording has.

    What contradicts itself is not taken, since it is a help and not needed: the reason is stated instead.
    """
    topics = collected.odometry_topics()
    try:
        if len(topics) == 1:
            return OdometrySource(collected.odometry(topics[0], options), camera_frame)
        if collected.tree.connects(ODOM_FRAME, BASE_FRAME):
            collected.tree.check(ODOM_FRAME, BASE_FRAME)
            found = PoseSource("/tf", None, ODOM_FRAME, BASE_FRAME, BASE_FRAME, collected.tree, options)
            return OdometrySource(found, camera_frame)
    except RecordingError as error:
        return OdometrySource(None, camera_frame, f"it cannot be used: {str(error).rstrip('.')}")
    several = f"{len(topics)} topics of odometry, {', '.join(topics)}" if topics else "no topic of odometry"
    return OdometrySource(None, camera_frame, f"the recording has {several}, and no odom -> base_link in /tf")
