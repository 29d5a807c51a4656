# SPDX-License-Identifier: Apache-2.0
"""Which topics of a recording are the images, and by which transports: what a launch file says of a live node."""

from __future__ import annotations

from dataclasses import dataclass

from mvloc_ros.parameters.table import NodeParameters
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.errors import RecordingError

_SUFFIX = {"color": "/compressed", "depth": "/compressedDepth"}
_PARAMETER = {"color": "color_transport", "depth": "depth_source"}
_TRANSPORTS = {
    "color": {"raw": topics.IMAGE, "compressed": topics.COMPRESSED_IMAGE},
    "depth": {"image": topics.IMAGE, "compressed": topics.COMPRESSED_IMAGE, "cloud": topics.POINT_CLOUD},
}
_OTHER = {"color": "depth", "depth": "color"}


@dataclass(frozen=True)
class ImageTopics:
    """The recording's topics of `color` and `depth`; empty for the one that a run does without."""

    color: str
    depth: str

    @property
    def names(self) -> dict[str, str]:
        """Modality -> topic, of those that there are."""
        return {modality: name for modality, name in vars(self).items() if name}


def find_image_topics(
    reader: BagReader, color: str, depth: str, without: str, values: NodeParameters
) -> tuple[ImageTopics, NodeParameters]:
    """The image topics, and the parameters with the transports that their types say.

    Args:
        reader: of the recording.
        color: topic of the colour images, without the suffix of a transport or with it.
        depth: topic of the depth images or clouds, likewise.
        without: `color` or `depth`: the images that the run does without, so that they may be missing.
        values: the parameters, whose transports count where a topic has its images in several.

    Raises:
        RecordingError: a topic that is needed is missing, or has messages of another type.
    """
    images, values = present_image_topics(reader, color, depth, values)
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
    reader: BagReader, color: str, depth: str, values: NodeParameters
) -> tuple[ImageTopics, NodeParameters]:
    """As `find_image_topics`, but whatever is missing may be."""
    found = {}
    for modality, name in (("color", color), ("depth", depth)):
        topic, transport = _find(reader, modality, name, getattr(values, _PARAMETER[modality]))
        found[modality] = topic
        values = values.having({_PARAMETER[modality]: transport})
    return ImageTopics(**found), values


def remappings(images: ImageTopics, values: NodeParameters) -> dict[str, str]:
    """The node's own names of its image topics -> the recording's, for a node that has these parameters."""
    found = {}
    for modality, name in images.names.items():
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
