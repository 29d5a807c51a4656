# SPDX-License-Identifier: Apache-2.0
"""The IMU of a recording: one topic of sensor_msgs/Imu, or one of angular velocity and one of acceleration."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.foreign_text import shown
from mvloc_ros.geometry.trajectory import Interpolation, NoPose
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader, RawMessage
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.imu.samples import Imu, Readings, checked_accelerations, checked_rates
from mvloc_ros.recordings.time_base import TopicStamps
from mvloc_ros.recordings.transforms import TransformTree, frame_name, stamp_of

_log = logging.getLogger(__name__)

Array = NDArray[np.float64]

NO_IMU = "none"
# Sensors whose axes differ by less are in one frame.
_ONE_FRAME_RAD = np.deg2rad(0.1)


@dataclass(frozen=True, eq=False)
class ImuSource:
    """What was taken; without an `imu`, `why` says why. `covers` are how many of `frames` lie within its time."""

    imu: Imu | None
    why: str = ""
    comments: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    covers: int = 0
    frames: int = 0

    def lines(self) -> Iterator[str]:
        """For the summary; remarks are notes."""
        if self.imu is None:
            yield f"imu: none ({self.why})"
        else:
            is_known = self.imu.R_camera_imu is not None
            R = "from /tf_static" if is_known else "not in /tf_static, `mvloc pose` estimates it"
            yield (
                f"imu: {self.imu.source}, {self.imu.text()}, over {self.covers} of {self.frames} frames; rotation to "
                f"the camera {R}"
            )
        for remark in self.remarks:
            yield f"note: imu: {remark}"


@dataclass
class _Topic:
    """The messages of one topic."""

    name: str
    stamps: TopicStamps
    frames: dict[str, None] = field(default_factory=dict)
    headers: list[int] = field(default_factory=list)
    receipts: list[int] = field(default_factory=list)
    rates: list[tuple[float, float, float]] = field(default_factory=list)
    accelerations: list[tuple[float, float, float]] = field(default_factory=list)
    no_rates: int = 0
    no_accelerations: int = 0

    def take(self, message: Any, receipt_ns: int) -> None:
        header_ns = stamp_of(message)
        self.stamps.add(header_ns, receipt_ns)
        self.headers.append(header_ns)
        self.receipts.append(receipt_ns)
        self.frames.setdefault(frame_name(message.header.frame_id))
        for vector, values in (
            (message.angular_velocity, self.rates),
            (message.linear_acceleration, self.accelerations),
        ):
            values.append((vector.x, vector.y, vector.z))
        # REP-145: -1 says that the sensor does not measure this.
        self.no_rates += message.angular_velocity_covariance[0] == -1.0
        self.no_accelerations += message.linear_acceleration_covariance[0] == -1.0

    def readings(self) -> tuple[Readings | None, Readings | None, tuple[str, ...]]:
        """Angular velocity, acceleration, and remarks."""
        remarks = [self.stamps.remark()] if self.stamps.remark() else []
        stamps = np.array(self.receipts if self.stamps.by_receipt else self.headers, dtype=np.int64)
        kept = np.ones(len(stamps), np.bool_) if self.stamps.by_receipt else stamps != 0
        found = list[Readings | None]()
        for name, values, missing, check in (
            ("angular velocity", self.rates, self.no_rates, checked_rates),
            ("acceleration", self.accelerations, self.no_accelerations, checked_accelerations),
        ):
            if missing:
                remarks.append(f"{self.name} states that it has no {name} (covariance -1)")
                found.append(None)
                continue
            part, more = check(stamps[kept], np.array(values, dtype=np.float64)[kept])
            found.append(part)
            remarks += [f"{self.name}: {remark}" for remark in more]
        return found[0], found[1], tuple(remarks)


class ImuCollector:
    """Gathers the samples of the IMU topics of a recording in one pass."""

    def __init__(self, reader: BagReader, named: str | None) -> None:
        """`named` is the topic, "none", or None for the first.

        Raises:
            RecordingError: the recording has no such topic.
        """
        self._reader = reader
        self._named = named
        there = sorted(name for name, topic in reader.topics.items() if topic.type == topics.IMU and topic.count)
        if named not in (None, NO_IMU):
            assert named is not None
            reader.require(named, topics.IMU)
        self._candidates = [] if named == NO_IMU else [named] if named is not None else there
        self._topics: dict[str, _Topic] = {}
        self._unreadable: dict[str, str] = {}

    def topics(self) -> list[str]:
        """Everything that `take` wants to see."""
        return self._candidates

    def take(self, raw: RawMessage) -> None:
        """Read one message of these topics."""
        try:
            message = self._reader.decode_or_leave_out(raw)
        except RecordingError as error:
            if raw.topic not in self._unreadable:
                _log.warning("%s The IMU on it is not used.", error)
            self._unreadable.setdefault(raw.topic, str(error))
            return
        if message is not None:
            topic = self._topics.setdefault(raw.topic, _Topic(raw.topic, TopicStamps(raw.topic)))
            topic.take(message, raw.stamp_ns)

    def finish(self, tree: TransformTree, camera_frame: str, frames_ns: Sequence[int]) -> ImuSource:
        """The IMU that is kept for frames of these stamps, or why there is none."""
        if self._named == NO_IMU:
            return ImuSource(None, "not asked for")
        if not self._candidates:
            return ImuSource(None, "the recording has no topic of sensor_msgs/Imu")
        found = {name: topic for name in self._candidates if (topic := self._topics.get(name)) is not None}
        found = {name: topic for name, topic in found.items() if name not in self._unreadable}
        source = _chosen(found, tree, camera_frame)
        for remark in source.remarks:
            _log.warning("imu: %s.", remark)
        return source if source.imu is None else _within(source, frames_ns)


def _chosen(found: dict[str, _Topic], tree: TransformTree, camera_frame: str) -> ImuSource:
    """The first topic with both sensors, else one of each in one frame, else the first with one of them."""
    read = {name: topic.readings() for name, topic in found.items()}
    remarks = tuple(remark for _, _, more in read.values() for remark in more)
    both = [name for name, (rates, accelerations, _) in read.items() if rates is not None and accelerations is not None]
    first_rates = next((name for name, (rates, _, _) in read.items() if rates is not None), None)
    first_accelerations = next((name for name, (_, values, _) in read.items() if values is not None), None)
    if both:
        rates_of = accelerations_of = both[0]
    elif first_rates is not None and first_accelerations is not None:
        rates_of, accelerations_of = first_rates, first_accelerations
        T = _fixed(tree, _frame(found[rates_of]), _frame(found[accelerations_of]))
        if T is None or np.arccos(np.clip(0.5 * (np.trace(T) - 1.0), -1.0, 1.0)) > _ONE_FRAME_RAD:
            remarks += (
                f"the frames of {rates_of} and {accelerations_of} are not aligned: the first one is used alone",
            )
            accelerations_of = rates_of
    elif first_rates is not None or first_accelerations is not None:
        rates_of = accelerations_of = first_rates or first_accelerations or ""
    else:
        return ImuSource(None, "no topic of sensor_msgs/Imu can be used", remarks=remarks)
    used = dict.fromkeys((rates_of, accelerations_of))
    others = [name for name in found if name not in used]
    if others:
        remarks += (f"of {len(found)} topics {' and '.join(used)} is used; --imu-topic chooses another",)
    frame = _frame(found[rates_of])
    if not frame:
        remarks += (f"{rates_of} states no frame, or several",)
    R = _fixed(tree, camera_frame, frame) if frame else None
    name = " and ".join(shown(topic) for topic in used)
    imu = Imu(read[rates_of][0], read[accelerations_of][1], R, source=name)
    comments = (f"{name}, frame {shown(frame)}; R_camera_imu is the rotation from there to {shown(camera_frame)}",)
    return ImuSource(imu, comments=comments, remarks=remarks)


def _frame(topic: _Topic) -> str:
    """The one frame of a topic; empty where it states none, or changes it."""
    return next(iter(topic.frames)) if len(topic.frames) == 1 else ""


def _fixed(tree: TransformTree, target: str, source: str) -> Array | None:
    """The rotation (3x3) between two frames that are fixed to each other; None where that is not known."""
    if source and frame_name(target) == frame_name(source):
        return np.eye(3)
    try:
        if not source or not tree.connects(target, source) or tree.motions(target, source):
            return None
        T = tree.sample(target, source, 0, Interpolation(0))
    except RecordingError:
        return None
    return None if isinstance(T, NoPose) else T[:3, :3]


def _within(source: ImuSource, frames_ns: Sequence[int]) -> ImuSource:
    """The source with the number of frames that it covers; none is one of another clock."""
    assert source.imu is not None
    parts = [part for part in (source.imu.rates, source.imu.accelerations) if part is not None]
    first, last = max(int(part.stamps_ns[0]) for part in parts), min(int(part.stamps_ns[-1]) for part in parts)
    covers = sum(first <= stamp <= last for stamp in frames_ns)
    if not covers:
        apart = max(first - max(frames_ns), min(frames_ns) - last) / 1e9
        return ImuSource(
            None,
            f"{source.imu.source} has no sample at the time of any image, {apart:.6g} s apart: their stamps are of "
            "different clocks",
            remarks=source.remarks,
        )
    return ImuSource(source.imu, "", source.comments, source.remarks, covers, len(frames_ns))
