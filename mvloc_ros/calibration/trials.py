# SPDX-License-Identifier: Apache-2.0
"""Refined poses of frames that neither network nor map has seen, and their errors.

The localizer runs as in the node: the network's poses are those of `validation.csv`, and the map is built anew from the
training frames without the held-out ones and their neighbours. Only the depth camera's distortion is taken from the
bundle's map; it is an average over all training frames.
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

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.inference.backend import NetworkOutput
from mvloc_ros.inference.bundle import Bundle, add_scene_map, write_bundle
from mvloc_ros.inference.frame import ColorImage, Frame, FrameError
from mvloc_ros.inference.map_spec import SceneMapSpec
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.scene_map import read_scene_map
from mvloc_ros.mapping.build import Cameras, MapOptions, build_map, depth_image
from mvloc_ros.recordings import FrameRecord, PosedFolder, read_color

Array = NDArray[np.float64]

_log = logging.getLogger(__name__)

# Frames next to held-out ones look like them, and are left out of the map too.
_GAP = 5
_MOST_TRIALS = 300
WRONG = 0.10, np.radians(10.0)
"""Metres and radians: a refined pose with a larger error is wrong, which is the score's business."""


@dataclass(frozen=True, eq=False)
class Trials:
    """Refined poses that were believed and are right.

    Attributes:
        errors: `[N, 6]`, ROS order, map axes.
        covariances: `[N, 6, 6]`, as the registration states them.
        blocks: the frames' sequences.
        frames, rejected, wrong: how many were tried, not believed or not refined, and believed but wrong.
    """

    errors: Array
    covariances: Array
    blocks: tuple[str, ...]
    frames: int
    rejected: int
    wrong: int


class RecordedNetwork:
    """In the network's place: answers with the pose that it is told."""

    description = "poses of validation.csv"

    def __init__(self, bundle: Bundle) -> None:
        self._position = bundle.manifest.position
        self.T_map_camera: Array = np.eye(4)

    def run(self, *_: object) -> NetworkOutput:
        """See `Backend.run`."""
        position, orientation = se3.to_parts(self.T_map_camera)
        normalised = (position - np.array(self._position.offset_m)) / self._position.scale_m
        nothing, share = np.zeros(1, np.float32), np.array([0.0, 0.5, 0.5], np.float32)
        return NetworkOutput(
            normalised.astype(np.float32), quaternion.log(orientation).astype(np.float32), nothing, nothing, share
        )

    def close(self) -> None:
        """Nothing to release."""


def run_trials(
    bundle: Bundle, folder: PosedFolder, held: Sequence[FrameRecord], network_poses: Array, min_frames: int
) -> Trials:
    """Refine the held-out frames from the network's poses `[N, 4, 4]` against a map without them.

    Args:
        bundle: with the calibration of the network, and a map.
        folder: its training data.
        held: the frames, in order of sequence and time.
        network_poses: NaN where there is none.
        min_frames: see `MapOptions`.

    Raises:
        SceneMapError, MappingError, RecordingError: the map cannot be used or built.
    """
    usable = [i for i, record in enumerate(held) if record.depth is not None and np.isfinite(network_poses[i]).all()]
    usable = usable[:: max(1, len(usable) // _MOST_TRIALS)]
    cameras = Cameras.of(folder)
    with tempfile.TemporaryDirectory() as scratch:
        without = _without(bundle, folder, held, cameras, min_frames, Path(scratch) / bundle.name)
        network = RecordedNetwork(without)
        # One thread: sums in one order, so results are repeatable.
        options = RefinementOptions("required", budget_ms=60_000.0, threads=1)
        localizer = Localizer(without, network, options)
        errors, covariances, blocks, rejected, wrong = [], [], [], 0, 0
        for i in tqdm(usable, desc="refining", unit="frame"):
            network.T_map_camera = network_poses[i]
            try:
                found = localizer.process(_frame(held[i], cameras))
            except FrameError as error:
                _log.debug("%s", error)
                rejected += 1
                continue
            error = pose_error(found.T_map_camera, held[i].T_map_camera)
            if found.rejection:
                rejected += 1
            elif np.linalg.norm(error[:3]) > WRONG[0] or np.linalg.norm(error[3:]) > WRONG[1]:
                wrong += 1
            else:
                errors.append(error)
                covariances.append(found.covariance)
                blocks.append(held[i].sequence)
    count = len(errors)
    return Trials(
        np.reshape(errors, (count, 6)), np.reshape(covariances, (count, 6, 6)), tuple(blocks), len(usable), rejected,
        wrong,
    )  # fmt: skip


def _frame(record: FrameRecord, cameras: Cameras) -> Frame:
    color = None if record.color is None else ColorImage(read_color(record.color), "rgb")
    return Frame(record.stamp_ns, "", color, depth_image(record, cameras))


def _without(
    bundle: Bundle, folder: PosedFolder, held: Sequence[FrameRecord], cameras: Cameras, min_frames: int, path: Path
) -> Bundle:
    """A copy of the bundle with a map that has not seen the held-out frames, and no calibration of refined poses."""
    spec = bundle.manifest.scene_map
    assert spec is not None
    options = MapOptions(spec.resolution_m, spec.tile_m, min_frames, spec.depth_min_m, spec.depth_max_m)
    scene_map = build_map(_seen(folder.train, held), cameras, options, read_scene_map(bundle).correction)
    manifest = replace(bundle.manifest, scene_map=None, precisions={})
    listed = {name: bundle.path / name for name in bundle.manifest.files}
    copy = write_bundle(path, manifest, listed)
    unset: SceneMapSpec = replace(spec, points=len(scene_map), calibration=None)
    return add_scene_map(copy, scene_map.to_bytes(), unset)


def _seen(train: Sequence[FrameRecord], held: Sequence[FrameRecord]) -> list[FrameRecord]:
    """The training frames that are neither held out nor within `_GAP` frames of one."""
    left_out = {(record.sequence, record.stamp_ns) for record in held}
    ordered = sorted(train, key=lambda record: (record.sequence, record.stamp_ns))
    near = [
        any(
            (other.sequence, other.stamp_ns) in left_out and other.sequence == record.sequence
            for other in ordered[max(0, i - _GAP) : i + _GAP + 1]
        )
        for i, record in enumerate(ordered)
    ]
    return [record for record, is_near in zip(ordered, near, strict=True) if not is_near]
