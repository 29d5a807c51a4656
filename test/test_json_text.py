# SPDX-License-Identifier: Apache-2.0
"""JSON from outside: what a text may not do to its reader."""

from __future__ import annotations

import json
import time

import pytest

from mvloc_ros.json_text import parse_json
from mvloc_ros.limits import MOST_DIGITS, MOST_NESTING


def test_values_are_those_of_json():
    text = '{"a": [1, -2.5e3, "x\\"[{", true, null], "b": {"c": "\\\\"}}'
    assert parse_json(text) == json.loads(text)


def test_nesting_is_bounded_outside_of_strings_only():
    deep = "[" * MOST_NESTING + "]" * MOST_NESTING
    assert parse_json(deep) == json.loads(deep)
    assert parse_json(json.dumps("[" * 1000)) == "[" * 1000
    with pytest.raises(ValueError, match="nested deeper"):
        parse_json(f"[{deep}]")
    with pytest.raises(ValueError, match="nested deeper"):
        parse_json('{"a":' * 100_000)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1" * 5000, "digits"),
        ("0." + "1" * 5000, "digits"),
        ("1" * (MOST_DIGITS + 1), "digits"),
        ("1e999", "too large"),
        ("[-1e999]", "too large"),
        ("NaN", "NaN is not a number"),
        ("[Infinity]", "Infinity is not a number"),
        ("-Infinity", "Infinity is not a number"),
        ('{"a": 1, "a": 2}', "'a' occurs twice"),
        ("{", "Expecting"),
        ("", "Expecting"),
    ],
)
def test_what_is_refused(text: str, reason: str):
    with pytest.raises(ValueError, match=reason):
        parse_json(text)


@pytest.mark.parametrize("text", ['"' + '\\"' * 500_000 + "\\", '"' * 1_000_001, "[]" * 500_000])
def test_no_text_takes_quadratic_time(text: str):
    started = time.process_time()
    with pytest.raises(ValueError, match=r"Unterminated|Extra data|Expecting"):
        parse_json(text)
    assert time.process_time() - started < 5  # quadratic: hours
