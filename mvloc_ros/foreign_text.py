# SPDX-License-Identifier: Apache-2.0
"""Text from outside (frame ids, encodings, file names, other libraries' messages) made fit for one line of a log.

A text that is printed as it came can end the line and begin a forged one, move the cursor or recolor a terminal, be
displayed in another order than it is stored in, or fill a disk.
"""

from __future__ import annotations

import unicodedata

from mvloc_ros.limits import (
    MOST_LOG_CHARACTERS,
    MOST_QUOTED_CHARACTERS,
    MOST_REASON_CHARACTERS,
    MOST_SHOWN_CHARACTERS,
    MOST_SHOWN_LINES,
)

_CUT = "..."
# Unicode's general categories that are not displayed as themselves: controls (C0 and C1, so newlines and escapes),
# formats (directions, zero widths, tags), surrogates, unassigned, private use, separators of lines and paragraphs.
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"))
# Displayed as nothing although their categories are those of letters and marks.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {chr(code) for code in range(0xFE00, 0xFE10)}
_LARGEST_SHORT, _LARGEST_MIDDLE = 0xFF, 0xFFFF


def shown(text: object, most: int = MOST_SHOWN_CHARACTERS) -> str:
    r"""A text as at most `most` characters of one line, without anything that a terminal acts on.

    What is not displayed as itself is written as in Python: `\n`, `\x1b`, `\u202e`. A text that is too long ends in
    `...`. Anything else than a text is converted by `str`. Applied again, with the same length, it changes nothing.

    Raises:
        ValueError: `most` has no room for the dots.
    """
    if most < len(_CUT):
        raise ValueError(f"most must be at least {len(_CUT)}, not {most}.")
    source = text if isinstance(text, str) else str(text)
    if len(source) <= most and source.isascii() and source.isprintable():
        return source
    # Each character takes at least one place: what is beyond is not looked at, however long the text is.
    pieces, length = list[str](), 0
    for character in source[: most + 1]:
        piece = _visible(character)
        pieces.append(piece)
        length += len(piece)
    if length <= most:
        return "".join(pieces)
    while length > most - len(_CUT):
        length -= len(pieces.pop())
    return "".join(pieces) + _CUT


def quoted(value: object, most: int = MOST_QUOTED_CHARACTERS) -> str:
    """A value as Python writes it, with a text in quotation marks, as at most `most` characters of one line."""
    if isinstance(value, str) and len(value) > most:
        value = value[: most - len(_CUT)] + _CUT
    return shown(repr(value), most + 2)


def first_line(error: Exception, most: int = MOST_REASON_CHARACTERS) -> str:
    """The first line of another library's message, without a full stop: the rest is for its developers."""
    line = next(iter(str(error).strip().splitlines()), "").rstrip(".")
    return shown(line or type(error).__name__, most)


def shown_lines(text: object) -> str:
    """A text of several lines of our own, as a traceback is: the last `MOST_SHOWN_LINES`, each as one is `shown`."""
    lines = str(text).split("\n")[-MOST_SHOWN_LINES:]
    return "\n".join(shown(line, MOST_LOG_CHARACTERS) for line in lines)


def _visible(character: str) -> str:
    if " " <= character <= "~":
        return character
    if unicodedata.category(character) not in _HIDDEN and character not in _BLANK:
        return character
    short = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}.get(character)
    if short is not None:
        return short
    code = ord(character)
    if code <= _LARGEST_SHORT:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _LARGEST_MIDDLE else f"\\U{code:08x}"
