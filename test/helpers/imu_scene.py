# SPDX-License-Identifier: Apache-2.0
"""What an IMU on a camera measures on its way, for the tests of `mvloc_ros.posing` and of the files of an IMU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.recordings.imu.samples import Imu, Readings

G = 9.81


def rotation(*degrees: float) -> np.ndarray:
    """3x3 of a rotation vector in degrees."""
    return quaternion.to_matrix(quaternion.exp(0.5 * np.deg2rad(degrees)))


R_CAMERA_IMU = rotation(50.0, -70.0, 130.0)


def imu_on(
    poses: Sequence[np.ndarray],
    period_s: float,
    rng: np.random.Generator,
    *,
    R_camera_imu: np.ndarray = R_CAMERA_IMU,
    bias: Sequence[float] = (0.0, 0.0, 0.0),
    noise: float = 1.0,
    hz: float = 200.0,
    first_ns: int = 0,
) -> Imu:
    """Samples of an IMU on a camera with poses (4x4, z up) at even times, which turns at a constant rate between them.

    Its noise is that of a cheap sensor: 0.005 rad/s and 0.005 m/s^2 by the root of a Hz.
    """
    T = np.array(poses)
    at = np.arange(0.0, (len(T) - 1) * period_s + 2.0 / hz, 1.0 / hz)
    before = np.minimum((at / period_s).astype(int), len(T) - 2)
    rates = se3.rotation_vector(np.swapaxes(T[:-1, :3, :3], 1, 2) @ T[1:, :3, :3]) / period_s
    since = (at - before * period_s)[:, None]
    R = T[before, :3, :3] @ quaternion.to_matrix(quaternion.exp(0.5 * since * rates[before]))
    change = np.zeros((len(T), 3))
    change[1:-1] = np.diff(T[:, :3, 3], n=2, axis=0) / period_s**2
    times = period_s * np.arange(len(T))
    forces = np.stack([np.interp(at, times, axis) for axis in change.T], axis=1)
    forces[:, 2] += G
    root = noise * np.sqrt(hz)
    gyro = rates[before] @ R_camera_imu + bias + 0.005 * root * rng.standard_normal((len(at), 3))
    accel = np.einsum("nji,nj->ni", R, forces) @ R_camera_imu + 0.005 * root * rng.standard_normal((len(at), 3))
    stamps = first_ns + np.rint(1e9 * at).astype(np.int64)
    return Imu(Readings(stamps, gyro), Readings(stamps, accel))
