# SPDX-License-Identifier: Apache-2.0
"""The camera's pose at a stamp: from /tf, or from a topic of poses and the transforms to the camera."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.foreign_text import shown
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.motion_limits import MotionLimits
from mvloc_ros.geometry.trajectory import Interpolation, NoPose, Trajectory
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.agreement.explanations import Explanation
from mvloc_ros.recordings.bag_reader import BagReader, RawMessage
from mvloc_ros.recordings.errors import NoPosesError, RecordingError
from mvloc_ros.recordings.pose_series import PoseSeries, jump_text, stamp_text
from mvloc_ros.recordings.time_base import TopicStamps
from mvloc_ros.recordings.trajectory_file import TrajectoryOptions
from mvloc_ros.recordings.transforms import TransformTree, frame_name, stamp_of, transform_of

_log = logging.getLogger(__name__)

Array = NDArray[np.float64]

TF = "tf"
NO_POSES = "none"
"""For a folder without poses."""
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
        source: a topic, "tf", or "none" for a folder without poses.
        trajectory: a file of poses, instead of the recording's.
        map_alone: poses of another frame than the map, as those of odometry, are no source unless it is named.
        map_frame: the fixed frame, for "tf".
        pose_frame: the frame that the topic places; "" is the camera itself.
        T_pose_camera: the camera in that frame, instead of the recording's transforms.
        max_gap_ns: the longest time that is interpolated.
        limits: the fastest motion that is interpolated.
    """

    source: str | None = None
    trajectory: TrajectoryOptions | None = None
    map_alone: bool = False
    map_frame: str = topics.MAP_FRAME
    pose_frame: str | None = None
    T_pose_camera: Array | None = None
    max_gap_ns: int = 200_000_000
    limits: MotionLimits = field(default_factory=MotionLimits)

    @property
    def interpolation(self) -> Interpolation:
        """What may be interpolated."""
        return Interpolation(self.max_gap_ns, self.limits)


def extrinsic(values: Sequence[float]) -> Array:
    """4x4 of x, y, z, qx, qy, qz, qw. Raises RecordingError where the last four are no unit quaternion."""
    q = np.array(values[3:], dtype=np.float64)
    if not np.isfinite(values).all() or not quaternion.is_unit(q):
        raise RecordingError(
            f"The extrinsic {' '.join(map(str, values))} is not x y z qx qy qz qw with a unit quaternion."
        )
    return se3.from_parts(values[:3], quaternion.normalise(q))


@dataclass
class _PoseTopic:
    """What one topic of poses says."""

    name: str
    type: str
    stamps: TopicStamps
    dropped: int = 0
    _by_header: PoseSeries = field(default_factory=PoseSeries)
    _by_receipt: PoseSeries = field(default_factory=PoseSeries)
    _fixed: dict[str, int] = field(default_factory=dict)  # frame -> stamp of the first message with it
    _placed: dict[str, int] = field(default_factory=dict)

    @property
    def series(self) -> PoseSeries:
        """The poses, by the clock of the topic."""
        return self._by_receipt if self.stamps.by_receipt else self._by_header

    def take(self, message: Any, receipt_ns: int) -> None:
        header_ns = stamp_of(message)
        stamp_ns = header_ns or receipt_ns
        T = transform_of(*_PARTS[self.type](message))
        if T is None:
            self.dropped += 1
            return
        self.stamps.add(header_ns, receipt_ns)
        (self._by_header if header_ns else self._by_receipt).add(stamp_ns, T)
        self._fixed.setdefault(frame_name(message.header.frame_id), stamp_ns)
        self._placed.setdefault(frame_name(getattr(message, "child_frame_id", "")), stamp_ns)

    @property
    def fixed_frames(self) -> tuple[str, ...]:
        """The frames that the poses are in: one, unless the topic mixes several."""
        return tuple(self._fixed)

    def frames(self, stated: str | None, camera_frame: str) -> tuple[str, str]:
        """The fixed frame, and the frame that is placed in it ("" for the camera itself).

        Raises RecordingError where one changes, or the message has a field for it that is empty.
        """
        fixed = self._one("frame_id", self._fixed)
        if stated is not None:
            return fixed, frame_name(stated)
        placed = self._one("child_frame_id", self._placed)
        if not placed and self.type in (ODOMETRY, TRANSFORM):
            raise RecordingError(
                f"{self.name} does not state the frame of its poses (child_frame_id is empty): give that frame with "
                f"--pose-frame, --pose-frame {frame_name(camera_frame) or chr(39) * 2} for the camera itself."
            )
        return fixed, placed

    def _one(self, name: str, frames: dict[str, int]) -> str:
        if len(frames) > 1:
            (first, _), (second, stamp_ns) = list(frames.items())[:2]
            raise RecordingError(
                f"The {name} of {self.name} changes from {shown(first)!r} to {shown(second)!r} at "
                f"{stamp_text(stamp_ns)}: its poses do not belong together; name another source with --poses, or "
                "record it in one frame."
            )
        return next(iter(frames))

    def remarks(self, stated: str | None) -> tuple[str, ...]:
        """What was assumed or left out."""
        remarks = [self.stamps.remark()] if self.stamps.remark() else []
        if stated is None and self.type not in (ODOMETRY, TRANSFORM):
            remarks.append(f"{self.name} is taken as the camera's own pose, since its type names no frame that it is of"
                           " (else name it with --pose-frame)")  # fmt: skip
        if self.dropped:
            remarks.append(
                f"{self.dropped} messages on {self.name} are left out: a number is not finite, or the quaternion is "
                "not of length 1"
            )
        if self.series.conflicts:
            first = next(iter(self.series.conflicts))
            remarks.append(
                f"{self.name} has two poses {self.series.conflicts[first]} apart at {stamp_text(first)}"
                f" ({len(self.series.conflicts)} stamps like it): the first is used"
            )
        return tuple(remarks)


@dataclass
class PoseCollector:
    """Gathers the transforms and the poses of every candidate in one pass through the recording."""

    reader: BagReader
    tree: TransformTree = field(default_factory=TransformTree)
    _topics: dict[str, _PoseTopic] = field(default_factory=dict)
    _unreadable: dict[str, RecordingError] = field(default_factory=dict)

    def topics(self) -> list[str]:
        """Everything that `take` wants to see."""
        return [name for name, topic in self.reader.topics.items() if topic.type in (*_TF_TYPES, *_PARTS)]

    def take(self, raw: RawMessage) -> None:
        """Read one message of these topics."""
        if raw.type in _TF_TYPES:
            transforms = self.reader.decode_or_leave_out(raw)
            if transforms is not None:
                self.tree.add_message(transforms, static=raw.topic.endswith("static"))
            return
        try:
            message = self.reader.decode_or_leave_out(raw)
        except RecordingError as error:
            if raw.topic not in self._unreadable:
                _log.warning("%s The topic cannot give the poses.", error)
            self._unreadable.setdefault(raw.topic, error)  # it need not be the one that is chosen
            return
        if message is None:
            return
        topic = self._topics.setdefault(raw.topic, _PoseTopic(raw.topic, raw.type, TopicStamps(raw.topic)))
        topic.take(message, raw.stamp_ns)

    def finish(self, options: PoseOptions, camera_frame: str) -> PoseSource:
        """The source of poses of a camera.

        Raises RecordingError where there is none, more than one, no way from it to the camera, or where it does not
        say or changes what it is of.
        """
        source = options.source or self._only_source(options, camera_frame)
        if source in self._unreadable:
            raise self._unreadable[source]
        if source == TF:
            return self._from_transforms(options, camera_frame)
        if source not in self._candidates():
            raise RecordingError(
                f"{self.reader.path} has no pose on {source} (pose topics: "
                f"{', '.join(self._candidates()) or 'none'}): name one of them with --poses, or `tf`."
            )
        topic = self._topics[source]
        fixed, frame = topic.frames(options.pose_frame, camera_frame)
        if options.T_pose_camera is None and frame:
            self.tree.check(frame, camera_frame)
        trajectory = topic.series.trajectory(source, "name another topic with --poses, or record one publisher alone")
        assumed = topic.remarks(options.pose_frame)
        return PoseSource(source, trajectory, fixed, frame, camera_frame, self.tree, options, assumed)

    def odometry_topics(self) -> list[str]:
        """The topics of odometry with poses."""
        return [name for name in self._candidates() if self._topics[name].type == ODOMETRY]

    def odometry(self, name: str, options: PoseOptions) -> PoseSource:
        """The poses on a topic of odometry, of the frame that it names.

        Raises RecordingError where it names none, changes it, or two publishers contradict each other.
        """
        topic = self._topics[name]
        fixed, frame = topic.frames(None, "")
        trajectory = topic.series.trajectory(name, "record one publisher alone")
        return PoseSource(name, trajectory, fixed, frame, frame, self.tree, options, topic.remarks(None))

    def _from_transforms(self, options: PoseOptions, camera_frame: str) -> PoseSource:
        frame = camera_frame
        if options.T_pose_camera is not None:
            if not options.pose_frame:
                raise RecordingError(
                    "--extrinsic gives the camera in a frame: give that frame with --pose-frame, or omit --extrinsic "
                    "to use the recording's own transforms."
                )
            frame = frame_name(options.pose_frame)
        self.tree.check(options.map_frame, frame)
        return PoseSource(TF, None, options.map_frame, frame, camera_frame, self.tree, options)

    def _candidates(self) -> list[str]:
        return sorted(name for name, topic in self._topics.items() if topic.series.poses)

    def _only_source(self, options: PoseOptions, camera_frame: str) -> str:
        map_frame, candidates = options.map_frame, self._candidates()
        if options.map_alone:
            candidates = [name for name in candidates if not self._drifts(name, map_frame)]
        candidates += [TF] if self.tree.connects(map_frame, camera_frame) else []
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            raise RecordingError(
                f"{self.reader.path} has {len(candidates)} sources of poses, {', '.join(candidates)}: choose one with "
                "--poses."
            )
        frames = ", ".join(self.tree.frames()) or "none"
        raise NoPosesError(
            f"{self.reader.path} has no poses: no pose or odometry topic, and no transforms from {map_frame!r} to "
            f"{camera_frame!r} (frames: {frames}); record poses as well, or name the fixed frame with --map-frame."
        )

    def _drifts(self, name: str, map_frame: str) -> bool:
        """Whether a topic is odometry in a frame that is not the map."""
        topic = self._topics[name]
        return topic.type == ODOMETRY and frame_name(map_frame) not in topic.fixed_frames


@dataclass(frozen=True)
class PoseSource:
    """Poses of one camera over time; `assumed` is what the user should know of them."""

    name: str
    trajectory: Trajectory | None  # None: the transforms alone
    fixed_frame: str
    frame: str  # what the poses place; empty where that is the camera
    camera_frame: str
    tree: TransformTree
    options: PoseOptions
    assumed: tuple[str, ...] = ()
    described: str = ""
    """What `text` is of poses from a file."""
    about: tuple[str, ...] = ()
    """What the user should know of a file that is right."""
    alternatives: tuple[Explanation, ...] = ()
    """Other frames that the poses may be of; the depth images are compared with them."""

    def at(self, stamp_ns: int) -> Array | NoPose:
        """T_map_camera at a stamp, interpolated, or why there is none."""
        how = self.options.interpolation
        if self.trajectory is None:
            T_map_pose = self.tree.sample(self.fixed_frame, self.frame, stamp_ns, how)
        else:
            T_map_pose = self.trajectory.sample(stamp_ns, how)
        T_pose_camera = self._camera(stamp_ns, how)
        if isinstance(T_map_pose, NoPose):
            return T_map_pose
        return T_pose_camera if isinstance(T_pose_camera, NoPose) else T_map_pose @ T_pose_camera

    def _camera(self, stamp_ns: int, how: Interpolation) -> Array | NoPose:
        if self.options.T_pose_camera is not None:
            return self.options.T_pose_camera
        if not self.frame:
            return np.eye(4)
        return self.tree.sample(self.frame, self.camera_frame, stamp_ns, how)

    def text(self) -> str:
        """Where the poses come from, for the user to check."""
        if self.described:
            return self.described
        fixed = repr(self.fixed_frame) if self.fixed_frame else "a frame that the messages do not name"
        placed = "with --extrinsic" if self.options.T_pose_camera is not None else f"of {self.frame or 'the camera'}"
        if self.trajectory is None:
            return f"/tf, {self.camera_frame} in {fixed}"
        return f"{self.name} {placed} in {fixed}"

    def lines(self) -> Iterator[str]:
        """What was assumed or left out, and steps that are too fast, each a sentence without its full stop."""
        yield from self.assumed
        motions = {} if self.trajectory is None else {self.name: self.trajectory}
        if self.trajectory is None:
            motions |= self.tree.motions(self.fixed_frame, self.frame)
        if self.options.T_pose_camera is None and self.frame:
            motions |= self.tree.motions(self.frame, self.camera_frame)
        how = self.options.interpolation
        yield from (text for name, motion in motions.items() if (text := jump_text(name, motion, how)))
        if self.tree.dropped:
            counts = ", ".join(f"{count} of {frame!r}" for frame, count in sorted(self.tree.dropped.items()))
            yield (f"transforms left out, {counts}: a number is not finite, or the quaternion is not of length 1")
