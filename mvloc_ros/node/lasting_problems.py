# SPDX-License-Identifier: Apache-2.0
"""What is wrong at the moment, and the log that says so while it lasts and once when it is over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from mvloc_ros.frontend.input_log import InputLog


class Level(IntEnum):
    """REP-107's levels."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where (`key` is stable while it lasts), how bad, and a sentence with the remedy.

    `key` is one of the program's own words: texts from outside are in `text` alone.
    """

    part: str
    key: str
    level: Level
    text: str


class ProblemLog:
    """Says what a look finds, through the log of input."""

    def __init__(self, log: InputLog) -> None:
        self._log = log
        self._present: set[str] = set()
        self._told: set[str] = set()

    def update(self, findings: Iterable[Problem]) -> None:
        """What is wrong now."""
        present = {finding.key: finding for finding in findings}
        for key in self._present - present.keys():
            self._log.over(key, f"no longer: {key}")
        self._present = set(present)
        for key, finding in present.items():
            if finding.level > Level.OK:
                self._log.lasts(key, finding.text)
            elif key not in self._told:  # what is merely good to know is said once
                self._told.add(key)
                self._log.tell(key, finding.text)
