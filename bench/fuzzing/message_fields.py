# SPDX-License-Identifier: Apache-2.0
"""ROS messages with one to four fields changed: what any publisher can send, since DDS checks types alone."""

from __future__ import annotations

import array
import math
from pathlib import Path
from random import Random
from typing import Any

from rclpy.serialization import deserialize_message, serialize_message

from bench.fuzzing.mutators import damaged

NUMBERS = (
    math.nan, math.inf, -math.inf, 0.0, -0.0, -1.0, 1e30, -1e30, 1e200, 1.7e308, 1e-320, 2.0, 1e9, 0.5,
)  # fmt: skip
_TEXTS = (
    "", " ", "map", "x" * 10_000, "a\nb", "\x1b[31mred", "\u202e", "camera", "/camera", "é", "rgb8", "16UC1", "32FC1",
    "bayer_rggb8", "mono8", "8UC3", "yuv422", "64FC4", "8UC99999999", "nonsense", "plumb_bob", "equidistant", "jpeg",
    "rgb8; jpeg compressed bgr8", "16UC1; compressedDepth rvl", "32FC1; compressedDepth png", "rgb16; png compressed ",
)  # fmt: skip

_MOST_PARTS = 500


def mutated_message(message: Any, random: Random) -> str:
    """Change a message in place; what was changed, in words."""
    done = [_change(message, random) for _ in range(random.choice((1, 1, 1, 2, 4)))]
    return ", ".join(filter(None, done))


def sent(message: Any, path: Path) -> Any:
    """The message as a subscriber gets it: serialized, kept in a file, and read again."""
    path.write_bytes(serialize_message(message))
    return deserialize_message(path.read_bytes(), type(message))


def _change(message: Any, random: Random) -> str:
    places = list(_fields(message))
    owner, name, kind = random.choice(places)
    old = getattr(owner, name)
    if ("float" in kind and "[" not in kind and "sequence" not in kind) or kind == "double":
        new: Any = random.choice((*NUMBERS, old * 1000.0, -old))
    elif kind == "string":
        new = random.choice(_TEXTS)
    elif kind == "boolean":
        new = not old
    elif "int" in kind and "[" not in kind and "sequence" not in kind:
        bits, signed = int(kind.lstrip("uint")), not kind.startswith("u")
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        near = [low, high, 0, 1, 2, old + 1, old - 1, old * 2, high // 2, high // 3, 1 << bits // 2]
        new = min(max(random.choice(near), low), high)
    elif kind in ("sequence<uint8>", "uint8[]"):
        data, what = damaged(bytes(old), random)
        setattr(owner, name, array.array("B", data))
        return f"{name}: {what}"
    else:
        numbers = list(old)
        if "/" in kind:
            return _changed_list(owner, name, numbers, random)
        if random.random() < 0.2 and not kind.endswith("]"):
            numbers = numbers[: random.randrange(len(numbers) + 1)] + [0.0] * random.choice((0, 1, 5000))
        elif numbers:
            numbers[random.randrange(len(numbers))] = random.choice(NUMBERS)
        new = numbers
    setattr(owner, name, new)
    return f"{name} is {str(new)[:40]!r}"


def _changed_list(owner: Any, name: str, parts: list[Any], random: Random) -> str:
    change = random.randrange(5)
    if not parts or change == 0:
        parts = parts[: random.randrange(len(parts) or 1)]
    elif change == 1:
        parts = (parts * random.choice((2, _MOST_PARTS)))[:_MOST_PARTS]
    else:
        return _change(random.choice(parts), random)
    setattr(owner, name, parts)
    return f"{len(parts)} {name}"


def _fields(message: Any) -> list[tuple[Any, str, str]]:
    """(message or part of it, name, type) of all fields that are no messages themselves."""
    found = []
    for name, kind in message.get_fields_and_field_types().items():
        part = getattr(message, name)
        if hasattr(part, "get_fields_and_field_types"):
            found += _fields(part)
        else:
            found.append((message, name, kind))
    return found
