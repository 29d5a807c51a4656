# SPDX-License-Identifier: Apache-2.0
"""`camera.json`: how a user's own folder states its cameras, where the layout's defaults do not fit.

    {"color": {"width": 640, "height": 480, "fx": 525, "fy": 525, "cx": 320, "cy": 240},
     "depth": {...}, "depth_registered": true, "pose_of": "color", "rate_hz": 15,
     "depth_units_per_metre": 1000, "licence": "CC BY 4.0"}

Every key may be left out; a key that is not listed here is refused, so that a typing error does not
pass as a default.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.frames import FrameRecord
from mvloc_ros.recordings.images import image_size

CAMERA_FILE = "camera.json"


@dataclass(frozen=True)
class CameraSettings:
    """Cameras and conventions of a folder: the layout's defaults, or what `camera.json` says."""

    color_camera: PinholeCamera
    depth_camera: PinholeCamera
    depth_units_per_metre: float
    depth_registered: bool
    pose_of: str
    rate_hz: float
    licence: str = ""


def apply_camera_file(root: Path, defaults: CameraSettings) -> tuple[CameraSettings, frozenset[str]]:
    """`defaults` overridden by `root/camera.json` where it exists, and the keys which that file set.

    Raises RecordingError where the file is not JSON, has an unknown key or an impossible value.
    """
    path = root / CAMERA_FILE
    if not path.is_file():
        return defaults, frozenset()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordingError(f"{path} is not valid JSON ({error}).") from error
    if not isinstance(content, dict):
        raise RecordingError(f"{path} must hold one JSON object with the keys {', '.join(sorted(_READERS))}.")
    unknown = sorted(set(content) - set(_READERS))
    if unknown:
        raise RecordingError(f"{path} has the unknown key {unknown[0]!r}; known are {', '.join(sorted(_READERS))}.")
    values: dict[str, Any] = {}
    for key, value in content.items():
        field, read = _READERS[key]
        try:
            values[field] = read(value)
        except (KeyError, TypeError, ValueError) as error:
            raise RecordingError(f"{path}: the value of {key!r} is not usable ({error}).") from error
    return replace(defaults, **values), frozenset(content)


def fit_to_images(
    root: Path, settings: CameraSettings, stated: frozenset[str], frames: list[FrameRecord]
) -> CameraSettings:
    """`settings` with both cameras at the size of the first images.

    The layout's default intrinsics are scaled to it. Intrinsics stated in `camera.json` must fit as
    they are: scaling them would hide that they belong to other images.
    """
    cameras = {"color": settings.color_camera, "depth": settings.depth_camera}
    for name, camera in cameras.items():
        path = next((image for frame in frames if (image := getattr(frame, name)) is not None), None)
        if path is None:
            continue
        width, height = image_size(path)
        if (width, height) == (camera.width, camera.height):
            continue
        if name in stated or width * camera.height != height * camera.width:
            raise RecordingError(
                f"{path} has {width}x{height} pixels, but the {name} intrinsics are for "
                f"{camera.width}x{camera.height}: state those of the images in {root / CAMERA_FILE}."
            )
        cameras[name] = camera.scaled_to(width, height)
    return replace(settings, color_camera=cameras["color"], depth_camera=cameras["depth"])


def _positive(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool) or not (math.isfinite(number) and number > 0.0):
        raise ValueError(f"{value!r} is not a positive number")
    return number


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _camera_name(value: Any) -> str:
    if value not in ("color", "depth"):
        raise ValueError(f"{value!r} is neither 'color' nor 'depth'")
    return str(value)


_READERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "color": ("color_camera", PinholeCamera.from_dict),
    "depth": ("depth_camera", PinholeCamera.from_dict),
    "depth_units_per_metre": ("depth_units_per_metre", _positive),
    "depth_registered": ("depth_registered", _boolean),
    "pose_of": ("pose_of", _camera_name),
    "rate_hz": ("rate_hz", _positive),
    "licence": ("licence", str),
}
