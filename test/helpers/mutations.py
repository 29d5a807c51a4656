# SPDX-License-Identifier: Apache-2.0
"""Seeded damage to bytes and to JSON values, for tests that a reader refuses or reads what it gets."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

NUMBERS = (0, -1, 1, 2**63, 10**400, -0.0, 0.5, 1e-320, 1e308, -1e308, float("nan"), float("inf"))
VALUES = (*NUMBERS, None, True, False, "", "nan", "1.0", "/etc/passwd", "\0", "\ud800", [], {}, [[]], [1.0] * 1000)


def damaged_bytes(content: bytes, seed: int) -> bytes:
    """The content with a few bytes changed, a stretch doubled, left out or overwritten, or its end cut off."""
    random, data = Random(seed), bytearray(content)
    for _ in range(random.randint(1, 4)):
        at, length = random.randrange(len(data) + 1), random.choice((1, 2, 8, 64))
        kind = random.randrange(6)
        if kind <= 1:
            data[at : at + 1] = bytes([random.randrange(256)])
        elif kind == 2:
            data[at : at + length] = random.choice((b"\0", b"\xff", b"\x7f")) * length
        elif kind == 3:
            del data[at : at + length]
        elif kind == 4:
            data[at:at] = data[at : at + length]
        else:
            del data[random.randrange(len(data) + 1) :]
    return bytes(data)


def damaged_values(values: dict[str, Any], seed: int) -> dict[str, Any]:
    """JSON values of which one or two are replaced by one of another kind or size, left out, or renamed."""
    random, result = Random(seed), copy.deepcopy(values)
    for _ in range(random.randint(1, 2)):
        holder, key = random.choice(list(_places(result)))
        kind = random.randrange(8)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[f"{key}_"] = holder.pop(key)
        elif kind == 2 and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = holder[key] * random.choice((-1, 1000, 1e-9, 1e9))
        else:
            holder[key] = copy.deepcopy(random.choice(VALUES))
    return result


def to_text(values: Any) -> str:
    """JSON with NaN and infinities as Python writes them."""
    return json.dumps(values)


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    items = values.items() if isinstance(values, dict) else enumerate(values)
    for key, value in items:
        yield values, key
        if isinstance(value, dict | list):
            yield from _places(value)
