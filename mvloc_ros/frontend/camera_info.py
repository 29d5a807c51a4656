# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/CameraInfo to intrinsics: of raw or rectified images, cropped and binned; from rclpy or rosbags."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from mvloc_ros.errors import MvlocError
from mvloc_ros.foreign_text import shown
from mvloc_ros.geometry.camera import PinholeCamera, View
from mvloc_ros.limits import MOST_DISTORTION_COEFFICIENTS

_TRANSPORTS = ("compressed", "compressedDepth", "ffmpeg", "theora", "zstd")
_FISHEYE = ("equidistant", "fisheye")
_RECTIFIED = frozenset({"rect", "rectified"})
_SHORTEST = 0.05
"""Least focal length as a share of the image's side: a pinhole camera of 169 degrees, more than any image shows."""
_OFF_MIDDLE = 0.1
"""How far a principal point may be from an image's middle, as a share of its side, to count as being there."""
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
        displacement_px: how far the distortion moves a pixel of the image's edge at most; NaN where unknown.
        matrix: `K` or `P`, whichever the intrinsics are from.
        remark: what had to be assumed of a camera_info that contradicts itself; empty if nothing.
    """

    camera: PinholeCamera
    frame_id: str
    distortion: str
    displacement_px: float
    matrix: str = "K"
    remark: str = ""

    @property
    def distortion_text(self) -> str:
        """The distortion's model and size, for the user; `no distortion` without one."""
        if not self.distortion:
            return "no distortion"
        if not math.isfinite(self.displacement_px):
            return f"{self.distortion} distortion of unknown size"
        return f"{self.distortion} distortion of up to {self.displacement_px:.0f} px"


def read_camera_info(message: Any, image_topic: str) -> CameraModel:
    """The camera of the images of `image_topic`, whose name tells whether they are rectified (`image_rect`).

    Of rectified images P counts, of others K and D (REP-104). Where only one of K and P is filled in, that counts, if
    no distortion tells them apart.

    Raises:
        CameraInfoError: the camera is not calibrated, or what the message says is impossible.
    """
    coefficients = len(matrix_field(message, "d"))
    if coefficients > MOST_DISTORTION_COEFFICIENTS:
        raise CameraInfoError(
            f"The camera_info of {image_topic} has {coefficients} distortion coefficients, at most "
            f"{MOST_DISTORTION_COEFFICIENTS} are accepted: check the camera's driver."
        )
    k, d, p = (np.asarray(matrix_field(message, name), dtype=np.float64).reshape(-1) for name in "kdp")
    rectified = is_rectified(image_topic)
    distorted = not rectified and bool(np.any(d != 0.0))
    # A matrix that nobody filled in has no focal length, but its last element may be 1.
    by_p = p[0] != 0.0 and (rectified or (k[0] == 0.0 and not distorted))
    matrix, f = ("P", (p[0], p[5], p[2], p[6])) if by_p else ("K", (k[0], k[4], k[2], k[5]))
    name = f"The camera_info of {image_topic}"
    if f[0] == 0.0:
        raise CameraInfoError(
            f"{name} is of an uncalibrated camera ({matrix} has no focal length): calibrate the camera."
        )
    try:
        values = dict(zip(("fx", "fy", "cx", "cy"), map(float, f), strict=True))
        full = PinholeCamera.from_dict({"width": message.width, "height": message.height, **values})
        camera, remark = _as_sent(full, message)
    except ValueError as error:
        raise CameraInfoError(
            f"{name} cannot be right ({str(error).rstrip('.')}): check the camera's driver."
        ) from error
    model = shown(message.distortion_model) or "unnamed" if distorted else ""
    displacement = _displacement(full, model, d) * camera.fx / full.fx if distorted else 0.0
    if by_p and not rectified:
        remark = "; ".join(filter(None, ("K has no focal length, so P is taken", remark)))
    elif rectified and not by_p:
        remark = "; ".join(filter(None, ("P has no focal length, so K is taken for the rectified images", remark)))
    return CameraModel(camera, message.header.frame_id, model, displacement, matrix, remark)


def is_uncalibrated(message: Any) -> bool:
    """Whether a camera_info says only that its camera has no calibration, as drivers do before they have read it."""
    return not any(matrix_field(message, name)[0] != 0.0 for name in "kp")


def is_rectified(image_topic: str) -> bool:
    """Whether a topic's name says that its images are rectified: `image_rect_color`, `rgb/rect/image`.

    The word may stand in any part of the name, since some drivers put it into the namespace.
    """
    parts = [part for part in image_topic.lower().split("/") if part not in _TRANSPORTS]
    words = [word for part in parts for word in part.split("_")]
    glued = parts[-1].replace("rectifier", "").replace("unrect", "")
    return not _RECTIFIED.isdisjoint(words) or "rect" in glued


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


def matrix_field(message: Any, name: str) -> Any:
    """K, D or P (`k`, `d`, `p`) of a camera_info message; ROS 1 writes them with capitals."""
    value = getattr(message, name, None)
    return getattr(message, name.upper()) if value is None else value


def _as_sent(stated: PinholeCamera, message: Any) -> tuple[PinholeCamera, str]:
    """The camera of the image that is sent (the region of interest, binned), and a remark; ValueError if impossible."""
    _require_possible(stated)
    bins = max(int(message.binning_x), 1), max(int(message.binning_y), 1)
    full, remark = _unbinned(stated, bins)
    roi = message.roi
    left, top, width, height = (int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height))
    if not (width and height):
        left, top, width, height = 0, 0, full.width, full.height
    if left + width > full.width or top + height > full.height:
        raise ValueError(f"a region of {width}x{height} at ({left}, {top}) is not in {full.width}x{full.height} pixels")
    if width // bins[0] < 1 or height // bins[1] < 1:
        raise ValueError(f"binned by {bins[0]}x{bins[1]} nothing is left of {width}x{height} pixels")
    camera = PinholeCamera(width, height, full.fx, full.fy, full.cx - left, full.cy - top)
    return camera if bins == (1, 1) else camera.scaled_to(width // bins[0], height // bins[1]), remark


def _require_possible(camera: PinholeCamera) -> None:
    """ValueError for intrinsics that no camera of this size has."""
    size = f"{camera.width}x{camera.height} pixels"
    if not (-0.5 <= camera.cx < camera.width - 0.5 and -0.5 <= camera.cy < camera.height - 0.5):
        raise ValueError(f"its principal point ({camera.cx:g}, {camera.cy:g}) is not in the image of {size}")
    if min(camera.fx / camera.width, camera.fy / camera.height) < _SHORTEST:
        raise ValueError(
            f"a focal length of {min(camera.fx, camera.fy):g} px is too short for {size}; intrinsics must be in "
            "pixels, not in shares of the image"
        )


def _unbinned(stated: PinholeCamera, bins: tuple[int, int]) -> tuple[PinholeCamera, str]:
    """The camera at the sensor's size, which K should be of, and a remark where it is the binned image's instead.

    That shows in the principal point, which then lies about the middle of the binned image.
    """
    if bins == (1, 1) or not _is_middle(stated, bins) or _is_middle(stated, (1, 1)):
        return stated, ""
    width, height = max(stated.width // bins[0], 1), max(stated.height // bins[1], 1)
    binned = PinholeCamera(width, height, stated.fx, stated.fy, stated.cx, stated.cy)
    return binned.scaled_to(stated.width, stated.height), (
        f"its intrinsics are taken for those of the image binned by {bins[0]}x{bins[1]}, in whose middle their "
        f"principal point lies, though it states the sensor's {stated.width}x{stated.height} pixels"
    )


def _is_middle(camera: PinholeCamera, bins: tuple[int, int]) -> bool:
    """Whether the principal point is about the middle of the camera's image after binning."""
    width, height = camera.width / bins[0], camera.height / bins[1]
    return abs(camera.cx / width - 0.5) < _OFF_MIDDLE and abs(camera.cy / height - 0.5) < _OFF_MIDDLE


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
    # NaN where the coefficients are.
    return float(np.max(np.linalg.norm(bent.reshape(-1, 2) - straight, axis=1)))
