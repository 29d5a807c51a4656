# SPDX-License-Identifier: Apache-2.0
"""The channels of an mcap: which ones hold messages of ROS 2, and why the others cannot be read."""

from __future__ import annotations

from typing import Any, NamedTuple

from mvloc_ros.foreign_text import quoted
from mvloc_ros.recordings.rosbag2.mcap_records import SCHEMA, Fields
from mvloc_ros.recordings.rosbag2.storage_base import (
    CDR,
    Channel,
    DamageError,
    definition_of,
    not_cdr,
    qos_of,
    two_types,
)

_SCHEMAS = ("ros2msg", "ros2idl", "omgidl", "")
"""What describes messages of ROS 2; the last is none."""
_QOS = "offered_qos_profiles"


class _Schema(NamedTuple):
    name: str
    encoding: str
    data: bytes


class McapChannels:
    """Fills `usable`, the channels that can be read by their numbers, and `skipped`, the others {topic: why}."""

    def __init__(self, usable: dict[Any, Channel], skipped: dict[str, str]) -> None:
        self.usable, self.skipped = usable, skipped
        self._schemas: dict[int, _Schema] = {}
        self._types: dict[str, str] = {}

    def take(self, opcode: int, data: bytes) -> None:
        """A record of a schema or of a channel; the first one of a number counts."""
        fields = Fields(data)
        if opcode == SCHEMA:
            (number,) = fields.numbers("<H")
            self._schemas.setdefault(number, _Schema(fields.text(), fields.text(), fields.content()))
            return
        number, schema = fields.numbers("<HH")
        topic, encoding = fields.text(), fields.text()
        if number in self.usable:
            return
        try:
            self.usable[number] = self._channel(topic, encoding, schema, fields)
        except DamageError as error:
            self.skipped.setdefault(topic, str(error))

    def _channel(self, topic: str, encoding: str, number: int, fields: Fields) -> Channel:
        schema = self._schemas.get(number)
        if encoding != CDR:
            raise DamageError(not_cdr(encoding))
        if schema is None:
            raise DamageError("the type of its messages is not stated")
        if schema.encoding not in _SCHEMAS:
            raise DamageError(f"its type is described in {quoted(schema.encoding, 40)}, which ROS 2 does not use")
        if self._types.setdefault(topic, schema.name) != schema.name:
            raise DamageError(two_types(self._types[topic], schema.name))
        qos = qos_of(fields.texts().get(_QOS, ""))
        return Channel(topic, schema.name, qos, definition_of(schema.encoding, schema.data))
