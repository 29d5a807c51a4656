# SPDX-License-Identifier: Apache-2.0
"""Localizers that know nothing, started at many places of a recording and followed with its odometry.

Each has a tracker of its own that begins at a frame of the recording and ends when it has had its time or its way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from tqdm import tqdm

from mvloc_ros.errors import MvlocError
from mvloc_ros.evaluation.wake_ups import WakeUp, WakeUpResult, evaluate_wake_ups, plan_wake_ups
from mvloc_ros.frontend.front_end import PairedFrame
from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.parameters.table import NodeParameters
from mvloc_ros.pipeline.server import LocalizationServer
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.replay.message_feed import Message, MessageFeed, Source
from mvloc_ros.replay.run import CollectedPoses

OVERRIDES = ("gate:=true", "publish_frame:=odom")
"""Of a run with wake-ups, besides those of evaluated runs: followed with odometry, as on a robot."""


def run_wake_ups(
    reader: BagReader, source: Source, localizer: Localizer, bundle: Bundle, values: NodeParameters, count: int,
    truth_topic: str, tolerance_ns: int = 0, *, progress: bool = True,
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
        tolerance_ns: largest difference of the stamps of a pose and its truth.
        progress: whether to show a bar.

    Raises:
        WakeUpError: see `plan_wake_ups`.
        RecordingError: the recording is damaged.
    """
    truth, frames_ns = _truth_and_frames(reader, source, bundle, truth_topic)
    wake_ups = plan_wake_ups(truth, frames_ns, count)
    with tqdm(total=count, desc="waking up", unit=" starts", disable=not progress) as bar:
        for _ in _follow(reader, source, localizer, bundle, values, wake_ups):
            bar.update()
    return evaluate_wake_ups(wake_ups, truth, tolerance_ns)


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
