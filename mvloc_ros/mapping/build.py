# SPDX-License-Identifier: Apache-2.0
"""Builds a scene map from the posed frames of a folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.limits import MAP_RESOLUTION_M, MOST_DEPTH_M, MOST_MAP_TILE_M
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE, DepthCamera
from mvloc_ros.localization.local_features import MOST_OF_KEYFRAME
from mvloc_ros.localization.scene_map import MapPoints, SceneMap
from mvloc_ros.mapping.distortion import measure
from mvloc_ros.mapping.errors import MappingError
from mvloc_ros.mapping.further_depth import DepthEye, eyes_of
from mvloc_ros.mapping.fusion import PosedDepth, fuse
from mvloc_ros.mapping.sessions import Unstable, frames_to_compare, is_unstable
from mvloc_ros.mapping.surface_points import thin
from mvloc_ros.model.frame import ColorImage, DepthImage
from mvloc_ros.model.modalities import Sensor
from mvloc_ros.recordings import FrameRecord, read_color
from mvloc_ros.recordings.frames import CameraSettings
from mvloc_ros.recordings.images import DEPTH_INVALID, read_depth_raw, read_gray

Array = NDArray[np.float64]
_log = logging.getLogger(__name__)

# After three rounds the change of the correction is a fifth of that of the first one.
_CORRECTION_ROUNDS = 3
_CORRECTION_FRAMES = 200
# Gray levels are averaged over voxels anyway.
_GRAY_COLUMNS = 320
_LEAST_POINTS = 1000
# More than furniture that was moved.
_MOST_UNSTABLE = 0.1


@dataclass(frozen=True)
class MapOptions:
    """How a map is built.

    Attributes:
        resolution_m: edge of the voxels, which have one point each.
        tile_m: edge of the tiles.
        min_frames: frames that must have observed a voxel.
        near_m, far_m: range of valid depth.
        correct_depth: whether to estimate the distortion of the depth camera.
        keyframe_features: local features looked for in each keyframe; those without a place in the map are not kept.
    """

    resolution_m: float = 0.02
    tile_m: float = 4.0
    min_frames: int = 3
    near_m: float = 0.3
    far_m: float = 4.5
    correct_depth: bool = True
    keyframe_features: int = MOST_OF_KEYFRAME

    def __post_init__(self) -> None:
        if not 0.0 < self.resolution_m <= 0.05 * self.tile_m:
            raise MappingError("--resolution must be greater than 0 and at most a twentieth of --tile.")
        low, high = MAP_RESOLUTION_M
        if not (low <= self.resolution_m <= high and self.tile_m <= MOST_MAP_TILE_M):
            raise MappingError(
                f"--resolution must be from {low:g} to {high:g} and --tile at most {MOST_MAP_TILE_M:g} meters."
            )
        if not (0.0 <= self.near_m < self.far_m <= MOST_DEPTH_M and self.min_frames >= 1):
            raise MappingError(
                f"--min-range must be below --max-range, that at most {MOST_DEPTH_M:g} meters, and --min-frames at "
                "least 1."
            )
        if not 0 <= self.keyframe_features <= MOST_OF_KEYFRAME:
            raise MappingError(f"--keyframe-features must be from 0 to {MOST_OF_KEYFRAME}.")


@dataclass(frozen=True, eq=False)
class Cameras:
    """The cameras of a folder: intrinsics, unit of depth, and extrinsics; `sensors` are those used besides the pair."""

    depth: PinholeCamera
    color: PinholeCamera
    depth_units_per_metre: float
    T_color_depth: Array
    T_camera_depth: Array
    sensors: tuple[Sensor, ...] = ()

    @property
    def T_camera_color(self) -> Array:
        """4x4, maps coordinates of the color camera into the one that poses are of."""
        return self.T_camera_depth @ se3.inverse(self.T_color_depth)

    def depth_camera(self, options: MapOptions, correction: NDArray[np.float32]) -> DepthCamera:
        """What makes points of the pair's depth images."""
        return DepthCamera(self.depth, options.near_m, options.far_m, correction)

    @staticmethod
    def of(folder: CameraSettings, sensors: tuple[Sensor, ...] = ()) -> Cameras:
        """The cameras of a folder; without extrinsics those of the pair are assumed to have the same pose."""
        known = None if folder.depth_registered else folder.T_color_depth
        T_color_depth = np.eye(4) if known is None else np.asarray(known, dtype=np.float64)
        return Cameras(
            depth=folder.depth_camera,
            color=folder.color_camera,
            depth_units_per_metre=folder.depth_units_per_metre,
            T_color_depth=T_color_depth,
            T_camera_depth=T_color_depth if folder.pose_of == "color" else np.eye(4),
            sensors=sensors,
        )


def read_frames(
    records: Sequence[FrameRecord], cameras: Cameras, label: str, eyes: Sequence[DepthEye] = ()
) -> Iterator[PosedDepth]:
    """Read the depth images of frames one by one, with a progress bar named `label`.

    Those of the pair, and after each those of the `eyes`; what has no pose is skipped.
    """
    for record in tqdm(records, desc=label, unit="frame"):
        yield from posed_depths(record, cameras, eyes)


def posed_depths(
    record: FrameRecord, cameras: Cameras, eyes: Sequence[DepthEye] = (), *, with_gray: bool = True
) -> Iterator[PosedDepth]:
    """The depth images of one frame, of the pair and of the `eyes`."""
    if record.T_map_camera is None:
        return
    T_map_camera = np.asarray(record.T_map_camera, dtype=np.float64)
    files = record.images()
    if record.depth is not None:
        gray = _gray(record.color) if with_gray else None
        yield PosedDepth(depth_image(record, cameras), gray, T_map_camera @ cameras.T_camera_depth)
    continues = record.depth is not None
    for eye in eyes:
        if (path := files.get(eye.name)) is not None:
            T_map_sensor = T_map_camera @ cameras.T_camera_color @ eye.T_reference_sensor
            gray = _gray(files.get(eye.color_name)) if with_gray else None
            yield PosedDepth(read_depth_image(path, eye.units_per_metre), gray, T_map_sensor, eye, continues)
            continues = True


def depth_image(record: FrameRecord, cameras: Cameras) -> DepthImage:
    """The depth image of a frame's pair, as a driver would send it."""
    assert record.depth is not None
    return read_depth_image(record.depth, cameras.depth_units_per_metre)


def read_depth_image(path: Path, units_per_metre: float) -> DepthImage:
    """A depth image as a driver would send it."""
    raw = read_depth_raw(path)
    raw[raw == DEPTH_INVALID] = 0
    return DepthImage(raw, 1.0 / units_per_metre)


def further_images(record: FrameRecord, sensors: Sequence[Sensor]) -> dict[str, ColorImage | DepthImage]:
    """The images of further sensors that a frame has, as drivers would send them."""
    files = dict(record.further)
    images: dict[str, ColorImage | DepthImage] = {}
    for sensor in sensors:
        if (path := files.get(sensor.name)) is None:
            continue
        if sensor.kind == "depth":
            images[sensor.name] = read_depth_image(path, sensor.units_per_metre)
        elif sensor.kind == "color":
            images[sensor.name] = ColorImage(read_color(path), "rgb")
        else:
            images[sensor.name] = ColorImage(read_gray(path), "mono")
    return images


def build_map(
    records: Sequence[FrameRecord],
    cameras: Cameras,
    options: MapOptions,
    correction: NDArray[np.float32] | None = None,
) -> SceneMap:
    """`build_stable_map` without its account of what was left out."""
    return build_stable_map(records, cameras, options, correction)[0]


def build_stable_map(
    records: Sequence[FrameRecord],
    cameras: Cameras,
    options: MapOptions,
    correction: NDArray[np.float32] | None = None,
) -> tuple[SceneMap, Unstable | None]:
    """Fuse frames into a map, after estimating the distortion of the pair's depth camera.

    The points of all depth sensors are in it.
    Surfaces that one sequence saw and another one sees through are left out: the second value says how much. With
    frames of one sequence alone it is None.

    Args:
        records: the frames; those without depth or pose are skipped.
        cameras: of the folder.
        options: of the map.
        correction: of the depth camera (`DepthCamera.correction`), if it is known.

    Raises:
        MappingError: too few voxels were observed.
        RecordingError: an image cannot be read.
    """
    known = np.zeros(CORRECTION_SHAPE, np.float32) if correction is None else correction
    eyes = eyes_of(cameras.sensors, cameras.color, options.near_m, options.far_m)
    camera = cameras.depth_camera(options, known)
    if options.correct_depth and correction is None:
        some = records[:: max(1, len(records) // _CORRECTION_FRAMES)]
        for turn in range(_CORRECTION_ROUNDS):
            label = f"depth correction {turn + 1} of {_CORRECTION_ROUNDS}"
            content = _surfaces(some, cameras, camera, options, label)
            added = measure(read_frames(some, cameras, "comparing"), camera, content)
            camera = DepthCamera(camera.camera, camera.near_m, camera.far_m, camera.correction + added)
    content, unstable = _stable(
        _surfaces(records, cameras, camera, options, "mapping", eyes), records, cameras, camera, options, eyes
    )
    return SceneMap.from_points(content, camera.correction, options.tile_m, options.resolution_m), unstable


def _stable(
    content: MapPoints,
    records: Sequence[FrameRecord],
    cameras: Cameras,
    camera: DepthCamera,
    options: MapOptions,
    eyes: Sequence[DepthEye],
) -> tuple[MapPoints, Unstable | None]:
    """The points that no other session contradicts."""
    sessions = frames_to_compare(records)
    if not sessions:
        return content, None
    with tqdm(total=sum(map(len, sessions)), desc="comparing sequences", unit="frame") as progress:

        def depths(own: Sequence[FrameRecord]) -> Iterator[PosedDepth]:
            for record in own:
                yield from posed_depths(record, cameras, eyes, with_gray=False)
                progress.update()

        gone = is_unstable(content, map(depths, sessions), camera, options.resolution_m)
    count = int(np.count_nonzero(gone))
    unstable = Unstable(len(sessions), len(gone), count, count * options.resolution_m**2)
    if count > _MOST_UNSTABLE * len(gone):
        _log.warning(
            "%.0f %% of the map is contradicted by another sequence: either much was moved, or the poses of the "
            "sequences do not fit each other.", 100.0 * count / len(gone),
        )  # fmt: skip
    if len(gone) - count < _LEAST_POINTS:
        raise MappingError(
            f"Of {len(gone)} points of the map {count} are contradicted by another sequence: their poses "
            "are not in the same map frame; correct them, or use one of the sequences."
        )
    if not count:
        return content, unstable
    kept = ~gone
    return MapPoints(content.points[kept], content.normals[kept], content.brightness[kept]), unstable


def _surfaces(
    records: Sequence[FrameRecord],
    cameras: Cameras,
    camera: DepthCamera,
    options: MapOptions,
    label: str,
    eyes: Sequence[DepthEye] = (),
) -> MapPoints:
    frames = read_frames(records, cameras, label, eyes)
    try:
        voxels = fuse(frames, camera, cameras.color, cameras.T_color_depth, options.resolution_m)
    except ValueError as error:
        raise MappingError(f"The frames cannot be fused: {error}; choose a larger --resolution.") from error
    kept = voxels.chosen(voxels.frames >= options.min_frames)
    if len(kept.points) < _LEAST_POINTS:
        raise MappingError(
            f"Only {len(kept.points)} voxels of {options.resolution_m:g} m were observed by at least "
            f"{options.min_frames} frames; check the unit of the depth images and the poses, or use more frames."
        )
    return thin(kept, options.resolution_m)


def _gray(path: Path | None) -> NDArray[np.uint8] | None:
    if path is None:
        return None
    image = cv2.cvtColor(read_color(path), cv2.COLOR_RGB2GRAY)
    height, width = image.shape
    if width > _GRAY_COLUMNS:
        size = (_GRAY_COLUMNS, round(height * _GRAY_COLUMNS / width))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(image, dtype=np.uint8)
