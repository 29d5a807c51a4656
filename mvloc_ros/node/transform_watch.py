# SPDX-License-Identifier: Apache-2.0
"""Who else sends transforms: two sources of one edge, second parents, impossible steps, and numbers that are none.

tf2 keeps one parent of a frame, the last that came, and says nothing; so each transform is looked at on its way into
the buffer. Written by the executor's thread, read by the worker's too.
"""

from __future__ import annotations

import math
import operator
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from geometry_msgs.msg import TransformStamped

from mvloc_ros.node.messages import to_nanoseconds

# Metres and quaternion as plain numbers: all of /tf passes here, and arrays would take many times as long.
_Placed = tuple[tuple[float, float, float], tuple[float, float, float, float]]

RECENT_S = 2.0
"""What was seen within this wall time counts as going on."""
_REPEATED = 3  # one event may be a message of a process that has just ended
_SAME_M, _SAME_RAD = 1e-3, 1e-3  # two roundings of one mount
_ALTERNATION_M = 0.05
_NOT_FINITE = "has numbers that are not finite, or a quaternion of length 0, and is not used; mend its publisher"
_PAUSE_S = 60.0  # the log does not repeat within this that an edge is not finite
_MAX_SPEED, _MAX_TURN_RATE = 50.0, 50.0  # m/s, rad/s: more than any robot's odometry


@dataclass
class _Edge:
    """What came of one parent and child on one of the two topics."""

    recent: deque[tuple[int, _Placed]] = field(default_factory=lambda: deque(maxlen=2))  # with the stamps
    last_seen: float = 0.0
    oddities: deque[float] = field(default_factory=lambda: deque(maxlen=_REPEATED))
    oddity: str = ""
    quiet_until: float = -math.inf


class TransformWatch:
    """Looks at every transform that comes, except the node's own. Edges are (parent, child, is_static)."""

    def __init__(
        self, now: Callable[[], float] = time.monotonic, warn: Callable[[str], object] = lambda _: None
    ) -> None:
        """Start with nothing seen.

        Args:
            now: tells the steady time in seconds.
            warn: told of a transform that is not used, also of a single one; not again within a minute for its edge.
        """
        self._warn = warn
        self._now = now
        self._lock = threading.Lock()
        self._own: dict[tuple[str, str], deque[int]] = {}
        self._edges: dict[tuple[str, str, bool], _Edge] = {}

    def note_own(self, parent: str, child: str, stamp_ns: int) -> None:
        """The node is about to send this transform, which will come back to it."""
        with self._lock:
            self._own.setdefault((parent, child), deque(maxlen=500)).append(stamp_ns)

    def forget(self) -> None:
        """Drop what moved, as after a jump back of the clock."""
        with self._lock:
            self._edges = {key: edge for key, edge in self._edges.items() if key[2]}

    def take(self, message: TransformStamped, is_static: bool) -> bool:
        """Look at a transform; False for one that is not finite, which counts as not sent."""
        parent, child = message.header.frame_id.lstrip("/"), message.child_frame_id.lstrip("/")
        stamp_ns, placed = to_nanoseconds(message.header.stamp), _placed(message)
        with self._lock:
            if not is_static and stamp_ns in self._own.get((parent, child), ()):
                return True
            edge = self._edges.setdefault((parent, child, is_static), _Edge())
            now = edge.last_seen = self._now()
            if placed is None:
                _note(edge, now, _NOT_FINITE)
                if now >= edge.quiet_until:
                    edge.quiet_until = now + _PAUSE_S
                    self._warn(f"{_named(parent, child, is_static)} {_NOT_FINITE}")
                return False
            if is_static and edge.oddity == _NOT_FINITE:
                edge.oddity = ""  # a static transform stays; this one takes the place of the unusable one
            problem = _conflict(edge, placed) if is_static else _step(edge, stamp_ns, placed)
            if problem:
                _note(edge, now, problem)
            edge.recent.append((stamp_ns, placed))
        return True

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
        return found


def _named(parent: str, child: str, is_static: bool) -> str:
    return f"{parent} -> {child} on {'/tf_static' if is_static else '/tf'}"


def _note(edge: _Edge, now: float, what: str) -> None:
    edge.oddities.append(now)
    edge.oddity = what


def _placed(message: TransformStamped) -> _Placed | None:
    """Metres and unit quaternion; None where they are not finite or no rotation."""
    t, q = message.transform.translation, message.transform.rotation
    length = math.sqrt(q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w)
    if not (math.isfinite(t.x + t.y + t.z) and math.isfinite(length) and length > 0.0):
        return None
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
