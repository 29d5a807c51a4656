# SPDX-License-Identifier: Apache-2.0
"""The transforms of /tf and /tf_static in a recording, all of its time at once.

tf2's buffer keeps ten seconds and answers for a live robot; a recording is read as a whole and asked at the
stamps of its images, with a limit on the gap that may be interpolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.stamps import SECOND_NS

Array = NDArray[np.float64]


class TransformTree:
    """Frames, each with one parent; static or over time."""

    def __init__(self) -> None:
        # child -> parent -> transforms T_parent_child by stamp; static ones under the stamp None.
        self._edges: dict[str, dict[str, dict[int | None, Array]]] = {}
        self._moving: dict[str, Trajectory | Array] = {}

    def add_message(self, message: Any, static: bool) -> None:
        """Take a tf2_msgs/TFMessage (or ROS 1's tf/tfMessage); transforms without a rotation are left out."""
        for entry in message.transforms:
            T = transform_of(entry.transform.translation, entry.transform.rotation)
            if T is not None:
                self.add(entry.header.frame_id, entry.child_frame_id, None if static else stamp_of(entry), T)

    def add(self, parent: str, child: str, stamp_ns: int | None, T_parent_child: Array) -> None:
        """Add one transform, static where the stamp is None; of equal stamps the later call counts."""
        transforms = self._edges.setdefault(frame_name(child), {}).setdefault(frame_name(parent), {})
        transforms[stamp_ns] = T_parent_child
        self._moving.pop(frame_name(child), None)

    def frames(self) -> list[str]:
        """All frame names."""
        return sorted(set(self._edges) | {parent for parents in self._edges.values() for parent in parents})

    def connects(self, target: str, source: str) -> bool:
        """Whether a chain of transforms leads from one frame to the other."""
        return self._ancestors(target)[-1] == self._ancestors(source)[-1]

    def lookup(self, target: str, source: str, stamp_ns: int, max_gap_ns: int) -> Array | None:
        """T_target_source at a stamp; None where a transform on the way has no value within the gap.

        Raises RecordingError where the frames are not connected.
        """
        down, up = self._ancestors(target), self._ancestors(source)
        if down[-1] != up[-1]:
            raise RecordingError(
                f"No chain of transforms leads from {target!r} to {source!r} (the recording's /tf and /tf_static have "
                f"{', '.join(self.frames()) or 'no frames'}): name frames that are connected, or give --extrinsic."
            )
        common = next(frame for frame in down if frame in up)
        T_common_target = self._to_ancestor(down[: down.index(common)], stamp_ns, max_gap_ns)
        T_common_source = self._to_ancestor(up[: up.index(common)], stamp_ns, max_gap_ns)
        if T_common_target is None or T_common_source is None:
            return None
        return se3.inverse(T_common_target) @ T_common_source

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
                raise RecordingError(f"/tf has a circle through {parent!r}: use a pose topic instead.")
            chain.append(parent)
        return chain

    def _to_ancestor(self, chain: Sequence[str], stamp_ns: int, max_gap_ns: int) -> Array | None:
        """T_ancestor_frame of the first frame in a chain that ends below the ancestor."""
        T = np.eye(4)
        for child in chain:
            step = self._edge(child, stamp_ns, max_gap_ns)
            if step is None:
                return None
            T = step @ T
        return T

    def _edge(self, child: str, stamp_ns: int, max_gap_ns: int) -> Array | None:
        transforms = next(iter(self._edges[child].values()))
        if None in transforms:
            return transforms[None]
        if child not in self._moving:
            self._moving[child] = _over_time(transforms)
        moving = self._moving[child]
        return moving.at(stamp_ns, max_gap_ns) if isinstance(moving, Trajectory) else moving


def _over_time(transforms: dict[int | None, Array]) -> Trajectory | Array:
    """The motion of one frame; the transform itself where it never changes.

    Static transforms are published on /tf as well (always so in ROS 1 before Hydro), rarely and with stamps of
    their own.
    """
    stamps = sorted(stamp for stamp in transforms if stamp is not None)
    poses = np.stack([transforms[stamp] for stamp in stamps])
    if np.allclose(poses, poses[0], rtol=0.0, atol=1e-9):
        return poses[0]
    return Trajectory(np.array(stamps, dtype=np.int64), poses)


def frame_name(name: str) -> str:
    """Frame names of ROS 1 may begin with a slash, which ROS 2 has no more."""
    return name.lstrip("/")


def stamp_of(message: Any) -> int:
    """The header stamp in nanoseconds of a decoded message."""
    return int(message.header.stamp.sec) * SECOND_NS + int(message.header.stamp.nanosec)


def transform_of(position: Any, orientation: Any) -> Array | None:
    """4x4 of a geometry_msgs point (or vector) and quaternion; None where they are no rigid transform."""
    p = np.array([position.x, position.y, position.z], dtype=np.float64)
    q = np.array([orientation.x, orientation.y, orientation.z, orientation.w], dtype=np.float64)
    # Messages that nobody filled have a quaternion of zeros; rounding to float32 leaves 1e-7.
    if not np.isfinite([*p, *q]).all() or abs(float(np.linalg.norm(q)) - 1.0) > 1e-2:
        return None
    return se3.from_parts(p, quaternion.normalise(q))
