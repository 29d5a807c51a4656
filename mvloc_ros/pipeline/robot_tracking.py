# SPDX-License-Identifier: Apache-2.0
"""From a pose of the camera to what the robot is told: the tracker's verdict, the extrinsic, and what TF is told.

`odometry_of` and `place` may wait for transforms; the other methods may be called by another thread meanwhile, as the
node's services and topics do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.frontend.input_log import InputLog
from mvloc_ros.frontend.message_checks import require_finite
from mvloc_ros.frontend.transform_watch import TransformWatch
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.transform_lookup import TransformLookup
from mvloc_ros.localization.estimate import PoseEstimate
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.tracker import Tracker, Verdict
from mvloc_ros.model.frame import Frame, FrameError
from mvloc_ros.parameters.table import NodeParameters

Array = NDArray[np.float64]

# What a variance of an initial pose is taken for that is not stated (0), as by tools that point in the plane.
_UNSTATED_VARIANCE = np.array([1.0, 1.0, 1.0, 0.25, 0.25, 0.25])
_LOST_VARIANCE = 9999.0


@dataclass(frozen=True)
class Placement:
    """One estimate with its verdict, carried to the frame whose pose is published.

    Attributes:
        verdict: of the tracker.
        map_frame: frame of the pose.
        child: frame whose pose this is: the robot's or the camera's.
        pose: of that frame; the estimate's if it was accepted, else the expected one with variances that filters
            ignore, or None if nothing was ever accepted.
        T_camera_child: where that frame is on the camera, 4x4.
        notes: what is less than was asked for, in words.
        map_identity: which map the pose is in (`Bundle.map_identity`), as the frame's name does not tell.
    """

    verdict: Verdict
    map_frame: str
    child: str
    pose: Pose | None
    T_camera_child: Array
    notes: tuple[str, ...]
    map_identity: str = ""


class TransformOutput(Protocol):
    """Sends transforms to the robot's other programs. Each raises MessageError for numbers that are not finite."""

    def hold(self, parent: str, child: str, T_parent_child: Array) -> None:
        """Send a transform that holds until the next one."""
        ...

    def send(self, parent: str, child: str, T_parent_child: Array, stamp_ns: int) -> None:
        """Send a transform that is true at one stamp."""
        ...

    def withdraw(self) -> None:
        """Hold nothing any more."""
        ...


@dataclass(frozen=True, eq=False)
class _Mount:
    """The published frame `child` on the camera (`T_camera_child`), and the robot's base if it is known."""

    child: str
    T_camera_child: Array
    T_camera_base: Array | None


class RobotTracking:
    """The tracker's poses of the camera as the robot's, and its map -> odom on TF.

    Attributes:
        last_rejection: why a pose was rejected last, in words; empty if none was.
        last_accepted: the last pose that was accepted in this map, also if it was forgotten since; None before.
        era: counts how often all was forgotten; a frame of an earlier era gives no pose.
    """

    def __init__(
        self,
        values: NodeParameters,
        tracker: Tracker,
        map_frame: str,
        transforms: TransformLookup | None,
        tf: TransformOutput,
        is_from_before: Callable[[int], bool],
        log: InputLog,
        watch: TransformWatch,
    ) -> None:
        """Start with no accepted pose.

        Args:
            values: the parameters.
            tracker: of the camera's poses; nothing else tells it of poses.
            map_frame: frame of the estimates.
            transforms: the robot's own, where they are needed.
            tf: sends what is accepted; nothing else uses it.
            is_from_before: whether a stamp belongs to the time before the clock jumped back.
            log: told while something of the robot's transforms is missing, and when it is there again.
            watch: what others send on TF.
        """
        self._values = values
        self._map_frame, self._map_identity = map_frame, ""
        self._transforms = transforms
        self._tf = tf
        self._is_from_before = is_from_before
        self._log = log
        self._watch = watch
        self._lock = threading.RLock()
        self._tracker = tracker
        self._hint: Pose | None = None
        self._odometry_note = ""
        self._last: Placement | None = None
        self.last_accepted: Placement | None = None
        self._missing: dict[str, str] = {}
        self.last_rejection = ""
        self.era = 0

    def forget(self) -> None:
        """Accept nothing from before any more, not even of frames that are in work, and withdraw what TF was told."""
        with self._lock:
            self.era += 1
            self._forget()

    def require_of_now(self, stamp_ns: int, era: int) -> None:
        """Raise FrameError for a frame of an earlier era, or of the time before the clock jumped back."""
        if self._is_from_before(stamp_ns):
            raise FrameError("The frame is from before the clock jumped back.")
        if era != self.era:
            raise FrameError("The frame is from before all was forgotten (relocalize, or a jump back of the clock).")

    @property
    def missing(self) -> dict[str, str]:
        """Of `extrinsic` and `odometry`, why TF did not tell the last one asked for; empty texts where it did."""
        return dict(self._missing)

    def use_map(self, map_frame: str, map_identity: str = "") -> None:
        """Take estimates in another map from now on; one of the same map keeps the accepted pose.

        Args:
            map_frame: frame of the estimates.
            map_identity: see `Placement`; two maps may have frames of the same name.
        """
        with self._lock:
            if (map_frame, map_identity) != (self._map_frame, self._map_identity):
                self._forget()
                self.last_accepted = None
                self._map_frame, self._map_identity = map_frame, map_identity

    def _forget(self) -> None:
        self._tracker.forget()
        self._tf.withdraw()
        self._hint = self._last = None

    def hint(self, pose: Pose) -> None:
        """Expect the next pose near this one, of the frame that poses are published of."""
        stated = np.diag(pose.covariance) > 0.0
        covariance = np.where(np.outer(stated, stated), pose.covariance, 0.0) + np.diag(
            np.where(stated, 0.0, _UNSTATED_VARIANCE)
        )
        with self._lock:
            self._forget()
            self._hint = replace(pose, covariance=covariance)

    def validated(self, now_ns: int) -> Placement | str:
        """The last pose if it is one to start another localizer from; else why not, in words."""
        with self._lock:
            last, streak = self._last, self._tracker.streak
        if last is None or last.pose is None or not last.verdict.accepted:
            return "the last frame gave no pose that is accepted" if last else "no pose has been accepted yet"
        if streak < self._values.gate_confirmations:
            return f"only {streak} poses in a row were accepted, {self._values.gate_confirmations} are asked for"
        age_s = 1e-9 * (now_ns - last.pose.stamp_ns)
        if age_s > self._values.lost_after:
            return f"the last pose is {age_s:.1f} s old"
        if last.child != self._values.base_frame:
            return f"the published pose is that of {last.child}, not of {self._values.base_frame}"
        return last

    def odometry_of(self, frame: Frame) -> Array | None:
        """`T_odom_camera` of the camera that a frame's pose is of, at its stamp; None where TF does not tell.

        May wait. A hint that came since the last frame is given to the tracker, so that the frame is looked for there.
        """
        camera = self._camera_of(frame.frame_id)
        T_odom_camera = self._odometry(camera, frame.stamp_ns)
        with self._lock:
            is_hinted = self._hint is not None and not self._is_from_before(frame.stamp_ns)
        if is_hinted:
            with suppress(FrameError):  # `place` says so, and the hint waits
                self._apply_hint(camera, frame.stamp_ns, T_odom_camera, self._to_child(camera, frame.stamp_ns, []))
        return T_odom_camera

    def place(self, estimate: PoseEstimate, frame_id: str, era: int | None = None) -> Placement:
        """Accept or reject an estimate, and tell TF if it is accepted.

        Args:
            estimate: of the frame.
            frame_id: of the camera.
            era: in which the frame's images came; None: this one.

        Raises:
            FrameError: TF does not tell how the camera sits on the robot and no fallback is allowed, or the
                clock jumped back or all was forgotten since the images came.
            MessageError: the pose to be published, or the transform, has numbers that are not finite.
        """
        fix, stamp_ns = estimate.fix(), estimate.pose.stamp_ns
        camera, notes = self._camera_of(frame_id), list[str]()
        mount = self._to_child(camera, stamp_ns, notes)
        notes += [self._odometry_note] if self._odometry_note else []
        may_send = self._may_send(camera, notes)
        published: Pose | None = None
        if (not fix.rejection or fix.is_weak) and np.isfinite(fix.pose.T).all():  # others are what the tracker rejects
            # Before the verdict, as the tracker would go on from a pose that cannot be published.
            published = fix.pose.of_child(mount.T_camera_child)
            require_finite(f"the pose of {mount.child!r}", published.T, published.covariance)
        with self._lock:
            self.require_of_now(stamp_ns, self.era if era is None else era)
            self._apply_hint(camera, stamp_ns, fix.T_odom_camera, mount)
            verdict = self._tracker.update(fix)
            if verdict.accepted and may_send:
                self._tell_tf(verdict, fix.pose, camera, mount)
            self._last = self._placement(verdict, stamp_ns, published, mount, tuple(notes))
            if verdict.accepted:
                self.last_accepted = self._last
            else:
                self.last_rejection = verdict.reason
            return self._last

    def _camera_of(self, frame_id: str) -> str:
        return self._values.camera_frame or frame_id

    def _may_send(self, camera: str, notes: list[str]) -> bool:
        """Whether the transform may be sent: not where it would take a frame away from another parent."""
        values = self._values
        children = {"odom": values.odom_frame, "base_link": values.base_frame, "camera": camera}
        child = children.get(values.publish_frame, "")
        if self._transforms is not None:
            notes += self._watch.problems(frozenset((values.odom_frame, values.base_frame, camera)))
        parent = self._watch.other_parent(child, self._map_frame) if child else ""
        problem = ""
        if parent and values.publish_frame == "odom":
            problem = (
                f"{child!r} has another parent, {parent}: listeners get both places in turn; stop its publisher "
                "(AMCL, SLAM), or set publish_frame to none"
            )
        elif parent:
            problem = (
                f"{self._map_frame} -> {child} is not sent, since {child!r} already has the parent {parent} and would "
                "be cut off from it; set publish_frame to odom (with odometry) or none; poses go on"
            )
        self._note("parent", problem)
        notes += [problem] if problem else []
        return not problem or values.publish_frame == "odom"

    def _tell_tf(self, verdict: Verdict, pose: Pose, camera: str, mount: _Mount) -> None:
        publish_frame, T_map_camera = self._values.publish_frame, pose.T
        if publish_frame == "odom" and verdict.T_map_odom is not None:
            self._tf.hold(self._map_frame, self._values.odom_frame, verdict.T_map_odom)
        elif publish_frame == "base_link" and mount.T_camera_base is not None:
            self._tf.send(self._map_frame, self._values.base_frame, T_map_camera @ mount.T_camera_base, pose.stamp_ns)
        elif publish_frame == "camera":
            self._tf.send(self._map_frame, camera, T_map_camera, pose.stamp_ns)

    def _placement(
        self, verdict: Verdict, stamp_ns: int, pose: Pose | None, mount: _Mount, notes: tuple[str, ...]
    ) -> Placement:
        """Of the pose of the published frame, if it was accepted."""
        published: Pose | None = None
        if verdict.accepted:
            published = pose
        elif verdict.T_map_camera is not None:
            T_map_child = verdict.T_map_camera @ mount.T_camera_child
            published = Pose(stamp_ns, T_map_child, _LOST_VARIANCE * np.eye(6))
        T_camera_child = mount.T_camera_child
        return Placement(verdict, self._map_frame, mount.child, published, T_camera_child, notes, self._map_identity)

    def _apply_hint(self, camera: str, stamp_ns: int, T_odom_camera: Array | None, mount: _Mount) -> None:
        """Give a waiting hint to the tracker, as a pose of the camera."""
        with self._lock:
            hint, self._hint = self._hint, None
            if hint is None:
                return
            if self._transforms is not None and hint.stamp_ns:
                # The robot may have moved since; where odometry does not tell, the hint is taken as of now.
                then = self._transforms.lookup(self._values.odom_frame, camera, hint.stamp_ns, wait=False)
                if then.T is not None:
                    stamp_ns, T_odom_camera = hint.stamp_ns, then.T
            pose = hint.of_child(se3.inverse(mount.T_camera_child))
            self._tracker.hint(replace(pose, stamp_ns=stamp_ns), T_odom_camera)

    def _to_child(self, camera: str, stamp_ns: int, notes: list[str]) -> _Mount:
        """How the published frame sits on the camera; raises and notes as `_extrinsic`."""
        T_camera_base = self._extrinsic(camera, stamp_ns, notes)
        if T_camera_base is None or self._values.poses_are_of_camera:
            return _Mount(camera, np.eye(4), T_camera_base)
        return _Mount(self._values.base_frame, T_camera_base, T_camera_base)

    def _extrinsic(self, camera: str, stamp_ns: int, notes: list[str]) -> Array | None:
        """`T_camera_base`; None where it is not needed, or missing and done without."""
        values = self._values
        if self._transforms is None or (values.poses_are_of_camera and values.publish_frame != "base_link"):
            return None
        found = self._transforms.lookup(camera, values.base_frame, stamp_ns)
        if found.T is not None:
            self._note("extrinsic", "")
            return found.T
        problem = f"TF does not tell where {camera!r} is on {values.base_frame!r}: {found.reason}"
        problem = "; ".join((problem, *self._watch.problems(frozenset((values.base_frame, camera)))))
        if values.camera_pose_fallback:
            self._note("extrinsic", f"{problem}; publishing the camera's pose instead")
            notes.append(problem)
            return None
        self._missing["extrinsic"] = problem  # not logged here: the frame that fails is
        raise FrameError(
            f"{problem}; publish that transform (robot_state_publisher, static_transform_publisher), or set pose_frame "
            "and publish_frame to camera."
        )

    def _odometry(self, camera: str, stamp_ns: int) -> Array | None:
        self._odometry_note = ""
        if self._transforms is None:
            return None
        odom = self._values.odom_frame
        found = self._transforms.lookup(odom, camera, stamp_ns)
        if found.T is not None:
            self._note("odometry", "")
            return found.T
        if self._values.publish_frame == "odom":
            problem = f"no transform from {odom!r} to {camera!r} at the image's stamp: {found.reason}"
            consequence = "map -> odom stays as it is" if found.connected else "publishing poses only"
            self._note("odometry", f"{problem}; {consequence}")
            self._odometry_note = problem
        return None

    def _note(self, what: str, problem: str) -> None:
        """Say when something goes missing and when it is there again, but not at each gap of a stream that has many."""
        self._missing[what] = problem
        kind = f"transforms: {what}"
        if problem:
            self._log.lasts(kind, problem)
        else:
            self._log.over(kind, "no other parent on TF any more" if what == "parent" else f"{what} is on TF now")
