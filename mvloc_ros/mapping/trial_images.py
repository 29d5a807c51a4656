# SPDX-License-Identifier: Apache-2.0
"""The images of the trials' frames, and what may become of them: another light, something in front, another place.

A camera that measures depth and shows color is changed in both alike; so is each of several.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.localization.color_evidence import PAIR_COLOR
from mvloc_ros.localization.rig_points import PAIR_DEPTH
from mvloc_ros.mapping import lighting
from mvloc_ros.mapping.build import Cameras, depth_image, further_images
from mvloc_ros.mapping.further_depth import eyes_of
from mvloc_ros.model.frame import ColorImage, DepthImage
from mvloc_ros.recordings import FrameRecord, read_color

# Sides of what is changed in a frame, as shares of the image's sides: 6 to 20 % of the view each.
_CHANGED_SIDES = 0.25, 0.45
# What stands in front is nearer by these factors.
_IN_FRONT = 0.4, 0.8
# What blocks a view hides these shares of it, at these distances in metres.
_BLOCKED, _BLOCKED_M = (0.65, 0.9), (0.4, 1.2)
# Of so many frames one lacks something.
_ONE_LACKS_IN = 3


@dataclass(frozen=True)
class Device:
    """A depth sensor and the color camera that sees the same, by name; None for one that there is not."""

    color: str | None
    depth: str | None


@dataclass(frozen=True, eq=False)
class Shot:
    """The images of one device; None for one that is not there."""

    color: NDArray[np.uint8] | None
    depth: DepthImage | None

    def flipped(self, *axes: int) -> Shot:
        """With these axes reversed: 1 exchanges left and right, 0 and 1 turn it upside down."""
        color = None if self.color is None else np.ascontiguousarray(np.flip(self.color, axes))
        if self.depth is None:
            return Shot(color, None)
        return Shot(color, DepthImage(np.ascontiguousarray(np.flip(self.depth.values, axes)), self._unit))

    def lit(self, rng: np.random.Generator) -> Shot:
        """In another light, drawn by chance."""
        return self if self.color is None else replace(self, color=lighting.drawn(rng).on(self.color, rng))

    def blocked(self, rng: np.random.Generator) -> Shot:
        """With something flat of one colour near in front of most of both images, from one side."""
        share, mirrored = rng.uniform(*_BLOCKED), rng.random() < 0.5
        color, values = self._copies()
        columns = (0.0, share) if mirrored else (1.0 - share, 1.0)
        shade = rng.integers(30, 220, 3)
        if color is not None:
            _part(color, (0.0, 1.0), columns)[:] = shade
        if values is not None:
            _part(values, (0.0, 1.0), columns)[:] = round(rng.uniform(*_BLOCKED_M) / self._unit)
        return self._of(color, values)

    def changed(self, other: Shot, rng: np.random.Generator) -> Shot:
        """With a part of both images from `other`, and something of one colour in front of another part."""
        color, values = self._copies()
        rows, columns = _patch(rng)
        if color is not None and other.color is not None:
            _part(color, rows, columns)[:] = _part(other.color, rows, columns)
        if values is not None and other.depth is not None:
            _part(values, rows, columns)[:] = _part(other.depth.values, rows, columns)
        rows, columns = _patch(rng)
        behind = np.zeros(0) if values is None else _part(values, rows, columns)
        seen = behind[behind > 0]
        if len(seen):
            behind[:] = rng.uniform(*_IN_FRONT) * np.quantile(seen, 0.1)
            if color is not None:
                _part(color, rows, columns)[:] = rng.integers(30, 220, 3)
        return self._of(color, values)

    @property
    def _unit(self) -> float:
        return 0.0 if self.depth is None else self.depth.metres_per_unit

    def _copies(self) -> tuple[NDArray[np.uint8] | None, NDArray[Any] | None]:
        return (
            None if self.color is None else self.color.copy(),
            None if self.depth is None else self.depth.values.copy(),
        )

    def _of(self, color: NDArray[np.uint8] | None, values: NDArray[Any] | None) -> Shot:
        return Shot(color, None if values is None else DepthImage(values, self._unit))


@dataclass(frozen=True, eq=False)
class Images:
    """The images of a frame.

    Attributes:
        shots: of each device, the pair's first.
        devices: what they are.
        gray: the images of gray cameras by name, which no trial changes but by turning them.
    """

    shots: tuple[Shot, ...]
    devices: tuple[Device, ...]
    gray: Mapping[str, ColorImage]

    @staticmethod
    def of(record: FrameRecord, cameras: Cameras) -> Images:
        """Read them."""
        color = None if record.color is None else read_color(record.color)
        pair = Shot(color, None if record.depth is None else depth_image(record, cameras))
        found = further_images(record, cameras.sensors)
        devices = devices_of(cameras)
        shots = [pair]
        for device in devices[1:]:
            seen, measured = found.get(device.color or ""), found.get(device.depth or "")
            pixels = seen.pixels if isinstance(seen, ColorImage) else None
            shots.append(Shot(pixels, measured if isinstance(measured, DepthImage) else None))
        gray = {name: image for name, image in found.items() if isinstance(image, ColorImage) and image.order == "mono"}
        return Images(tuple(shots), devices, gray)

    @property
    def color(self) -> NDArray[np.uint8] | None:
        """RGB of the pair."""
        return self.shots[0].color

    @property
    def depth(self) -> DepthImage | None:
        """Of the pair."""
        return self.shots[0].depth

    @property
    def further(self) -> dict[str, ColorImage | DepthImage]:
        """Of the sensors besides the pair, by name."""
        images: dict[str, ColorImage | DepthImage] = dict(self.gray)
        for device, shot in zip(self.devices[1:], self.shots[1:], strict=True):
            if device.color is not None and shot.color is not None:
                images[device.color] = ColorImage(shot.color, "rgb")
            if device.depth is not None and shot.depth is not None:
                images[device.depth] = shot.depth
        return images

    def mirrored(self) -> Images:
        """Left and right exchanged."""
        return self._flipped(1)

    def turned(self) -> Images:
        """Upside down."""
        return self._flipped(0, 1)

    def lit(self, rng: np.random.Generator) -> Images:
        """Each camera in another light, drawn by chance."""
        return replace(self, shots=tuple(shot.lit(rng) for shot in self.shots))

    def blocked(self, rng: np.random.Generator) -> Images:
        """With something in front of most of what each camera sees."""
        return replace(self, shots=tuple(shot.blocked(rng) for shot in self.shots))

    def changed(self, other: Images, rng: np.random.Generator) -> Images:
        """With parts of each camera's view from `other`, and something in front of others."""
        changed = (shot.changed(theirs, rng) for shot, theirs in zip(self.shots, other.shots, strict=True))
        return replace(self, shots=tuple(changed))

    def with_depth_of(self, other: Images) -> Images:
        """With the depth of `other`, of all sensors."""
        shots = (replace(shot, depth=theirs.depth) for shot, theirs in zip(self.shots, other.shots, strict=True))
        return replace(self, shots=tuple(shots))

    def without(self, names: Collection[str]) -> Images:
        """Without the images of these modalities."""
        shots = [
            Shot(None if device.color in names else shot.color, None if device.depth in names else shot.depth)
            for device, shot in zip(self.devices, self.shots, strict=True)
        ]
        gray = {name: image for name, image in self.gray.items() if name not in names}
        return Images(tuple(shots), self.devices, gray)

    def _flipped(self, *axes: int) -> Images:
        gray = {
            name: ColorImage(np.ascontiguousarray(np.flip(image.pixels, axes)), "mono")
            for name, image in self.gray.items()
        }
        return replace(self, shots=tuple(shot.flipped(*axes) for shot in self.shots), gray=gray)


def devices_of(cameras: Cameras) -> tuple[Device, ...]:
    """The pair, then each further depth sensor with the color camera nearest to it, then the other color cameras."""
    devices = [Device(PAIR_COLOR, PAIR_DEPTH)]
    taken = {PAIR_COLOR}
    for eye in eyes_of(cameras.sensors, cameras.color, 0.0, np.inf):
        devices.append(Device(None if eye.color_name in taken else eye.color_name, eye.name))
        taken.add(eye.color_name)
    others = (sensor.name for sensor in cameras.sensors if sensor.kind == "color")
    return (*devices, *(Device(name, None) for name in others if name not in taken))


def lost_in(number: int, cameras: Cameras, of: Sequence[Device]) -> frozenset[str]:
    """What the frame of this number lacks in trials: in two of three nothing, else a device or a part of one in turn.

    So that a threshold holds where a sensor is lost. A pair alone lacks nothing.
    """
    if not cameras.sensors or not of or number % _ONE_LACKS_IN:
        return frozenset()
    lost = [
        frozenset(name for name in names if name is not None)
        for device in of
        for names in dict.fromkeys(((device.color, device.depth), (device.color,), (device.depth,)))
    ]
    lost = [names for names in dict.fromkeys(lost) if names]
    return lost[number // _ONE_LACKS_IN % len(lost)]


def _patch(rng: np.random.Generator) -> tuple[tuple[float, float], tuple[float, float]]:
    """Rows and columns of a rectangle, from and to, as shares of an image's sides."""
    height, width = rng.uniform(*_CHANGED_SIDES, 2)
    top, left = rng.uniform(0.0, 1.0 - height), rng.uniform(0.0, 1.0 - width)
    return (top, top + height), (left, left + width)


def _part(image: NDArray[Any], rows: tuple[float, float], columns: tuple[float, float]) -> NDArray[Any]:
    """A view of that part of an image."""
    (top, bottom), (left, right) = (
        (round(low * size), round(high * size))
        for (low, high), size in zip((rows, columns), image.shape[:2], strict=True)
    )
    return image[top:bottom, left:right]
