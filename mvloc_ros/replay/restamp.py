# SPDX-License-Identifier: Apache-2.0
"""Moves header stamps of serialised messages from a recording's time to the system's time.

All messages, ground truth included, are moved by the same mapping. So poses that a node computes from
moved images still find their ground truth by the exact stamp, and the age of an image at publication
means something against the system clock.
"""

from __future__ import annotations

from collections.abc import Callable

from rosbags.typesys.store import Typestore

from mvloc_ros.geometry.stamp_text import SECOND_NS
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import RawMessage
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.header_stamps import read_stamp, starts_with_header, with_stamp
from mvloc_ros.recordings.typestore import require_type


class Restamper:
    """Rewrites messages of one recording."""

    def __init__(self, store: Typestore) -> None:
        self._store = store
        self._headed: dict[str, bool] = {}

    def __call__(self, message: RawMessage, moved: Callable[[int], int]) -> bytes:
        """The message's bytes with every header stamp passed through `moved`.

        Static transforms hold at all times and stay as they are, and so does what has no header.
        """
        if message.type == topics.TF_MESSAGE:
            return message.data if message.topic == topics.TF_STATIC else self._transforms(message, moved)
        if self._starts_with_header(message.type):
            return with_stamp(message.data, moved(read_stamp(message.data)))
        return message.data

    def _transforms(self, message: RawMessage, moved: Callable[[int], int]) -> bytes:
        value = self._store.deserialize_cdr(message.data, message.type)
        for transform in value.transforms:  # type: ignore[attr-defined]
            stamp = transform.header.stamp
            stamp.sec, stamp.nanosec = divmod(moved(stamp.sec * SECOND_NS + stamp.nanosec), SECOND_NS)
        return bytes(self._store.serialize_cdr(value, message.type))

    def _starts_with_header(self, message_type: str) -> bool:
        if message_type not in self._headed:
            try:
                require_type(self._store, message_type)
                self._headed[message_type] = starts_with_header(self._store, message_type)
            except RecordingError:
                self._headed[message_type] = False
        return self._headed[message_type]
