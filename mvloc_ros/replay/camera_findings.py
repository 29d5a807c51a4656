# SPDX-License-Identifier: Apache-2.0
"""The node's comparison of a recording's cameras with the model's, for runs without the node."""

from __future__ import annotations

from dataclasses import dataclass

from mvloc_ros.geometry.camera import PinholeCamera, View
from mvloc_ros.inference.manifest import Manifest
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.recorded_camera import RecordedCamera, near_infos, recorded_camera
from mvloc_ros.replay.errors import ReplayError
from mvloc_ros.sensors.camera_check import differences
from mvloc_ros.sensors.camera_info import CameraInfoError, CameraModel, training_view


@dataclass(frozen=True)
class CameraFindings:
    """The recording's cameras, None where it states none, and sentences on what differs from the training's."""

    color: CameraModel | None
    depth: CameraModel | None
    texts: tuple[str, ...]

    def views(self, manifest: Manifest) -> tuple[View, View]:
        """The parts of colour and depth images that the training cameras would have shown.

        Raises:
            ReplayError: the recording does not state a camera, or it has too little in common with the training's.
        """
        # Registered depth without a camera_info of its own is seen by the colour camera, as in the node.
        depth = self.depth or (self.color if manifest.depth_registered else None)
        return (
            _view("colour", self.color, manifest.color_camera),
            _view("depth", depth, manifest.depth_camera),
        )


def camera_findings(
    reader: BagReader, color_topic: str, depth_topic: str, manifest: Manifest, rescale: bool = False
) -> CameraFindings:
    """Read the camera_info beside both image topics and compare it with the training cameras, as the node does."""
    texts: list[str] = []
    models: list[CameraModel | None] = []
    for kind, topic, trained in (
        ("colour", color_topic, manifest.color_camera),
        ("depth", depth_topic, manifest.depth_camera),
    ):
        found = _recorded(reader, kind, topic, texts)
        models.append(None if found is None else found.model)
        if found is not None:
            texts += [*found.remarks, *differences(kind, found.model, trained, manifest.input, rescale)]
    return CameraFindings(models[0], models[1], tuple(texts))


def _recorded(reader: BagReader, kind: str, topic: str, texts: list[str]) -> RecordedCamera | None:
    infos = near_infos(reader, topic)
    if len(infos) != 1:
        many = f"{len(infos)} camera_info topics are" if infos else "no camera_info is"
        texts.append(f"{many} beside {topic}: its images are taken for those of the training's {kind} camera")
        return None
    try:
        return recorded_camera(reader, infos[0], topic)
    except RecordingError as error:
        texts.append(f"{error} The {kind} images are taken for those of the training camera")
        return None


def _view(kind: str, model: CameraModel | None, trained: PinholeCamera) -> View:
    if model is None:
        raise ReplayError(
            f"The recording states no camera of its {kind} images by which they could be rescaled: leave "
            "--rescale-input out."
        )
    try:
        return training_view(model, trained)
    except CameraInfoError as error:
        raise ReplayError(str(error)) from error
