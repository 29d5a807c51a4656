# SPDX-License-Identifier: Apache-2.0
"""`mvloc map`: a bundle and the folder it was trained on in, the bundle with a scene map out."""

from __future__ import annotations

from pathlib import Path

from mvloc_ros.inference.bundle import Bundle, add_scene_map, read_bundle
from mvloc_ros.inference.map_spec import AcceptanceSpec, SceneMapSpec
from mvloc_ros.localization.scene_map import SceneMap
from mvloc_ros.mapping.build import Cameras, MapOptions, build_map
from mvloc_ros.mapping.errors import MappingError
from mvloc_ros.recordings import PosedFolder, open_folder

DEFAULT_INFLATION = 300.0
"""By how much the points of a frame are fewer than they seem, where no frames were held out to measure it."""


def add_map(model: Path, data: Path, options: MapOptions, test_fraction: float = 0.2) -> Bundle:
    """Build the scene map of a bundle from the folder's training frames and put it into the bundle.

    Raises:
        BundleError, RecordingError, MappingError: the bundle or the folder cannot be used.
    """
    bundle = read_bundle(model)
    folder = open_folder(data, test_fraction)
    check_cameras(bundle, folder)
    cameras = Cameras.of(folder)
    scene_map = build_map(folder.train, cameras, options)
    return put(bundle, scene_map, cameras, options, DEFAULT_INFLATION, None)


def put(
    bundle: Bundle, scene_map: SceneMap, cameras: Cameras, options: MapOptions, inflation: float,
    acceptance: AcceptanceSpec | None,
) -> Bundle:  # fmt: skip
    """Write a map into a bundle."""
    spec = SceneMapSpec(
        file="",
        sha256="",
        resolution_m=options.resolution_m,
        tile_m=options.tile_m,
        points=len(scene_map),
        depth_min_m=options.near_m,
        depth_max_m=options.far_m,
        T_color_depth=tuple(float(value) for value in cameras.T_color_depth.reshape(16)),
        inflation=inflation,
        acceptance=acceptance,
    )
    return add_scene_map(bundle, scene_map.to_bytes(), spec)


def check_cameras(bundle: Bundle, folder: PosedFolder) -> None:
    """Refuse a folder whose cameras or poses are not those that the bundle was trained on.

    Raises:
        MappingError: with what differs.
    """
    manifest = bundle.manifest
    if folder.pose_of != manifest.frames.pose_of:
        raise MappingError(
            f"The poses of {folder.root} are of the {folder.pose_of} camera, those of {bundle.name} of the "
            f"{manifest.frames.pose_of} camera; give the folder that the model was trained on."
        )
    for name, mine, theirs in (
        ("depth", manifest.depth_camera, folder.depth_camera),
        ("color", manifest.color_camera, folder.color_camera),
    ):
        scaled = theirs.scaled_to(mine.width, mine.height)
        if max(abs(scaled.fx / mine.fx - 1.0), abs(scaled.fy / mine.fy - 1.0)) > 0.01:
            raise MappingError(
                f"The {name} camera of {folder.root} is not the one of {bundle.name} (focal lengths {scaled.fx:.1f} and "
                f"{mine.fx:.1f} pixels); give the folder that the model was trained on."
            )
