# SPDX-License-Identifier: Apache-2.0
"""Whether the depth sensors besides the pair sit where they are declared to: each alone is registered to the map.

The map is of the pair alone, from the training frames: with the points of a sensor in it, that sensor would fit its own
error. At the true poses registration moves a sensor to where its points lie on the pair's surfaces; what that is over
all frames is the error of its extrinsic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros.geometry import se3
from mvloc_ros.localization.inlier_residuals import determined, support
from mvloc_ros.localization.local_map import LocalMaps
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.registration import Source, register
from mvloc_ros.localization.rig_points import PAIR_DEPTH
from mvloc_ros.localization.scene_map import read_scene_map
from mvloc_ros.mapping.build import Cameras, MapOptions, build_map, posed_depths
from mvloc_ros.mapping.bundle_sensors import folder_sensors, require_places_of
from mvloc_ros.mapping.further_depth import eyes_of
from mvloc_ros.mapping.fusion import PosedDepth
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.recordings import Folders, FrameRecord, open_folders
from mvloc_ros.recordings.train_test_split import TEST_FRACTION

Array = NDArray[np.float64]

LARGEST_M, LARGEST_DEG = 0.02, 1.0
"""A sensor that is further from where it is declared to be is warned of."""
LEAST_FRAMES = 10
"""Frames in which a sensor's points determine its pose that an offset is told from."""
_FRAMES = 120
_POINTS = 3000
# Of a frame's points that must lie on the map's surfaces: what the pair never saw tells nothing.
_LEAST_SUPPORT = 0.4
# Of what the points know best; directions that they know less are open.
_WELL = 0.01


@dataclass(frozen=True, eq=False)
class SensorOffset:
    """By what a depth sensor is beside the place that is declared, over all frames.

    Attributes:
        name: of the sensor.
        frames: in which its points determined its pose.
        offset: `[6]`, median in the sensor's own axes, meters and radians; NaN with too few frames.
        scatter_m, scatter_deg: median distance of single frames from it.
        T_corrected: 4x4, what `T_reference_sensor` would be with the offset; None for the pair's depth camera.
    """

    name: str
    frames: int
    offset: Array
    scatter_m: float
    scatter_deg: float
    T_corrected: Array | None

    @property
    def metres(self) -> float:
        """Length of the offset."""
        return float(np.linalg.norm(self.offset[:3]))

    @property
    def degrees(self) -> float:
        """Its angle."""
        return float(np.degrees(np.linalg.norm(self.offset[3:])))

    @property
    def is_wrong(self) -> bool:
        """Whether it is further off than a sensor should be; the pair's own camera is what others are compared with."""
        return self.T_corrected is not None and (self.metres > LARGEST_M or self.degrees > LARGEST_DEG)


def measure_offsets(
    model: Path, data: Folders, test_fraction: float = TEST_FRACTION, min_frames: int = MapOptions.min_frames
) -> list[SensorOffset]:
    """The offsets of all depth sensors, the pair's first; none of a pair alone, or without a map.

    Args:
        model: the bundle.
        data: its training data.
        test_fraction: share of test frames, if the folder defines no split.
        min_frames: as for its map.

    Raises:
        BundleError, RecordingError, MappingError: the bundle or the folder cannot be used.
    """
    bundle = read_bundle(model)
    spec = bundle.manifest.scene_map
    if spec is None or not any(item.sensor.kind == "depth" for item in bundle.manifest.sensors):
        return []
    folder = open_folders(data, test_fraction)
    sensors = folder_sensors(bundle, folder)
    require_places_of(bundle, sensors, folder.where)
    cameras = Cameras.of(folder, sensors)
    options = MapOptions(spec.resolution_m, spec.tile_m, min_frames, spec.depth_min_m, spec.depth_max_m)
    correction = read_scene_map(bundle).correction
    scene_map = build_map(folder.train, replace(cameras, sensors=()), options, correction)
    maps = LocalMaps(scene_map, options.far_m, 1)
    return offsets_at(folder.train, cameras, options, maps, correction)


def offsets_at(
    records: Sequence[FrameRecord],
    cameras: Cameras,
    options: MapOptions,
    maps: LocalMaps,
    correction: NDArray[np.float32],
) -> list[SensorOffset]:
    """The offsets of all depth sensors over frames with true poses, against a map of the pair."""
    eyes = eyes_of(cameras.sensors, cameras.color, options.near_m, options.far_m)
    found: dict[str, list[Array]] = {PAIR_DEPTH: [], **{eye.name: [] for eye in eyes}}
    posed = [record for record in records if record.T_map_camera is not None]
    for record in tqdm(posed[:: max(1, len(posed) // _FRAMES)], desc="extrinsics", unit="frame"):
        for frame in posed_depths(record, cameras, eyes, with_gray=False):
            name = PAIR_DEPTH if frame.eye is None else frame.eye.name
            offset = _offset_of(frame, cameras, options, maps, correction)
            if offset is not None:
                found[name].append(offset)
    known = {eye.name: eye.T_reference_sensor for eye in eyes}
    return [_summary(name, offsets, known.get(name)) for name, offsets in found.items()]


def _offset_of(
    frame: PosedDepth, cameras: Cameras, options: MapOptions, maps: LocalMaps, correction: NDArray[np.float32]
) -> Array | None:
    """By what registration moves the sensor, `[6]` in its own axes; None where that is not determined."""
    if frame.eye is None:
        points = cameras.depth_camera(options, correction).points(frame.depth)
    else:
        points = frame.eye.depth.points(frame.depth)
    target, T = maps.at(frame.T_map_depth[:3, 3]), frame.T_map_depth
    source = Source.of(points, options.resolution_m, _POINTS, 1) if len(points) else None
    if source is None or target is None:
        return None
    T_found = register(source, target, T, options.resolution_m, float("inf"), 1).T_map_depth
    fits = support(source.points, target, T_found, options.resolution_m, 1)
    values, _ = determined(fits.hessian, fits.rays.typical_m)
    if fits.share < _LEAST_SUPPORT or values[0] < _WELL * values[-1]:
        return None
    moved_by = se3.inverse(T) @ T_found
    return np.concatenate([moved_by[:3, 3], se3.rotation_vector(moved_by[:3, :3])])


def _summary(name: str, offsets: Sequence[Array], T_reference_sensor: Array | None) -> SensorOffset:
    if len(offsets) < LEAST_FRAMES:
        return SensorOffset(name, len(offsets), np.full(6, np.nan), np.nan, np.nan, None)
    offset = np.median(offsets, axis=0)
    apart = np.array(offsets) - offset
    T_corrected = None if T_reference_sensor is None else T_reference_sensor @ moved(np.eye(4), offset)
    return SensorOffset(
        name,
        len(offsets),
        offset,
        float(np.median(np.linalg.norm(apart[:, :3], axis=1))),
        float(np.degrees(np.median(np.linalg.norm(apart[:, 3:], axis=1)))),
        T_corrected,
    )


def offset_lines(offsets: Sequence[SensorOffset]) -> list[str]:
    """A table for the terminal."""
    if not offsets:
        return []
    lines = ["depth sensors, each registered alone at the true poses to a map of the pair's depth:"]
    for one in offsets:
        told = f"{one.frames:4} frames, offset {1e3 * one.metres:5.1f} mm and {one.degrees:.2f} deg, scatter "
        told += f"{1e3 * one.scatter_m:.1f} mm and {one.scatter_deg:.2f} deg"
        if not np.isfinite(one.offset).all():
            told = f"{one.frames:4} frames determine its pose, too few to tell its offset (at least {LEAST_FRAMES})"
        lines.append(f"  {one.name:16} {told}")
    return lines


def warnings_of(offsets: Sequence[SensorOffset]) -> list[str]:
    """A sentence for each sensor that is not where it is declared to be, with what to put into `camera.json`."""
    return [
        f"The sensor {one.name} is {100.0 * one.metres:.1f} cm and {one.degrees:.1f} degrees from where camera.json "
        f"declares it. Set its T_reference_sensor to {_numbers(one.T_corrected)} and run `mvloc map` again."
        for one in offsets
        if one.is_wrong and one.T_corrected is not None
    ]


def _numbers(T: Array) -> str:
    rows = (", ".join(f"{value:.6f}" for value in row) for row in T[:3])
    return "[" + ", ".join(f"[{row}]" for row in rows) + ", [0, 0, 0, 1]]"
