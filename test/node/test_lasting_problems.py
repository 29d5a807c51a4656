# SPDX-License-Identifier: Apache-2.0
"""How often the log says what is wrong."""

from __future__ import annotations

from mvloc_ros.frontend.input_log import InputLog
from mvloc_ros.node.lasting_problems import Level, Problem, ProblemLog

WRONG = Problem("colour", "no colour images", Level.ERROR, "nothing publishes")
KNOWN = Problem("colour", "no colour camera_info", Level.OK, "no camera_info")


class Lines:
    """A log of findings and the time of each line."""

    def __init__(self) -> None:
        self.now, self.lines = 0, []
        self.log = InputLog(self.say, self.say, lambda: float(self.now))
        self.findings = ProblemLog(self.log)

    def say(self, text: str) -> None:
        self.lines.append((self.now, text))

    def times_of(self, text: str) -> list[int]:
        return [when for when, line in self.lines if line == text]


def test_the_log_backs_off_and_tells_the_end():
    seen = Lines()
    for seen.now in range(100):
        seen.findings.update([WRONG, KNOWN] if seen.now < 80 else [KNOWN])
        seen.log.flush()
    assert seen.times_of("nothing publishes") == [0, 5, 15, 35, 75]
    assert seen.times_of("no camera_info") == [0]
    assert seen.times_of("no longer: no colour images") == [80]


def test_what_comes_and_goes_with_every_look_is_not_said_with_every_look():
    seen = Lines()
    for seen.now in range(600):
        seen.findings.update([WRONG] if seen.now % 2 else [])
        seen.log.flush()
    assert seen.times_of("nothing publishes") == [1, 7, 17, 37, 77, 157, 317]
    assert seen.times_of("no longer: no colour images") == [2, 8, 18, 38, 78, 158, 318]
