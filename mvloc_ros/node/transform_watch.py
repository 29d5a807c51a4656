# SPDX-License-Identifier: Apache-2.0
"""Who else sends transforms: two sources of one edge, second parents, impossible steps, and numbers that are none.

tf2 keeps one parent of a frame, the last that came, and says nothing; so each transform is looked at on its way into
the buffer. Written by the executor's thread, read by the worker's too.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.node.messages import matrix_of, to_nanoseconds

Array = NDArray[np.float64]

RECENT_S = 2.0
"""What was seen within this wall time counts as going on."""
_REPEATED = 3  # one event may be a message of a process that has just ended
_SAME_M, _SAME_RAD = 1e-3, 1e-3  # two roundings of one mount
_ALTERNATION_M = 0.05
_MAX_SPEED, _MAX_TURN_RATE = 50.0, 50.0  # m/s, rad/s: more than any robot's odometry


@dataclass
class _Edge:
    """What came of one parent and child on one of the two topics."""

    recent: deque[tuple[int, Array]] = field(default_factory=lambda: deque(maxlen=2))  # stamp, T_parent_child
    last_seen: float = 0.0
    oddities: deque[float] = field(default_factory=lambda: deque(maxlen=_REPEATED))
    oddity: str = ""


class TransformWatch:
    """Looks at every transform that comes, except the node's own. Edges are (parent, child, is_static)."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Start with nothing seen; `now` tells the steady time in seconds."""
        self._now = now
        self._lock = threading.Lock()
        self._own: deque[tuple[str, str, int]] = deque(maxlen=2000)
        self._edges: dict[tuple[str, str, bool], _Edge] = {}

    def note_own(self, parent: str, child: str, stamp_ns: int) -> None:
        """The node is about to send this transform, which will come back to it."""
        with self._lock:
            self._own.append((parent, child, stamp_ns))

    def forget(self) -> None:
        """Drop what moved, as after a jump back of the clock."""
        with self._lock:
            self._edges = {key: edge for key, edge in self._edges.items() if key[2]}

    def take(self, message: TransformStamped, is_static: bool) -> bool:
        """Look at a transform; False for one that is not finite, which counts as not sent."""
        parent, child = message.header.frame_id.lstrip("/"), message.child_frame_id.lstrip("/")
        rotation, stamp_ns = message.transform.rotation, to_nanoseconds(message.header.stamp)
        length = np.linalg.norm([rotation.x, rotation.y, rotation.z, rotation.w])
        T = matrix_of(message) if np.isfinite(length) and length > 0.0 else np.full((4, 4), np.nan)
        with self._lock:
            if not is_static and (parent, child, stamp_ns) in self._own:
                return True
            edge = self._edges.setdefault((parent, child, is_static), _Edge())
            now = edge.last_seen = self._now()
            if not np.isfinite(T).all():
                _note(edge, now, "has numbers that are not finite and is not used; mend its publisher")
                return False
            problem = _conflict(edge, T) if is_static else _step(edge, stamp_ns, T)
            if problem:
                _note(edge, now, problem)
            edge.recent.append((stamp_ns, T))
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
                    found.append(f"{parent} -> {child} on {'/tf_static' if is_static else '/tf'} {edge.oddity}")
        return found


def _note(edge: _Edge, now: float, what: str) -> None:
    edge.oddities.append(now)
    edge.oddity = what


def _difference(T_a: Array, T_b: Array) -> tuple[float, float]:
    return float(se3.translation_error(T_a, T_b)), float(se3.rotation_error(T_a, T_b))


def _conflict(edge: _Edge, T: Array) -> str:
    """What is wrong with another value of a static transform; empty where it is the same."""
    if not edge.recent:
        return ""
    metres, radians = _difference(edge.recent[-1][1], T)
    if metres <= _SAME_M and radians <= _SAME_RAD:
        return ""
    return (
        f"was sent with two values, {metres:.3f} m and {np.rad2deg(radians):.1f} degrees apart, and the last one is "
        "used; leave one source (the URDF or the driver)"
    )


def _step(edge: _Edge, stamp_ns: int, T: Array) -> str:
    """What is wrong with the step to a moving transform; empty where it is plausible."""
    if not edge.recent:
        return ""
    before_ns, before = edge.recent[-1]
    metres, radians = _difference(before, T)
    seconds = 1e-9 * abs(stamp_ns - before_ns)
    alternates = len(edge.recent) == 2 and _difference(edge.recent[0][1], T)[0] < 0.2 * metres
    if metres > _ALTERNATION_M and (alternates and metres > 5.0 * seconds):
        return (
            f"alternates between values {metres:.2f} m and {np.rad2deg(radians):.1f} degrees apart: two publishers; "
            "leave one of them"
        )
    if metres > _ALTERNATION_M + _MAX_SPEED * seconds or radians > 0.1 + _MAX_TURN_RATE * seconds:
        return (
            f"steps by {metres:.2f} m and {np.rad2deg(radians):.1f} degrees within {seconds:.3f} s: impossible for "
            "odometry; look for a second publisher, or at its source"
        )
    return ""
