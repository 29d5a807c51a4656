# SPDX-License-Identifier: Apache-2.0
"""Is this the camera that the model was trained for? What differs, and what the difference means for the poses."""

from __future__ import annotations

import math

from mvloc_ros.frontend.camera_info import CameraModel
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.model.manifest import InputSpec
from mvloc_ros.model.modalities import ModalityInput

_FOCAL_LENGTH = 0.03
_ASPECT = 0.02
_AXIS_DEG = 1.0
_DISTORTION = 0.01
"""As a share of the image's width; less is smaller than a pixel of the network's input."""
_COVERED = 0.98


def differences(
    kind: str, seen: CameraModel, trained: PinholeCamera, network: InputSpec | ModalityInput, rescale: bool
) -> list[str]:
    """Sentences on what differs; none for the camera of the training, in whatever resolution.

    Args:
        kind: `colour`, `depth` or the sensor's name.
        seen: what camera_info says of the images.
        trained: the training camera of that kind.
        network: the size of the network's input.
        rescale: whether the images are cut to the training camera's view, which mends all but distortion.
    """
    found = _when_rescaled(kind, seen, trained) if rescale else _as_it_is(kind, seen, trained)
    if is_distorted(seen):
        found.append(
            f"the {kind} images are not rectified ({seen.distortion_text}): unless the "
            "model was trained on this camera's raw images, subscribe to its rectified topic (image_rect)"
        )
    if seen.camera.width < network.width:
        found.append(
            f"the {kind} images are {seen.camera.width}x{seen.camera.height}, smaller than the network's input of "
            f"{network.width}x{network.height}: detail that the model was trained on is missing"
        )
    return found


def size_differences(kind: str, size: tuple[int, int], seen: CameraModel) -> list[str]:
    """A sentence where images of `size` (width, height) are not of the size that their camera_info states."""
    stated = seen.camera.width, seen.camera.height
    if size == stated:
        return []
    return [
        f"the {kind} images are {size[0]}x{size[1]}, but their camera_info is for {stated[0]}x{stated[1]}; check the "
        "driver"
    ]


def is_distorted(seen: CameraModel) -> bool:
    """Whether the images are distorted by more than a pixel of the network's input."""
    return bool(seen.distortion) and not seen.displacement_px <= _DISTORTION * seen.camera.width


def _when_rescaled(kind: str, seen: CameraModel, trained: PinholeCamera) -> list[str]:
    covered = seen.camera.view_of(trained).covered
    if covered >= _COVERED:
        return []
    return [
        f"the {kind} camera sees {covered:.0%} of what the training camera saw; the rest of the rescaled image is "
        "empty, which costs accuracy"
    ]


def _as_it_is(kind: str, seen: CameraModel, trained: PinholeCamera) -> list[str]:
    camera = seen.camera
    aspect = camera.width * trained.height / (camera.height * trained.width)
    if abs(aspect - 1.0) > _ASPECT:
        return [
            f"the {kind} images are {camera.width}x{camera.height}, the training's {trained.width}x{trained.height}: "
            "with another aspect ratio no frame is processed; set rescale_input or the camera's resolution"
        ]
    found = []
    same_size = camera.scaled_to(trained.width, trained.height)
    ratio = math.sqrt(same_size.fx * same_size.fy / (trained.fx * trained.fy))
    if abs(ratio - 1.0) > _FOCAL_LENGTH:
        larger, nearer = ("larger", "near to") if ratio > 1.0 else ("smaller", "far from")
        found.append(
            f"the {kind} camera's focal length is {ratio:.2f} times the training's ({same_size.fx:.0f} instead of "
            f"{trained.fx:.0f} px at {trained.width} px width): all looks that much {larger}, so poses come out too "
            f"{nearer} what is seen; set rescale_input, or train on this camera's recordings"
        )
    turned = math.degrees(
        math.hypot((same_size.cx - trained.cx) / trained.fx, (same_size.cy - trained.cy) / trained.fy)
    )
    if turned > _AXIS_DEG:
        found.append(
            f"the {kind} camera's optical axis lies {turned:.1f} degrees beside the training's in the image, by which "
            "poses are turned; set rescale_input"
        )
    return found
