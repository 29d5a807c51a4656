# SPDX-License-Identifier: Apache-2.0
"""Errors of refined poses of training frames, against a map without these frames.

A map needs no training, so other frames than the validation frames can be held out of it, in more blocks: the common
errors of a block, above all the drift of the ground truth, are sampled once per block. The localizer runs as in the
node, with the keyframes that are left, except for the network: it may have been trained on the frames, so its poses are
drawn about the true ones with its calibrated covariance. Only the distortion of the depth camera is that of the map of
the bundle; it is an average over all training frames.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros.backends.backend import NetworkOutput
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.localization.keyframes import read_keyframes
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.scene_map import read_scene_map
from mvloc_ros.mapping.build import Cameras, MapOptions, build_map, depth_image, further_images
from mvloc_ros.mapping.bundle_sensors import folder_sensors
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.model.bundle_writer import add_scene_map, write_bundle
from mvloc_ros.model.frame import ColorImage, Frame, FrameError
from mvloc_ros.model.keyframes_spec import KeyframesSpec
from mvloc_ros.model.map_spec import SceneMapSpec
from mvloc_ros.model.modalities import modality_names
from mvloc_ros.recordings import FrameRecord, PosedFolder, read_color
from mvloc_ros.recordings import train_test_split as split

Array = NDArray[np.float64]

_log = logging.getLogger(__name__)

# Of each third of a sequence a tenth of the sequence is held out; the neighboring frames are not used either.
_BLOCKS, _SHARE, _GAP = 3, 0.1, 5
_MOST_TRIALS = 200
# Poses are stored as quaternions.
_SAME = 1e-6
WRONG = 0.10, np.radians(10.0)
"""Meters and radians: a refined pose with a larger error is wrong; rejecting it is the task of the score."""


@dataclass(frozen=True, eq=False)
class Trials:
    """Refined poses that were accepted and are right.

    Attributes:
        errors: `[N, 6]`, ROS order, map axes.
        covariances: `[N, 6, 6]`, of the registration.
        blocks: of the frames.
        frames, rejected, wrong: number of frames, of those rejected or not refined, and of those accepted but wrong.
    """

    errors: Array
    covariances: Array
    blocks: tuple[str, ...]
    frames: int
    rejected: int
    wrong: int


class DrawnPoseBackend:
    """Backend that returns a given pose in place of a network."""

    description = "poses drawn about the true ones"

    def __init__(self, bundle: Bundle) -> None:
        self._position = bundle.manifest.position
        self._count = len(modality_names([item.sensor for item in bundle.manifest.sensors]))
        self.T_map_camera: Array = np.eye(4)

    def run(self, *_: object) -> NetworkOutput:
        """See `Backend.run`."""
        position, orientation = se3.to_parts(self.T_map_camera)
        normalised = (position - np.array(self._position.offset_m)) / self._position.scale_m
        nothing, share = np.zeros(1, np.float32), np.append(np.zeros(1), np.full(self._count, 1.0 / self._count))
        return NetworkOutput(
            normalised.astype(np.float32),
            quaternion.log(orientation).astype(np.float32),
            nothing,
            nothing,
            share.astype(np.float32),
        )

    def close(self) -> None:
        """Nothing to release."""


def run_trials(bundle: Bundle, folder: PosedFolder, min_frames: int) -> Trials:
    """Refine held-out frames against a map without them.

    Args:
        bundle: with the calibration of the network, and a map.
        folder: its training data.
        min_frames: see `MapOptions`.

    Raises:
        SceneMapError, MappingError, RecordingError: the map cannot be used or built.
    """
    seen, held_out = hold_out(folder.train)
    usable = [(record, i) for i, block in enumerate(held_out) for record in block if record.depth is not None]
    usable = usable[:: max(1, len(usable) // _MOST_TRIALS)]
    cameras = Cameras.of(folder, folder_sensors(bundle, folder))
    with tempfile.TemporaryDirectory() as scratch:
        without = _without(bundle, seen, cameras, min_frames, Path(scratch) / bundle.name)
        network = DrawnPoseBackend(without)
        # One thread: a fixed order of sums, so results are reproducible.
        localizer = Localizer(without, network, RefinementOptions("required", budget_ms=60_000.0, threads=1))
        spread, draws = np.linalg.cholesky(localizer.covariance), np.random.default_rng(0)
        errors, covariances, blocks, rejected, wrong = [], [], [], 0, 0
        for record, block in tqdm(usable, desc="refining", unit="frame"):
            truth = np.asarray(record.T_map_camera, dtype=np.float64)
            network.T_map_camera = moved(truth, spread @ draws.standard_normal(6))
            try:
                found = localizer.process(_frame(record, cameras))
            except FrameError as reason:
                _log.debug("%s", reason)
                rejected += 1
                continue
            error = pose_error(found.pose.T, truth)
            if found.rejection:
                rejected += 1
            elif np.linalg.norm(error[:3]) > WRONG[0] or np.linalg.norm(error[3:]) > WRONG[1]:
                wrong += 1
            else:
                errors.append(error)
                covariances.append(found.pose.covariance)
                blocks.append(f"{block} of {record.sequence}")
    count = len(errors)
    return Trials(
        np.reshape(errors, (count, 6)), np.reshape(covariances, (count, 6, 6)), tuple(blocks), len(usable), rejected,
        wrong,
    )  # fmt: skip


def hold_out(records: Sequence[FrameRecord]) -> tuple[list[FrameRecord], list[list[FrameRecord]]]:
    """(seen, blocks): a tenth of each sequence at the end of each third is held out, with gaps of `_GAP` frames.

    Of a long sequence shorter blocks are, more often; see `hold_out_spread`.
    """
    posed = [record for record in records if record.T_map_camera is not None]
    return split.hold_out_spread(posed, _SHARE, _GAP, _BLOCKS)


def _frame(record: FrameRecord, cameras: Cameras) -> Frame:
    color = None if record.color is None else ColorImage(read_color(record.color), "rgb")
    further = further_images(record, cameras.sensors)
    return Frame(record.stamp_ns, "", color, depth_image(record, cameras), further=further)


def _without(bundle: Bundle, seen: Sequence[FrameRecord], cameras: Cameras, min_frames: int, path: Path) -> Bundle:
    """A copy of the bundle with a map of the seen frames, and no calibration of refined poses."""
    spec = bundle.manifest.scene_map
    assert spec is not None
    options = MapOptions(spec.resolution_m, spec.tile_m, min_frames, spec.depth_min_m, spec.depth_max_m)
    scene_map = build_map(seen, cameras, options, read_scene_map(bundle).correction)
    listed = {name: bundle.path / name for name in bundle.manifest.files}
    copy = write_bundle(path, replace(bundle.manifest, scene_map=None, keyframes=None), listed)
    unset: SceneMapSpec = replace(spec, points=len(scene_map), calibration=None)
    return add_scene_map(copy, scene_map.to_bytes(), unset, _keyframes_of(bundle, seen))


def _keyframes_of(bundle: Bundle, seen: Sequence[FrameRecord]) -> tuple[bytes, KeyframesSpec] | None:
    """The bundle's keyframes that are among the seen frames."""
    keyframes, spec = read_keyframes(bundle), bundle.manifest.keyframes
    if keyframes is None or spec is None:
        return None
    poses = np.array([record.T_map_camera for record in seen], dtype=np.float64)
    which = np.array([np.abs(poses - T).max(axis=(1, 2)).min(initial=np.inf) < _SAME for T in keyframes.poses()])
    if not which.any():
        return None
    kept = keyframes.chosen(which)
    return kept.to_bytes(), replace(spec, frames=len(kept))
