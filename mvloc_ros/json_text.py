# SPDX-License-Identifier: Apache-2.0
"""JSON from outside -> values, with bounds on nesting and digits, and without NaN and infinities.

Python's reader accepts all of these: deep nesting ends in a RecursionError, a number of many digits takes quadratic
time or a ValueError of its own, 1e999 becomes an infinity, and the names NaN and Infinity are no JSON.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from mvloc_ros.foreign_text import quoted, shown
from mvloc_ros.limits import MOST_DIGITS, MOST_NESTING

# A bracket, or a string, which ends with the text where nothing else ends it: so that no text takes quadratic time.
_TOKEN = re.compile(r'[\[{\]}]|"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)


def parse_json(text: str) -> Any:
    """The values of a JSON text.

    Raises:
        ValueError: it is no JSON, or beyond the bounds; the caller names the file.
    """
    _require_shallow(text)
    try:
        return json.loads(
            text, parse_int=_integer, parse_float=_number, parse_constant=_refuse, object_pairs_hook=_pairs
        )
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error


def _require_shallow(text: str) -> None:
    """Count brackets outside of strings, so that the depth is known before the reader descends."""
    depth = 0
    for found in _TOKEN.finditer(text):
        if found[0] in "[{":
            depth += 1
            if depth > MOST_NESTING:
                raise ValueError(f"its values are nested deeper than {MOST_NESTING}")
        elif found[0] in "]}":
            depth -= 1


def _integer(text: str) -> int:
    _require_short(text)
    return int(text)


def _number(text: str) -> float:
    _require_short(text)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {shown(text, 40)} is too large")
    return value


def _require_short(text: str) -> None:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number has {len(text)} digits, at most {MOST_DIGITS} are accepted")


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not a number in JSON")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {quoted(twice, 40)} occurs twice")
    return values
