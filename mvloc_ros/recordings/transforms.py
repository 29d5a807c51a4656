# SPDX-License-Identifier: Apache-2.0
"""The transforms of /tf and /tf_static in a recording, over all of its time.

tf2's buffer keeps ten seconds, for a live robot; a recording is read as a whole and sampled at the
stamps of its images, with limits on the gap and the motion that may be interpolated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.motion_limits import NOISE_M, NOISE_RAD, differ, difference_text
from mvloc_ros.geometry.stamp_text import SECOND_NS
from mvloc_ros.geometry.trajectory import Interpolation, NoPose, Trajectory
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.pose_series import PoseSeries

Array = NDArray[np.float64]


class TransformTree:
    """Frames, each with one parent; static or over time."""

    def __init__(self) -> None:
        self._edges: dict[str, dict[str, _Edge]] = {}  # child -> parent -> T_parent_child
        self.dropped: Counter[str] = Counter()
        """Child frame -> transforms that were skipped, as their rotation or position is invalid."""

    def add_message(self, message: Any, static: bool) -> None:
        """Take a tf2_msgs/TFMessage (or ROS 1's tf/tfMessage); transforms without a rotation are left out."""
        for entry in message.transforms:
            T = transform_of(entry.transform.translation, entry.transform.rotation)
            if T is None:
                self.dropped[frame_name(entry.child_frame_id)] += 1
            else:
                self.add(entry.header.frame_id, entry.child_frame_id, None if static else stamp_of(entry), T)

    def add(self, parent: str, child: str, stamp_ns: int | None, T_parent_child: Array) -> None:
        """Add one transform, static where the stamp is None; of equal stamps the first counts."""
        parent, child = frame_name(parent), frame_name(child)
        edge = self._edges.setdefault(child, {}).setdefault(parent, _Edge(parent, child))
        edge.add(stamp_ns, T_parent_child)

    def frames(self) -> list[str]:
        """All frame names."""
        return sorted(set(self._edges) | {parent for parents in self._edges.values() for parent in parents})

    def connects(self, target: str, source: str) -> bool:
        """Whether a chain of transforms leads from one frame to the other."""
        return self._ancestors(target)[-1] == self._ancestors(source)[-1]

    def check(self, target: str, source: str) -> None:
        """Raise RecordingError where the frames are not connected, or a transform on the way has two sources."""
        for edge in self._between(target, source):
            edge.motion()

    def motions(self, target: str, source: str) -> dict[str, Trajectory]:
        """The transforms over time on the way, by their names `parent -> child`."""
        found = {edge.name: edge.motion() for edge in self._between(target, source)}
        return {name: motion for name, motion in found.items() if isinstance(motion, Trajectory)}

    def sample(self, target: str, source: str, stamp_ns: int, how: Interpolation) -> Array | NoPose:
        """T_target_source at a stamp, or why a transform on the way has no value there.

        Raises RecordingError where the frames are not connected, or two sources of a transform contradict.
        """
        to_target, to_source = self._paths(target, source)
        T_common_target = _chained(to_target, stamp_ns, how)
        T_common_source = _chained(to_source, stamp_ns, how)
        if isinstance(T_common_target, NoPose):
            return T_common_target
        if isinstance(T_common_source, NoPose):
            return T_common_source
        return se3.inverse(T_common_target) @ T_common_source

    def _between(self, target: str, source: str) -> list[_Edge]:
        to_target, to_source = self._paths(target, source)
        return [*to_target, *to_source]

    def _paths(self, target: str, source: str) -> tuple[list[_Edge], list[_Edge]]:
        """The transforms above each frame, up to the nearest frame that is above both."""
        down, up = self._ancestors(target), self._ancestors(source)
        if down[-1] != up[-1]:
            raise RecordingError(
                f"No chain of transforms leads from {target!r} to {source!r} (the recording's /tf and /tf_static have "
                f"{', '.join(self.frames()) or 'no frames'}): give frames that are connected, or use --extrinsic."
            )
        common = next(frame for frame in down if frame in up)
        to_target, to_source = down[: down.index(common)], up[: up.index(common)]
        return [self._edge(child) for child in to_target], [self._edge(child) for child in to_source]

    def _edge(self, child: str) -> _Edge:
        return next(iter(self._edges[child].values()))

    def _ancestors(self, frame: str) -> list[str]:
        """The frame, its parent, and so on up to the root."""
        chain = [frame_name(frame)]
        while chain[-1] in self._edges:
            parents = self._edges[chain[-1]]
            if len(parents) > 1:
                raise RecordingError(
                    f"/tf gives {chain[-1]!r} more than one parent ({', '.join(sorted(parents))}): two publishers "
                    "contradict each other; use a pose topic instead."
                )
            parent = next(iter(parents))
            if parent in chain:
                raise RecordingError(f"/tf has a cycle through {parent!r}: use a pose topic instead.")
            chain.append(parent)
        return chain


class _Edge:
    """All that a recording says of the transform from one frame to its parent."""

    def __init__(self, parent: str, child: str) -> None:
        self.name = f"{parent} -> {child}"
        self._static: Array | None = None
        self._other_static: Array | None = None
        self._series = PoseSeries()
        self._motion: Trajectory | Array | None = None

    def add(self, stamp_ns: int | None, T: Array) -> None:
        self._motion = None
        if stamp_ns is not None:
            self._series.add(stamp_ns, T)
        elif self._static is None:
            self._static = T
        elif self._other_static is None and differ(self._static, T):
            self._other_static = T

    def motion(self) -> Trajectory | Array:
        """The motion of the frame; the transform itself where it never changes.

        tf2 uses whichever source comes first or last, which a recording does not show; so sources that differ by
        more than noise are refused with a RecordingError.
        """
        if self._motion is None:
            self._motion = self._one_source()
        return self._motion

    def _one_source(self) -> Trajectory | Array:
        if self._static is not None and self._other_static is not None:
            raise RecordingError(
                f"/tf_static has two values of {self.name!r}, {difference_text(self._static, self._other_static)} "
                f"apart: two publishers contradict each other; {_REMEDY}."
            )
        if self._series.poses:
            moving = _over_time(self._series.trajectory(f"/tf of {self.name!r}", _REMEDY))
            if self._static is None:
                return moving
            self._require_agreement(self._static)
        assert self._static is not None
        return self._static

    def _require_agreement(self, static: Array) -> None:
        poses = np.stack(list(self._series.poses.values()))
        off = np.maximum(se3.translation_error(static, poses) / NOISE_M, se3.rotation_error(static, poses) / NOISE_RAD)
        worst = poses[int(np.argmax(off))]
        if differ(static, worst):
            raise RecordingError(
                f"{self.name!r} is on /tf_static and on /tf with values up to {difference_text(static, worst)} apart: "
                f"two publishers contradict each other; {_REMEDY}."
            )


_REMEDY = (
    "record again without one of them, or avoid this transform with a pose topic (--poses), another --map-frame, or "
    "--pose-frame with --extrinsic"
)


def _chained(edges: Sequence[_Edge], stamp_ns: int, how: Interpolation) -> Array | NoPose:
    """T_ancestor_frame of a chain of transforms, the lowest first."""
    T = np.eye(4)
    for edge in edges:
        motion = edge.motion()
        step = motion.sample(stamp_ns, how) if isinstance(motion, Trajectory) else motion
        if isinstance(step, NoPose):
            return step
        T = step @ T
    return T


def _over_time(trajectory: Trajectory) -> Trajectory | Array:
    """The motion of one frame; the transform itself where it never changes.

    Static transforms are published on /tf as well (always so in ROS 1 before Hydro), rarely and with stamps of
    their own.
    """
    first = trajectory.poses[0]
    return first if np.allclose(trajectory.poses, first, rtol=0.0, atol=1e-9) else trajectory


def frame_name(name: str) -> str:
    """A frame name without the leading slash that ROS 1 allows and ROS 2 does not."""
    return name.lstrip("/")


def stamp_of(message: Any) -> int:
    """The header stamp in nanoseconds of a decoded message."""
    return int(message.header.stamp.sec) * SECOND_NS + int(message.header.stamp.nanosec)


def transform_of(position: Any, orientation: Any) -> Array | None:
    """4x4 of a geometry_msgs point (or vector) and quaternion; None where they are no rigid transform."""
    p = np.array([position.x, position.y, position.z], dtype=np.float64)
    q = np.array([orientation.x, orientation.y, orientation.z, orientation.w], dtype=np.float64)
    # Messages that were never filled have a quaternion of zeros; rounding to float32 leaves 1e-7.
    if not np.isfinite([*p, *q]).all() or not quaternion.is_unit(q):
        return None
    return se3.from_parts(p, quaternion.normalise(q))
