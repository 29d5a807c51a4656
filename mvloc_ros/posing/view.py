# SPDX-License-Identifier: Apache-2.0
"""What is kept of one frame: its surface, its local features, and a small depth image.

All in the frame of the camera whose pose is sought (`pose_of` of the folder), in metres.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import small_gicp
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.projection import transform_points
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE, DepthCamera
from mvloc_ros.localization.local_features import LocalFeatures, extract, none_found
from mvloc_ros.localization.sensor_rig import SensorRig
from mvloc_ros.mapping.build import Cameras, depth_image
from mvloc_ros.model.frame import ColorImage
from mvloc_ros.recordings import FrameRecord, read_color
from mvloc_ros.recordings.frames import CameraSettings

Array = NDArray[np.float64]

NEAR_M, FAR_M = 0.3, 6.0
"""Range of the depth that is used; a folder that states a shorter one is kept to that."""
_COLUMNS = 160
# Edge of the cubes that keep one point each: at 3 m the pixels of `_COLUMNS` are so far apart.
_SPACING_M = 0.025
_NEIGHBORS = 10
_SMALL_COLUMNS = 80
# A frame with less tells nothing about where it was taken.
_LEAST_POINTS, _LEAST_SHARE = 200, 0.02
# Gray levels: below this a picture is black, whatever its noise.
_BLACK = 4.0


@dataclass(frozen=True, eq=False)
class Rig:
    """The cameras of a folder.

    Attributes:
        sensors: both cameras and their places.
        cameras: the same as `mvloc map` has them.
        small: the depth camera at the size of `View.depth`.
    """

    sensors: SensorRig
    cameras: Cameras
    small: PinholeCamera

    @staticmethod
    def of(settings: CameraSettings) -> Rig:
        """Without extrinsics both cameras are taken to be in one place."""
        cameras = Cameras.of(settings)
        far_m = min(FAR_M, settings.max_depth_m or FAR_M)
        none = np.zeros(CORRECTION_SHAPE, np.float32)
        sensors = SensorRig(
            color=cameras.color,
            depth=DepthCamera(cameras.depth, NEAR_M, far_m, none),
            T_color_depth=cameras.T_color_depth,
            T_camera_depth=cameras.T_camera_depth,
        )
        camera = cameras.depth
        small = camera.scaled_to(_SMALL_COLUMNS, round(_SMALL_COLUMNS * camera.height / camera.width))
        return Rig(sensors, cameras, small)


@dataclass(frozen=True, eq=False)
class View:
    """One frame.

    Attributes:
        record: where it comes from.
        points: `[N, 3]` of its surface, evenly spaced.
        normals: `[N, 3]` towards the camera.
        features: with their measured places.
        depth: float32 `[rows, columns]` metres, of the depth camera at a small size; 0 where nothing was measured.
        problem: why the frame tells nothing about its place; empty if it may.
    """

    record: FrameRecord
    points: Array
    normals: Array
    features: LocalFeatures
    depth: NDArray[np.float32]
    problem: str = ""

    @property
    def stamp_ns(self) -> int:
        """Of the recording's clock."""
        return self.record.stamp_ns


def read_view(record: FrameRecord, rig: Rig) -> View:
    """Read one frame; damaged images raise RecordingError."""
    nothing = np.zeros((0, 3))
    small = np.zeros((rig.small.height, rig.small.width), np.float32)
    empty = View(record, nothing, nothing, none_found(), small)
    if record.depth is None:
        return replace(empty, problem="no depth image")
    depth = depth_image(record, rig.cameras)
    raw = np.asarray(depth.values, dtype=np.uint16)
    points = rig.sensors.depth.points(depth, _COLUMNS)
    whole = raw.size / max(1, round(raw.shape[1] / _COLUMNS)) ** 2
    if len(points) < max(_LEAST_POINTS, _LEAST_SHARE * whole):
        share = len(points) / whole
        return replace(empty, problem=f"depth in {share:.0%} of the image" if share else "no depth in the image")
    features, problem = none_found(), ""
    if record.color is not None:
        color = read_color(record.color)
        if float(np.max(color, initial=0)) <= _BLACK:
            problem = "a black color image"
        else:
            features = extract(ColorImage(color, "rgb"), depth, rig.sensors)
    cloud = transform_points(rig.sensors.T_camera_depth, points)
    surface, normals = _surface(cloud, rig.sensors.T_camera_depth[:3, 3])
    thinned = cv2.resize(raw, (rig.small.width, rig.small.height), interpolation=cv2.INTER_NEAREST)
    metres = thinned.astype(np.float32) * np.float32(depth.metres_per_unit)
    return View(record, surface, normals, features, metres, problem)


def _surface(points: Array, eye: Array) -> tuple[Array, Array]:
    """Points one to a cube, and their normals towards the camera at `eye`."""
    thin = small_gicp.voxelgrid_sampling(np.ascontiguousarray(points), _SPACING_M, 1)
    cloud = small_gicp.PointCloud(np.asarray(thin.points())[:, :3])
    small_gicp.estimate_normals(cloud, small_gicp.KdTree(cloud), _NEIGHBORS, 1)
    places = np.ascontiguousarray(np.asarray(cloud.points())[:, :3])
    normals = np.ascontiguousarray(np.asarray(cloud.normals())[:, :3])
    away = np.einsum("ni,ni->n", normals, places - eye) > 0.0
    normals[away] *= -1.0
    return places, normals


def seen_through(view: View, points: Array, rig: Rig) -> tuple[int, int]:
    """Of points `[N, 3]` in the view's camera frame: how many the view shows, and how many it sees through.

    A point is seen through where the nearest measurement around its pixel lies clearly behind it.
    """
    inside = transform_points(se3.inverse(rig.sensors.T_camera_depth), points)
    ahead = inside[(inside[:, 2] > NEAR_M) & (inside[:, 2] < FAR_M)]
    camera = rig.small
    column = np.rint(camera.fx * ahead[:, 0] / ahead[:, 2] + camera.cx).astype(np.intp)
    row = np.rint(camera.fy * ahead[:, 1] / ahead[:, 2] + camera.cy).astype(np.intp)
    within = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    column, row, z = column[within], row[within], ahead[within, 2]
    square = np.ones((3, 3), np.uint8)
    nearest = cv2.erode(view.depth, square, borderType=cv2.BORDER_REPLICATE)[row, column]
    known = nearest > 0.0
    margin = 0.1 + 0.03 * z
    through = known & (nearest > z + margin)
    return int(np.count_nonzero(known)), int(np.count_nonzero(through))
