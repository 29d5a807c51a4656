# SPDX-License-Identifier: Apache-2.0
"""What the files tell of a place: the map, the paths, and where the training cameras were, in axes with z up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.trajectory import Trajectory, read_tum
from mvloc_ros.learn.report.inputs import ReportError, ReportInputs
from mvloc_ros.learn.report.posing_file import Posing, Span, read_posing
from mvloc_ros.localization.scene_map import MapPoints, SceneMap, SceneMapError, read_scene_map
from mvloc_ros.mapping.grid_views import Views
from mvloc_ros.mapping.upright import upright_turn
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.posing.posed_folder import POSING_FILE
from mvloc_ros.recordings import FrameRecord, PosedFolder, open_folder

Array = NDArray[np.float64]

# Consecutive poses that are further apart are not joined by a line.
_STEP_M = 1.0


@dataclass(frozen=True, eq=False)
class Path2D:
    """The posed frames of one sequence, in order of time.

    Attributes:
        name: of the sequence.
        numbers: `[N]`, of the frames in the sequence.
        seconds: `[N]`, their times.
        poses: T_map_camera `[N, 4, 4]`.
        is_test: `[N]`: which the folder keeps apart from training.
    """

    name: str
    numbers: NDArray[np.int64]
    seconds: Array
    poses: Array
    is_test: NDArray[np.bool_]

    @property
    def length_m(self) -> float:
        """Of the path, without steps over one metre, where frames are missing or a recording begins elsewhere."""
        steps = np.linalg.norm(np.diff(self.poses[:, :3, 3], axis=0), axis=1)
        return float(steps[steps <= _STEP_M].sum())

    def within(self, span: Span) -> NDArray[np.bool_]:
        """`[N]`: which frames are in a span of time.

        It counts from the frame of number 0, which may have no pose: when that was follows from the others' numbers.
        """
        period = np.diff(self.seconds) / np.maximum(np.diff(self.numbers), 1)
        half = 0.5 * float(np.median(period)) if len(period) else 0.0
        seconds = self.seconds - (self.seconds[0] - 2.0 * half * self.numbers[0])
        return np.asarray((seconds >= span.from_s - half) & (seconds <= span.to_s + half))


@dataclass(frozen=True, eq=False)
class Place:
    """All that the report shows of a place.

    Attributes:
        bundle: the model.
        scene_map: its map, map frame; None where there is none.
        no_map: why there is none; empty if there is one.
        training: of the training frames; None where the bundle does not tell.
        views: the depth cameras of the training; None without map or training poses.
        paths: what was recorded.
        folder: of the posed frames.
        posing: how poses were made; None where the recording had them.
        turn: 3x3, from the map's axes to those of the pictures, in which z is up; the identity if it is in the map.
    """

    bundle: Bundle
    scene_map: SceneMap | None
    no_map: str
    training: Trajectory | None
    views: Views | None
    paths: tuple[Path2D, ...]
    folder: PosedFolder
    posing: Posing | None
    turn: Array

    @property
    def is_turned(self) -> bool:
        """Whether z does not point up in the map."""
        return not np.array_equal(self.turn, np.eye(3))

    def seen_from_above(self, points: Array) -> Array:
        """Positions `[N, 3]` of the map frame in the axes of the pictures."""
        return np.asarray(points @ self.turn.T)

    def turned_poses(self, poses: Array) -> Array:
        """Poses `[N, 4, 4]` of the map frame in the axes of the pictures."""
        return np.asarray(_whole(self.turn) @ poses)

    def turned_map(self) -> SceneMap | None:
        """The map in the axes of the pictures."""
        if self.scene_map is None or not self.is_turned:
            return self.scene_map
        found = self.scene_map
        content = found.content(range(len(found.tiles)))
        turned = MapPoints(content.points @ self.turn.T, content.normals @ self.turn.T, content.brightness)
        return SceneMap.from_points(turned, found.correction, found.tile_m, found.resolution_m)


def read_place(inputs: ReportInputs) -> Place:
    """Read the bundle, the posed folder and what tells of its poses.

    Raises:
        MvlocError: the bundle or the folder cannot be read; a missing map is no error.
    """
    bundle, folder = read_bundle(inputs.bundle), open_folder(inputs.posed)
    scene_map, no_map = None, ""
    try:
        scene_map = read_scene_map(bundle)
    except SceneMapError as error:
        no_map = str(error)
    where = _posing_path(inputs)
    training = bundle.training_trajectory()
    training = training if training is not None and len(training) else None
    return Place(
        bundle=bundle,
        scene_map=scene_map,
        no_map=no_map,
        training=training,
        views=None if scene_map is None else Views.of(bundle),
        paths=_paths(folder, None if where is None else where.parent),
        folder=folder,
        posing=None if where is None else read_posing(where),
        turn=np.eye(3) if training is None else upright_turn(scene_map, training.poses),
    )


def _posing_path(inputs: ReportInputs) -> Path | None:
    if inputs.posing is not None:
        return inputs.posing / POSING_FILE if inputs.posing.is_dir() else inputs.posing
    beside = inputs.posed / POSING_FILE
    return beside if beside.is_file() else None


def _paths(folder: PosedFolder, posing: Path | None) -> tuple[Path2D, ...]:
    test = {id(frame) for frame in folder.test}
    by_name: dict[str, list[FrameRecord]] = {}
    for frame in folder.frames():
        if frame.T_map_camera is not None:
            by_name.setdefault(frame.sequence, []).append(frame)
    if not by_name:
        raise ReportError(f"No frame of {folder.where} has a pose: there is nothing to report; pose it first.")
    return tuple(_path(name, by_name[name], test, posing) for name in sorted(by_name))


def _path(name: str, frames: list[FrameRecord], test: set[int], posing: Path | None) -> Path2D:
    poses = np.array([frame.T_map_camera for frame in frames], dtype=np.float64)
    stamps = np.array([frame.stamp_ns for frame in frames], dtype=np.int64)
    # The folder numbers its frames; the recording's own times are beside the record of the posing.
    file = None if posing is None else posing / f"trajectory-{name}.tum"
    if file is not None and file.is_file() and len(found := read_tum(file)) == len(frames):
        stamps = found.stamps_ns
    return Path2D(
        name=name,
        numbers=np.array([frame.index for frame in frames], dtype=np.int64),
        seconds=stamps / 1e9,
        poses=poses,
        is_test=np.array([id(frame) in test for frame in frames]),
    )


def _whole(rotation: Array) -> Array:
    result = np.eye(4)
    result[:3, :3] = rotation
    return result
