# SPDX-License-Identifier: Apache-2.0
"""The images of a frame as a network takes them, and which of its modalities they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.backends.backend import NO_SENSORS
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame, FrameError
from mvloc_ros.model.manifest import Manifest
from mvloc_ros.model.modalities import SensorInput
from mvloc_ros.model.preprocessing import DepthRegistration, prepare_color, prepare_depth, prepare_gray

# Below this share of valid pixels a depth image tells nothing (a covered lens, a sensor out of range).
_MIN_VALID_DEPTH = 0.01


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a frame gives a network.

    Attributes:
        color, depth: the images of the pair; None for one that is not there or not used.
        further: name -> image, of the further sensors that are used.
        remark: why an image is not used, in words; empty if all are.
    """

    color: NDArray[np.uint8] | None
    depth: NDArray[np.float32] | None
    further: Mapping[str, NDArray[Any]]
    remark: str


class NetworkInputs:
    """Prepares the images of frames for one model's network."""

    def __init__(self, manifest: Manifest) -> None:
        """Take the sizes and depth ranges of the network's inputs."""
        self._spec, self._sensors = manifest.input, manifest.sensors
        self._registration = _registration(manifest)
        self.no_color = np.zeros((self._spec.height, self._spec.width, 3), np.uint8)
        self.no_depth = np.zeros((self._spec.height, self._spec.width), np.float32)
        self.no_further = {item.sensor.name: item.input.blank() for item in self._sensors}

    def prepare(self, frame: Frame) -> Prepared:
        """The images as the network takes them.

        Raises:
            FrameError: no image can be used, or one of the pair does not fit the model.
        """
        color, depth, remark = self._prepare_pair(frame)
        if not self._sensors:
            if color is None and depth is None:
                raise FrameError(f"The frame cannot be localized: no colour image, and {remark}.")
            return Prepared(color, depth, NO_SENSORS, remark)
        return self._with_further(frame, color, depth, remark)

    def _prepare_pair(self, frame: Frame) -> tuple[NDArray[np.uint8] | None, NDArray[np.float32] | None, str]:
        spec = self._spec
        size = spec.height, spec.width
        color = None if frame.color is None else prepare_color(frame.color, *size)
        depth, remark = None, "" if color is not None else "no colour image"
        if frame.depth is None:
            return color, None, "no depth image"
        depth = prepare_depth(frame.depth, *size, self._registration, spec.depth_of_points)
        if problem := _empty_depth("the depth image", depth, spec.depth_min_m, spec.depth_max_m):
            return color, None, problem
        return color, depth, remark

    def _with_further(
        self, frame: Frame, color: NDArray[np.uint8] | None, depth: NDArray[np.float32] | None, remark: str
    ) -> Prepared:
        """With the images of further sensors; one that cannot be used costs its modality alone."""
        further: dict[str, NDArray[Any]] = {}
        problems = [remark] if frame.depth is not None and depth is None else []
        for item in self._sensors:
            name = item.sensor.name
            if name not in frame.further:
                continue
            image, problem = _image_of(item, frame.further[name])
            if image is None:
                problems.append(problem)
            else:
                further[name] = image
        pair = {"color": color, "depth": depth}
        missing = [name for name, image in pair.items() if image is None]
        missing += [item.sensor.name for item in self._sensors if item.sensor.name not in further]
        if len(missing) == len(pair) + len(self._sensors):
            why = "; ".join(problems)
            raise FrameError(f"The frame cannot be localized: no image of {', '.join(missing)}{why and f' ({why})'}.")
        if missing:
            problems.append(f"no image of {', '.join(missing)}")
        return Prepared(color, depth, further, "; ".join(problems))


def _image_of(item: SensorInput, image: ColorImage | DepthImage) -> tuple[NDArray[Any] | None, str]:
    """The image of a further sensor as the network takes it, or why it cannot be used."""
    sensor, size = item.sensor, (item.height, item.width)
    try:
        if isinstance(image, ColorImage):
            if sensor.kind == "depth":
                return None, f"the {sensor.name} image is no depth image"
            prepare = prepare_color if sensor.kind == "color" else prepare_gray
            return prepare(image, *size, name=sensor.name), ""
        if sensor.kind != "depth":
            return None, f"the {sensor.name} image is a depth image"
        depth = prepare_depth(image, *size, name=sensor.name)
    except FrameError as error:
        return None, str(error).rstrip(".")
    assert sensor.depth_min_m is not None
    assert sensor.depth_max_m is not None
    problem = _empty_depth(f"the {sensor.name} image", depth, sensor.depth_min_m, sensor.depth_max_m)
    return (None, problem) if problem else (depth, "")


def _empty_depth(what: str, depth: NDArray[np.float32], low_m: float, high_m: float) -> str:
    """Why a depth image tells nothing, in words; empty if it does."""
    # NaN compares false, so it counts as invalid here as it does in the graph.
    valid = np.count_nonzero((depth > low_m) & (depth < high_m)) / depth.size
    if valid >= _MIN_VALID_DEPTH:
        return ""
    left_out = "depth" if what == "the depth image" else "it"
    return (
        f"{what} has {valid:.1%} of its pixels between {low_m:g} and {high_m:g} m, so {left_out} is left out; check "
        "the sensor and the unit of its images"
    )


def _registration(manifest: Manifest) -> DepthRegistration | None:
    """What a model that was trained on registered raw depth needs done to the depth it is given."""
    if manifest.T_color_depth is None:
        return None
    extrinsic = np.reshape(manifest.T_color_depth, (4, 4))
    size = manifest.input.height, manifest.input.width
    return DepthRegistration.at_size(*size, manifest.depth_camera, manifest.color_camera, extrinsic)
