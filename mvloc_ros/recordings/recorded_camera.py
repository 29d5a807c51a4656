# SPDX-License-Identifier: Apache-2.0
"""The camera of a recording's image topic: from all of its camera_info messages, not the first alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from mvloc_ros.frontend.camera_info import CameraInfoError, CameraModel, is_uncalibrated, read_camera_info
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader, RawMessage
from mvloc_ros.recordings.errors import RecordingError

_STAMP_END = 12
"""Of a serialised message that starts with a header: what comes before the frame's name changes with every message."""


@dataclass(frozen=True)
class RecordedCamera:
    """What a recording's camera_info says of an image topic.

    Attributes:
        model: the camera that most messages state.
        topic: the camera_info topic.
        remarks: sentences for the user: what was skipped, what changed, what had to be assumed.
    """

    model: CameraModel
    topic: str
    remarks: tuple[str, ...]

    def text(self) -> str:
        """Which intrinsics count, in one line."""
        camera = self.model.camera
        return (
            f"{camera.width}x{camera.height}, focal lengths {camera.fx:.1f} and {camera.fy:.1f} px, "
            f"{self.model.matrix} of {self.topic}, {self.model.distortion_text}"
        )


def recorded_camera(reader: BagReader, info_topic: str, image_topic: str) -> RecordedCamera:
    """Read every camera_info of a topic, for the images of `image_topic`.

    Raises:
        RecordingError: none of them can be used; says why of the first.
    """
    counts, first = Counter[bytes](), dict[bytes, RawMessage]()
    for raw in reader.raw((info_topic,), check_losses=False):  # losses are checked when the images are read
        content = bytes(raw.data[_STAMP_END:])
        counts[content] += 1
        first.setdefault(content, raw)
    models, refused, uncalibrated, problems = dict[bytes, CameraModel](), 0, 0, list[str]()
    for content, raw in first.items():
        try:
            message: Any = reader.decode(raw)
            models[content] = read_camera_info(message, image_topic)
        except (CameraInfoError, RecordingError) as error:
            if isinstance(error, CameraInfoError) and is_uncalibrated(message):
                uncalibrated += counts[content]
                problems.append(str(error))
            else:
                refused += counts[content]
                problems.insert(0, str(error))
    if not models:
        raise RecordingError(
            f"{problems[0] if problems else 'There is none.'} In {reader.path} it is {info_topic}, of which no "
            "message can be used."
        )
    chosen = max(models, key=lambda content: counts[content])
    remarks = []
    if uncalibrated:
        remarks.append(f"{uncalibrated} messages of {info_topic} are of an uncalibrated camera and are skipped")
    if refused:
        remarks.append(f"{refused} messages of {info_topic} cannot be used: {problems[0]}")
    if models[chosen].remark:
        remarks.append(f"{info_topic}: {models[chosen].remark}")
    return RecordedCamera(models[chosen], info_topic, tuple(remarks + _changes(models, counts, chosen, info_topic)))


def near_infos(reader: BagReader, image_topic: str) -> list[str]:
    """camera_info topics in the namespace of an image topic (or of what it is a transport of)."""
    folders = [image_topic.rsplit("/", depth)[0] for depth in (1, 2) if image_topic.count("/") >= depth]
    there = sorted(name for name, topic in reader.topics.items() if topic.type == topics.CAMERA_INFO and topic.count)
    return next((near for folder in folders if (near := [n for n in there if n.rsplit("/", 1)[0] == folder])), [])


def _changes(models: dict[bytes, CameraModel], counts: Counter[bytes], chosen: bytes, topic: str) -> list[str]:
    """A sentence on the other cameras that the messages state."""
    seen = models[chosen]
    others = [content for content, model in models.items() if (model.camera, model.distortion, model.displacement_px)
              != (seen.camera, seen.distortion, seen.displacement_px)]  # fmt: skip
    if not others:
        return []
    lengths = sorted(models[content].camera.fx for content in (*others, chosen))
    sizes = sorted({f"{model.camera.width}x{model.camera.height}" for model in models.values()})
    count = sum(counts[content] for content in others)
    return [
        f"the camera changes within the recording: {count} of {counts.total()} messages of {topic} state another one "
        f"(focal lengths {lengths[0]:.1f} to {lengths[-1]:.1f} px, sizes {', '.join(sizes)}); the most frequent is "
        "used for all images: split the recording where it changes"
    ]
