# SPDX-License-Identifier: Apache-2.0
"""Where the camera was at a stamp: from /tf, or from a topic of poses and the way to the camera."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader, RawMessage
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.transforms import TransformTree, frame_name, stamp_of, transform_of

Array = NDArray[np.float64]

TF = "tf"
ODOMETRY = "nav_msgs/msg/Odometry"
TRANSFORM = "geometry_msgs/msg/TransformStamped"
_TF_TYPES = (topics.TF_MESSAGE, "tf/msg/tfMessage")
# Type -> (position, orientation) of a message. An Odometry and a TransformStamped name the frame that they place.
_PARTS: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    topics.POSE: lambda m: (m.pose.position, m.pose.orientation),
    topics.POSE_WITH_COVARIANCE: lambda m: (m.pose.pose.position, m.pose.pose.orientation),
    ODOMETRY: lambda m: (m.pose.pose.position, m.pose.pose.orientation),
    TRANSFORM: lambda m: (m.transform.translation, m.transform.rotation),
}


@dataclass(frozen=True)
class PoseOptions:
    """How to get poses; what is None is found, or must be the only candidate.

    Attributes:
        source: a topic, or "tf".
        map_frame: the fixed frame, for "tf".
        pose_frame: the frame that the topic places; "" is the camera itself.
        T_pose_camera: the camera in that frame, instead of the recording's transforms.
        max_gap_ns: the longest time that is interpolated.
    """

    source: str | None = None
    map_frame: str = topics.MAP_FRAME
    pose_frame: str | None = None
    T_pose_camera: Array | None = None
    max_gap_ns: int = 200_000_000


def extrinsic(values: Sequence[float]) -> Array:
    """4x4 of x, y, z, qx, qy, qz, qw. Raises RecordingError where the last four are no unit quaternion."""
    q = np.array(values[3:], dtype=np.float64)
    if not np.isfinite(values).all() or abs(float(np.linalg.norm(q)) - 1.0) > 1e-2:
        raise RecordingError(
            f"The extrinsic {' '.join(map(str, values))} is no x y z qx qy qz qw with a quaternion of length 1."
        )
    return se3.from_parts(values[:3], quaternion.normalise(q))


@dataclass
class PoseCollector:
    """Gathers the transforms and the poses of every candidate in one pass through the recording."""

    reader: BagReader
    tree: TransformTree = field(default_factory=TransformTree)
    _poses: dict[str, dict[int, Array]] = field(default_factory=dict)
    _frames: dict[str, tuple[str, str]] = field(default_factory=dict)  # fixed frame, frame that is placed

    def topics(self) -> list[str]:
        """Everything that `take` wants to see."""
        return [name for name, topic in self.reader.topics.items() if topic.type in (*_TF_TYPES, *_PARTS)]

    def take(self, raw: RawMessage) -> None:
        """Read one message of these topics."""
        message = self.reader.decode(raw)
        if raw.type in _TF_TYPES:
            self.tree.add_message(message, static=raw.topic.endswith("static"))
            return
        T = transform_of(*_PARTS[raw.type](message))
        if T is not None:
            self._poses.setdefault(raw.topic, {})[stamp_of(message) or raw.stamp_ns] = T
            placed = frame_name(getattr(message, "child_frame_id", ""))
            self._frames[raw.topic] = (frame_name(message.header.frame_id), placed)

    def finish(self, options: PoseOptions, camera_frame: str) -> PoseSource:
        """The source of poses of a camera.

        Raises RecordingError where there is none, more than one, or no way from it to the camera.
        """
        source = options.source or self._only_source(options.map_frame, camera_frame)
        if source == TF:
            self.tree.lookup(options.map_frame, camera_frame, 0, 0)  # refuses frames that are not connected
            return PoseSource(TF, None, options.map_frame, options.map_frame, camera_frame, self.tree, options)
        if source not in self._poses:
            raise RecordingError(
                f"{self.reader.path} has no pose on {source} (pose topics: "
                f"{', '.join(sorted(self._poses)) or 'none'}): name one of them with --poses, or `tf`."
            )
        fixed, placed = self._frames[source]
        frame = placed if options.pose_frame is None else frame_name(options.pose_frame)
        if options.T_pose_camera is None and frame:
            self.tree.lookup(frame, camera_frame, 0, 0)
        poses = self._poses[source]
        stamps = np.array(sorted(poses), dtype=np.int64)
        trajectory = Trajectory(stamps, np.stack([poses[int(stamp)] for stamp in stamps]))
        return PoseSource(source, trajectory, fixed, frame, camera_frame, self.tree, options)

    def _only_source(self, map_frame: str, camera_frame: str) -> str:
        candidates = sorted(self._poses) + ([TF] if self.tree.connects(map_frame, camera_frame) else [])
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            raise RecordingError(
                f"{self.reader.path} has {len(candidates)} sources of poses, {', '.join(candidates)}: choose one with "
                "--poses."
            )
        frames = ", ".join(self.tree.frames()) or "none"
        raise RecordingError(
            f"{self.reader.path} has no poses: no pose or odometry topic, and no transforms from {map_frame!r} to "
            f"{camera_frame!r} (frames: {frames}); record poses as well, or name the fixed frame with --map-frame."
        )


@dataclass(frozen=True)
class PoseSource:
    """Poses of one camera over time."""

    name: str
    trajectory: Trajectory | None  # None: the transforms alone
    fixed_frame: str
    frame: str  # what the poses place; empty where that is the camera
    camera_frame: str
    tree: TransformTree
    options: PoseOptions

    def at(self, stamp_ns: int) -> Array | None:
        """T_map_camera at a stamp, interpolated; None outside, or inside of a gap that is too long."""
        gap = self.options.max_gap_ns
        if self.trajectory is None:
            return self.tree.lookup(self.fixed_frame, self.camera_frame, stamp_ns, gap)
        T_map_pose = self.trajectory.at(stamp_ns, gap)
        if T_map_pose is None:
            return None
        if self.options.T_pose_camera is not None:
            return T_map_pose @ self.options.T_pose_camera
        if not self.frame:
            return T_map_pose
        T_pose_camera = self.tree.lookup(self.frame, self.camera_frame, stamp_ns, gap)
        return None if T_pose_camera is None else T_map_pose @ T_pose_camera

    def text(self) -> str:
        """Where the poses come from, for the user to check."""
        if self.trajectory is None:
            return f"/tf, {self.camera_frame} in {self.fixed_frame!r}"
        placed = "with --extrinsic" if self.options.T_pose_camera is not None else f"of {self.frame or 'the camera'}"
        return f"{self.name} {placed} in {self.fixed_frame!r}"
