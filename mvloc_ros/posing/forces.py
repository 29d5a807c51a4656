# SPDX-License-Identifier: Apache-2.0
"""What an accelerometer measured on the way of a camera, in the map's axes.

It measures gravity and the camera's own acceleration. The mean over some time is gravity but for the change of the
velocity over that time, which is known from the poses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion
from mvloc_ros.posing.tracks import Track
from mvloc_ros.recordings.imu.samples import Readings

Array = NDArray[np.float64]

# Frames, and samples, further apart than this are not of one way.
_FRAMES_APART_S, _SAMPLES_APART_S = 0.6, 0.1
# Half of the time that a velocity is found from.
_VELOCITY_S = 0.25


@dataclass(frozen=True, eq=False)
class Way:
    """Consecutive frames of one track and the samples in their time, in seconds from the first.

    Attributes:
        times, positions: of frames, `[F]` and `[F, 3]`, in the map.
        keyframe: the number of each that is a keyframe in its track, else -1, `[F]`.
        at: times of samples `[N]`.
        turns: R_map_camera at these, `[N, 3, 3]`.
        forces: specific forces there in the IMU's axes, `[N, 3]`.
    """

    times: Array
    positions: Array
    keyframe: NDArray[np.intp]
    at: Array
    turns: Array
    forces: Array


@dataclass(frozen=True, eq=False)
class Mean:
    """Over a span of time.

    Attributes:
        force: mean specific force in the map `[3]`, without the change of velocity, in m/s^2.
        turn: mean rotation `[3, 3]` from the IMU to the map.
        seconds: how long it is.
    """

    force: Array
    turn: Array
    seconds: float


def ways_of(track: Track, readings: Readings, poses: Array) -> list[Way]:
    """The parts of a track without pauses, of frames and of samples; `poses` are those of its keyframes."""
    assert track.imu is not None
    stamped = [(track.imu.imu.recorded(frame.record.stamp_ns), frame) for frame in track.frames]
    known = [(stamp, frame) for stamp, frame in stamped if stamp is not None]
    if len(known) < 2:
        return []
    first_ns = known[0][0]
    times = 1e-9 * np.array([stamp - first_ns for stamp, _ in known])
    at = 1e-9 * (readings.stamps_ns - first_ns)
    T = np.array([poses[frame.keyframe] @ frame.T_keyframe_camera for _, frame in known])
    keyframe = np.array([
        frame.keyframe if track.keyframes[frame.keyframe].view.stamp_ns == frame.record.stamp_ns else -1
        for _, frame in known
    ])  # fmt: skip
    found = []
    for samples in np.split(np.arange(len(at)), np.flatnonzero(np.diff(at) > _SAMPLES_APART_S) + 1):
        covered = np.flatnonzero((times >= at[samples[0]]) & (times <= at[samples[-1]]))
        for frames in np.split(covered, np.flatnonzero(np.diff(times[covered]) > _FRAMES_APART_S) + 1):
            if len(frames) < 2:
                continue
            mine = samples[(at[samples] >= times[frames[0]]) & (at[samples] <= times[frames[-1]])]
            if len(mine) >= 2:
                found.append(_one_way(times[frames], T[frames], keyframe[frames], at[mine], readings.values[mine]))
    return found


def _one_way(times: Array, T: Array, keyframe: NDArray[np.intp], at: Array, forces: Array) -> Way:
    before = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    share = (at - times[before]) / (times[before + 1] - times[before])
    q = quaternion.from_matrix(T[:, :3, :3])
    turns = quaternion.to_matrix(quaternion.slerp(q[before], q[before + 1], share))
    return Way(times, T[:, :3, 3], keyframe, at, turns, forces)


def mean_over(way: Way, X: Array, start: float, end: float) -> Mean | None:
    """Over a span, as far as there are samples."""
    first = max(int(np.searchsorted(way.at, start)), 0)
    last = min(int(np.searchsorted(way.at, end, side="right")), len(way.at)) - 1
    if last <= first:
        return None
    start, end = float(way.at[first]), float(way.at[last])
    seconds = end - start
    turns = way.turns[first : last + 1] @ X
    forces = np.einsum("nij,nj->ni", turns, way.forces[first : last + 1])
    steps = np.diff(way.at[first : last + 1])
    weight = 0.5 * (np.append(steps, 0.0) + np.append(0.0, steps)) / seconds
    change = _velocity(way, end) - _velocity(way, start)
    return Mean(weight @ forces - change / seconds, np.einsum("n,nij->ij", weight, turns), seconds)


def _velocity(way: Way, time: float) -> Array:
    """Of the camera in the map, m/s `[3]`."""
    before, after = max(time - _VELOCITY_S, way.times[0]), min(time + _VELOCITY_S, way.times[-1])
    places = [np.array([np.interp(t, way.times, axis) for axis in way.positions.T]) for t in (before, after)]
    return np.asarray((places[1] - places[0]) / max(after - before, 1e-3))
