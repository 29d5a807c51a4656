# SPDX-License-Identifier: Apache-2.0
"""The cameras of a recording compared with the model's, in the words of the node's own check."""

from __future__ import annotations

from dataclasses import dataclass, field

from mvloc_ros.frontend.camera_check import differences, size_differences
from mvloc_ros.frontend.camera_info import CameraInfoError, CameraModel, training_view
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.model.manifest import Manifest
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.recorded_camera import RecordedCamera, near_infos, recorded_camera
from mvloc_ros.replay.errors import ReplayError
from mvloc_ros.replay.image_topics import ImageTopics

_WORDS = {"color": "colour", "depth": "depth"}


@dataclass
class CameraFindings:
    """What a recording says of its cameras.

    Attributes:
        models: modality -> the camera; none where the recording states none.
        topics: camera_info topic -> the modality and the image topic that it is of.
        texts: sentences on what differs from the training's cameras.
        read: the modalities whose images are read.
    """

    models: dict[str, CameraModel] = field(default_factory=dict)
    topics: dict[str, dict[str, str]] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    read: tuple[str, ...] = ()

    def require_views(self, manifest: Manifest) -> None:
        """Check that the images can be rescaled to what the training cameras would have shown.

        Raises:
            ReplayError: the recording does not state a camera, or it has too little in common with the training's.
        """
        # Registered depth without a camera_info of its own is seen by the colour camera, as in the node.
        depth = self.models.get("depth") or (self.models.get("color") if manifest.depth_registered else None)
        _require_view("colour", self.models.get("color"), manifest.color_camera)
        _require_view("depth", depth, manifest.depth_camera)
        for item in manifest.sensors:
            if item.sensor.name in self.read:
                _require_view(item.sensor.name, self.models.get(item.sensor.name), item.sensor.camera)

    def note_size(self, modality: str, size: tuple[int, int]) -> None:
        """Images of this size (width, height) have come."""
        model = self.models.get(modality)
        for text in [] if model is None else size_differences(_WORDS.get(modality, modality), size, model):
            if text not in self.texts:
                self.texts.append(text)


def camera_findings(
    reader: BagReader, images: ImageTopics, manifest: Manifest, *, rescale: bool, clouds: bool = False
) -> CameraFindings:
    """Read the camera_info beside the image topics and compare it with the training cameras, as the node does.

    Args:
        reader: of the recording.
        images: its image topics.
        manifest: of the model.
        rescale: whether the images are rescaled to the training cameras.
        clouds: whether depth comes as clouds, whose camera does not matter.
    """
    found = CameraFindings(read=tuple(images.names))
    trained = {"color": manifest.color_camera, "depth": manifest.depth_camera}
    trained |= {item.sensor.name: item.sensor.camera for item in manifest.sensors}
    inputs = {item.name: item for item in manifest.inputs}
    for modality, topic in images.names.items():
        if modality == "depth" and clouds:
            continue
        kind = _WORDS.get(modality, modality)
        camera = _recorded(reader, modality, topic, found)
        if camera is not None:
            found.models[modality] = camera.model
            found.texts += [
                *camera.remarks,
                *differences(kind, camera.model, trained[modality], inputs[modality], rescale),
            ]
    return found


def _recorded(reader: BagReader, modality: str, topic: str, found: CameraFindings) -> RecordedCamera | None:
    infos, kind = near_infos(reader, topic), _WORDS.get(modality, modality)
    beside = [name for name in infos if name.rsplit("/", 1)[-1] == "camera_info"]
    infos = beside if len(beside) == 1 else infos  # as the node's: image_transport's name
    if len(infos) != 1:
        many = f"{len(infos)} camera_info topics are" if infos else "no camera_info is"
        found.texts.append(f"{many} beside {topic}: its images are taken for those of the training's {kind} camera")
        return None
    found.topics.setdefault(infos[0], {})[modality] = topic
    try:
        return recorded_camera(reader, infos[0], topic)
    except RecordingError as error:
        found.texts.append(f"{error} The {kind} images are taken for those of the training camera")
        return None


def _require_view(kind: str, model: CameraModel | None, trained: PinholeCamera) -> None:
    if model is None:
        raise ReplayError(
            f"The recording states no camera of its {kind} images by which they could be rescaled: leave out "
            "--rescale-input."
        )
    try:
        training_view(model, trained)
    except CameraInfoError as error:
        raise ReplayError(str(error)) from error
