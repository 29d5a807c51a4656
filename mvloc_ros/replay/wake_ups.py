# SPDX-License-Identifier: Apache-2.0
"""How a localizer that knows nothing finds itself: started afresh at many places of a recording, and followed.

Each wake-up has a tracker of its own that begins at a frame of the recording, with the gate and the recording's
odometry, and ends when it has had its time and its way. What counts is its first accepted pose; that any accepted pose
is far off counts against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from mvloc_ros.errors import MvlocError
from mvloc_ros.frontend.front_end import PairedFrame
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.stamp_text import SECOND_NS
from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.inference.bundle import Bundle
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.parameters.table import NodeParameters
from mvloc_ros.pipeline.server import LocalizationServer
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.replay.errors import ReplayError
from mvloc_ros.replay.message_feed import Message, MessageFeed, Source
from mvloc_ros.replay.run import CollectedPoses

OVERRIDES = ("gate:=true", "publish_frame:=odom")
"""Of a run with wake-ups, besides those of evaluated runs: followed with odometry, as on a robot."""
WITHIN_S, WITHIN_M = 10.0, 1.0
RIGHT_M, RIGHT_DEG = 0.15, 5.0
FALSE_M, FALSE_DEG = 0.5, 15.0


@dataclass
class WakeUp:
    """One start.

    Attributes:
        start_ns: stamp of the frame at which it begins.
        end_ns: stamp after which it ends: it has had its time or its way.
        poses: accepted ones, {stamp: 4x4}.
        frames: that were localized, whatever came of it.
        with_odometry: those of them for which the recording told the odometry.
    """

    start_ns: int
    end_ns: int
    poses: dict[int, np.ndarray] = field(default_factory=dict)
    frames: int = 0
    with_odometry: int = 0


@dataclass(frozen=True)
class WakeUpResult:
    """What the wake-ups of one recording came to.

    Attributes:
        count: of wake-ups.
        right: those whose first accepted pose was right.
        silent: those without an accepted pose.
        times_s: from the start to the first accepted pose, of the right ones.
        accepted: accepted poses of all wake-ups.
        false_accepts: those of them that are far off.
        odometry_share: of the frames, for which the recording told the odometry.
    """

    count: int
    right: int
    silent: int
    times_s: tuple[float, ...]
    accepted: int
    false_accepts: int
    odometry_share: float

    def values(self) -> dict[str, Any]:
        """For report.json, with the limits."""
        median, p90 = self._quantiles()
        return {
            "count": self.count,
            "right": self.right,
            "right_share": self.right / self.count,
            "without_pose": self.silent,
            "time_s": {"median": median, "p90": p90} if self.times_s else None,
            "accepted_poses": self.accepted,
            "false_accepts": self.false_accepts,
            "odometry_share": self.odometry_share,
            "limits": {
                "within_s": WITHIN_S,
                "within_m": WITHIN_M,
                "right_m": RIGHT_M,
                "right_deg": RIGHT_DEG,
                "false_m": FALSE_M,
                "false_deg": FALSE_DEG,
            },
        }

    def text(self) -> str:
        """A line for the terminal."""
        median, p90 = self._quantiles()
        time = f" after {median:.1f} s (median; p90 {p90:.1f} s)" if self.times_s else ""
        blind = "" if self.odometry_share == 1.0 else f"; {self.odometry_share:.0%} of the frames had odometry"
        return (
            f"wake-ups {self.count}: {self.right} ({self.right / self.count:.1%}) with a right first pose (within "
            f"{RIGHT_M:g} m and {RIGHT_DEG:g} deg){time}, {self.silent} without a pose in {WITHIN_S:g} s and "
            f"{WITHIN_M:g} m; of {self.accepted} accepted poses {self.false_accepts} beyond {FALSE_M:g} m or "
            f"{FALSE_DEG:g} deg{blind}"
        )

    def _quantiles(self) -> tuple[float, float]:
        if not self.times_s:
            return float("nan"), float("nan")
        median, p90 = np.percentile(self.times_s, [50, 90])
        return float(median), float(p90)


def plan_wake_ups(truth: Trajectory, frames_ns: np.ndarray, count: int) -> list[WakeUp]:
    """Starts at evenly spread frames, each with the end of its time or way, whichever comes first.

    Raises:
        ReplayError: there is no ground truth, or fewer frames than wake-ups.
    """
    if not len(truth.stamps_ns):
        raise ReplayError(
            "Wake-ups are evaluated by ground truth, and the recording has none: name it with --truth-topic."
        )
    frames_ns = frames_ns[(frames_ns >= truth.stamps_ns[0]) & (frames_ns <= truth.stamps_ns[-1])]
    if len(frames_ns) < count:
        raise ReplayError(
            f"{count} wake-ups need as many frames with ground truth; the recording has {len(frames_ns)}."
        )
    steps = np.linalg.norm(np.diff(truth.poses[:, :3, 3], axis=0), axis=1)
    driven = np.concatenate([[0.0], np.cumsum(steps)])
    planned = []
    for start in frames_ns[np.arange(count) * len(frames_ns) // count]:
        at = int(np.searchsorted(truth.stamps_ns, start))
        gone = int(np.searchsorted(driven, driven[at] + WITHIN_M, side="right"))
        by_way = int(truth.stamps_ns[gone]) if gone < len(driven) else int(truth.stamps_ns[-1])
        planned.append(WakeUp(int(start), min(by_way, int(start) + round(WITHIN_S * SECOND_NS))))
    return planned


def run_wake_ups(
    reader: BagReader, source: Source, localizer: Localizer, bundle: Bundle, values: NodeParameters, count: int,
    truth_topic: str, *, progress: bool = True,
) -> WakeUpResult:  # fmt: skip
    """Wake up at `count` frames of a recording and follow each.

    Args:
        reader: of the recording.
        source: its topics.
        localizer: of the frames; each wake-up has its own memory of them.
        bundle: the model.
        values: the parameters.
        count: how many wake-ups.
        truth_topic: of the ground truth, by which they are evaluated.
        progress: whether to show a bar.

    Raises:
        ReplayError: see `plan_wake_ups`.
        RecordingError: the recording is damaged.
    """
    truth, frames_ns = _truth_and_frames(reader, source, bundle, truth_topic)
    wake_ups = plan_wake_ups(truth, frames_ns, count)
    with tqdm(total=count, desc="waking up", unit=" starts", disable=not progress) as bar:
        for _ in _follow(reader, source, localizer, bundle, values, wake_ups):
            bar.update()
    return evaluate_wake_ups(wake_ups, truth)


def evaluate_wake_ups(wake_ups: list[WakeUp], truth: Trajectory) -> WakeUpResult:
    """Compare the accepted poses with the ground truth at their stamps; poses without one are left out."""
    right, silent, accepted, false, times = 0, 0, 0, 0, []
    for wake_up in wake_ups:
        estimates = Trajectory.collect(wake_up.poses)
        stamps, mine, true = np.intersect1d(estimates.stamps_ns, truth.stamps_ns, return_indices=True)
        if not len(stamps):
            silent += 1
            continue
        metres = se3.translation_error(estimates.poses[mine], truth.poses[true])
        degrees = np.rad2deg(se3.rotation_error(estimates.poses[mine], truth.poses[true]))
        accepted += len(stamps)
        false += int(np.count_nonzero((metres > FALSE_M) | (degrees > FALSE_DEG)))
        if metres[0] <= RIGHT_M and degrees[0] <= RIGHT_DEG:
            right += 1
            times.append((int(stamps[0]) - wake_up.start_ns) / SECOND_NS)
    frames = max(1, sum(wake_up.frames for wake_up in wake_ups))
    odometry = sum(wake_up.with_odometry for wake_up in wake_ups) / frames
    return WakeUpResult(len(wake_ups), right, silent, tuple(times), accepted, false, odometry)


def _truth_and_frames(
    reader: BagReader, source: Source, bundle: Bundle, truth_topic: str
) -> tuple[Trajectory, np.ndarray]:
    truth, frames = CollectedPoses(truth_topic), set[int]()
    carrier = source.images.names.get(bundle.manifest.frames.pose_of, "")
    for raw in reader.raw((truth_topic, carrier)):
        if raw.topic == truth_topic:
            truth.take(reader.decode_or_leave_out(raw))
        else:
            frames.add(reader.header_stamp(raw))
    return truth.stamped(), np.array(sorted(frames), dtype=np.int64)


def _follow(
    reader: BagReader, source: Source, localizer: Localizer, bundle: Bundle, values: NodeParameters,
    wake_ups: list[WakeUp],
) -> Iterator[WakeUp]:  # fmt: skip
    """One pass through the recording, in which the wake-ups begin and end; gives each that has ended."""
    waiting = sorted(wake_ups, key=lambda wake_up: wake_up.start_ns)
    running: list[tuple[WakeUp, MessageFeed]] = []
    infos: dict[str, Message] = {}
    for raw in reader.raw(source.topics):
        message = Message.read(reader, raw)
        if raw.topic in source.cameras.topics:
            infos[raw.topic] = message  # who wakes up later is told too, as by a latched topic
        stamp_ns = message.stamp_ns
        if stamp_ns is None or raw.topic in (topics.TF, topics.TF_STATIC):
            stamp_ns = raw.stamp_ns
        while waiting and waiting[0].start_ns <= stamp_ns and raw.topic in source.images.names.values():
            wake_up = waiting.pop(0)
            feed = MessageFeed(
                source, localizer.for_another_stream(), bundle, values, _collector(wake_up), lambda *_: None
            )
            for info in infos.values():
                feed.take(info)
            running.append((wake_up, feed))
        for ended in [entry for entry in running if entry[0].end_ns < stamp_ns]:
            running.remove(ended)
            yield ended[0]
        for _, feed in running:
            feed.take(message)
    yield from (wake_up for wake_up, _ in running)
    yield from waiting


def _collector(wake_up: WakeUp) -> Any:
    def localize(server: LocalizationServer, paired: PairedFrame) -> None:
        try:
            localized = server.place(*server.estimate(paired))
        except MvlocError:
            return  # a frame without a pose, as any other
        wake_up.frames += 1
        wake_up.with_odometry += localized.estimate.T_odom_camera is not None
        if localized.accepted and localized.placement.pose is not None and paired.stamp_ns <= wake_up.end_ns:
            wake_up.poses[paired.stamp_ns] = localized.placement.pose.T

    return localize
