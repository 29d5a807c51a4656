# SPDX-License-Identifier: Apache-2.0
"""Which images become which frames: from the stamps alone, before any image is decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.motion_limits import MotionLimits, Steps
from mvloc_ros.geometry.trajectory import NoPose
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.folder_writer import FrameName
from mvloc_ros.recordings.numbering import frame_numbers
from mvloc_ros.recordings.train_test_split import require_test_fraction
from mvloc_ros.recordings.tum import associate

Array = NDArray[np.float64]

BARE_SEQUENCE = "seq-01"
PAUSE_NS, PAUSE_PERIODS = 500_000_000, 5
"""A time without a frame longer than both ends a sequence: what follows is not a neighbour. So does a jump."""


@dataclass(frozen=True)
class PlannedFrame:
    """One frame of the folder and the stamps of its messages."""

    name: FrameName
    color_ns: int
    depth_ns: int | None
    T_map_camera: Array | None  # None in a folder without poses


@dataclass(frozen=True)
class Plan:
    """All frames, the split, the rate, and how many images were left out for what reason.

    A folder without poses has no split: `train` and `test` are empty. `without_pose` has the stamps of images without a
    pose, by the reason; they are counted in `left_out` too.
    """

    frames: tuple[PlannedFrame, ...]
    train: tuple[str, ...]
    test: tuple[str, ...]
    rate_hz: float
    left_out: Counter[str]
    without_pose: Mapping[str, list[int]]
    steps: Steps  # from frame to frame, of one sequence


def make_plan(
    color_ns: Sequence[int],
    depth_ns: Sequence[int] | None,
    pose_at: Callable[[int], Array | NoPose],
    *,
    limits: MotionLimits,
    pose_of: str,
    max_skew_ns: int,
    keep_unpaired: bool,
    test_fraction: float,
) -> Plan:
    """Pair the images, find their poses, and cut the recording into sequences.

    The last `test_fraction` of the recording's time is test; training and test are cut at pauses, and where the
    poses of two frames are further apart than the limits allow. A frame's number in its sequence is its time there
    in periods, so that readers who count time by it are right.
    Raises RecordingError where no frame is left for training or test.
    """
    require_test_fraction(test_fraction)
    pairs, left_out = pair_images(
        color_ns, depth_ns, max_skew_ns=max_skew_ns, keep_unpaired=keep_unpaired and pose_of != "depth"
    )
    without_pose: dict[str, list[int]] = {}
    kept: list[tuple[int, int | None, Array]] = []
    for stamp, depth in pairs:
        pose = pose_at(depth if pose_of == "depth" and depth is not None else stamp)
        if isinstance(pose, NoPose):
            reason = f"without a pose at their time, {pose.value}"
            left_out[reason] += 1
            without_pose.setdefault(reason, []).append(stamp)
            continue
        kept.append((stamp, depth, pose))
    left_out = +left_out
    if len(kept) < 2:
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items()) or "there are none"
        raise RecordingError(
            f"Of {len(color_ns)} colour images {len(kept)} can be used as frames ({reasons}): widen --max-skew, "
            "--max-gap, --max-speed or --max-turn-rate, or check that images and poses have stamps of one clock."
        )
    stamps = np.array([stamp for stamp, _, _ in kept], dtype=np.int64)
    period = float(np.median(np.diff(stamps)))
    first_test = int(np.searchsorted(stamps, stamps[0] + (1.0 - test_fraction) * (stamps[-1] - stamps[0])))
    first_test = min(max(first_test, 1), len(kept) - 1)
    steps = Steps.between(stamps, np.stack([pose for _, _, pose in kept]))
    breaks = (np.diff(stamps) > max(PAUSE_NS, PAUSE_PERIODS * period)) | steps.impossible(limits)
    names, starts = _name_frames(stamps, first_test, period, breaks)
    frames = tuple(PlannedFrame(name, *rest) for name, rest in zip(names, kept, strict=True))
    sequences = [names[start].sequence for start in starts]
    train = tuple(name for name, start in zip(sequences, starts, strict=True) if start < first_test)
    inside = Steps(steps.seconds[~breaks], steps.distance_m[~breaks], steps.angle_rad[~breaks])
    return Plan(frames, train, tuple(sequences[len(train) :]), 1e9 / period, left_out, without_pose, inside)


def make_bare_plan(
    color_ns: Sequence[int], depth_ns: Sequence[int] | None, *, max_skew_ns: int, keep_unpaired: bool
) -> Plan:
    """Pair the images of a recording whose poses are not read: one sequence, without a split.

    A pause is a step of the frames' numbers, as they count time.
    Raises RecordingError where there are fewer than two frames.
    """
    pairs, left_out = pair_images(color_ns, depth_ns, max_skew_ns=max_skew_ns, keep_unpaired=keep_unpaired)
    left_out = +left_out
    if len(pairs) < 2:
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items()) or "there are none"
        raise RecordingError(
            f"Of {len(color_ns)} colour images {len(pairs)} can be used as frames ({reasons}): widen --max-skew, or "
            "check that colour and depth have stamps of one clock."
        )
    stamps = [stamp for stamp, _ in pairs]
    period = float(np.median(np.diff(stamps)))
    frames = tuple(
        PlannedFrame(FrameName(BARE_SEQUENCE, number), *pair, None)
        for number, pair in zip(frame_numbers(stamps, period), pairs, strict=True)
    )
    return Plan(frames, (), (), 1e9 / period, left_out, {}, Steps.between(np.zeros(0, np.int64), np.zeros((0, 4, 4))))


def pair_images(
    color_ns: Sequence[int], depth_ns: Sequence[int] | None, *, max_skew_ns: int, keep_unpaired: bool
) -> tuple[list[tuple[int, int | None]], Counter[str]]:
    """The stamps of colour and depth of each frame in order of time, and why other colour images are none.

    `depth_ns` is None where there is no depth topic; `keep_unpaired` keeps colour images without depth.
    """
    left_out: Counter[str] = Counter()
    colors, depths = sorted(set(color_ns)), sorted(set(depth_ns or ()))
    left_out["with the stamp of another image"] += len(color_ns) - len(colors)
    pairs = associate(colors, depths, max_skew_ns)
    kept: list[tuple[int, int | None]] = []
    for i, stamp in enumerate(colors):
        if i not in pairs and depth_ns is not None and not keep_unpaired:
            left_out[f"without depth within {max_skew_ns / 1e6:g} ms"] += 1
            continue
        kept.append((stamp, depths[pairs[i]] if i in pairs else None))
    return kept, left_out


def _name_frames(
    stamps: NDArray[np.int64], first_test: int, period: float, breaks: NDArray[np.bool_]
) -> tuple[list[FrameName], list[int]]:
    """The name of each frame, and where the sequences begin: there, and after each of the `breaks` `[N - 1]`."""
    starts = sorted({0, first_test, *map(int, np.flatnonzero(breaks) + 1)})
    names: list[FrameName] = []
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(stamps)], strict=True), start=1):
        names += [FrameName(f"seq-{number:02d}", index) for index in frame_numbers(stamps[start:end].tolist(), period)]
    return names, starts
