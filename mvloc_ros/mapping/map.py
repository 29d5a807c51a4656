# SPDX-License-Identifier: Apache-2.0
"""`mvloc map`: adds a scene map to a bundle, built from its training data."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.localization.keyframe_starts import KeyframeStarts
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.refinement import Refiner
from mvloc_ros.localization.scan_map import ScanMap
from mvloc_ros.localization.scene_map import SceneMap, read_scene_map
from mvloc_ros.mapping.acceptance import (
    FALSE_ACCEPT_RATE,
    MIN_TRIALS,
    fit_followed,
    fit_place,
    inflation,
    right_and_wrong,
)
from mvloc_ros.mapping.acceptance_trials import Trial, run_trials
from mvloc_ros.mapping.build import Cameras, MapOptions, build_map, build_stable_map
from mvloc_ros.mapping.bundle_sensors import folder_sensors, with_places_of
from mvloc_ros.mapping.errors import MappingError
from mvloc_ros.mapping.keyframes import Described, choose_frames, describe_frames, keyframes_from, make_keyframes
from mvloc_ros.mapping.retrieval_trials import run_retrieval_trials
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.model.bundle_writer import add_scene_map, bundle_to_change
from mvloc_ros.model.map_spec import AcceptanceSpec, SceneMapSpec
from mvloc_ros.recordings import Folders, FrameRecord, PosedFolder, open_folders
from mvloc_ros.recordings import train_test_split as split
from mvloc_ros.recordings.depth_summary import depth_summary

_log = logging.getLogger(__name__)

DEFAULT_INFLATION = 300.0
"""Inflation of the covariance of a registration, if no held-out frames are available to estimate it."""
_HELD_OUT, _GAP = 0.1, 5
# A folder is the training data of a model if it has half of its training poses; some frames may be missing.
_LEAST_IN_FOLDER, _SAME_POSITION_M, _POSES_COMPARED = 0.5, 0.01, 200
# Trials take a quarter of a second per frame.
_MOST_HELD_OUT = 150


def add_map(
    model: Path,
    data: Folders,
    options: MapOptions,
    test_fraction: float = split.TEST_FRACTION,
    false_accept_rate: float = FALSE_ACCEPT_RATE,
    *,
    without_threshold: bool = False,
) -> Bundle:
    """Build a scene map from the training frames of the folder and add it to the bundle.

    The acceptance threshold is determined on a tenth of each training sequence, with a map of the rest; then the map is
    built from all training frames.

    Args:
        model: the bundle; unchanged in case of an error.
        data: its training data.
        options: of the map.
        test_fraction: share of test frames, if the folder defines no split.
        false_accept_rate: share of wrong trials that may be accepted.
        without_threshold: add the map even if there are too few trials for a threshold; all poses are rejected with it.

    Raises:
        BundleError, RecordingError, MappingError: the bundle or the folder cannot be used, or there is no threshold.
        InUseError: another process is changing the bundle.
    """
    with bundle_to_change(model) as given:
        folder = open_folders(data, test_fraction)
        check_cameras(given, folder)
        sensors = folder_sensors(given, folder)
        bundle, cameras = with_places_of(given, sensors), Cameras.of(folder, sensors)
        if folder.depth_projection != "pinhole":
            raise MappingError(
                f"The depth images of {folder.where} are panoramas, which `mvloc map` cannot fuse; convert the "
                "recording with --projection pinhole and train on that."
            )
        check_depth(folder, options.near_m, options.far_m, "mvloc map")
        frames, trials, held = _frames_and_trials(bundle, folder.train, cameras, options)
        acceptance, followed = fit_followed(trials, false_accept_rate)
        if acceptance is None:
            problem = _no_threshold(folder.where, held, trials)
            if not without_threshold:
                raise MappingError(f"{problem}, or keep the map with --without-threshold.")
            _log.warning("%s. Without a threshold all poses are rejected.", problem)
        scene_map, unstable = build_stable_map(folder.train, cameras, options)
        if unstable is not None:
            print(f"{unstable.text}.")
        place = fit_place(trials, false_accept_rate)
        inflated = inflation(trials) or DEFAULT_INFLATION
        spec = make_spec(scene_map, cameras, options, inflated, acceptance, followed, place)
        keyframes = make_keyframes(frames, scene_map, cameras)
        return add_scene_map(given, scene_map.to_bytes(), spec, keyframes, bundle.manifest.sensors)


def add_map_of_all_frames(
    model: Path,
    data: Folders,
    test_fraction: float = split.TEST_FRACTION,
    min_frames: int = MapOptions.min_frames,
    false_accept_rate: float = FALSE_ACCEPT_RATE,
    keyframe_features: int = MapOptions.keyframe_features,
) -> Bundle:
    """Replace the map of a bundle by one of all frames of the folder, those for tests too, and likewise the keyframes.

    Thresholds are determined again, as by `add_map`: those of a map with gaps ask too much of frames in one without.
    Resolution, range of depth and covariances stay. After that the folder's test frames test nothing any more; what
    was measured with them is what the same steps gave with fewer frames.

    Args:
        model: the bundle; unchanged in case of an error.
        data: its training data.
        test_fraction: share of test frames, if the folder defines no split.
        min_frames: as in `MapOptions`, which the bundle does not tell.
        false_accept_rate: share of wrong trials that may be accepted.
        keyframe_features: as in `MapOptions`.

    Raises:
        BundleError, RecordingError, MappingError: the bundle or the folder cannot be used, or the bundle has no map.
        InUseError: another process is changing the bundle.
    """
    with bundle_to_change(model) as given:
        folder = open_folders(data, test_fraction)
        check_cameras(given, folder)
        sensors = folder_sensors(given, folder)
        bundle, cameras = with_places_of(given, sensors), Cameras.of(folder, sensors)
        before = bundle.manifest.scene_map
        if before is None:
            raise MappingError(
                f"{bundle.name} has no map yet, whose resolution and range that of all frames takes over: run "
                "`mvloc map` without --all-frames first."
            )
        records = list(folder.frames())
        options = MapOptions(
            resolution_m=before.resolution_m,
            tile_m=before.tile_m,
            min_frames=min_frames,
            near_m=before.depth_min_m,
            far_m=before.depth_max_m,
            correct_depth=bool(read_scene_map(bundle).correction.any()),
            keyframe_features=keyframe_features,
        )
        frames, trials, held = _frames_and_trials(bundle, records, cameras, options)
        acceptance, followed = fit_followed(trials, false_accept_rate)
        place = fit_place(trials, false_accept_rate)
        if acceptance is None:
            _log.warning(
                "%s. The thresholds of the map without test frames are kept.",
                _no_threshold(folder.where, held, trials),
            )
            acceptance, followed, place = before.acceptance, before.acceptance_followed, before.acceptance_place
        scene_map, unstable = build_stable_map(records, cameras, options)
        if unstable is not None:
            print(f"{unstable.text}.")
        spec = replace(
            before,
            points=len(scene_map),
            inflation=inflation(trials) or before.inflation,
            acceptance=acceptance,
            acceptance_followed=followed,
            acceptance_place=place,
        )
        keyframes = make_keyframes(frames, scene_map, cameras)
        return add_scene_map(given, scene_map.to_bytes(), spec, keyframes, bundle.manifest.sensors)


def check_depth(folder: PosedFolder, near_m: float, far_m: float, command: str) -> None:
    """Print unit and statistics of the depth of the folder; warn if most of it is not used.

    Raises:
        MappingError: there is no depth.
    """
    summary = depth_summary(folder, near_m, far_m, command)
    if not summary.statistics.measured:
        raise MappingError(f"{summary.problem}; {command} needs depth images: check them, and depth_units_per_metre.")
    print(f"{summary.text}.")
    if summary.problem:
        _log.warning("%s.", summary.problem)


def _no_threshold(data: str, held: int, trials: Sequence[Trial]) -> str:
    """Why there is no threshold, and the remedy; without a full stop."""
    right, wrong = right_and_wrong(trials)
    text = (
        f"No acceptance threshold can be determined for the scene map of {data}: of the trials on {held} held-out "
        f"frames {right} ended at the right pose and {wrong} at a wrong one, and at least {MIN_TRIALS} of each are "
        "needed"
    )
    if right < MIN_TRIALS <= wrong:
        return (
            f"{text}. Neither the network's poses nor keyframes bring registration near enough: record more of the "
            "place, or train longer"
        )
    return f"{text}. Record and train with more frames, so that more of them are held out"


def hold_out(records: Sequence[FrameRecord]) -> tuple[list[FrameRecord], list[FrameRecord]]:
    """(seen, held out): a tenth of each sequence, after gaps, is held out, spread over a long one."""
    seen, blocks = split.hold_out_spread(records, _HELD_OUT, _GAP)
    held = [record for block in blocks for record in block]
    return seen, held[:: -(-len(held) // _MOST_HELD_OUT) or 1]


@contextmanager
def _localizer(bundle: Bundle) -> Iterator[Localizer]:
    """The network alone."""
    backend = create_backend("auto", bundle)
    try:
        yield Localizer(bundle, backend)
    finally:
        backend.close()


def _frames_and_trials(
    bundle: Bundle, records: Sequence[FrameRecord], cameras: Cameras, options: MapOptions
) -> tuple[list[Described], list[Trial], int]:
    """The keyframes of records, trials on a tenth of them with a map of the others, and on how many frames."""
    seen, held = hold_out(records)
    with _localizer(bundle) as localizer:
        chosen = choose_frames(records)
        frames = describe_frames(chosen, cameras, localizer, "keyframes", options.keyframe_features)
        return frames, _trials(bundle, seen, held, records, frames, cameras, options, localizer), len(held)


def _trials(
    bundle: Bundle,
    seen: Sequence[FrameRecord],
    held: Sequence[FrameRecord],
    lenders: Sequence[FrameRecord],
    frames: Sequence[Described],
    cameras: Cameras,
    options: MapOptions,
    localizer: Localizer,
) -> list[Trial]:
    """Trials on held-out frames with a map, and keyframes, of the seen ones."""
    if not held:
        return []
    scene_map = build_map(seen, cameras, options)
    # One thread: sums in one order, so maps are repeatable.
    refiner = Refiner(bundle.manifest, make_spec(scene_map, cameras, options), scene_map, RefinementOptions(threads=1))
    trials = run_trials(held, lenders, cameras, localizer, refiner)
    is_seen = {id(record) for record in seen}
    others = [frame for frame in frames if id(frame.record) in is_seen]
    if others:
        known = KeyframeStarts(keyframes_from(others, scene_map, cameras), ())
        scan_map = ScanMap.of(scene_map, np.stack([frame.T for frame in others]))
        trials += run_retrieval_trials(held, known, cameras, localizer, refiner, scan_map)
    return trials


def make_spec(
    scene_map: SceneMap,
    cameras: Cameras,
    options: MapOptions,
    inflated: float = DEFAULT_INFLATION,
    acceptance: AcceptanceSpec | None = None,
    followed: AcceptanceSpec | None = None,
    place: AcceptanceSpec | None = None,
) -> SceneMapSpec:
    """The entry of a map in the manifest; name and digest of its file are set when it is written."""
    return SceneMapSpec(
        file="scene_map.npz",
        sha256="",
        resolution_m=options.resolution_m,
        tile_m=options.tile_m,
        points=len(scene_map),
        depth_min_m=options.near_m,
        depth_max_m=options.far_m,
        T_color_depth=tuple(float(value) for value in cameras.T_color_depth.reshape(16)),
        inflation=inflated,
        acceptance=acceptance,
        acceptance_followed=followed,
        acceptance_place=place,
    )


def check_cameras(bundle: Bundle, folder: PosedFolder) -> None:
    """Reject a folder whose cameras or poses are not those of the training data.

    Raises:
        MappingError: with the difference.
    """
    manifest = bundle.manifest
    if folder.pose_of != manifest.frames.pose_of:
        raise MappingError(
            f"The poses of {folder.where} are of the {folder.pose_of} camera, those of {bundle.name} of the "
            f"{manifest.frames.pose_of} camera; give its training data with --data."
        )
    for name, mine, theirs in (
        ("depth", manifest.depth_camera, folder.depth_camera),
        ("color", manifest.color_camera, folder.color_camera),
    ):
        scaled = theirs.scaled_to(mine.width, mine.height)
        if max(abs(scaled.fx / mine.fx - 1.0), abs(scaled.fy / mine.fy - 1.0)) > 0.01:
            raise MappingError(
                f"The {name} camera of {folder.where} is not that of {bundle.name} (focal lengths {scaled.fx:.1f} and "
                f"{mine.fx:.1f} pixels); give its training data with --data."
            )
    known = bundle.training_trajectory()
    if known is not None and (share := _share_in(known.poses[:, :3, 3], folder)) < _LEAST_IN_FOLDER:
        raise MappingError(
            f"Only {share:.0%} of the training poses of {bundle.name} are in {folder.where}: it is another recording, "
            "or its poses were recomputed; give its training data with --data, or train again."
        )


def _share_in(positions: NDArray[np.float64], folder: PosedFolder) -> float:
    """The share of positions `[N, 3]`, in meters, at which the folder has a training frame."""
    theirs = [frame.T_map_camera[:3, 3] for frame in folder.train if frame.T_map_camera is not None]
    if not theirs:
        return 0.0
    taken = np.array(theirs)
    some = positions[:: max(1, len(positions) // _POSES_COMPARED)]
    return float(np.mean([np.linalg.norm(taken - position, axis=1).min() < _SAME_POSITION_M for position in some]))
