# SPDX-License-Identifier: Apache-2.0
"""The words of parameter files and of `name:=value` as ROS reads them, which differs from YAML 1.1 in places.

`y` and `n` are booleans too, 1e-3 is a number without a point, 1_000 and 1:30 are texts, and so are ~ and null.
"""

from __future__ import annotations

import math
import re

from mvloc_ros.limits import MOST_DIGITS

_BOOLEANS = {
    word: value
    for value, words in ((True, ("yes", "true", "on")), (False, ("no", "false", "off")))
    for lower in words
    for word in (lower, lower.capitalize(), lower.upper())
} | {"y": True, "Y": True, "n": False, "N": False}
_INTEGER = re.compile(r"[+-]?(?:0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*)", re.IGNORECASE)
_DECIMAL = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?|nan)", re.IGNORECASE)
_DOTTED = re.compile(r"[+-]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LARGEST = 1 << 63


def plain_value(text: str) -> bool | int | float | str:
    """What a word without quotation marks means.

    Raises:
        ValueError: it is empty, or a number of too many digits.
    """
    if not text:
        raise ValueError("a value is missing; write '' for an empty text")
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    integer, decimal, dotted = (pattern.fullmatch(text) for pattern in (_INTEGER, _DECIMAL, _DOTTED))
    if not (integer or decimal or dotted):
        return text
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number has {len(text)} digits, at most {MOST_DIGITS} are accepted")
    if integer:
        whole = _integer(text)
        if -_LARGEST <= whole < _LARGEST:
            return whole
        return float(whole)
    value = float(text.replace(".", "") if dotted else text)
    is_too_large = math.isinf(value) and "inf" not in text.lower()
    return text if is_too_large else value


def _integer(text: str) -> int:
    """As C reads it: 0x17 is hexadecimal, 017 is octal."""
    digits = text.lstrip("+-")
    base = 16 if digits[:2].lower() == "0x" else 8 if digits[0] == "0" else 10
    return int(text, base)
