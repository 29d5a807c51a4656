# SPDX-License-Identifier: Apache-2.0
"""Protobuf's wire format, read without the package protobuf: the fields of a message, by number.

For files from outside: only requested fields are copied, nothing recurses, and the number of fields that are
read is bounded, and with it the time, whatever the bytes are. Stricter than protobuf: a field that a message may
have once is refused where it is there twice (protobuf would merge the two), and so is one of another wire type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from mmap import mmap

from mvloc_ros.errors import MvlocError
from mvloc_ros.limits import MOST_PROTOBUF_FIELDS

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
_LARGEST_TAG = (1 << 32) - 1


class WireError(MvlocError):
    """The bytes are not a message, or beyond the bounds; the message is a reason, the caller names the file."""


@dataclass
class _Budget:
    """How many more fields may be read."""

    left: int = MOST_PROTOBUF_FIELDS

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise WireError(f"it has more than {MOST_PROTOBUF_FIELDS} fields")


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a file: a message, a text, or packed numbers."""

    data: bytes | mmap
    start: int
    end: int
    budget: _Budget = field(default_factory=_Budget)

    def __len__(self) -> int:
        return self.end - self.start

    def content(self) -> bytes:
        """A copy of the bytes."""
        return self.data[self.start : self.end]

    def text(self) -> str:
        """The bytes as text; WireError where they are none."""
        try:
            return self.content().decode("utf-8")
        except UnicodeDecodeError as error:
            raise WireError("one of its names is not UTF-8") from error


@dataclass(frozen=True)
class Message:
    """The fields of a message: number -> their values in the order of the file."""

    fields: Mapping[int, Sequence[int | Span]]

    def spans(self, number: int) -> list[Span]:
        """All messages or texts of a field."""
        return [_span(number, value) for value in self.fields.get(number, ())]

    def span(self, number: int) -> Span | None:
        """The message or text of a field that may be there once."""
        found = self.spans(number)
        _require_once(number, len(found))
        return found[0] if found else None

    def text(self, number: int) -> str:
        """The text of a field, empty where it is absent."""
        found = self.span(number)
        return "" if found is None else found.text()

    def integer(self, number: int, default: int = 0) -> int:
        """The signed 64-bit value of a field that may be there once."""
        found = self.fields.get(number, ())
        _require_once(number, len(found))
        return _signed(number, found[0]) if found else default

    def integers(self, number: int) -> tuple[int, ...]:
        """The signed 64-bit values of a field, packed or not."""
        values: list[int] = []
        for value in self.fields.get(number, ()):
            if isinstance(value, Span):
                values += _unpacked(value)
            else:
                values.append(_signed(number, value))
        return tuple(values)

    def size(self, *numbers: int) -> int:
        """Bytes of the values of some fields; at least one for each number, as none takes fewer."""
        found = [value for number in numbers for value in self.fields.get(number, ())]
        return sum(len(value) if isinstance(value, Span) else 1 for value in found)


def read_message(span: Span) -> Message:
    """The fields of a message.

    Raises:
        WireError: it is damaged, or too many fields have been read of this file.
    """
    fields: dict[int, list[int | Span]] = {}
    data, position, end = span.data, span.start, span.end
    while position < end:
        span.budget.spend()
        tag, position = _varint(data, position, end)
        number, wire = tag >> 3, tag & 7
        value: int | Span
        if number == 0 or tag > _LARGEST_TAG:
            raise WireError("it is damaged or not an ONNX file")
        if wire == _VARINT:
            value, position = _varint(data, position, end)
        elif wire == _BYTES:
            length, position = _varint(data, position, end)
            value, position = Span(data, position, position + length, span.budget), position + length
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
            value, position = int.from_bytes(data[position : position + length], "little"), position + length
        else:
            raise WireError("it is damaged or not an ONNX file")
        if position > end:
            raise WireError("it is truncated or not an ONNX file")
        fields.setdefault(number, []).append(value)
    return Message(fields)


def _varint(data: bytes | mmap, position: int, end: int) -> tuple[int, int]:
    """A number of seven bits a byte, and the position after it."""
    value = 0
    for i in range(_LONGEST_VARINT):
        if position >= end:
            raise WireError("it is truncated or not an ONNX file")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position
    raise WireError("it is damaged or not an ONNX file")


def _unpacked(span: Span) -> list[int]:
    values, position = [], span.start
    while position < span.end:
        span.budget.spend()
        value, position = _varint(span.data, position, span.end)
        values.append(_signed(0, value))
    return values


def _signed(number: int, value: int | Span) -> int:
    if isinstance(value, Span):
        raise WireError(f"its field {number} is of another type")
    return value - (1 << 64) if value >= 1 << 63 else value


def _span(number: int, value: int | Span) -> Span:
    if not isinstance(value, Span):
        raise WireError(f"its field {number} is of another type")
    return value


def _require_once(number: int, count: int) -> None:
    if count > 1:
        raise WireError(f"its field {number} occurs {count} times instead of once")
