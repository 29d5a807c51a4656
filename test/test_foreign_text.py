# SPDX-License-Identifier: Apache-2.0
"""Texts from outside in one line of a log."""

from __future__ import annotations

import logging
import random
import unicodedata

import pytest

from mvloc_ros.cli import OneLineFormatter
from mvloc_ros.errors import MvlocError
from mvloc_ros.file_reader import ReadError
from mvloc_ros.foreign_text import first_line, quoted, shown
from mvloc_ros.limits import MOST_ERROR_CHARACTERS, MOST_SHOWN_CHARACTERS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("camera_color_optical_frame", "camera_color_optical_frame"),
        ("Kamera_ä 日本 é", "Kamera_ä 日本 é"),
        ("", ""),
        ("a\nb\r\tc\0", r"a\nb\r\tc\x00"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("\x9b31m\x85", r"\x9b31m\x85"),
        ("\u202eabc\u2066\u2069\u200b\u200f\ufeff", r"\u202eabc\u2066\u2069\u200b\u200f\ufeff"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\ud800x\udcff", r"\ud800x\udcff"),
        ("\U000e0041\U0010ffff", r"\U000e0041\U0010ffff"),
        ("\u3164\ufe0f", r"\u3164\ufe0f"),
        (b"\xff\n", r"b'\xff\n'"),
        (ValueError("two\nlines"), r"two\nlines"),
    ],
)
def test_what_is_not_displayed_as_itself_is_written_out(text: object, expected: str):
    assert shown(text) == expected


def test_a_long_text_ends_in_dots():
    assert shown("x" * 80) == "x" * 80
    assert shown("x" * 81) == "x" * 77 + "..."
    assert shown("x" * 2_000_000) == "x" * 77 + "..."
    assert shown("abcdef", most=5) == "ab..."
    assert shown("\x1b" * 80, most=10) == r"\x1b" + "..."  # no escape is cut in two
    with pytest.raises(ValueError, match="at least 3"):
        shown("x", most=2)


def test_random_texts_stay_in_one_line_of_bounded_length():
    chance = random.Random(7)
    ranges = [(0, 0x20), (0x20, 0x7F), (0x7F, 0xA0), (0x2000, 0x2070), (0xD800, 0xE000), (0, 0x110000)]
    for _ in range(2000):
        text = "".join(chr(chance.randrange(*chance.choice(ranges))) for _ in range(chance.randrange(120)))
        most = chance.choice((3, 10, MOST_SHOWN_CHARACTERS, 500))
        seen = shown(text, most)
        assert len(seen) <= most
        assert len(seen.splitlines()) <= 1
        assert not {unicodedata.category(character) for character in seen} & {"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"}
        seen.encode()  # no surrogate is left over
        assert shown(seen, most) == seen


@pytest.mark.parametrize("kind", [MvlocError, lambda text: ReadError("file", text)])
def test_every_error_message_is_one_line_of_bounded_length(kind):
    assert "a\\nb\\x1b[31m" in str(kind("a\nb\x1b[31m"))
    assert len(str(kind("x" * 10_000))) == MOST_ERROR_CHARACTERS


def test_every_log_message_of_a_command_is_one_line():
    record = logging.LogRecord("mvloc_ros", logging.WARNING, "", 0, "%s: damaged", ("a\n\x1b[2J",), None)
    assert OneLineFormatter("%(levelname)s: %(message)s").format(record) == r"WARNING: a\n\x1b[2J: damaged"


def test_a_quoted_value_is_cut_inside_of_its_quotation_marks():
    assert quoted("a\x1bb") == r"'a\x1bb'"
    assert quoted("x" * 100, 10) == "'xxxxxxx...'"
    assert quoted(True) == "True"
    assert len(quoted(list(range(100)))) <= 62


def test_the_reason_of_another_library_is_its_first_line():
    assert first_line(ValueError("too large.\nfor developers")) == "too large"
    assert first_line(ValueError()) == "ValueError"
