# SPDX-License-Identifier: Apache-2.0
"""What the log says about input: each kind of message at once, then less and less often, and how many were held back.

Whoever may publish on the node's topics decides how many of these messages there are, and what texts are in them. So
all of them go through here: their number a kind, their length, their characters and the number of kinds are bounded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from mvloc_ros.foreign_text import shown
from mvloc_ros.limits import MOST_LOG_CHARACTERS, MOST_LOG_KINDS

FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 320.0
QUIET_S = 60.0
"""A kind of which nothing came for this long begins again."""
_OTHER = "other messages"


@dataclass
class _Kind:
    """What is known of one kind. Times are steady, in seconds."""

    came: float
    said: float
    due: float
    pause: float = FIRST_PAUSE_S
    held: int = 0
    pending: tuple[str, bool] | None = None  # what was held back last, and whether it is a warning
    is_open: bool = False  # said, and nobody said since that it is over


class InputLog:
    """One for a node; called from any thread."""

    def __init__(
        self,
        warn: Callable[[str], object],
        tell: Callable[[str], object],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take where warnings go, where what is merely good to know goes, and the steady time in seconds."""
        self._warn, self._tell, self._now = warn, tell, now
        self._lock = threading.Lock()
        self._kinds: dict[str, _Kind] = {}

    def warn(self, kind: str, text: str) -> None:
        """Warn of one message or event; `kind` is one of the program's own words, never a text from outside."""
        self._say(kind, text, True, counts=True)

    def tell(self, kind: str, text: str) -> None:
        """The same, of something that is good to know."""
        self._say(kind, text, False, counts=True)

    def lasts(self, kind: str, text: str) -> None:
        """Warn of a state; to be called again and again while it lasts, which is not counted."""
        self._say(kind, text, True, counts=False)

    def over(self, kind: str, text: str) -> None:
        """Tell that a state is over, if the log said so far that it lasts."""
        with self._lock:
            known = self._kinds.get(kind)
            if known is None:
                return
            known.pending, known.held = None, 0
            if known.is_open:
                known.is_open = False
                self._emit(text, False)

    def flush(self) -> None:
        """Say what was held back last of each kind whose pause is over; to be called once a second or so."""
        with self._lock:
            now = self._now()
            for known in self._kinds.values():
                if known.pending is not None and now >= known.due:
                    (text, is_warning), known.pending = known.pending, None
                    self._say_now(known, text, is_warning, known.held - 1, now)

    def _say(self, kind: str, text: str, is_warning: bool, counts: bool) -> None:
        with self._lock:
            now = self._now()
            known = self._of(kind, now)
            if now - known.came >= QUIET_S:
                known.pause, known.due = FIRST_PAUSE_S, now
            known.came = now
            if now >= known.due:
                known.pending = None
                self._say_now(known, text, is_warning, known.held, now)
            elif counts:
                known.held += 1
                known.pending = text[: MOST_LOG_CHARACTERS + 1], is_warning

    def _say_now(self, known: _Kind, text: str, is_warning: bool, more: int, now: float) -> None:
        rest = f" (and {more:,} more in the last {now - known.said:.0f} s)" if more > 0 else ""
        known.said, known.due, known.held, known.is_open = now, now + known.pause, 0, True
        known.pause = min(2.0 * known.pause, LONGEST_PAUSE_S)
        self._emit(shown(text, MOST_LOG_CHARACTERS) + rest, is_warning)

    def _emit(self, text: str, is_warning: bool) -> None:
        # Two lines: rclpy's logger allows each line of a source one severity.
        if is_warning:
            self._warn(text)
        else:
            self._tell(text)

    def _of(self, kind: str, now: float) -> _Kind:
        """A kind, whose number is bounded even where somebody names kinds by input."""
        if kind not in self._kinds and len(self._kinds) >= MOST_LOG_KINDS:
            kind = _OTHER
        return self._kinds.setdefault(kind, _Kind(now, now, now))
