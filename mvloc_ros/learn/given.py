# SPDX-License-Identifier: Apache-2.0
"""The recordings that were given: of which kind each is, whether it has poses, and the folder that it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mvloc_ros.foreign_text import shown
from mvloc_ros.learn.errors import LearnError
from mvloc_ros.recordings.seven_scenes import is_seven_scenes
from mvloc_ros.recordings.to_dataset.dataset_options import DatasetOptions
from mvloc_ros.recordings.to_dataset.pose_source import NO_POSES
from mvloc_ros.recordings.trajectory_file import TrajectoryOptions
from mvloc_ros.recordings.tum import FILES, is_tum, recording_folders

_SUFFIXES = (".mcap", ".db3", ".bag")


@dataclass(frozen=True)
class Given:
    """One recording.

    Attributes:
        path: as given.
        trajectory: of another system, for its poses.
        is_folder: it is a folder of images, not of messages.
        folder: the folder of frames that it becomes, or is.
    """

    path: Path
    trajectory: TrajectoryOptions | None
    is_folder: bool
    folder: Path

    @property
    def in_place(self) -> bool:
        """Whether the folder is used where it is."""
        return self.is_folder and self.trajectory is None

    def has_poses(self, source: str | None) -> bool:
        """Whether the folder has poses, as it is now; `source` is what `--poses` says."""
        return not (self.in_place and source == NO_POSES) and folder_has_poses(self.folder)


def given_recordings(
    paths: Sequence[Path], trajectories: Sequence[TrajectoryOptions | None], frames: Path
) -> list[Given]:
    """The recordings, each with a folder of its own name in `frames` unless it is one.

    Raises:
        LearnError: one does not exist, is given twice, or has the name of another.
    """
    found: list[Given] = []
    for path, trajectory in zip(paths, trajectories or (None,) * len(paths), strict=True):
        if not path.exists():
            raise LearnError(f"The recording {path} does not exist: check the path.")
        is_folder = path.is_dir() and (is_seven_scenes(path) or is_tum(path))
        in_place = is_folder and trajectory is None
        found.append(Given(path, trajectory, is_folder, path if in_place else frames / _name(path)))
    for number, one in enumerate(found):
        for other in found[:number]:
            if one.path.resolve() == other.path.resolve():
                raise LearnError(f"The recording {one.path} is given twice: remove one of the two.")
            if one.folder == other.folder:
                raise LearnError(
                    f"{other.path} and {one.path} would both be named {shown(one.folder.name)}: rename one of them."
                )
    return found


def require_use_of(conversion: DatasetOptions, given: Sequence[Given]) -> None:
    """Refuse to leave out what was said of the topics of recordings, where all are folders. Raises LearnError."""
    if not all(one.is_folder for one in given):
        return
    defaults = DatasetOptions()
    said = {
        "--poses": conversion.poses.source not in (None, NO_POSES),
        "--map-frame": conversion.poses.map_frame != defaults.poses.map_frame,
        "--pose-frame": conversion.poses.pose_frame is not None,
        "--color": conversion.color is not None,
        "--depth": conversion.depth is not None,
        "--color-info": conversion.color_info is not None,
        "--depth-info": conversion.depth_info is not None,
        "--register": conversion.register,
        "--sensor": bool(conversion.sensors),
        "--imu-topic": conversion.imu_topic is not None,
        "--depth-unit-m": bool(conversion.depth_unit_m),
        "--extrinsic": conversion.poses.T_pose_camera is not None and not any(one.trajectory for one in given),
    }
    if names := [name for name, is_said in said.items() if is_said]:
        raise LearnError(
            f"{names[0]} is said of a recording of messages, and {given[0].path} is a folder of frames: remove it; "
            "camera.json in the folder says what its images are."
        )


def folder_has_poses(folder: Path) -> bool:
    """Whether a folder of frames has poses in its layout; no file is read."""
    if is_seven_scenes(folder):
        return any(True for _ in folder.glob("seq-*/frame-*.pose.txt"))
    return is_tum(folder) and all((part / FILES[2]).is_file() for part in recording_folders(folder))


def _name(path: Path) -> str:
    resolved = path.resolve()
    return resolved.stem if resolved.suffix in _SUFFIXES else resolved.name
