# SPDX-License-Identifier: Apache-2.0
"""From a pose of the camera to what the robot is told: the gate, the extrinsic, and what TF is told.

`place` runs in the worker's thread and may wait for transforms; the other methods come from services and
topics in the executor's thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.covariance import through_extrinsic
from mvloc_ros.inference.frame import Frame, FrameError
from mvloc_ros.localization.gate import Fix, Gate, State, Verdict
from mvloc_ros.localization.localizer import PoseEstimate
from mvloc_ros.node.frame_parameters import FrameParameters, gate_limits
from mvloc_ros.node.input_log import InputLog
from mvloc_ros.node.messages import require_finite
from mvloc_ros.node.odometry import RobotTransforms
from mvloc_ros.node.tf_publisher import TfPublisher
from mvloc_ros.node.transform_watch import TransformWatch

Array = NDArray[np.float64]

# What a variance of an initial pose is taken for that is not stated (0), as by tools that point in the plane.
_UNSTATED_VARIANCE = np.array([1.0, 1.0, 1.0, 0.25, 0.25, 0.25])
_LOST_VARIANCE = 9999.0


@dataclass(frozen=True)
class Placement:
    """One estimate, judged and carried to the frame whose pose is published.

    Attributes:
        verdict: of the gate.
        stamp_ns: of the image.
        map_frame: frame of the pose.
        child: frame whose pose this is: the robot's or the camera's.
        T_map_child, covariance: of the estimate if it was believed; else the expected pose with variances
            that filters ignore, or None if nothing was ever believed.
        notes: what is less than was asked for, in words.
    """

    verdict: Verdict
    stamp_ns: int
    map_frame: str
    child: str
    T_map_child: Array | None
    covariance: Array
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Hint:
    stamp_ns: int
    T_map_child: Array
    covariance: Array


class Tracker:
    """What is believed about the camera's place, from fix to fix."""

    def __init__(
        self,
        values: FrameParameters,
        map_frame: str,
        transforms: RobotTransforms | None,
        tf: TfPublisher,
        is_from_before: Callable[[int], bool],
        log: InputLog,
        on_forget: Callable[[], object],
        watch: TransformWatch,
    ) -> None:
        """Start believing nothing.

        Args:
            values: the parameters.
            map_frame: frame of the estimates.
            transforms: the robot's own, where they are needed.
            tf: sends what is believed; nothing else uses it.
            is_from_before: whether a stamp belongs to the time before the clock jumped back.
            log: told while something of the robot's transforms is missing, and when it is there again.
            on_forget: called whenever what was believed is forgotten.
            watch: what others send on TF.
        """
        self._values = values
        self._map_frame = map_frame
        self._transforms = transforms
        self._tf = tf
        self._is_from_before = is_from_before
        self._log, self._on_forget = log, on_forget
        self._watch = watch
        self._lock = threading.Lock()
        self._gate = Gate(gate_limits(values))
        self._hint: _Hint | None = None
        self._last: Placement | None = None
        self._missing: dict[str, str] = {}
        self.last_rejection = ""

    def forget(self) -> None:
        """Believe nothing any more, and withdraw what TF was told."""
        with self._lock:
            self._forget()

    @property
    def missing(self) -> dict[str, str]:
        """Of `extrinsic` and `odometry`, why TF did not tell the last one asked for; empty texts where it did."""
        return dict(self._missing)

    def use_map(self, map_frame: str) -> None:
        """Take estimates in another map from now on; one of the same map keeps what is believed."""
        with self._lock:
            if map_frame != self._map_frame:
                self._forget()
                self._map_frame = map_frame

    def _forget(self) -> None:
        self._gate.forget()
        self._tf.withdraw()
        self._hint = self._last = None
        self._on_forget()

    def hint(self, stamp_ns: int, T_map_child: Array, covariance: Array) -> None:
        """Expect the next fix near a pose (4x4 of the frame that poses are published of; 6x6 in ROS order)."""
        stated = np.diag(covariance) > 0.0
        covariance = np.where(np.outer(stated, stated), covariance, 0.0) + np.diag(
            np.where(stated, 0.0, _UNSTATED_VARIANCE)
        )
        with self._lock:
            self._forget()
            self._hint = _Hint(stamp_ns, T_map_child, covariance)

    def validated(self, now_ns: int) -> Placement | str:
        """The last pose if it is one to start another localizer from; else why not, in words."""
        with self._lock:
            last, streak = self._last, self._gate.streak
        if last is None or not last.verdict.accepted:
            return "the last frame gave no pose that is believed" if last else "no pose has been believed yet"
        if streak < self._values.gate_confirmations:
            return f"only {streak} poses in a row were believed, {self._values.gate_confirmations} are asked for"
        age_s = 1e-9 * (now_ns - last.stamp_ns)
        if age_s > self._values.lost_after:
            return f"the last pose is {age_s:.1f} s old"
        if last.child != self._values.base_frame:
            return f"the published pose is that of {last.child}, not of {self._values.base_frame}"
        return last

    def odometry_of(self, frame: Frame) -> Array | None:
        """`T_odom_camera` of the camera that a frame's pose is of, at its stamp; None where TF does not tell.

        May wait as `place` does, which then finds the answer there.
        """
        if self._transforms is None:
            return None
        return self._transforms.lookup(self._values.odom_frame, self._camera_of(frame.frame_id), frame.stamp_ns).T

    def place(self, estimate: PoseEstimate, frame_id: str) -> Placement:
        """Judge an estimate, and tell TF if it is believed.

        Raises:
            FrameError: TF does not tell how the camera sits on the robot and no fallback is allowed, or the
                clock jumped back since the image was taken.
            MessageError: the pose to be published, or the transform, has numbers that are not finite.
        """
        camera, stamp_ns, notes = self._camera_of(frame_id), estimate.stamp_ns, list[str]()
        T_camera_base = self._extrinsic(camera, stamp_ns, notes)
        T_odom_camera = self._odometry(camera, stamp_ns, notes)
        fix = Fix(
            stamp_ns,
            estimate.T_map_camera,
            estimate.covariance,
            T_odom_camera,
            is_partial=not (estimate.color_used and estimate.depth_used),
            rejection=estimate.rejection,
        )
        child, T_camera_child = camera, np.eye(4)
        if T_camera_base is not None and not self._values.poses_are_of_camera:
            child, T_camera_child = self._values.base_frame, T_camera_base
        may_send = self._may_send(camera, notes)
        if not fix.rejection and np.isfinite(fix.T_map_camera).all():  # others are what the gate rejects
            # Before the gate, which would go on from a pose that cannot be published.
            covariance = through_extrinsic(fix.covariance, fix.T_map_camera, T_camera_child)
            require_finite(f"the pose of {child!r}", fix.T_map_camera @ T_camera_child, covariance)
        with self._lock:
            if self._is_from_before(stamp_ns):
                raise FrameError("The frame is from before the clock jumped back.")
            self._apply_hint(fix, camera, T_camera_child)
            verdict = self._gate.judge(fix)
            if verdict.accepted and may_send:
                self._tell_tf(fix, camera, T_camera_base)
            if not verdict.accepted:
                self.last_rejection = verdict.reason
            self._last = self._placement(verdict, fix, child, T_camera_child, tuple(notes))
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

    def _tell_tf(self, fix: Fix, camera: str, T_camera_base: Array | None) -> None:
        publish_frame, T_map_camera = self._values.publish_frame, fix.T_map_camera
        if publish_frame == "odom" and fix.T_odom_camera is not None:
            self._tf.hold(self._map_frame, self._values.odom_frame, T_map_camera @ se3.inverse(fix.T_odom_camera))
        elif publish_frame == "base_link" and T_camera_base is not None:
            self._tf.send(self._map_frame, self._values.base_frame, T_map_camera @ T_camera_base, fix.stamp_ns)
        elif publish_frame == "camera":
            self._tf.send(self._map_frame, camera, T_map_camera, fix.stamp_ns)

    def _placement(
        self, verdict: Verdict, fix: Fix, child: str, T_camera_child: Array, notes: tuple[str, ...]
    ) -> Placement:
        T_map_child = None if verdict.T_map_camera is None else verdict.T_map_camera @ T_camera_child
        covariance = _LOST_VARIANCE * np.eye(6)
        if verdict.accepted:
            covariance = through_extrinsic(fix.covariance, fix.T_map_camera, T_camera_child)
        return Placement(verdict, fix.stamp_ns, self._map_frame, child, T_map_child, covariance, notes)

    def _apply_hint(self, fix: Fix, camera: str, T_camera_child: Array) -> None:
        """Turn a waiting hint into an expected pose of the camera; the lock is held."""
        hint, self._hint = self._hint, None
        if hint is None:
            return
        stamp_ns, T_odom_camera = fix.stamp_ns, fix.T_odom_camera
        if self._transforms is not None and hint.stamp_ns:
            # The robot may have moved since; where odometry does not tell, the hint is taken as of now.
            then = self._transforms.lookup(self._values.odom_frame, camera, hint.stamp_ns, wait=False)
            stamp_ns, T_odom_camera = (stamp_ns, T_odom_camera) if then.T is None else (hint.stamp_ns, then.T)
        T_child_camera = se3.inverse(T_camera_child)
        covariance = through_extrinsic(hint.covariance, hint.T_map_child, T_child_camera)
        self._gate.hint(Fix(stamp_ns, hint.T_map_child @ T_child_camera, covariance, T_odom_camera))

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

    def _odometry(self, camera: str, stamp_ns: int, notes: list[str]) -> Array | None:
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
            notes.append(problem)
        return None

    def _note(self, what: str, problem: str) -> None:
        """Say when something goes missing and when it is there again, but not at each gap of a stream that has many."""
        self._missing[what] = problem
        kind = f"transforms: {what}"
        if problem:
            self._log.lasts(kind, problem)
        else:
            self._log.over(kind, "no other parent on TF any more" if what == "parent" else f"{what} is on TF now")


def state_of(placement: Placement, estimate: PoseEstimate) -> State:
    """The state after a frame: the gate's, and DEGRADED where the pose was believed but something is missing."""
    # A remark tells that an image was not used, or that the pose could not be refined although it should be.
    complete = estimate.color_used and estimate.depth_used and not estimate.remark and not placement.notes
    return State.DEGRADED if placement.verdict.accepted and not complete else placement.verdict.state
