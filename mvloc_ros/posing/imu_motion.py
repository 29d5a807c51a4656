# SPDX-License-Identifier: Apache-2.0
"""The gyroscope as a prior of the camera's rotation.

How the IMU is turned against the camera is stated by the recording or found from it: rotations C of the camera that
images determine and rotations G of the gyroscope are related by C = X G X^T with X = R_camera_imu, so that their
rotation vectors are turned into each other (Wahba's problem; solved as Kabsch did, 1976). What is stated is checked in
the same way before it is used. The bias is what makes the rotations differ least.

A robot on a level floor turns about one axis, and X is then undetermined about it. Rotations about that axis need it
no better; what a rotation has besides is counted as unknown to that degree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.posing.gyro import turned
from mvloc_ros.recordings.imu.samples import Imu, Readings

Array = NDArray[np.float64]
Integrate = Callable[[Array, float], Array]

# What a gyroscope errs by, one standard deviation: rad/s over the root of a Hz, its bias once that was found, in rad/s,
# a share of the turn (scale, axes that are not square), the time between its clock and the camera's, and always.
_DENSITY, _BIAS, _SHARE, _DELAY_S, _LEAST_RAD = 0.005, 0.003, 0.01, 0.004, np.deg2rad(0.1)
# The same of what the rotations that X was found from differ by, which is partly the images' error.
_OF_RESIDUAL = 0.5
# Rotations that X, or the bias alone where X is stated, is found from: so many pairs of keyframes, and so much turn.
_LEAST_PAIRS, _LEAST_TURN_RAD = 8, np.deg2rad(60.0)
_LEAST_PAIRS_STATED, _LEAST_TURN_STATED_RAD = 5, np.deg2rad(20.0)
_MOST_PAIRS = 200
# X is used if the rotations agree so well, median, and to this share of what they are.
_AGREE_RAD, _AGREE_SHARE = np.deg2rad(1.0), 0.3
# What images err by in one rotation at least, and what a bias is expected to be.
_SEEN_RAD, _USUAL_BIAS = np.deg2rad(0.15), 0.05
_ROUNDS, _ENOUGH = 8, 1e-5
# X is determined about the main axis if rotations about others exceed noise so many times, in square.
_ABOVE_NOISE = 4.0
_UNDETERMINED_RAD = np.deg2rad(10.0)
# What is wrong with angular velocities that fit with such a factor.
_FAULTS = (
    (np.pi / 180.0, "its angular velocity looks like deg/s"),
    (-1.0, "its axes look mirrored, or its angular velocity has the opposite sign"),
)


@dataclass(frozen=True, eq=False)
class ImuMount:
    """How the IMU is turned against the camera.

    Attributes:
        R_camera_imu: 3x3.
        bias: of the gyroscope, rad/s `[3]`, in its axes.
        radians: by how much rotations of camera and gyroscope differ, median.
        axis: unit vector `[3]` in the camera's axes, about which R_camera_imu is known least.
        axis_sigma: how well, in rad, one standard deviation; pi where nothing tells.
        is_stated: whether the recording states R_camera_imu, else it was found.
    """

    R_camera_imu: Array
    bias: Array
    radians: float
    axis: Array
    axis_sigma: float
    is_stated: bool

    @property
    def is_determined(self) -> bool:
        """Whether R_camera_imu is known about every axis."""
        return bool(self.axis_sigma < _UNDETERMINED_RAD)


class ImuMotion:
    """The IMU of one recording, and what was found of it."""

    def __init__(self, imu: Imu, mount: ImuMount | None = None) -> None:
        """`mount` is known from another recording with the same IMU, or from a first look at this one."""
        self.imu = imu
        self.mount = mount
        self.why = "" if imu.rates is not None else "it has no angular velocity"
        self._spans: list[tuple[int, int]] = []
        self._camera: list[Array] = []
        self._solved_with = 0

    @property
    def R_camera_imu(self) -> Array | None:
        """As found, else as stated (which nothing has confirmed then), 3x3."""
        if self.mount is not None:
            return self.mount.R_camera_imu
        return None if self.why and self.imu.rates is not None else self.imu.R_camera_imu

    @property
    def why_not(self) -> str:
        """Why it tells no rotation; empty where it does."""
        if self.mount is not None:
            return ""
        return (
            self.why or f"{len(self._spans)} motions of the camera that images determine are too few to tell its axes"
        )

    @property
    def wants_a_look(self) -> bool:
        """Whether a first look at the recording could tell more."""
        return self.imu.rates is not None and self.mount is None

    def rotation(self, then_ns: int, now_ns: int) -> tuple[Array, float] | None:
        """R_then_now of the camera (3x3) and its standard deviation in rad; None where it is not known.

        Times are stamps of frames.
        """
        span = self._span(then_ns, now_ns)
        if self.mount is None or self.imu.rates is None or span is None:
            return None
        of_imu = turned(self.imu.rates, *span, self.mount.bias)
        if of_imu is None:
            return None
        X = self.mount.R_camera_imu
        R = X @ of_imu @ X.T
        vector = se3.rotation_vector(R)
        seconds = max(1e-9 * abs(span[1] - span[0]), 1e-3)
        angle = float(np.linalg.norm(vector))
        aside = float(np.linalg.norm(vector - self.mount.axis * (self.mount.axis @ vector)))
        errors = [
            _LEAST_RAD,
            _OF_RESIDUAL * self.mount.radians,
            _DENSITY * seconds**0.5,
            _BIAS * seconds,
            _SHARE * angle,
            _DELAY_S * angle / seconds,
            min(1.0, self.mount.axis_sigma) * aside,
        ]
        return R, float(np.linalg.norm(errors))

    def learn(self, then_ns: int, now_ns: int, T_then_now: Array) -> None:
        """A motion of the camera that images determine well; X is found again when there are twice as many."""
        span = self._span(then_ns, now_ns)
        if self.imu.rates is None or span is None or turned(self.imu.rates, *span) is None:
            return
        self._spans.append(span)
        self._camera.append(T_then_now[:3, :3])
        is_stated = self.imu.R_camera_imu is not None
        least = _LEAST_PAIRS_STATED if is_stated else _LEAST_PAIRS
        count = len(self._spans)
        if not max(least, 2 * self._solved_with) <= count <= _MOST_PAIRS:
            return
        turn = sum(float(np.linalg.norm(se3.rotation_vector(R))) for R in self._camera)
        if turn < (_LEAST_TURN_STATED_RAD if is_stated else _LEAST_TURN_RAD):
            return
        self._solved_with = count
        seconds = 1e-9 * np.array([end - start for start, end in self._spans])
        found = solve(self._integrate, np.array(self._camera), seconds, self.imu.R_camera_imu)
        self.mount, self.why = (None, found) if isinstance(found, str) else (found, "")

    def _integrate(self, bias: Array, scale: float) -> Array:
        assert self.imu.rates is not None
        rates = Readings(self.imu.rates.stamps_ns, scale * self.imu.rates.values)
        found = [turned(rates, *span, bias) for span in self._spans]
        return np.array([R for R in found if R is not None])

    def _span(self, then_ns: int, now_ns: int) -> tuple[int, int] | None:
        then, now = self.imu.recorded(then_ns), self.imu.recorded(now_ns)
        return None if then is None or now is None else (then, now)


def solve(integrate: Integrate, camera: Array, seconds: Array, stated: Array | None = None) -> ImuMount | str:
    """X and the bias, or why there are none.

    Args:
        integrate: rotations of the gyroscope `[N, 3, 3]` for a bias `[3]` in rad/s and a factor of what it measured.
        camera: rotations of the camera over the same times, `[N, 3, 3]`.
        seconds: how long these are, `[N]`.
        stated: X as the recording has it; it is kept if it agrees with the rotations.
    """
    usual = float(np.median(np.linalg.norm(se3.rotation_vector(camera), axis=1)))
    most = min(_AGREE_RAD, max(_AGREE_SHARE * usual, 2.0 * _SEEN_RAD))
    mount = None
    for X in (stated, None) if stated is not None else (None,):
        mount = _solved(integrate, camera, seconds, X)
        if mount.radians <= most:
            return mount
    assert mount is not None
    differ = f"its rotations differ from those of the images by {np.rad2deg(mount.radians):.1f} degrees (median)"
    for factor, reason in _FAULTS:
        if _solved(integrate, camera, seconds, None, factor).radians <= most:
            return f"{differ}: {reason}"
    return f"{differ}: check its stamps against those of the images, its unit, and that it is fixed to the camera"


def _solved(integrate: Integrate, camera: Array, seconds: Array, stated: Array | None, factor: float = 1.0) -> ImuMount:
    bias = np.zeros(3)
    wanted = se3.rotation_vector(camera)
    weight = np.ones(len(camera))
    X = np.eye(3) if stated is None else stated
    for _ in range(_ROUNDS):
        of_imu = integrate(bias, factor)
        vectors = se3.rotation_vector(of_imu)
        if stated is None:
            X = _turned_onto(vectors, wanted, weight)
        rest = se3.rotation_vector(np.swapaxes(of_imu, 1, 2) @ X.T @ camera @ X)
        size = np.linalg.norm(rest, axis=1)
        scale = max(float(np.median(size)), _SEEN_RAD)
        weight = 1.0 / (1.0 + (size / (3.0 * scale)) ** 2)
        # Rotations with a bias more by b are less by b times the time, in the axes half way.
        J = -seconds[:, None, None] * _matrix(-0.5 * vectors)
        H = np.einsum("n,nij,nik->jk", weight, J, J) + np.eye(3) * (scale / _USUAL_BIAS) ** 2
        b = np.einsum("n,nij,ni->j", weight, J, rest) - bias * (scale / _USUAL_BIAS) ** 2
        more = np.linalg.solve(H, b)
        bias = bias + more
        if np.abs(more).max() < _ENOUGH:
            break
    axis, sigma = _least_known(wanted, weight, scale)
    if stated is not None:
        sigma = 0.0
    return ImuMount(X, bias, float(np.median(size)), axis, sigma, stated is not None)


def _turned_onto(vectors: Array, wanted: Array, weight: Array) -> Array:
    """The rotation (3x3) that brings vectors `[N, 3]` nearest to wanted ones."""
    u, _, vt = np.linalg.svd((wanted * weight[:, None]).T @ vectors)
    return np.asarray(u @ np.diag([1.0, 1.0, np.linalg.det(u) * np.linalg.det(vt)]) @ vt)


def _least_known(vectors: Array, weight: Array, noise: float) -> tuple[Array, float]:
    """The axis of rotations `[N, 3]` about which they tell least, and the standard deviation about it."""
    values, axes = np.linalg.eigh((vectors * weight[:, None]).T @ vectors)
    of_noise = 2.0 * float(weight.sum()) * noise**2
    others = float(values[:2].sum())
    sigma = noise / np.sqrt(others - of_noise) if others > _ABOVE_NOISE * of_noise else np.pi
    return np.asarray(axes[:, 2]), float(min(sigma, np.pi))


def _matrix(vectors: Array) -> Array:
    return np.asarray(quaternion.to_matrix(quaternion.exp(0.5 * vectors)))
