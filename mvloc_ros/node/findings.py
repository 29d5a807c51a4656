# SPDX-License-Identifier: Apache-2.0
"""What is wrong at the moment, and how often the log says it: at once, then less and less, and once when it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 320.0


class Level(IntEnum):
    """REP-107's levels."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where (`key` is stable while it lasts), how bad, and a sentence with the remedy."""

    part: str
    key: str
    level: Level
    text: str


class FindingLog:
    """Logs findings with back-off. Time is passed in."""

    def __init__(self, warn: Callable[[str], object], tell: Callable[[str], object]) -> None:
        """Take where warnings go, and where it is told that something is over."""
        self._warn, self._tell = warn, tell
        self._due: dict[str, tuple[float, float]] = {}

    def update(self, findings: Iterable[Finding], now: float) -> None:
        """What is wrong now, at `now` in seconds."""
        present = {finding.key: finding for finding in findings}
        for key in [key for key in self._due if key not in present]:
            del self._due[key]
            self._tell(f"no longer: {key}")
        for key, finding in present.items():
            due, pause = self._due.get(key, (now, FIRST_PAUSE_S))
            if now >= due:
                # Two lines: rclpy's logger allows each line of a source one severity.
                if finding.level > Level.OK:
                    self._warn(finding.text)
                else:
                    self._tell(finding.text)
                # What is merely good to know is said once.
                pause = pause if finding.level > Level.OK else float("inf")
                self._due[key] = now + pause, min(2.0 * pause, LONGEST_PAUSE_S)
