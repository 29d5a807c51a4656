# SPDX-License-Identifier: Apache-2.0
"""The log of input: how many lines, how long, and that nothing is lost without a count."""

from __future__ import annotations

import pytest

from mvloc_ros.frontend.input_log import InputLog
from mvloc_ros.limits import MOST_LOG_CHARACTERS, MOST_LOG_KINDS

FRAME_S = 1.0 / 30.0


class Recorder:
    """A log with a clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[tuple[float, str]] = []
        self.input = InputLog(self._say, self._say, lambda: self.now)

    def _say(self, text: str) -> None:
        self.lines.append((self.now, text))

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.lines]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_the_first_is_said_at_once_and_the_rest_are_counted(recorder):
    for n in range(1000):
        recorder.now = 0.1 * n
        recorder.input.warn("images", f"image {n}")
    assert [(round(when), text) for when, text in recorder.lines] == [
        (0, "image 0"),
        (5, "image 50 (and 49 more in the last 5 s)"),
        (15, "image 150 (and 99 more in the last 10 s)"),
        (35, "image 350 (and 199 more in the last 20 s)"),
        (75, "image 750 (and 399 more in the last 40 s)"),
    ]


def test_what_was_held_back_last_is_said_later_although_nothing_comes_any_more(recorder):
    for n in range(1235):
        recorder.input.warn("images", f"image {n}")
    for recorder.now in range(20):
        recorder.input.flush()
    assert recorder.lines == [(0.0, "image 0"), (5, "image 1234 (and 1,233 more in the last 5 s)")]


def test_one_that_is_held_back_is_said_as_it_is(recorder):
    recorder.input.tell("hints", "one")
    recorder.input.tell("hints", "two")
    recorder.now = 5.0
    recorder.input.flush()
    assert recorder.texts == ["one", "two"]


def test_kinds_do_not_hide_each_other_and_after_a_quiet_minute_one_begins_anew(recorder):
    for n in range(700):
        recorder.now = 0.1 * n
        recorder.input.warn("images", "image")
    recorder.input.warn("poses", "pose")
    assert recorder.texts[-1] == "pose"
    recorder.now += 61.0
    recorder.input.warn("images", "again")
    assert recorder.texts[-1].startswith("again")


@pytest.mark.parametrize("text", ["a\nforged line", "\x1b[2J", "\u202eabc", "x" * 1_000_000, "\x00" * 1_000_000])
def test_a_line_is_one_line_of_bounded_length(recorder, text: str):
    recorder.input.warn("images", text)
    recorder.input.warn("images", text)
    recorder.input.lasts("state", text)
    recorder.now = 5.0
    recorder.input.flush()
    assert len(recorder.texts) == 3
    for line in recorder.texts:
        assert line.isprintable()
        assert len(line) <= MOST_LOG_CHARACTERS + 50


def test_names_of_kinds_do_not_pile_up(recorder):
    for n in range(100_000):
        recorder.input.warn(f"kind {n}", "text")
    assert len(recorder.input._kinds) <= MOST_LOG_KINDS + 1
    assert len(recorder.lines) <= MOST_LOG_KINDS + 1


def play(recorder: Recorder, is_hostile) -> int:
    """Bytes of ten minutes at 30 Hz in which each of all kinds comes with every frame that is hostile."""
    for n in range(round(600 / FRAME_S)):
        recorder.now = n * FRAME_S
        if is_hostile(n):
            for kind in range(MOST_LOG_KINDS):
                recorder.input.warn(f"kind {kind}", "\n" * 1000)
        if n % 30 == 0:
            recorder.input.flush()
    return sum(len(text) for text in recorder.texts)


@pytest.mark.parametrize(
    "is_hostile",
    [lambda n: n % 10 == 0, lambda n: n % 2000 < 200, lambda n: n % 1810 in (0, 1, 300, 301, 900)],
    ids=["10 % of the frames", "bursts of 7 s a minute", "after each quiet minute"],
)
def test_hostile_input_of_all_kinds_at_once_fills_less_than_a_megabyte_in_ten_minutes(recorder, is_hostile):
    assert play(recorder, is_hostile) < 1_000_000
