# SPDX-License-Identifier: Apache-2.0
"""Rotation by angular velocity: what a gyroscope tells of the way from one time to another.

Between two samples the velocity is taken to change linearly; the rotation of such a step is the exponential map of the
mean velocity and of the first commutator (a Magnus expansion of fourth order), so that the axis may change.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion
from mvloc_ros.recordings.imu.samples import Readings

Array = NDArray[np.float64]

_GAP_NS = 100_000_000
_NO_BIAS = np.zeros(3)


def turned(rates: Readings, then_ns: int, now_ns: int, bias: Array = _NO_BIAS) -> Array | None:
    """R_then_now (3x3) in the gyroscope's axes; None outside of the samples and over gaps of more than 0.1 s.

    Args:
        rates: in rad/s.
        then_ns: by the clock of the samples.
        now_ns: likewise; it may be the earlier one.
        bias: in rad/s, `[3]`, that is subtracted.
    """
    if now_ns < then_ns:
        back = turned(rates, now_ns, then_ns, bias)
        return None if back is None else np.asarray(back.T)
    stamps = rates.stamps_ns
    first = int(np.searchsorted(stamps, then_ns, side="right"))
    end = int(np.searchsorted(stamps, now_ns, side="left"))
    if first == 0 or end == len(stamps):
        return None
    if int(np.diff(stamps[first - 1 : end + 1]).max(initial=0)) > _GAP_NS:
        return None
    inner = stamps[first:end]
    times = np.concatenate([[0.0], 1e-9 * (inner - then_ns), [1e-9 * (now_ns - then_ns)]])
    values = np.vstack([_at(rates, first, then_ns), rates.values[first:end], _at(rates, end, now_ns)]) - bias
    steps = np.diff(times)[:, None]
    w_0, w_1 = values[:-1], values[1:]
    vectors = 0.5 * steps * (w_0 + w_1) + steps**2 / 12.0 * np.cross(w_0, w_1)
    return np.asarray(quaternion.to_matrix(_product(quaternion.exp(0.5 * vectors))))


def _at(rates: Readings, after: int, stamp_ns: int) -> Array:
    """The velocity between the sample before `after` and that one."""
    start, end = int(rates.stamps_ns[after - 1]), int(rates.stamps_ns[after])
    share = (stamp_ns - start) / (end - start)
    return np.asarray((1.0 - share) * rates.values[after - 1] + share * rates.values[after])


def _product(q: Array) -> Array:
    """The product of quaternions `[N, 4]` in their order, by halves."""
    while len(q) > 1:
        if len(q) % 2:
            q = np.vstack([q, [0.0, 0.0, 0.0, 1.0]])
        q = quaternion.multiply(q[0::2], q[1::2])
    return np.asarray(quaternion.normalise(q[0]))
