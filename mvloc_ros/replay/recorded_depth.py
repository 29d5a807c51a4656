# SPDX-License-Identifier: Apache-2.0
"""In which unit a recording's depth images are read and how far they measure, for runs whose node read them."""

from __future__ import annotations

from mvloc_ros.frontend.decode import DecodeError, decode_depth
from mvloc_ros.frontend.depth_check import add_image, depth_notes
from mvloc_ros.geometry.depth_statistics import DepthTally
from mvloc_ros.model.manifest import Manifest
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.errors import RecordingError

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
