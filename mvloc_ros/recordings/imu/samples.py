# SPDX-License-Identifier: Apache-2.0
"""What an IMU measured, checked: finite, in order of time, and in units that can be those of REP-103.

Angular velocity is in rad/s. Acceleration is the specific force in m/s^2, which at rest is 9.81 upwards (REP-145).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Below this many samples nothing can be said of units.
_LEAST_SAMPLES = 10
# Standard gravity to 13 %: what is beyond is another unit, or has no gravity in it.
_LEAST_G, _MOST_G = 8.5, 11.0
_OTHER_UNITS = (("g", 1.0), ("cm/s^2", 981.0), ("mm/s^2", 9810.0), ("milli-g", 1000.0))
_LIKE = 0.13
# Cameras whose images can be aligned turn slower than this (460 deg/s) in 95 % of the time.
_MOST_RATE = 8.0
# A step of time is a gap beyond this, and beyond so many usual steps.
_GAP_NS, _GAP_STEPS = 50_000_000, 5


@dataclass(frozen=True, eq=False)
class Readings:
    """Values float64 `[N, 3]` at stamps in nanoseconds, int64 `[N]`, strictly increasing."""

    stamps_ns: NDArray[np.int64]
    values: Array

    @property
    def rate_hz(self) -> float:
        """By the median step."""
        return 1e9 / float(np.median(np.diff(self.stamps_ns)))


@dataclass(frozen=True, eq=False)
class ImageTimes:
    """The clock of the IMU at the frames: stamps of frames and of the IMU, int64 `[N]`, both strictly increasing.

    In a layout that counts frames the stamp of a frame is only near the time at which it was taken.
    """

    frames_ns: NDArray[np.int64]
    recorded_ns: NDArray[np.int64]

    def recorded(self, frame_ns: int) -> int | None:
        """The IMU's clock at a frame's stamp; None outside of the frames."""
        at = int(np.searchsorted(self.frames_ns, frame_ns))
        if at < len(self.frames_ns) and self.frames_ns[at] == frame_ns:
            return int(self.recorded_ns[at])
        if at in (0, len(self.frames_ns)):
            return None
        share = (frame_ns - int(self.frames_ns[at - 1])) / int(self.frames_ns[at] - self.frames_ns[at - 1])
        return int(self.recorded_ns[at - 1]) + round(share * int(self.recorded_ns[at] - self.recorded_ns[at - 1]))


@dataclass(frozen=True, eq=False)
class Imu:
    """The IMU of one recording.

    Attributes:
        rates: angular velocity in rad/s, in the IMU's axes; None where there is none that can be used.
        accelerations: specific force in m/s^2, in the same axes; None likewise.
        R_camera_imu: 3x3, from these axes to those of the camera that is posed; None where it is not known.
        times: how the frames' stamps relate to those of the samples; None where they are of one clock.
        source: where it comes from, for the user.
        remarks: what was left out, and why.
    """

    rates: Readings | None
    accelerations: Readings | None
    R_camera_imu: Array | None = None
    times: ImageTimes | None = None
    source: str = ""
    remarks: tuple[str, ...] = field(default_factory=tuple)

    def recorded(self, frame_ns: int) -> int | None:
        """The time of a frame by the clock of the samples; None where it is not known."""
        return frame_ns if self.times is None else self.times.recorded(frame_ns)

    @property
    def is_useful(self) -> bool:
        """Whether anything is left of it."""
        return self.rates is not None or self.accelerations is not None

    def lines(self, frames_ns: Sequence[int]) -> Iterator[str]:
        """What there is for frames of these stamps, and remarks."""
        parts = [part for part in (self.rates, self.accelerations) if part is not None]
        known = [stamp for frame in frames_ns if (stamp := self.recorded(frame)) is not None]
        inside = [sum(int(p.stamps_ns[0]) <= stamp <= int(p.stamps_ns[-1]) for stamp in known) for p in parts]
        R = "stated" if self.R_camera_imu is not None else "not stated"
        yield f"imu: {self.source}, {self.text()}, rotation to the camera {R}, over {min(inside, default=0)} of " + (
            f"{len(frames_ns)} frames"
        )
        if parts and not min(inside, default=0):
            yield "note: the IMU has no sample at the time of any frame: their stamps are of different clocks"
        for remark in self.remarks:
            yield f"note: {remark}"

    def text(self) -> str:
        """Which parts there are, at which rate."""
        parts = {"angular velocity": self.rates, "acceleration": self.accelerations}
        there = [f"{name} at {part.rate_hz:.4g} Hz" for name, part in parts.items() if part is not None]
        return " and ".join(there) if there else "nothing that can be used"


def checked_rates(stamps_ns: NDArray[np.int64], values: Array) -> tuple[Readings | None, tuple[str, ...]]:
    """Angular velocities `[N, 3]` that can be used, and remarks; None where they cannot be rad/s."""
    readings, remarks = _in_order("angular velocity", stamps_ns, values)
    if readings is None:
        return None, remarks
    fast = float(np.quantile(np.linalg.norm(readings.values, axis=1), 0.95))
    if fast > _MOST_RATE:
        return None, (
            *remarks,
            f"the angular velocity reaches {fast:.3g} (95 %), too much for rad/s; it looks like deg/s and is not "
            "used: publish rad/s (REP-103)",
        )
    return readings, remarks


def checked_accelerations(stamps_ns: NDArray[np.int64], values: Array) -> tuple[Readings | None, tuple[str, ...]]:
    """Accelerations `[N, 3]` that can be used, and remarks; None where they cannot be m/s^2 with gravity."""
    readings, remarks = _in_order("acceleration", stamps_ns, values)
    if readings is None:
        return None, remarks
    usual = float(np.median(np.linalg.norm(readings.values, axis=1)))
    if _LEAST_G <= usual <= _MOST_G:
        return readings, remarks
    unit = next((name for name, g in _OTHER_UNITS if abs(usual / g - 1.0) < _LIKE), "")
    looks = f"looks like {unit}" if unit else "is no acceleration with gravity in m/s^2"
    return None, (
        *remarks,
        f"the acceleration has a median of {usual:.4g} and {looks} (9.81 is expected); it is not used: publish m/s^2 "
        "with gravity (REP-145)",
    )


def _in_order(name: str, stamps_ns: NDArray[np.int64], values: Array) -> tuple[Readings | None, tuple[str, ...]]:
    """Finite values at increasing stamps."""
    remarks = []
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        remarks.append(f"{int((~finite).sum())} samples of the {name} are left out: a number is not finite")
    stamps_ns, values = stamps_ns[finite], values[finite]
    latest = np.maximum.accumulate(stamps_ns) if len(stamps_ns) else stamps_ns
    later = np.ones(len(stamps_ns), np.bool_)
    later[1:] = stamps_ns[1:] > latest[:-1]
    if not later.all():
        remarks.append(f"{int((~later).sum())} samples of the {name} are left out: their stamps do not increase")
    stamps_ns, values = stamps_ns[later], values[later]
    if len(stamps_ns) < _LEAST_SAMPLES:
        if len(values):
            remarks.append(f"the {name} has {len(stamps_ns)} samples and is not used")
        return None, tuple(remarks)
    if not np.ptp(values, axis=0).any():
        remarks.append(f"the {name} never changes and is not used")
        return None, tuple(remarks)
    steps = np.diff(stamps_ns)
    gaps = np.asarray(steps[(steps > _GAP_NS) & (steps > _GAP_STEPS * np.median(steps))])
    if len(gaps):
        remarks.append(f"the {name} has {len(gaps)} gaps of up to {1e-9 * int(gaps.max()):.2f} s")
    return Readings(stamps_ns, values), tuple(remarks)
