# SPDX-License-Identifier: Apache-2.0
"""The robot's own odometry as a prior of the camera's motion.

Where the camera is on the robot is found from the recording itself: camera motions C that images determine and motions
O of the base are related by O X = X C with X = T_base_camera (hand-eye calibration; Tsai and Lenz, 1989), solved by
damped least squares. On a level floor nothing tells the camera's height above the base, and nothing needs it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.motion_limits import MotionLimits
from mvloc_ros.geometry.trajectory import Interpolation, Trajectory
from mvloc_ros.localization.motion import Distance, moved

Array = NDArray[np.float64]

# What odometry errs by, one standard deviation: a share of the way and of the turn, and always.
_SHARE, _LEAST_M, _LEAST_RAD = 0.05, 0.004, np.deg2rad(0.2)
# Motions that X is found from: so much way and turn together, and the pairs of keyframes.
_LEAST_WAY_M, _LEAST_TURN_RAD, _LEAST_PAIRS = 1.5, np.deg2rad(60.0), 15
# X is used if the motions agree so well, median.
_AGREE_M, _AGREE_RAD = 0.03, np.deg2rad(1.5)
# Optical frame of a camera that looks along x of the base, and others turned about the vertical.
_FORWARD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
_HEADINGS = np.deg2rad([0.0, 90.0, 180.0, -90.0])
_ROUNDS, _STEP = 20, 1e-6
_WEIGHTS = np.array([1.0 / 0.01] * 3 + [1.0 / np.deg2rad(0.5)] * 3)
# What keeps the height where it is: the camera within a meter of the base.
_WEAK = np.array([1.0] * 3 + [0.1] * 3)
_MOST_PAIRS = 200
_GAPS = Interpolation(500_000_000, MotionLimits())


@dataclass(frozen=True, eq=False)
class Mount:
    """Where the camera is on the robot: T_base_camera (4x4), and the medians of what motions differ by."""

    T_base_camera: Array
    metres: float
    radians: float


class BaseOdometry:
    """The odometry of one recording, and what was found of the camera's place on the robot."""

    def __init__(self, trajectory: Trajectory, mount: Mount | None = None) -> None:
        """`mount` is known from another recording of the same robot."""
        self._trajectory = trajectory
        self.mount = mount
        self._base: list[Array] = []
        self._camera: list[Array] = []
        self._solved_with = 0

    def motion(self, then_ns: int, now_ns: int) -> tuple[Array, Array] | None:
        """T_then_now of the camera (4x4) and the standard deviations `[6]` of that; None where it is not known."""
        if self.mount is None or (base := self._base_motion(then_ns, now_ns)) is None:
            return None
        X = self.mount.T_base_camera
        came = Distance.of(base)
        metres = _LEAST_M + _SHARE * came.metres + _SHARE * came.radians * 0.3
        radians = _LEAST_RAD + _SHARE * came.radians
        return se3.inverse(X) @ base @ X, np.array([metres] * 3 + [radians] * 3)

    def learn(self, then_ns: int, now_ns: int, T_then_now: Array) -> None:
        """A motion of the camera that images determine well; X is found again when there are twice as many."""
        base = self._base_motion(then_ns, now_ns)
        if base is None:
            return
        self._base.append(base)
        self._camera.append(T_then_now)
        came = [Distance.of(T) for T in self._base]
        is_enough = (
            len(came) >= max(_LEAST_PAIRS, 2 * self._solved_with)
            and sum(one.metres for one in came) >= _LEAST_WAY_M
            and sum(one.radians for one in came) >= _LEAST_TURN_RAD
        )
        if is_enough and len(came) <= _MOST_PAIRS:
            self._solved_with = len(came)
            self.mount = solve(np.array(self._base), np.array(self._camera)) or self.mount

    def _base_motion(self, then_ns: int, now_ns: int) -> Array | None:
        then, now = (self._trajectory.sample(stamp, _GAPS) for stamp in (then_ns, now_ns))
        if not isinstance(then, np.ndarray) or not isinstance(now, np.ndarray):
            return None
        return se3.inverse(then) @ now


def solve(base: Array, camera: Array) -> Mount | None:
    """X of motions `[N, 4, 4]` of base and camera; None if no X makes them agree."""
    found = [_descended(base, camera, heading) for heading in _HEADINGS]
    best = min(found, key=lambda X: float(np.median(np.abs(_residuals(X, base, camera)))))
    rest = _residuals(best, base, camera)
    metres, radians = (float(np.median(np.linalg.norm(rest[:, a : a + 3], axis=1))) for a in (0, 3))
    return Mount(best, metres, radians) if metres <= _AGREE_M and radians <= _AGREE_RAD else None


def _descended(base: Array, camera: Array, heading: float) -> Array:
    X = np.eye(4)
    c, s = np.cos(heading), np.sin(heading)
    X[:3, :3] = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ _FORWARD
    for _ in range(_ROUNDS):
        rest = _residuals(X, base, camera)
        J = np.stack([(_residuals(moved(X, _STEP * e), base, camera) - rest) / _STEP for e in np.eye(6)], axis=2)
        scaled = rest * _WEIGHTS
        weight = 1.0 / (1.0 + np.sum(scaled**2, axis=1, keepdims=True) / 9.0)  # Cauchy: wheels slip
        rows = (J * (_WEIGHTS * np.sqrt(weight))[:, :, None]).reshape(-1, 6)
        values = (scaled * np.sqrt(weight)).reshape(-1)
        # Damped towards where it is; the position also towards the base.
        H = rows.T @ rows + np.diag(_WEAK)
        b = -rows.T @ values - _WEAK * np.concatenate([X[:3, 3], np.zeros(3)])
        delta = np.linalg.solve(H, b)
        X = moved(X, delta)
        if np.abs(delta).max() < 1e-5:
            break
    return X


def _residuals(X: Array, base: Array, camera: Array) -> Array:
    """`[N, 6]`: by what X^-1 O X differs from C, position and rotation."""
    predicted = se3.inverse(X) @ base @ X
    turned = se3.rotation_vector(predicted[:, :3, :3] @ np.swapaxes(camera[:, :3, :3], 1, 2))
    return np.concatenate([predicted[:, :3, 3] - camera[:, :3, 3], turned], axis=1)
