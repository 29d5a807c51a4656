# SPDX-License-Identifier: Apache-2.0
"""What is known of one frame before any start: the points of all depth sensors, and the images of all color cameras."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.covariance import largest_deviations
from mvloc_ros.localization import free_space, verification
from mvloc_ros.localization.color_evidence import PAIR_COLOR, ColorView, are_blank
from mvloc_ros.localization.depth_points import DepthCamera
from mvloc_ros.localization.free_space import FreeSpace
from mvloc_ros.localization.local_map import LocalMap
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.registration import Source
from mvloc_ros.localization.rig_points import PAIR_DEPTH, SensorPoints, image_of
from mvloc_ros.localization.sensor_rig import SensorRig
from mvloc_ros.localization.tracker import Expectation
from mvloc_ros.model.frame import ColorImage, DepthImage
from mvloc_ros.model.preprocessing import prepare_color

Array = NDArray[np.float64]
Images = Mapping[str, ColorImage | DepthImage]


@dataclass(frozen=True, eq=False)
class DepthView:
    """A depth sensor that there is an image of.

    Attributes:
        name: of the sensor.
        depth: what makes its points.
        T_depth_sensor: 4x4, into the pair's depth camera; None: it is that.
        image: its image.
    """

    name: str
    depth: DepthCamera
    T_depth_sensor: Array | None
    image: DepthImage

    @property
    def points(self) -> SensorPoints:
        """Those in the map's range."""
        return SensorPoints(self.name, self.depth.points(self.image), self.T_depth_sensor)

    def in_map(self, T_map_depth: Array) -> Array:
        """The sensor's own pose (4x4), where the pair's depth camera has this one."""
        return T_map_depth if self.T_depth_sensor is None else T_map_depth @ self.T_depth_sensor

    @property
    def left_out(self) -> str:
        """Why its points are not used, in words."""
        near_m, nearer = self.depth.near_m, self.depth.share_nearer(self.image)
        why = "it has too few points in the range of the scene map"
        if verification.hides_too_much(nearer):
            why = f"{nearer:.0%} of it is nearer than the {near_m:g} m from which the scene map is used"
        return f"{image_of(self.name)} is left out: {why}"


def depth_views(rig: SensorRig, depth: DepthImage | None, further: Images) -> tuple[DepthView, ...]:
    """The depth sensors of which there are images."""
    pair = () if depth is None else (DepthView(PAIR_DEPTH, rig.depth, None, depth),)
    others = ((sensor, further.get(sensor.name)) for sensor in rig.depths)
    return pair + tuple(
        DepthView(sensor.name, sensor.depth, sensor.T_depth_sensor, image)
        for sensor, image in others
        if isinstance(image, DepthImage)
    )


def color_views(rig: SensorRig, color: NDArray[np.uint8] | None, further: Images) -> tuple[ColorView, ...]:
    """The images of the color cameras that are there.

    Raises:
        FrameError: one does not fit the model.
    """
    views = [] if color is None else [ColorView.of(PAIR_COLOR, color, rig.color, rig.T_color_depth)]
    for camera in rig.cameras:
        image = further.get(camera.name)
        if camera.kind == "color" and isinstance(image, ColorImage):
            T_camera_depth = se3.inverse(camera.T_color_sensor) @ rig.T_color_depth
            pixels = prepare_color(image, camera.height, camera.width)
            views.append(ColorView.of(camera.name, pixels, camera.camera, T_camera_depth))
    return tuple(views)


@dataclass(frozen=True, eq=False)
class SeenFrame:
    """One frame.

    Attributes:
        source: the points in the map's range of all depth sensors.
        depths: the sensors that these are of.
        nearer: of each sensor what is too near for the map, `[N, 3]` in its own frame: it hides the scene all the same.
        colors: the images of all color cameras.
        network: where the network puts the frame.
        expected: where the tracker does.
        left_out: which depth sensors are not used and why, in words.
    """

    source: Source
    depths: tuple[DepthView, ...]
    nearer: tuple[Array, ...]
    colors: tuple[ColorView, ...]
    network: Pose
    expected: Expectation | None
    left_out: tuple[str, ...] = ()

    @staticmethod
    def of(
        source: Source,
        depths: tuple[DepthView, ...],
        colors: tuple[ColorView, ...],
        network: Pose,
        expected: Expectation | None,
    ) -> SeenFrame:
        """With the points of some of the sensors, or of all."""
        used = tuple(view for view in depths if view.name in source.names)
        nearer = tuple(view.depth.nearer(view.image, 2 * free_space.COLUMNS) for view in used)
        left_out = tuple(view.left_out for view in depths if view.name not in source.names)
        return SeenFrame(source, used, nearer, colors, network, expected, left_out)

    def of_sensors(self, names: Collection[str]) -> SeenFrame:
        """With the points of some of the depth sensors, at least one."""
        kept = [i for i, view in enumerate(self.depths) if view.name in names]
        if len(kept) == len(self.depths):
            return self
        return replace(
            self,
            source=self.source.only([self.depths[i].name for i in kept]),
            depths=tuple(self.depths[i] for i in kept),
            nearer=tuple(self.nearer[i] for i in kept),
        )

    def without(self, names: Collection[str]) -> SeenFrame:
        """Without the points of sensors that something stands in front of; at least one is left."""
        others = self.of_sensors([view.name for view in self.depths if view.name not in names])
        blocked = (f"{image_of(name)} is left out: something stands in front of most of what it sees" for name in names)
        return replace(others, left_out=(*self.left_out, *blocked))

    def spaces(self, target: LocalMap, T_map_depth: Array, resolution_m: float) -> tuple[FreeSpace, ...]:
        """What each sensor sees through and what is hidden to it where the pair's depth camera has a pose (4x4)."""
        return tuple(
            free_space.compare(
                np.concatenate([part.seen.points, nearer]),
                target,
                view.in_map(T_map_depth),
                view.depth.camera,
                resolution_m,
            )
            for part, view, nearer in zip(self.source.parts, self.depths, self.nearer, strict=True)
        )

    @property
    def is_blank(self) -> bool:
        """Whether there are color images and none shows anything."""
        return are_blank(self.colors)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is not used of the frame, in words."""
        if self.is_blank:
            return self.left_out
        blank = [view.name for view in self.colors if view.is_blank]
        images = ("the colour image" if name == PAIR_COLOR else f"the image of {name}" for name in blank)
        return (*self.left_out, *(f"{image} shows nothing (a covered lens, or no light)" for image in images))

    @property
    def accepted(self) -> Pose | None:
        """Where the camera is expected by the pose that was accepted last; None without one, and of a person's hint."""
        return None if self.expected is None or self.expected.is_hint else self.expected.pose

    @property
    def is_by_odometry(self) -> bool:
        """Whether odometry told where the camera is expected."""
        return self.expected is not None and self.expected.by_odometry

    @property
    def reach_m(self) -> float:
        """How far odometry and the pose accepted last leave open where the camera is; infinite without them.

        Three standard deviations of the position and of what the rotation moves at the points' typical distance.
        """
        pose = self.accepted if self.is_by_odometry else None
        if pose is None:
            return math.inf
        metres, radians = largest_deviations(pose.covariance)
        return 3.0 * math.hypot(metres, self.source.rays.typical_m * radians)

    @property
    def evidence(self) -> tuple[Pose, ...]:
        """The poses whose agreement with a result speaks for it; that with a person's hint does not."""
        return (self.network,) if self.accepted is None else (self.network, self.accepted)
