# SPDX-License-Identifier: Apache-2.0
"""Bytes, text lines and files of a valid input -> hostile ones. Each mutator returns what it did, in words."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

_EDGES = (0, 1, 0x7F, 0x80, 0xFF)
_WORDS = tuple(
    value.to_bytes(size, order)  # type: ignore[arg-type]
    for size in (2, 4, 8)
    for order in ("little", "big")
    for value in (0, 1, (1 << (8 * size - 1)) - 1, 1 << (8 * size - 1), (1 << 8 * size) - 1)
)
WORDS = (
    "nan", "NaN", "inf", "-inf", "1e999", "-1e30", "1e30", "1e-320", "0", "-1", "1.5", "True", "none", "",
    "9" * 400, "9" * 5000, "1_000", "0x10", "1,5", "٣", "\u202e", "\x1b[31m", "é", "x" * 3000, "-", "1e", "../../x",
)  # fmt: skip
"""What stands where a number or a name should be."""
SPARSE_BYTES = 6 << 30


def damaged(data: bytes, random: Random) -> tuple[bytes, str]:
    """One to four changes of a byte string."""
    done = []
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data, what = random.choice(_CHANGES)(data, random)
        done.append(what)
    return data, ", ".join(done)


def _flip(data: bytes, random: Random) -> tuple[bytes, str]:
    if not data:
        return data, "nothing"
    changed = bytearray(data)
    count = random.choice((1, 1, 1, 8, 64))
    for _ in range(count):
        changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(changed), f"{count} bits flipped"


def _edge(data: bytes, random: Random) -> tuple[bytes, str]:
    if not data:
        return data, "nothing"
    at = random.randrange(len(data))
    return data[:at] + bytes([random.choice(_EDGES)]) + data[at + 1 :], f"byte {at} at its edge"


def _word(data: bytes, random: Random) -> tuple[bytes, str]:
    word = random.choice(_WORDS)
    # Headers and indices are at the beginning and at the end.
    near = random.choice((64, len(data) or 1))
    at = random.randrange(min(near, max(len(data) - len(word), 1)))
    at = at if random.random() < 0.7 else max(0, len(data) - len(word) - at)
    return data[:at] + word + data[at + len(word) :], f"{word.hex()} at {at}"


def _zeros(data: bytes, random: Random) -> tuple[bytes, str]:
    at, length = random.randrange(len(data) + 1), random.choice((4, 64, 512, 4096))
    length = min(length, len(data) - at)
    return data[:at] + bytes(length) + data[at + length :], f"{length} zero bytes at {at}"


def _cut(data: bytes, random: Random) -> tuple[bytes, str]:
    at = random.choice((0, 1, 8, random.randrange(len(data) + 1), max(0, len(data) - 1)))
    return data[:at], f"cut at {at}"


def _remove(data: bytes, random: Random) -> tuple[bytes, str]:
    at, length = random.randrange(len(data) + 1), random.choice((1, 4, 64, 1024))
    return data[:at] + data[at + length :], f"{length} bytes removed at {at}"


def _repeat(data: bytes, random: Random) -> tuple[bytes, str]:
    at, length = random.randrange(len(data) + 1), random.choice((1, 4, 64, 1024))
    part = data[at : at + length]
    return data[:at] + part * random.choice((2, 16)) + data[at + length :], f"{length} bytes repeated at {at}"


def _insert(data: bytes, random: Random) -> tuple[bytes, str]:
    at, part = random.randrange(len(data) + 1), random.randbytes(random.choice((1, 4, 256)))
    return data[:at] + part + data[at:], f"{len(part)} random bytes at {at}"


_CHANGES: tuple[Callable[[bytes, Random], tuple[bytes, str]], ...] = (
    _flip, _flip, _edge, _word, _word, _zeros, _cut, _remove, _repeat, _insert,
)  # fmt: skip


def damaged_text(text: str, random: Random) -> tuple[bytes, str]:
    """Changes of lines and fields; one time in five of the bytes."""
    if random.random() < 0.2:
        return damaged(text.encode(), random)
    lines, done = text.splitlines(), []
    for _ in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(lines) or 1)
        change = random.randrange(8)
        if not lines or change == 0:
            lines.insert(at, random.choice(WORDS))
            done.append(f"line {at} inserted")
        elif change == 1:
            del lines[at]
            done.append(f"line {at} removed")
        elif change == 2:
            lines[at:at] = [lines[at]] * random.choice((1, 3000))
            done.append(f"line {at} repeated")
        elif change == 3:
            random.shuffle(lines)
            done.append("lines shuffled")
        else:
            lines[at], what = _damaged_line(lines[at], random)
            done.append(f"line {at}: {what}")
    end = random.choice(("\n", "\n", "\r\n", "\0", "\x0c"))
    encoded = end.join(lines).encode("utf-16" if random.random() < 0.03 else "utf-8", "surrogatepass")
    return encoded, ", ".join(done)


def _damaged_line(line: str, random: Random) -> tuple[str, str]:
    separator = "," if line.count(",") > 2 else None
    fields = line.split(separator)
    at = random.randrange(len(fields) or 1)
    word = random.choice(WORDS)
    change = random.randrange(4)
    if change == 0 and fields:
        del fields[at]
        return (separator or " ").join(fields), f"field {at} removed"
    if change == 1:
        fields.insert(at, word)
        return (separator or " ").join(fields), f"{word[:20]!r} inserted at field {at}"
    fields[at : at + 1] = [word]
    return (separator or " ").join(fields), f"field {at} is {word[:20]!r}"


def odd_file(path: Path, random: Random) -> str:
    """Put something else in the place of a regular file."""
    change = random.randrange(9)
    content = path.read_bytes() if path.is_file() else b""
    path.unlink(missing_ok=True)
    if change == 0:
        os.mkfifo(path)
        return "a named pipe"
    if change == 1:
        path.mkdir()
        return "a folder"
    if change == 2:
        path.symlink_to("/dev/zero")
        return "a link to /dev/zero"
    if change == 3:
        path.symlink_to("/etc/passwd")
        return "a link out of the folder"
    if change == 4:
        path.symlink_to(path.name)
        return "a link to itself"
    if change == 5:
        return "absent"
    if change == 6:
        path.write_bytes(b"")
        return "empty"
    if change == 7:
        with path.open("wb") as stream:
            stream.write(content)
            stream.truncate(SPARSE_BYTES)
        return f"followed by zeros up to {SPARSE_BYTES >> 30} GiB"
    path.symlink_to("/dev/tty")
    return "a link to a terminal"


def copy_links(source: Path, target: Path) -> None:
    """A copy of a folder whose files are hard links: to be replaced, never to be written into."""
    target.mkdir(exist_ok=True)
    for path in sorted(source.rglob("*")):
        into = target / path.relative_to(source)
        if path.is_dir():
            into.mkdir()
        else:
            os.link(path, into)


def replace_bytes(path: Path, data: bytes) -> None:
    """Other content under the same name, in a file of its own."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)
