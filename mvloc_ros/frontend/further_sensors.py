# SPDX-License-Identifier: Apache-2.0
"""Frames of the pair get the images of further sensors; without the pair, frames are made of these alone.

Each further sensor is synchronized with the frames as depth is with colour: a frame gets its best partner within the
tolerance, each image is used once, never out of order. A frame is given out, in the order in which the frames came, as
soon as no sensor can have a better partner for it:

1. It waits for a sensor only while an image within the tolerance may still come, by the sensor's own period.
2. It waits at most for the wait, and not at all while as many frames wait behind it as may.
3. A sensor of which nothing came for the wait is silent: frames do not wait for it until it sends again. Each sensor is
   silent at first.
4. While images of further sensors come and neither image of the pair did for the wait, images of the lead make frames:
   of the first sensor, in the order of the declaration, that is not silent. The first image of the pair ends that.

As in `single_modality`, only `tick` finds that something is silent, since after a stall of the process the images that
are read first are not the only ones. Pure Python; time is passed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mvloc_ros.frontend.synchronizer import StreamCounts, Synchronizer

PATIENCE_S = 0.5
"""How long a frame waits where no wait is set, since the images of the pair are never processed alone."""


@dataclass(eq=False)
class _Waiting:
    """A frame; `pair` is what came with it, None where a further sensor made it."""

    stamp_ns: int
    pair: Any
    since_s: float
    images: dict[str, tuple[int, Any]] = field(default_factory=dict)


@dataclass(eq=False)
class _Sensor:
    """One further sensor: in its synchronizer the frames have the place of colour, its images that of depth."""

    synchronizer: Synchronizer
    last_s: float = 0.0
    is_silent: bool = True


class FurtherSensors:
    """Stands behind the pair and gives out the frames."""

    def __init__(
        self,
        names: Sequence[str],
        tolerance_ns: int,
        wait_s: float,
        queue_size: int,
        on_frame: Callable[[int, Any, Mapping[str, tuple[int, Any]]], None],
    ) -> None:
        """Start with all sensors silent.

        Args:
            names: of the sensors, in the order of their declaration.
            tolerance_ns: largest difference of the stamps of a frame and of an image in it.
            wait_s: see the rules; 0: no frame without the pair, and a frame waits `PATIENCE_S`.
            queue_size: images of one sensor that may wait for a frame, and frames that may wait.
            on_frame: called with the stamp, what `take_frame` was given (None for a frame without the pair), and
                sensor -> (stamp, image).
        """
        self._wait_s, self._queue_size, self._on_frame = wait_s, queue_size, on_frame
        self._sensors = {name: _Sensor(Synchronizer(tolerance_ns, partial(_join, name), queue_size)) for name in names}
        self._waiting: deque[_Waiting] = deque()
        self._forget()

    def _forget(self) -> None:
        self._unanswered_since: float | None = None  # since when further images come without one of the pair
        self._lead: str | None = None
        self._last_ns: int | None = None  # stamp of the newest frame

    @property
    def counts(self) -> dict[str, StreamCounts]:
        """What became of the images of each sensor; `paired` are those in frames of others, `alone` of a lead."""
        return {name: sensor.synchronizer.depth_counts for name, sensor in self._sensors.items()}

    @property
    def silent(self) -> tuple[str, ...]:
        """The sensors that no frame waits for, in the order of their declaration."""
        return tuple(name for name, sensor in self._sensors.items() if sensor.is_silent)

    @property
    def lead(self) -> str | None:
        """The sensor whose images make frames; None while the pair does."""
        return self._lead

    def smallest_miss_ns(self, name: str) -> int | None:
        """See `Synchronizer.smallest_miss_ns`: of the sensor's images and the frames."""
        return self._sensors[name].synchronizer.smallest_miss_ns

    def reset(self) -> None:
        """Begin again: what waits is of a time that no longer counts."""
        self._waiting.clear()
        self._forget()
        for sensor in self._sensors.values():
            sensor.synchronizer.reset()
            sensor.is_silent = True

    def note_pair(self) -> None:
        """An image of the pair has come."""
        self._unanswered_since = self._lead = None

    def add(self, name: str, stamp_ns: int, image: Any, now_s: float) -> None:
        """Take an image of a further sensor that came at `now_s` (any clock that never jumps).

        May call `on_frame`, whose exceptions pass through.
        """
        sensor = self._sensors[name]
        sensor.last_s, sensor.is_silent = now_s, False
        if self._unanswered_since is None:
            self._unanswered_since = now_s
        sensor.synchronizer.add_depth(stamp_ns, image)
        if self._lead == name:
            self._make_frame(name, now_s)
        self._release()

    def take_frame(self, stamp_ns: int, pair: Any, now_s: float) -> None:
        """Take a frame of the pair or of one of its images; may call `on_frame`, as `add`."""
        self._put(_Waiting(stamp_ns, pair, now_s))
        self._release()

    def tick(self, now_s: float) -> None:
        """Apply the rules on waits; to be called a few times within each wait."""
        wait_s = self._wait_s or PATIENCE_S
        for sensor in self._sensors.values():
            sensor.is_silent = sensor.is_silent or now_s - sensor.last_s >= wait_s
        lead = next((name for name, sensor in self._sensors.items() if not sensor.is_silent), None)
        if lead is None:
            self._unanswered_since = self._lead = None
        elif lead != self._lead and self._is_unanswered(now_s):
            self._lead = lead
            self._make_frame(lead, now_s)
        while self._waiting and now_s - self._waiting[0].since_s >= wait_s:
            self._give_first()
        self._release()

    def settle(self) -> None:
        """Give out all frames that wait."""
        while self._waiting:
            self._give_first()

    def _is_unanswered(self, now_s: float) -> bool:
        """Whether no image of the pair came for the wait while further ones did."""
        since = self._unanswered_since
        return self._wait_s > 0.0 and since is not None and now_s - since >= self._wait_s

    def _make_frame(self, lead: str, now_s: float) -> None:
        taken = self._sensors[lead].synchronizer.take_newest_depth(self._last_ns)
        if taken is not None:
            self._put(_Waiting(taken[0], None, now_s, {lead: taken}))

    def _put(self, frame: _Waiting) -> None:
        while len(self._waiting) >= self._queue_size:
            self._give_first()
        self._last_ns = frame.stamp_ns
        self._waiting.append(frame)
        for name, sensor in self._sensors.items():
            if name not in frame.images:
                sensor.synchronizer.add_color(frame.stamp_ns, frame)

    def _release(self) -> None:
        while self._waiting and not any(self._is_awaited(name, self._waiting[0]) for name in self._sensors):
            self._give_first()

    def _is_awaited(self, name: str, frame: _Waiting) -> bool:
        sensor = self._sensors[name]
        return name not in frame.images and not sensor.is_silent and sensor.synchronizer.is_awaited(frame.stamp_ns)

    def _give_first(self) -> None:
        frame = self._waiting.popleft()
        for name, sensor in self._sensors.items():
            if name not in frame.images:
                sensor.synchronizer.give_up_color(frame.stamp_ns)
        self._on_frame(frame.stamp_ns, frame.pair, frame.images)


def _join(name: str, _frame_ns: int, frame: _Waiting, stamp_ns: int, image: Any) -> None:
    """A synchronizer has found the image of a sensor for a frame."""
    frame.images[name] = (stamp_ns, image)
