# SPDX-License-Identifier: Apache-2.0
"""Who else sends transforms: two sources of one edge, second parents, impossible steps, and what cannot be used.

tf2 keeps one parent of a frame, the last that came, and says nothing; so each transform is looked at on its way into
the buffer. What tf2 would refuse with a line in the log for each one is refused here, through the log of input; and
tf2 keeps every name that it was ever told, so that their number is bounded here. Written by the executor's thread,
read by the worker's too.
"""

from __future__ import annotations

import math
import operator
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mvloc_ros.foreign_text import shown
from mvloc_ros.frontend.input_log import InputLog
from mvloc_ros.frontend.message_checks import MessageError, require_frame, require_stamp
from mvloc_ros.limits import MOST_NAMED, MOST_SECONDS_AHEAD, MOST_TRANSFORMS

# Metres and quaternion as plain numbers: all of /tf passes here, and arrays would take many times as long.
_Placed = tuple[tuple[float, float, float], tuple[float, float, float, float]]

RECENT_S = 2.0
"""What was seen within this wall time counts as going on."""
_REPEATED = 3  # one event may be a message of a process that has just ended
_SAME_M, _SAME_RAD = 1e-3, 1e-3  # two roundings of one mount
_ALTERNATION_M = 0.05
_NOT_FINITE = (
    "has numbers that are not finite, or a quaternion of another length than 1, and is not used; mend its publisher"
)
_KEPT_NS = 10_000_000_000  # as long as tf2's buffer keeps what moves
_UNIT = 10e-3  # how far tf2 lets the square of a quaternion's length be from 1
_OWN_EDGES, _OWN_STAMPS, _RECENT_STAMPS = 64, 500, 8
_MAX_SPEED, _MAX_TURN_RATE = 50.0, 50.0  # m/s, rad/s: more than any robot's odometry


@dataclass
class _Edge:
    """What came of one parent and child on one of the two topics."""

    recent: deque[tuple[int, _Placed]] = field(default_factory=lambda: deque(maxlen=2))  # with the stamps
    last_seen: float = 0.0
    oddities: deque[float] = field(default_factory=lambda: deque(maxlen=_REPEATED))
    oddity: str = ""
    is_unusable: bool = False  # the last one was


@dataclass
class _Stamps:
    """The stamps of a frame that moves, whatever its parent: as tf2 keeps them."""

    newest_ns: int
    recent: deque[int] = field(default_factory=lambda: deque(maxlen=_RECENT_STAMPS))


class TransformWatch:
    """Looks at every transform that comes, except the node's own. Edges are (parent, child, is_static)."""

    def __init__(
        self,
        log: InputLog | None = None,
        now: Callable[[], float] = time.monotonic,
        ros_now_ns: Callable[[], int] = lambda: 0,
    ) -> None:
        """Start with nothing seen.

        Args:
            log: told of each transform that is not used.
            now: tells the steady time in seconds.
            ros_now_ns: tells ROS time; 0 where it is not known.
        """
        self._log = InputLog(lambda _: None, lambda _: None) if log is None else log
        self._now, self._ros_now_ns = now, ros_now_ns
        self._lock = threading.Lock()
        self._own: dict[tuple[str, str], deque[int]] = {}
        self._edges: dict[tuple[str, str, bool], _Edge] = {}
        self._stamps: dict[str, _Stamps] = {}  # by child, so no more than edges and own ones

    def note_own(self, parent: str, child: str, stamp_ns: int) -> None:
        """The node is about to send this transform, which will come back to it."""
        with self._lock:
            if (parent, child) not in self._own and len(self._own) >= _OWN_EDGES:
                self._own.pop(next(iter(self._own)))
            self._own.setdefault((parent, child), deque(maxlen=_OWN_STAMPS)).append(stamp_ns)

    def forget(self) -> None:
        """Drop what moved, as after a jump back of the clock; tf2 keeps the names, and so they go on to count."""
        with self._lock:
            self._edges = {key: edge if key[2] else _Edge() for key, edge in self._edges.items()}
            self._stamps.clear()

    def begin_anew(self) -> None:
        """Drop all that others sent: there is another buffer."""
        with self._lock:
            self._edges.clear()
            self._stamps.clear()

    def may_be_read(self, topic: str, transforms: int) -> bool:
        """Whether a message of so many transforms is one that a robot sends; reading takes some 20 us of each."""
        if transforms <= MOST_TRANSFORMS:
            return True
        self._log.warn(
            "too many transforms",
            f"a message on {topic} with {transforms} transforms is not used: at most {MOST_TRANSFORMS} are accepted",
        )
        return False

    def take(self, message: Any, is_static: bool) -> bool:
        """Look at a transform; False for one that cannot be used, which counts as not sent."""
        parent, child = message.header.frame_id.lstrip("/"), message.child_frame_id.lstrip("/")
        try:
            _require_names(parent, child)
            stamp_ns = require_stamp(_named(parent, child, is_static), message.header.stamp)
            if not is_static:
                self._require_near(parent, child, stamp_ns)
        except MessageError as error:
            self._log.warn("transforms not used", str(error))
            return False
        with self._lock:
            if not is_static and stamp_ns in self._own.get((parent, child), ()):
                return self._is_news(parent, child, stamp_ns)
            edge = self._edge(parent, child, is_static)
            if edge is None:
                return False
            now = edge.last_seen = self._now()
            placed = _placed(message)
            if placed is None:
                _note(edge, now, _NOT_FINITE)
                edge.is_unusable = True
                self._log.warn("transforms not used", f"{_named(parent, child, is_static)} {_NOT_FINITE}")
                return False
            if is_static and edge.is_unusable:
                edge.oddity = ""  # a static transform stays; this one takes the place of the unusable one
            edge.is_unusable = False
            is_news = is_static or self._is_news(parent, child, stamp_ns)
            problem = _conflict(edge, placed) if is_static else _step(edge, stamp_ns, placed)
            if problem:
                _note(edge, now, problem)
            edge.recent.append((stamp_ns, placed))
        return is_news

    def _require_near(self, parent: str, child: str, stamp_ns: int) -> None:
        """MessageError for a stamp so far ahead that tf2 would take the right transforms of now for outdated ones."""
        now_ns = self._ros_now_ns()
        ahead_s = 1e-9 * (stamp_ns - now_ns)
        if now_ns and ahead_s > MOST_SECONDS_AHEAD:
            raise MessageError(
                f"{_named(parent, child, False)} is stamped {ahead_s:.3g} s ahead of the clock and is not used: set "
                "the clocks of both machines"
            )

    def _edge(self, parent: str, child: str, is_static: bool) -> _Edge | None:
        """What is known of an edge; None for one more than there may be."""
        key = parent, child, is_static
        if key not in self._edges and len(self._edges) >= MOST_TRANSFORMS:
            self._log.warn(
                "too many transforms",
                f"{_named(parent, child, is_static)} is not used: transforms between {MOST_TRANSFORMS} pairs of frames "
                "came before; stop what makes ever new frames, then deactivate, clean up and configure",
            )
            return None
        return self._edges.setdefault(key, _Edge())

    def _is_news(self, parent: str, child: str, stamp_ns: int) -> bool:
        """Whether tf2 would take this: neither a repetition nor older than what it keeps."""
        stamps = self._stamps.setdefault(child, _Stamps(stamp_ns))
        if stamp_ns < stamps.newest_ns - _KEPT_NS:
            age_s = 1e-9 * (stamps.newest_ns - stamp_ns)
            text = f"{_named(parent, child, False)} is not used: it is stamped {age_s:.1f} s before the newest one; "
            self._log.warn("old transforms", text + "look for a second publisher, or a clock that is set back")
            return False
        is_news = stamp_ns not in stamps.recent
        stamps.newest_ns = max(stamp_ns, stamps.newest_ns)
        stamps.recent.append(stamp_ns)
        return is_news

    def other_parent(self, child: str, own_parent: str) -> str:
        """A parent that someone else gives a frame, also the same one as the node does; empty without one."""
        now = self._now()
        with self._lock:
            for (parent, frame, is_static), edge in self._edges.items():
                goes_on = is_static or (now - edge.last_seen < RECENT_S and len(edge.recent) == 2)
                if frame == child and goes_on and edge.recent:
                    kind = "/tf_static" if is_static else "/tf"
                    same = " (a second publisher of this transform)" if parent == own_parent else ""
                    return f"{parent!r} on {kind}{same}"
        return ""

    def problems(self, frames: frozenset[str] | None = None) -> list[str]:
        """Edges whose sources contradict each other, in words; of these child frames, or of all."""
        now, found = self._now(), []
        with self._lock:
            for (parent, child, is_static), edge in self._edges.items():
                if frames is not None and child not in frames:
                    continue
                goes_on = is_static or (len(edge.oddities) == _REPEATED and now - edge.oddities[0] < 2 * RECENT_S)
                if edge.oddity and goes_on:
                    found.append(f"{_named(parent, child, is_static)} {edge.oddity}")
                if len(found) == MOST_NAMED:
                    break
        return found


def _require_names(parent: str, child: str) -> None:
    """MessageError for frames that tf2 would not take, or that are no names."""
    require_frame("A transform", parent)
    require_frame("A transform", child)
    if not parent or not child or parent == child:
        raise MessageError(
            f"A transform from {shown(parent)!r} to {shown(child)!r} is not used: both frames need a name, and another "
            "one; mend its publisher"
        )


def _named(parent: str, child: str, is_static: bool) -> str:
    return f"{parent} -> {child} on {'/tf_static' if is_static else '/tf'}"


def _note(edge: _Edge, now: float, what: str) -> None:
    edge.oddities.append(now)
    edge.oddity = what


def _placed(message: Any) -> _Placed | None:
    """Metres and unit quaternion; None where tf2 would refuse them."""
    t, q = message.transform.translation, message.transform.rotation
    square = q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w
    if not (math.isfinite(t.x + t.y + t.z) and abs(square - 1.0) < _UNIT):
        return None
    length = math.sqrt(square)
    return (t.x, t.y, t.z), (q.x / length, q.y / length, q.z / length, q.w / length)


def _difference(a: _Placed, b: _Placed) -> tuple[float, float]:
    """Metres and radians between two places."""
    # The chord keeps its precision for small angles, where the arccosine of the cosine has none.
    sign = math.copysign(1.0, sum(map(operator.mul, a[1], b[1])))
    chord = math.dist(a[1], [sign * value for value in b[1]])
    return math.dist(a[0], b[0]), 4.0 * math.asin(min(1.0, chord / 2.0))


def _conflict(edge: _Edge, place: _Placed) -> str:
    """What is wrong with another value of a static transform; empty where it is the same."""
    if not edge.recent:
        return ""
    metres, radians = _difference(edge.recent[-1][1], place)
    if metres <= _SAME_M and radians <= _SAME_RAD:
        return ""
    return (
        f"was sent with two values, {metres:.3f} m and {math.degrees(radians):.1f} degrees apart, and the last one is "
        "used; leave one source (the URDF or the driver)"
    )


def _step(edge: _Edge, stamp_ns: int, place: _Placed) -> str:
    """What is wrong with the step to a moving transform; empty where it is plausible."""
    if not edge.recent:
        return ""
    before_ns, before = edge.recent[-1]
    metres, radians = _difference(before, place)
    seconds = 1e-9 * abs(stamp_ns - before_ns)
    alternates = len(edge.recent) == 2 and _difference(edge.recent[0][1], place)[0] < 0.2 * metres
    if metres > _ALTERNATION_M and (alternates and metres > 5.0 * seconds):
        return (
            f"alternates between values {metres:.2f} m and {math.degrees(radians):.1f} degrees apart: two publishers; "
            "leave one of them"
        )
    if metres > _ALTERNATION_M + _MAX_SPEED * seconds or radians > 0.1 + _MAX_TURN_RATE * seconds:
        return (
            f"steps by {metres:.2f} m and {math.degrees(radians):.1f} degrees within {seconds:.3f} s: impossible for "
            "odometry; look for a second publisher, or at its source"
        )
    return ""
