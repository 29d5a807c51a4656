# SPDX-License-Identifier: Apache-2.0
"""Checksums of the chunks of an mcap that has none, so that a reader notices bytes that were changed later."""

from __future__ import annotations

import struct
from pathlib import Path
from zlib import crc32

from mvloc_ros.recordings.rosbag2 import mcap_records as records
from mvloc_ros.recordings.rosbag2.mcap_records import Fields

_CHECKSUM_AT = 24
"""Behind the chunk's two times and the size of its content."""


def add_checksums(path: Path) -> None:
    """Write the CRC-32 of each chunk that is not compressed and has none; the library's writer leaves them out."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        for record in list(records.file_records(file, len(records.MAGIC), size - len(records.MAGIC))):
            if record.opcode != records.CHUNK:
                continue
            file.seek(record.start)
            fields = Fields(file.read(record.length))
            _, _, _, checksum = fields.numbers("<QQQI")
            if checksum or fields.text():
                continue
            content = fields.take(fields.numbers("<Q")[0])
            file.seek(record.start + _CHECKSUM_AT)
            file.write(struct.pack("<I", crc32(content)))
