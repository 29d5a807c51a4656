# SPDX-License-Identifier: Apache-2.0
"""Where up is by the accelerometer: over a whole recording, and at each keyframe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.posing.force_axes import turned_as
from mvloc_ros.posing.forces import Mean, Way, mean_over, ways_of
from mvloc_ros.posing.pose_graph import Known
from mvloc_ros.posing.tracks import Track
from mvloc_ros.posing.upright import turned_up

Array = NDArray[np.float64]

# Half of the time that the up direction at a keyframe is found from, and the least of it.
_HALF_S, _LEAST_S = 2.0, 1.0
# What is found must be gravity to this, m/s^2.
_GRAVITY, _MOST_OFF = 9.81, 0.5
# Standard deviation of one direction, and of the accelerometer's bias in m/s^2.
_SIGMA_RAD, _BIAS = np.deg2rad(0.5), 0.1
# As how many independent ones all directions count, since what bends a map goes on for long.
_INDEPENDENT = 10.0
_UNKNOWN = 1e3


@dataclass(frozen=True, eq=False)
class Gravity:
    """Where up is in the frame of the poses.

    Attributes:
        up: of the whole map, unit vector `[3]`.
        known: the tilt of each keyframe that has one, in a frame in which `up` is z.
        T_level: 4x4, into that frame.
        spread_rad: by how much directions at single keyframes differ from `up`, median.
    """

    up: Array
    known: list[Known]
    T_level: Array
    spread_rad: float


@dataclass(frozen=True, eq=False)
class _AtKeyframe:
    """The span around a keyframe: its number in the poses, and how many keyframes are in the span."""

    pose: int
    mean: Mean
    shared_by: int


def find_gravity(tracks: Sequence[Track], members: Sequence[Sequence[int]], poses: Array) -> Gravity | str:
    """Up by the accelerometers of the recordings, or why they do not tell it; empty where there are none.

    Args:
        tracks: all.
        members: of each track the numbers of its keyframes in `poses`; empty for a track that is not in the map.
        poses: T_map_camera of keyframes, `[N, 4, 4]`.
    """
    total, seconds, each, why = np.zeros(3), 0.0, list[_AtKeyframe](), ""
    for track, mine in zip(tracks, members, strict=True):
        if track.imu is None or track.imu.imu.accelerations is None or not mine:
            continue
        ways = ways_of(track, track.imu.imu.accelerations, poses[list(mine)])
        X = turned_as(track.imu, ways)
        if X is None:
            why = "the IMU tells no up direction: neither the recording nor the camera's motion tells how it is mounted"
            continue
        for way in ways:
            if (whole := mean_over(way, X, way.times[0], way.times[-1])) is not None:
                total += whole.force * whole.seconds
                seconds += whole.seconds
            each += _at_keyframes(way, X, mine)
    if not seconds:
        return why
    mean = float(np.linalg.norm(total)) / seconds
    if abs(mean - _GRAVITY) > _MOST_OFF:
        return (
            f"the IMU tells no up direction: in the map its accelerations have a mean of {mean:.2f} m/s^2 and not of "
            f"{_GRAVITY}, so that it is turned against the camera otherwise, or not fixed to it"
        )
    return _gravity(total / np.linalg.norm(total), each, poses)


def _gravity(up: Array, each: Sequence[_AtKeyframe], poses: Array) -> Gravity:
    T = turned_up(up)
    bias = _bias([one.mean for one in each], up)
    known, off = list[Known](), list[float]()
    for one in each:
        if abs(float(np.linalg.norm(one.mean.force)) - _GRAVITY) > _MOST_OFF:
            continue
        force = one.mean.force - one.mean.turn @ bias
        direction = T[:3, :3] @ force / np.linalg.norm(force)
        off.append(float(np.arccos(np.clip(direction[2], -1.0, 1.0))))
        told = T @ poses[one.pose]
        told[:3, :3] = turned_up(direction)[:3, :3] @ told[:3, :3]
        # Spans of neighbors overlap: together they tell no more than those that do not.
        sigma = _SIGMA_RAD * one.shared_by**0.5
        sigmas = np.array([_UNKNOWN] * 3 + [sigma, sigma, _UNKNOWN])
        known.append(Known(one.pose, told, np.diag(sigmas**2)))
    return Gravity(up, known, T, float(np.median(off)) if off else 0.0)


def _bias(means: Sequence[Mean], up: Array) -> Array:
    """Of the accelerometer, m/s^2 `[3]`: what stays in the IMU's axes while the camera turns; 0 where nothing tells.

    A map that is bent has tilts that may go along with the headings: the more directions differ, the less counts.
    """
    if not means:
        return np.zeros(3)
    forces = np.array([one.force for one in means])
    aside = np.linalg.norm(forces - (forces @ up)[:, None] * up, axis=1)
    sigma = max(_GRAVITY * _SIGMA_RAD, float(np.median(aside)))
    weight = _INDEPENDENT / len(means) * sigma**-2.0
    H, b = np.diag([1e-6] * 3 + [_BIAS**-2.0] * 3), np.zeros(6)
    b[:3] = 1e-6 * _GRAVITY * up
    for one in means:
        J = np.hstack([np.eye(3), one.turn])
        H, b = H + weight * J.T @ J, b + weight * J.T @ one.force
    return np.asarray(np.linalg.solve(H, b)[3:])


def _at_keyframes(way: Way, X: Array, members: Sequence[int]) -> list[_AtKeyframe]:
    is_keyframe = way.keyframe >= 0
    found = []
    for time, number in zip(way.times[is_keyframe], way.keyframe[is_keyframe], strict=True):
        mean = mean_over(way, X, time - _HALF_S, time + _HALF_S)
        if mean is not None and mean.seconds >= _LEAST_S:
            near = np.abs(way.times[is_keyframe] - time) <= _HALF_S
            found.append(_AtKeyframe(members[number], mean, int(near.sum())))
    return found
