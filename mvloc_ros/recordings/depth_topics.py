# SPDX-License-Identifier: Apache-2.0
"""Which image topics of a recording are depth or color, and how far their depth measures."""

from __future__ import annotations

import math
from typing import Any

from mvloc_ros.frontend import decode
from mvloc_ros.frontend.compressed import decode_compressed_color, decode_compressed_depth
from mvloc_ros.frontend.depth_check import add_image, unit_text
from mvloc_ros.geometry.depth_statistics import DepthTally, unusual
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.errors import RecordingError


def depth_lines(reader: BagReader) -> list[str]:
    """Of each topic of depth images: its encoding, the unit by REP 118, and the median of the first image."""
    lines = []
    for name, entry in sorted(reader.topics.items()):
        if entry.type not in (topics.IMAGE, topics.COMPRESSED_IMAGE) or not entry.count:
            continue
        try:
            raw = next(reader.raw((name,)), None)
            message = None if raw is None else reader.decode(raw)
            if message is None or not is_depth(entry.type, message):
                continue
            compressed = entry.type == topics.COMPRESSED_IMAGE
            image = decode_compressed_depth(message) if compressed else decode.decode_depth(message)
        except (decode.DecodeError, RecordingError):
            continue  # this is about depth that can be read
        tally = DepthTally(0.0, math.inf)
        add_image(tally, image)
        found = tally.result()
        what = message.format if compressed else message.encoding
        line = f"{name}: {what}, {unit_text(image.metres_per_unit, 0.0, '')}, first image: {found.text()}"
        strange = unusual(found.median_m, image.metres_per_unit)
        lines += [line, *([f"note: {strange}; --depth-unit-m of `mvloc bag to-dataset` states it"] if strange else [])]
    return lines


def is_depth(message_type: str, message: Any) -> bool:
    """Whether an image of a type is depth that can be read, by its encoding or format."""
    if message_type == topics.IMAGE:
        return decode.is_depth(message.encoding)
    if message_type != topics.COMPRESSED_IMAGE:
        return False
    return "compressedDepth" in message.format or decode.is_depth(_encoding_word(message.format))


def is_color(message_type: str, message: Any) -> bool:
    """Whether an image of a type can be colour; what is neither this nor depth (16SC1) is left alone."""
    if message_type == topics.IMAGE:
        return decode.is_color(message.encoding)
    if message_type != topics.COMPRESSED_IMAGE or is_depth(message_type, message):
        return False
    return decode.is_color(_encoding_word(message.format))


def kind_of(message_type: str, message: Any) -> str | None:
    """`depth`, `gray` (one channel of 8 bits) or `color`, by an image of a topic; None of what is none of them."""
    if is_depth(message_type, message):
        return "depth"
    if not is_color(message_type, message):
        return None
    try:
        compressed = message_type == topics.COMPRESSED_IMAGE
        image = decode_compressed_color(message) if compressed else decode.decode_color(message)
    except decode.DecodeError:
        return "color"  # one image may be damaged; the others tell
    return "gray" if image.order == "mono" else "color"


def _encoding_word(name: str) -> str:
    """What a compressed image was before: `16UC1` of `16UC1; png compressed`."""
    return name.partition(";")[0].strip()
