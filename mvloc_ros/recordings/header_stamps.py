# SPDX-License-Identifier: Apache-2.0
"""Header stamps inside serialised messages, read and replaced without decoding the message.

A CDR message begins with four bytes of encapsulation (the second one's lowest bit set: little
endian). In a message whose first field is a std_msgs/Header, the stamp's int32 seconds and uint32
nanoseconds follow at once. Decoding a VGA image to change eight bytes would cost half a millisecond.
"""

from __future__ import annotations

import struct

from rosbags.typesys.store import Typestore

from mvloc_ros.geometry.stamp_text import SECOND_NS

_OFFSET = 4
_HEADER = "std_msgs/msg/Header"


def starts_with_header(store: Typestore, message_type: str) -> bool:
    """Whether the first field of a known message type is a std_msgs/Header."""
    fields = store.fielddefs[message_type][1]
    return bool(fields) and fields[0][1][1] == _HEADER


def read_stamp(data: bytes) -> int:
    """The header stamp in nanoseconds of a message that starts with a header."""
    seconds, nanoseconds = struct.unpack_from(_layout(data), data, _OFFSET)
    return int(seconds) * SECOND_NS + int(nanoseconds)


def read_ros1_stamp(data: bytes) -> int:
    """As `read_stamp` for ROS 1: no encapsulation, but the header's `seq` before its two unsigned numbers."""
    seconds, nanoseconds = struct.unpack_from("<II", data, _OFFSET)
    return int(seconds) * SECOND_NS + int(nanoseconds)


def with_stamp(data: bytes, stamp_ns: int) -> bytes:
    """A copy of a message that starts with a header, with another stamp."""
    changed = bytearray(data)
    struct.pack_into(_layout(data), changed, _OFFSET, *divmod(stamp_ns, SECOND_NS))
    return bytes(changed)


def _layout(data: bytes) -> str:
    return "<iI" if data[1] & 1 else ">iI"
