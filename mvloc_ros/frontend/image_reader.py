# SPDX-License-Identifier: Apache-2.0
"""How messages become images: by the transports that the parameters choose, and by what camera_info says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.foreign_text import shown
from mvloc_ros.frontend.camera_info import CameraInfoError, CameraModel, training_view
from mvloc_ros.frontend.clouds import project_cloud
from mvloc_ros.frontend.compressed import decode_compressed_color, decode_compressed_depth
from mvloc_ros.frontend.decode import DecodeError, decode_color, decode_depth
from mvloc_ros.frontend.message_checks import to_nanoseconds
from mvloc_ros.frontend.message_data import is_elsewhere
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.transform_lookup import TransformLookup
from mvloc_ros.model.frame import ColorImage, DepthImage
from mvloc_ros.model.manifest import Manifest
from mvloc_ros.model.modalities import Sensor
from mvloc_ros.parameters.inputs import InputParameters


class ImageReader:
    """Reads one activation's messages, or one recording's; what it returns to be called is for whoever reads the frame.

    Attributes:
        color_model, depth_model: what the last usable camera_info said; None until it comes.
        further_models: the same of further sensors, by name; without those of which none came.
        further_depths: the last image of each further depth sensor that was read, by name.
        info_problems: by `colour`, `depth` and sensor, why the last camera_info cannot be used.
        last_depth: the last depth image that was read; None before the first.
        cloud_problem: why the last cloud could not be placed, in words; empty when it could.
    """

    def __init__(
        self, values: InputParameters, manifest: Callable[[], Manifest], transforms: TransformLookup | None
    ) -> None:
        """Take the parameters, the manifest of the model that runs, and TF (needed for clouds alone)."""
        self._values = values
        self._manifest = manifest
        self._transforms = transforms
        self._color_frame = ""
        self.color_model: CameraModel | None = None
        self.depth_model: CameraModel | None = None
        self.further_models: dict[str, CameraModel] = {}
        self.further_depths: dict[str, DepthImage] = {}
        self.last_depth: DepthImage | None = None
        self.info_problems: dict[str, str] = {}
        self.cloud_problem = ""

    def read_color(self, message: Any) -> ColorImage | Callable[[], ColorImage]:
        """A colour image; one that is compressed, or in a vendor's memory, is decoded when the worker asks for it."""
        self._color_frame = message.header.frame_id
        if self._values.color_transport == "compressed":
            return lambda: self._fit_color(decode_compressed_color(message))
        if is_elsewhere(message):
            return lambda: self._fit_color(decode_color(message))
        return self._fit_color(decode_color(message))

    def read_depth(self, message: Any) -> DepthImage | Callable[[], DepthImage]:
        """A depth image; one that is compressed, a cloud, or in a vendor's memory is made when the worker asks."""
        if self._values.depth_source == "compressed":
            return lambda: self._fit_depth(decode_compressed_depth(message, self._values.depth_unit_m))
        if self._values.depth_source == "cloud":
            return lambda: self._project(message)
        if is_elsewhere(message):
            return lambda: self._fit_depth(decode_depth(message, self._values.depth_unit_m))
        return self._fit_depth(decode_depth(message, self._values.depth_unit_m))

    def read_further(self, name: str, message: Any) -> ColorImage | DepthImage | Callable[[], Any]:
        """An image of a further sensor of the model that runs; what takes work is done when the worker asks for it.

        Depth is in the unit of REP 118: `depth_unit_m` is of the pair's depth camera.
        """
        # Looked up each time: after an exchange of the model its camera may be another one.
        sensor = next(item.sensor for item in self._manifest().sensors if item.sensor.name == name)
        is_compressed = not hasattr(message, "encoding")
        if is_compressed or is_elsewhere(message):
            return lambda: self._further(sensor, message, is_compressed)
        return self._further(sensor, message, is_compressed)

    def _further(self, sensor: Sensor, message: Any, is_compressed: bool) -> ColorImage | DepthImage:
        image: ColorImage | DepthImage
        try:
            if sensor.kind == "depth":
                image = decode_compressed_depth(message, 0.0) if is_compressed else decode_depth(message)
            else:
                image = decode_compressed_color(message) if is_compressed else decode_color(message)
        except DecodeError as error:
            raise DecodeError(f"Sensor {sensor.name}: {error}") from error
        if self._values.rescale_input:
            view = _view(self.further_models.get(sensor.name), sensor.camera, sensor.name)
            image = replace(image, view=view)
        if isinstance(image, DepthImage):
            self.further_depths[sensor.name] = image
        return image

    def _fit_color(self, image: ColorImage) -> ColorImage:
        if not self._values.rescale_input:
            return image
        return replace(image, view=_view(self.color_model, self._manifest().color_camera, "color"))

    def _fit_depth(self, image: DepthImage) -> DepthImage:
        manifest = self._manifest()
        # Registered depth without a camera_info of its own is seen by the colour camera.
        model = self.depth_model or (self.color_model if manifest.depth_registered else None)
        if self._values.rescale_input:
            image = replace(image, view=_view(model, manifest.depth_camera, "depth"))
        self.last_depth = image
        return image

    def _project(self, message: Any) -> DepthImage:
        camera, frame = self._projection()
        T = self._place(frame, message.header.frame_id, to_nanoseconds(message.header.stamp))
        unit_m = self._values.depth_unit_m
        self.last_depth = DepthImage(project_cloud(message, camera, T, self._values.cloud_splat, unit_m), 1.0)
        return self.last_depth

    def _projection(self) -> tuple[PinholeCamera, str]:
        """The camera whose depth image the model expects, and its frame."""
        manifest = self._manifest()
        registered = manifest.depth_registered
        model, trained = (
            (self.color_model, manifest.color_camera) if registered else (self.depth_model, manifest.depth_camera)
        )
        frame = (self._color_frame if registered else "") or (model.frame_id if model is not None else "")
        if not frame:
            raise DecodeError(
                "The cloud cannot be projected, since no image and no camera_info named the camera's frame yet; check "
                f"that {'color' if registered else 'depth'}/camera_info is published."
            )
        # Rescaled, the colour image is what the training camera would show: the cloud is projected as that saw it.
        return (trained if self._values.rescale_input or model is None else model.camera), frame

    def _place(self, camera_frame: str, cloud_frame: str, stamp_ns: int) -> NDArray[np.float64]:
        if camera_frame == cloud_frame:
            self.cloud_problem = ""
            return np.eye(4)
        assert self._transforms is not None, "TF is listened to where clouds are read"
        found = self._transforms.lookup(camera_frame, cloud_frame, stamp_ns)
        if found.T is None:
            self.cloud_problem = (
                f"TF does not tell where {shown(cloud_frame)!r} is in {shown(camera_frame)!r}: {found.reason}"
            )
            raise DecodeError(f"{self.cloud_problem}; publish that transform, so that clouds can be projected.")
        self.cloud_problem = ""
        return found.T


def _view(model: CameraModel | None, trained: PinholeCamera, side: str) -> Any:
    """What the training camera would have shown of an image. Unscaled it would give a wrong pose, which is accepted."""
    if model is None:
        raise DecodeError(
            f"An image cannot be rescaled before {side}/camera_info comes; publish it, or set rescale_input to false."
        )
    try:
        return training_view(model, trained)
    except CameraInfoError as error:
        raise DecodeError(str(error)) from error
