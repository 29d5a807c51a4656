# SPDX-License-Identifier: Apache-2.0
"""Which topics of a recording are colour, depth and their camera_info: named, or the only ones of their kind.

Those of further sensors are named.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mvloc_ros.foreign_text import shown
from mvloc_ros.frontend.transport_names import base_topic, info_topic
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.limits import MOST_LOG_CHARACTERS
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.depth_topics import is_color, is_depth, kind_of
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.recorded_camera import RecordedCamera, near_infos, recorded_camera
from mvloc_ros.recordings.to_dataset.sensor_choice import SensorChoice
from mvloc_ros.recordings.transforms import frame_name

_log = logging.getLogger(__name__)

CLOUD = "sensor_msgs/msg/PointCloud2"


@dataclass(frozen=True)
class ImageTopic:
    """A topic of images or clouds: its type, and the frame of its first message."""

    name: str
    type: str
    frame: str


@dataclass(frozen=True)
class SensorTopic:
    """The images of a sensor besides color and depth: of kind `color`, `gray` or `depth`."""

    choice: SensorChoice
    kind: str
    topic: ImageTopic
    info: RecordedCamera


@dataclass(frozen=True)
class Selection:
    """What the folder is made from; `depth` is an image or a cloud, or None for colour alone.

    `others` are the topics of images that are not used: name -> kind. Without those that are another transport of one
    that is.
    """

    color: ImageTopic
    color_info: RecordedCamera
    depth: ImageTopic | None
    depth_info: RecordedCamera | None  # None for a cloud
    sensors: tuple[SensorTopic, ...] = ()
    others: Mapping[str, str] = field(default_factory=dict)

    @property
    def topics(self) -> tuple[ImageTopic, ...]:
        """All topics of images that are used."""
        pair = (self.color,) if self.depth is None else (self.color, self.depth)
        return (*pair, *(sensor.topic for sensor in self.sensors))

    @property
    def color_camera(self) -> PinholeCamera:
        """The colour camera's intrinsics."""
        return self.color_info.model.camera

    @property
    def depth_camera(self) -> PinholeCamera | None:
        """The depth camera's intrinsics; None where depth is no image."""
        return None if self.depth_info is None else self.depth_info.model.camera


def select(
    reader: BagReader,
    color: str | None,
    depth: str | None,
    color_info: str | None,
    depth_info: str | None,
    sensors: Sequence[SensorChoice] = (),
) -> Selection:
    """Choose the topics; names given are taken, the others must be the only ones of their kind besides `sensors`.

    Raises RecordingError that lists the candidates otherwise.
    """
    first = {name: message for name in _with_messages(reader, topics.IMAGE, topics.COMPRESSED_IMAGE, CLOUD)
             if (message := _first(reader, name)) is not None}  # fmt: skip
    pair = _select_pair(reader, first, color, depth, color_info, depth_info, [choice.topic for choice in sensors])
    found = replace(pair, sensors=tuple(_sensor(reader, choice, first, pair) for choice in sensors))
    return replace(found, others=_others(reader, first, found))


def _select_pair(
    reader: BagReader,
    first: Mapping[str, Any],
    color: str | None,
    depth: str | None,
    color_info: str | None,
    depth_info: str | None,
    of_sensors: Sequence[str],
) -> Selection:
    """Of the topics with their first messages, without those of further sensors, in whatever transport."""
    taken = {base_topic(name) for name in of_sensors}
    # One that is named for both stays, and is refused where the sensors are looked at.
    free = {name: message for name, message in first.items() if base_topic(name) not in taken or name in (color, depth)}
    depths = [name for name, message in free.items() if is_depth(reader.topics[name].type, message)]
    clouds = [name for name in free if reader.topics[name].type == CLOUD]
    colors = [name for name, message in free.items() if is_color(reader.topics[name].type, message)]
    chosen_color = _one(reader, color, colors, "colour image", "--color")
    chosen_depth = None
    if depth is not None or depths or clouds:
        kind = "depth image" if depths else "point cloud"
        chosen_depth = _one(reader, depth, depths or clouds, kind, "--depth", [*depths, *clouds])
    color_topic = ImageTopic(chosen_color, reader.topics[chosen_color].type, first[chosen_color].header.frame_id)
    color_model = _camera(reader, color_topic, color_info, "--color-info")
    if chosen_depth is None:
        return Selection(color_topic, color_model, None, None)
    depth_topic = ImageTopic(chosen_depth, reader.topics[chosen_depth].type, first[chosen_depth].header.frame_id)
    if depth_topic.type == CLOUD:
        return Selection(color_topic, color_model, depth_topic, None)
    if depth_info is None and depth_topic.frame == color_topic.frame and not near_infos(reader, depth_topic.name):
        return Selection(color_topic, color_model, depth_topic, color_model)
    return Selection(color_topic, color_model, depth_topic, _camera(reader, depth_topic, depth_info, "--depth-info"))


def _sensor(reader: BagReader, choice: SensorChoice, first: Mapping[str, Any], pair: Selection) -> SensorTopic:
    """The topic of a further sensor. Raises RecordingError where it has no images of a kind, or no camera_info."""
    name, option = choice.topic, f"--sensor {choice.name}:={shown(choice.topic)}"
    if name in (topic.name for topic in pair.topics):
        raise RecordingError(f"{option} names a topic of color and depth: name another one, or leave the sensor out.")
    if name not in first:
        there = _listed(sorted(first)) or "none"
        raise RecordingError(
            f"{reader.path} has no images on the topic that {option} names (topics of images: {there}): name one of "
            "these, or leave the sensor out."
        )
    topic = ImageTopic(name, reader.topics[name].type, first[name].header.frame_id)
    kind = _kind_of(choice, topic, first[name], option)
    if choice.info is None and not near_infos(reader, name):
        raise RecordingError(
            f"No camera_info of {shown(name)} is beside it, as {info_topic(name)} would be: record it, or name it with "
            f"--sensor-info {choice.name}:=TOPIC."
        )
    return SensorTopic(choice, kind, topic, _camera(reader, topic, choice.info, f"--sensor-info {choice.name}:=TOPIC"))


def _kind_of(choice: SensorChoice, topic: ImageTopic, message: Any, option: str) -> str:
    """The kind that was stated, or that of the encoding. Raises RecordingError where images are of no such kind."""
    found = kind_of(topic.type, message)
    what = shown(getattr(message, "encoding", "") or getattr(message, "format", "") or topic.type)
    if found is None:
        raise RecordingError(
            f"The images of {option} are {what}, which is neither color, gray nor depth: name another topic, or leave "
            "the sensor out."
        )
    if choice.kind is not None and (choice.kind == "depth") != (found == "depth"):
        needed = (
            "a depth image is 16UC1, mono16 or 32FC1" if choice.kind == "depth" else "a color or gray one has 8 bits"
        )
        raise RecordingError(
            f"The images of {option} are {what}, which --sensor-kind {choice.name}:={choice.kind} cannot be ({needed}, "
            "in a folder and in the node): let the driver send such images, or state another kind."
        )
    return choice.kind or found


def _others(reader: BagReader, first: Mapping[str, Any], used: Selection) -> dict[str, str]:
    """Topics of images that are not used -> their kind, of one in several transports the first."""
    seen = {base_topic(topic.name) for topic in used.topics}
    found = {}
    for name, message in first.items():
        kind = kind_of(reader.topics[name].type, message)
        if kind is not None and base_topic(name) not in seen:
            seen.add(base_topic(name))
            found[name] = kind
    return found


def _with_messages(reader: BagReader, *types: str) -> list[str]:
    return sorted(name for name, topic in reader.topics.items() if topic.type in types and topic.count)


def _first(reader: BagReader, topic: str) -> Any:
    try:
        return next((message for _, _, message in reader.messages((topic,))), None)
    except RecordingError as error:
        _log.warning("%s The topic is skipped.", error)
        return None


def _one(
    reader: BagReader,
    named: str | None,
    found: Sequence[str],
    kind: str,
    option: str,
    allowed: Sequence[str] | None = None,
) -> str:
    """The topic that was named, or the only one found."""
    if named is not None:
        if named in (found if allowed is None else allowed):
            return named
        there = f"of this kind it has {_listed(found)}" if found else "it has none of this kind"
        problem = f"{reader.path} has no {kind} topic {shown(named)} ({there})"
        raise RecordingError(f"{problem}: choose one with {option}.")
    if len(found) == 1:
        return found[0]
    if not found:
        there = _listed(sorted(name for name, entry in reader.topics.items() if entry.count)) or "nothing"
        raise RecordingError(f"{reader.path} has no {shown(kind)} topic (it has {there}): record one.")
    problem = f"{reader.path} has {len(found)} {shown(kind)} topics, {_listed(found)}"
    raise RecordingError(f"{problem}: choose one with {option}.")


def _listed(names: Sequence[str]) -> str:
    return shown(", ".join(names), MOST_LOG_CHARACTERS)


def _camera(reader: BagReader, topic: ImageTopic, named: str | None, option: str) -> RecordedCamera:
    """The camera of an image topic, whose name shows whether its images are rectified."""
    there = _with_messages(reader, topics.CAMERA_INFO)
    info = _one(reader, named, near_infos(reader, topic.name) or there, f"camera_info of {topic.name}", option, there)
    try:
        found = recorded_camera(reader, info, topic.name)
    except RecordingError as error:
        raise RecordingError(f"{error} Choose another topic with {option}.") from error
    frame = found.model.frame_id
    if frame_name(frame) == frame_name(topic.frame) or not (frame and topic.frame):
        return found
    remark = (
        f"{info} is of the frame {frame!r}, the images of {topic.name} are of {topic.frame!r}: check that it is of the "
        f"same camera, or name another with {option}"
    )
    return replace(found, remarks=(*found.remarks, remark))
