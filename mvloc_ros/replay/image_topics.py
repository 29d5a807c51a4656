# SPDX-License-Identifier: Apache-2.0
"""Which topics of a recording are the images, and by which transports: what a launch file says of a live node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mvloc_ros.parameters.sensor_topics import read_sensor_topics, sensor_topics_text
from mvloc_ros.parameters.table import NodeParameters
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.errors import RecordingError

_SUFFIX = {"color": "/compressed", "depth": "/compressedDepth"}
_PARAMETER = {"color": "color_transport", "depth": "depth_source"}
_SENSOR_SUFFIXES = ("", "/compressed", "/compressedDepth")
_TRANSPORTS = {
    "color": {"raw": topics.IMAGE, "compressed": topics.COMPRESSED_IMAGE},
    "depth": {"image": topics.IMAGE, "compressed": topics.COMPRESSED_IMAGE, "cloud": topics.POINT_CLOUD},
}
_OTHER = {"color": "depth", "depth": "color"}


@dataclass(frozen=True)
class ImageTopics:
    """The recording's topics of `color` and `depth`, empty for the one that a run does without; and of further sensors.

    `further`: sensor -> topic, of those that the recording has.
    """

    color: str
    depth: str
    further: Mapping[str, str] = field(default_factory=dict)

    @property
    def pair(self) -> dict[str, str]:
        """Modality -> topic, of the pair."""
        return {modality: name for modality, name in (("color", self.color), ("depth", self.depth)) if name}

    @property
    def names(self) -> dict[str, str]:
        """Modality -> topic, of those that there are."""
        return {**self.pair, **self.further}


def find_image_topics(
    reader: BagReader, color: str, depth: str, without: str, values: NodeParameters, sensors: Sequence[str] = ()
) -> tuple[ImageTopics, NodeParameters]:
    """The image topics, and the parameters with the transports that their types say.

    Args:
        reader: of the recording.
        color: topic of the colour images, without the suffix of a transport or with it.
        depth: topic of the depth images or clouds, likewise.
        without: the modality whose images the run does without, so that they may be missing; those of a further
            sensor are not read.
        values: the parameters, whose transports count where a topic has its images in several.
        sensors: names of the model's further sensors. The topic of one that `sensor_topics` does not name is that of
            recordings that `mvloc bag from-folder` writes, if it is there.

    Raises:
        RecordingError: a topic that is needed is missing, or has messages of another type.
        ParameterError: `sensor_topics` names no sensor of the model.
    """
    if without in sensors:
        named = read_sensor_topics(values.sensor_topics, sensors, "of this run")
        named.pop(without, None)
        values = values.having({"sensor_topics": sensor_topics_text(named)})
    kept = [sensor for sensor in sensors if sensor != without]
    images, values = present_image_topics(reader, color, depth, values, kept)
    for modality, name in (("color", color), ("depth", depth)):
        if modality not in images.names and modality != without:
            try:
                reader.require(name, next(iter(_TRANSPORTS[modality].values())))
            except RecordingError as error:
                alone = f"A recording of {_OTHER[modality]} images alone is read with --without {modality}."
                raise RecordingError(f"{error} {alone}") from None
    if not images.names:
        raise RecordingError(f"{reader.path} has no images on {color} and {depth}: name the topics that it has.")
    return images, values


def present_image_topics(
    reader: BagReader, color: str, depth: str, values: NodeParameters, sensors: Sequence[str] = ()
) -> tuple[ImageTopics, NodeParameters]:
    """As `find_image_topics`, but whatever is missing may be, except the topics of sensors that are named."""
    found = {}
    for modality, name in (("color", color), ("depth", depth)):
        topic, transport = _find(reader, modality, name, getattr(values, _PARAMETER[modality]))
        found[modality] = topic
        values = values.having({_PARAMETER[modality]: transport})
    further = _sensor_topics(reader, values, sensors)
    return ImageTopics(**found, further=further), values.having({"sensor_topics": sensor_topics_text(further)})


def _sensor_topics(reader: BagReader, values: NodeParameters, sensors: Sequence[str]) -> dict[str, str]:
    named = read_sensor_topics(values.sensor_topics, sensors, "of this run")
    found = {}
    for sensor in sensors:
        base = topics.sensor_image(sensor)
        candidates = [named[sensor]] if sensor in named else [base + suffix for suffix in _SENSOR_SUFFIXES]
        there = [name for name in candidates if _is_image(reader, name)]
        if sensor in named and not there:
            reader.require(named[sensor], topics.IMAGE)
        if there:
            found[sensor] = there[0]
    return found


def _is_image(reader: BagReader, name: str) -> bool:
    entry = reader.topics.get(name)
    return entry is not None and bool(entry.count) and entry.type in (topics.IMAGE, topics.COMPRESSED_IMAGE)


def remappings(images: ImageTopics, values: NodeParameters) -> dict[str, str]:
    """The node's own names of its image topics -> the recording's, for a node that has these parameters."""
    found = {}
    for modality, name in images.pair.items():
        is_cloud = modality == "depth" and values.depth_source == "cloud"
        found[f"{modality}/{'points' if is_cloud else 'image'}"] = name.removesuffix(_SUFFIX[modality])
    return found


def _find(reader: BagReader, modality: str, name: str, transport: str) -> tuple[str, str]:
    """The topic with messages, and its transport: the parameter's first, then whatever there is; "" for none."""
    base = name.removesuffix(_SUFFIX[modality])
    compressed = base + _SUFFIX[modality]
    for candidate in (compressed if transport == "compressed" else name, name, compressed):
        entry = reader.topics.get(candidate)
        if entry is None or not entry.count:
            continue
        for known, kind in _TRANSPORTS[modality].items():
            if entry.type == kind:
                return candidate, known
    return "", transport
