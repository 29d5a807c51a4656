# SPDX-License-Identifier: Apache-2.0
"""In which unit a recording's depth images are read and how far they measure, for runs whose node read them."""

from __future__ import annotations

import math

from mvloc_ros.frontend.compressed import decode_compressed_depth
from mvloc_ros.frontend.decode import DecodeError, decode_depth
from mvloc_ros.frontend.depth_check import add_image, depth_notes, unit_text
from mvloc_ros.geometry.depth_statistics import DepthTally, unusual
from mvloc_ros.inference.manifest import Manifest
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.replay.to_dataset.selection import is_depth

_IMAGES = 12


def recorded_depth_notes(reader: BagReader, topic: str, manifest: Manifest, depth_unit_m: float) -> list[str]:
    """Sentences on a few of the images of a topic, spread over the recording; none where there is no such topic."""
    entry = reader.topics.get(topic)
    if entry is None or entry.type != topics.IMAGE:
        return []
    every = max(1, entry.count // _IMAGES)
    tally, unit_m = DepthTally(manifest.input.depth_min_m, manifest.input.depth_max_m), 0.0
    for index, raw in enumerate(reader.raw((topic,))):
        if index % every:
            continue
        try:
            image = decode_depth(reader.decode(raw), depth_unit_m)
        except (DecodeError, RecordingError):
            continue  # counted where the run is
        add_image(tally, image)
        unit_m = image.metres_per_unit
    return depth_notes(tally.result(), unit_m, depth_unit_m, manifest.input, "depth_unit_m") if unit_m else []


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
            image = decode_compressed_depth(message) if compressed else decode_depth(message)
        except (DecodeError, RecordingError):
            continue  # this is about depth that can be read
        tally = DepthTally(0.0, math.inf)
        add_image(tally, image)
        found = tally.result()
        what = message.format if compressed else message.encoding
        line = f"{name}: {what}, {unit_text(image.metres_per_unit, 0.0, '')}, first image: {found.text()}"
        strange = unusual(found.median_m, image.metres_per_unit)
        lines += [line, *([f"note: {strange}; --depth-unit-m of `mvloc bag to-dataset` states it"] if strange else [])]
    return lines
