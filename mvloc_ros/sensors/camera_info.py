# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/CameraInfo to intrinsics: of raw or rectified images, cropped and binned; from rclpy or rosbags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from mvloc_ros.errors import MvlocError
from mvloc_ros.geometry.camera import PinholeCamera, View

_TRANSPORTS = ("compressed", "compressedDepth", "ffmpeg", "theora", "zstd")
_FISHEYE = ("equidistant", "fisheye")
_LEAST_COVERED, _LARGEST_VIEW = 0.05, 8.0


class CameraInfoError(MvlocError):
    """A camera_info that says nothing usable of its camera."""


@dataclass(frozen=True)
class CameraModel:
    """What a camera_info says of the images beside it.

    Attributes:
        camera: the intrinsics; of a distorted image those that its distortion is stated with.
        frame_id: the camera's optical frame.
        distortion: the distortion model's name; empty where the image is rectified or has no distortion.
        displacement_px: how far the distortion moves a pixel of the image's edge at most; NaN for an unknown model.
    """

    camera: PinholeCamera
    frame_id: str
    distortion: str
    displacement_px: float


def read_camera_info(message: Any, image_topic: str) -> CameraModel:
    """The camera of the images of `image_topic`, whose name tells whether they are rectified (`image_rect`).

    Of rectified images P counts, of others K and D (REP-104).

    Raises:
        CameraInfoError: the camera is not calibrated.
    """
    k, d, p = (_field(message, name) for name in "kdp")
    rectified = is_rectified(image_topic) and p[0] > 0.0
    fx, fy, cx, cy = (p[0], p[5], p[2], p[6]) if rectified else (k[0], k[4], k[2], k[5])
    try:
        camera = PinholeCamera.from_dict(
            {"width": message.width, "height": message.height, "fx": fx, "fy": fy, "cx": cx, "cy": cy}
        )
    except ValueError as error:
        raise CameraInfoError(
            f"The camera_info of {image_topic} is of an uncalibrated camera ({error}): calibrate the camera."
        ) from error
    distorted = not rectified and bool(np.any(np.asarray(d) != 0.0))
    model = str(message.distortion_model) or "unnamed" if distorted else ""
    displacement = _displacement(camera, model, np.asarray(d, dtype=np.float64)) if distorted else 0.0
    return CameraModel(_as_sent(camera, message), message.header.frame_id, model, displacement)


def is_rectified(image_topic: str) -> bool:
    """Whether a topic's name says that its images are rectified, as image_proc names them."""
    parts = [part for part in image_topic.split("/") if part not in _TRANSPORTS]
    return "rect" in parts[-1]


def training_view(model: CameraModel, trained: PinholeCamera) -> View:
    """The part of the camera's image that the training camera would have shown.

    Raises:
        CameraInfoError: the two have next to nothing in common.
    """
    view = model.camera.view_of(trained)
    if view.covered < _LEAST_COVERED or max(view.right - view.left, view.bottom - view.top) > _LARGEST_VIEW:
        raise CameraInfoError(
            f"The image of {model.camera} shows {view.covered:.0%} of what the training camera {trained} saw, so it "
            "cannot be rescaled to that; check the camera_info, or train on this camera's recordings."
        )
    return view


def _field(message: Any, name: str) -> Any:
    """A matrix of the message; ROS 1 writes them with capitals."""
    value = getattr(message, name, None)
    return getattr(message, name.upper()) if value is None else value


def _as_sent(camera: PinholeCamera, message: Any) -> PinholeCamera:
    """The camera of the image that is sent: the region of interest, binned."""
    roi = message.roi
    if roi.width and roi.height:
        camera = PinholeCamera(
            roi.width, roi.height, camera.fx, camera.fy, camera.cx - roi.x_offset, camera.cy - roi.y_offset
        )
    bins = max(message.binning_x, 1), max(message.binning_y, 1)
    return camera if bins == (1, 1) else camera.scaled_to(camera.width // bins[0], camera.height // bins[1])


def _displacement(camera: PinholeCamera, model: str, coefficients: Any) -> float:
    across, down = np.linspace(-0.5, camera.width - 0.5, 9), np.linspace(-0.5, camera.height - 0.5, 9)
    straight = np.array([(u, v) for u in across for v in down])
    rays = (straight - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    try:
        if model in _FISHEYE:
            bent = cv2.fisheye.distortPoints(rays[:, None], camera.matrix(), coefficients)
        else:
            ahead = np.column_stack([rays, np.ones(len(rays))])
            bent, _ = cv2.projectPoints(ahead, np.zeros(3), np.zeros(3), camera.matrix(), coefficients)
    except cv2.error:
        return float("nan")
    return float(np.max(np.linalg.norm(bent.reshape(-1, 2) - straight, axis=1)))
