# SPDX-License-Identifier: Apache-2.0
"""What camera_info says of the cameras, for the reader of their images: the last usable message counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mvloc_ros.foreign_text import shown
from mvloc_ros.frontend.camera_info import CameraInfoError, CameraModel, matrix_field, read_camera_info
from mvloc_ros.frontend.image_reader import ImageReader
from mvloc_ros.frontend.input_log import InputLog
from mvloc_ros.frontend.message_checks import MessageError, require_frame
from mvloc_ros.frontend.single_modality import COLOR, DEPTH
from mvloc_ros.limits import MOST_DISTORTION_COEFFICIENTS

_WORDS = {"color": "colour", "depth": "depth"}


class CameraInfos:
    """Reads the camera_info messages of one activation or one recording."""

    def __init__(
        self, reader: ImageReader, rescales: bool, log: InputLog, on_frame_id: Callable[[str, str], object]
    ) -> None:
        """Start without a camera.

        Args:
            reader: told of each camera.
            rescales: whether images are rescaled by their camera_info.
            log: told what is read, and what cannot be.
            on_frame_id: called with `color`, `depth` or a sensor's name and the frame of a camera that was read.
        """
        self._reader, self._rescales, self._log, self._on_frame_id = reader, rescales, log, on_frame_id
        self._contents: dict[str, str] = {}

    def take(self, modality: str, message: Any, image_topic: str) -> None:
        """Read a camera_info message of `color`, `depth` or a further sensor, if anything but the stamp is new."""
        content = _content(message)
        if content == self._contents.get(modality):
            return
        self._contents[modality] = content
        name = _WORDS.get(modality, modality)
        try:
            frame_id = require_frame(f"The camera_info of {name}", message.header.frame_id)
            model = read_camera_info(message, image_topic)
        except (CameraInfoError, MessageError) as error:
            self._refuse(modality, name, str(error))
            return
        self._on_frame_id(modality, frame_id)
        self._set(modality, model)
        self._reader.info_problems.pop(name, None)
        remark = f"; {model.remark}" if model.remark else ""
        text = f"camera_info of {modality}: {model.camera} ({model.matrix}), {model.distortion_text}{remark}"
        self._log.tell(f"{name} camera_info", text)

    def _set(self, modality: str, model: CameraModel) -> None:
        if modality == COLOR:
            self._reader.color_model = model
        elif modality == DEPTH:
            self._reader.depth_model = model
        else:
            self._reader.further_models[modality] = model

    def _refuse(self, modality: str, name: str, why: str) -> None:
        of_pair = {COLOR: self._reader.color_model, DEPTH: self._reader.depth_model}
        known = of_pair[modality] if modality in of_pair else self._reader.further_models.get(modality)
        until_then = "not used" if self._rescales else "taken for the training camera's"
        until_then = "read by the camera_info before" if known is not None else until_then
        self._reader.info_problems[name] = f"{why} Until then its images are {until_then}."
        self._log.warn(f"{name} camera_info unusable", self._reader.info_problems[name])


def _content(message: Any) -> str:
    """All but the stamp, as text, in which NaN equals itself: what is unusable is told once, not with every message."""
    region, bins = message.roi, (message.binning_x, message.binning_y)
    k, d, p = (matrix_field(message, name) for name in "kdp")
    matrices = (*k, *d[: MOST_DISTORTION_COEFFICIENTS + 1], *p)
    window = (region.x_offset, region.y_offset, region.width, region.height)
    return repr((message.width, message.height, matrices, shown(message.distortion_model), window, bins))
