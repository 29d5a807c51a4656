# SPDX-License-Identifier: Apache-2.0
"""Values as JSON and YAML have them -> hostile ones, and their text; also texts that no writer of JSON makes."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from random import Random
from typing import Any

Path = tuple[str | int, ...]

SENSELESS = (
    None, True, False, 0, -1, 1, 1.5, -0.0, math.nan, math.inf, -math.inf, 1e30, -1e30, 1e308, 1e-320, 2**31, 2**63,
    -(2**63) - 1, 10**30, "", " ", "x", "x" * 3000, "a\nb", "\x1b[31m", "\u202e", "\x00", "../../etc/passwd",
    "/dev/zero", "nan", "1", [], {}, [[]], [None], {"a": 1}, [1] * 17,
)  # fmt: skip
"""Values that stand where others should be."""
RAW = (
    "9" * 390, "9" * 5000, "9" * 200_000, "1e999", "-1e999", "1e-999", "NaN", "-Infinity", "[" * 60 + "]" * 60,
    "[" * 100_000 + "]" * 100_000, '{"a":' * 50_000 + "1" + "}" * 50_000, '{"a":1,"a":2}', "01", "0x10", "1_0",
    "tru", "'x'",    '"\\ud800"', '"\\u0000"', '"' + "x" * 100_000 + '"', "[" + "0," * 200_000 + "0]",
)  # fmt: skip
"""Texts of values that no writer would make."""
_MARK = "@raw value@"


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """Where all values lie that hold no others, empty lists and mappings among them."""
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from leaves(part, (*path, name))
    elif isinstance(value, list) and value:
        for index, part in enumerate(value):
            yield from leaves(part, (*path, index))
    else:
        yield path


def nodes(value: Any, path: Path = ()) -> Iterator[Path]:
    """Where all values lie, those that hold others among them; the whole is not."""
    if path:
        yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield from nodes(part, (*path, name))


def get(value: Any, path: Path) -> Any:
    """What lies there."""
    for name in path:
        value = value[name]
    return value


def put(value: Any, path: Path, new: Any) -> Any:
    """A copy with another value there."""
    result = copy.deepcopy(value)
    get(result, path[:-1])[path[-1]] = new
    return result


def without(value: Any, path: Path) -> Any:
    """A copy without what lies there."""
    result = copy.deepcopy(value)
    del get(result, path[:-1])[path[-1]]
    return result


def mutated(value: Any, random: Random) -> tuple[str, str]:
    """The JSON text of a value after one to three changes, and what they are."""
    done, raw = [], ""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        places = list(nodes(value))
        if not places:
            break
        path = random.choice(places)
        name, old = named(path), get(value, path)
        change = random.randrange(8)
        if change == 0:
            value = without(value, path)
            done.append(f"without {name}")
        elif change == 1 and isinstance(old, (int, float)):
            factor = random.choice((1e-6, 0.1, 1.001, 10.0, 1e6, -1.0))
            value = put(value, path, old * factor)
            done.append(f"{name} times {factor:g}")
        elif change == 2 and isinstance(old, list):
            value = put(value, path, random.choice((old * 2, old[:-1], [old], old[::-1])))
            done.append(f"{name} of another length")
        elif change == 3 and isinstance(old, dict):
            value = put(value, (*path, random.choice(("x", "", "a" * 500, "schema", "sha256"))), 1)
            done.append(f"{name} with a name more")
        elif change == 4 and not raw:
            raw = random.choice(RAW)
            value = put(value, path, _MARK)
            done.append(f"{name} is {raw[:20]!r} ({len(raw)} characters)")
        else:
            new = random.choice(SENSELESS)
            value = put(value, path, new)
            done.append(f"{name} is {str(new)[:30]!r}")
    text = json.dumps(value, indent=random.choice((None, 1)))
    return text.replace(f'"{_MARK}"', raw), ", ".join(done)


def altered(old: Any, random: Random) -> Any:
    """Another value of the same type, as an error of one digit or a stranger's hand makes it."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, (int, float)):
        return type(old)(old * random.choice((2, 3, 5)) + (old == 0))
    if isinstance(old, str):
        return old[::-1] + "x"
    return 1


def named(path: Path) -> str:
    """A place in words: position.offset_m[2]."""
    return "".join(f"[{name}]" if isinstance(name, int) else f".{name[:40]}" for name in path).lstrip(".")
