# SPDX-License-Identifier: Apache-2.0
"""A trajectory that another system wrote: its form, and the frame that its poses are of.

No form says which frame its poses are of. Here that is `optical` (the camera, z forward, x right, y down), `body` (the
camera, x forward, y left, z up) or the name of a frame of the recording, by the habit of the system that wrote the file
unless it is given; what is taken is stated, and compared with the depth images against the alternatives.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.errors import MvlocError
from mvloc_ros.foreign_text import shown
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.pose_text import KITTI_NUMBERS, KITTI_TIMES, parse_poses
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.recordings.agreement.explanations import T_BODY_OPTICAL, Explanation
from mvloc_ros.recordings.errors import RecordingError

Array = NDArray[np.float64]

FORMATS = ("auto", "tum", "kitti", "rtabmap", "orbslam")
OPTICAL, BODY = "optical", "body"
FRAME_TEXTS = {
    OPTICAL: "the camera's optical frame (z forward, x right, y down)",
    BODY: "the camera with the axes of a robot (x forward, y left, z up)",
}
AXES = {OPTICAL: np.eye(4), BODY: T_BODY_OPTICAL}
"""The optical frame in each of these frames."""
_COLUMNS = {"tum": (8,), "kitti": (KITTI_NUMBERS,), "rtabmap": (8, 9, KITTI_NUMBERS), "orbslam": (8, KITTI_NUMBERS)}
_FORMS = {8: "TUM's form", 9: "rtabmap's form with a node's number", KITTI_NUMBERS: "a 3x4 matrix a line"}
_UP_COSINE = 0.5


@dataclass(frozen=True)
class TrajectoryOptions:
    """A file of poses, its format (one of `FORMATS`) and the frame that they are of; None: as the format has it."""

    path: Path
    format: str = "auto"
    frame: str | None = None


@dataclass(frozen=True, eq=False)
class TrajectoryFile:
    """What a file holds.

    Attributes:
        options: what was given.
        system: the format that the poses are read in, `auto` decided.
        columns: 8, 9 or 12, as in `PoseText`.
        stamps_ns: int64 `[N]`, strictly increasing; None where the poses have no times.
        poses: `[N, 4, 4]`.
    """

    options: TrajectoryOptions
    system: str
    columns: int
    stamps_ns: NDArray[np.int64] | None
    poses: Array

    @property
    def usual_frame(self) -> str:
        """The frame that poses of this form are usually of."""
        return BODY if self.system == "rtabmap" else OPTICAL

    def text(self, frame: str) -> str:
        """The file, its form, and the frame that its poses are taken to be of."""
        why = "as given" if self.options.frame is not None else f"the habit of {self.system}; else --trajectory-frame"
        times = "without times" if self.stamps_ns is None else "with times"
        described = f"of {FRAME_TEXTS.get(frame, frame)} ({why})"
        return f"{self.options.path}, {len(self.poses)} poses {times} in {_FORMS[self.columns]}, {described}"


def read_trajectory_file(options: TrajectoryOptions) -> TrajectoryFile:
    """Read a trajectory of another system.

    Lines out of order are sorted, later ones of equal stamps dropped.

    Raises:
        MvlocError: the file cannot be read, or is not of the format that was given.
    """
    path = options.path
    found = parse_poses(read_text(path, "trajectory"), path, by_distance=options.format == "orbslam")
    allowed = _COLUMNS.get(options.format, tuple(_FORMS))
    if found.columns not in allowed:
        raise RecordingError(
            f"{path} has {_FORMS[found.columns]}, which is not of --trajectory-format {options.format}: give "
            f"--trajectory-format {_system('auto', found.columns)}, or omit it."
        )
    poses = se3.from_parts(found.values[:, :3], quaternion.normalise(found.values[:, 3:]))
    stamps = found.stamps_ns
    if stamps is not None:
        order = np.unique(stamps, return_index=True)[1]
        stamps, poses = stamps[order], poses[order]
    return TrajectoryFile(options, _system(options.format, found.columns), found.columns, stamps, poses)


def up_note(T_map_camera: Array) -> str:
    """A remark where z of the map does not point up, by the cameras `[N, 4, 4]` (optical); else empty.

    A camera is mostly held upright, so that the mean of its upward directions is about upward.
    """
    if not len(T_map_camera):
        return ""
    up = -T_map_camera[:, :3, 1].mean(axis=0)
    length = float(np.linalg.norm(up))
    if length < _UP_COSINE or up[2] / length >= _UP_COSINE:
        return ""
    axis = "xyz"[int(np.argmax(np.abs(up)))]
    sign = "-" if up["xyz".index(axis)] < 0 else "+"
    return (
        f"by how the camera is held, up is about {sign}{axis} of the map and not +z (trajectories that begin in the "
        "camera's optical frame are so): `mvloc grid` and Nav2 need z up"
    )


def alternatives(T_frame_camera: Array, others: dict[str, Array]) -> tuple[Explanation, ...]:
    """What the poses would be if they were of other frames than of the one in which the camera is `T_frame_camera`."""

    def of(name: str, T_other_camera: Array) -> Explanation:
        step = se3.inverse(T_frame_camera) @ T_other_camera
        described = FRAME_TEXTS.get(name, f"the frame {name}")
        return Explanation(f"with --trajectory-frame {name}, the poses being of {described}", lambda T: T @ step)

    return tuple(of(name, T) for name, T in others.items() if not np.allclose(T, T_frame_camera, atol=1e-6))


def add_trajectory_arguments(parser: argparse._ActionsContainer, *, several: bool = False) -> None:
    """`--trajectory` and how it is to be read; `several`: one for each recording, in their order."""
    parser.add_argument(
        "--trajectory",
        type=Path,
        action="append" if several else "store",
        metavar="FILE",
        help="poses of another system: TUM, KITTI (one a frame, in order, or with times in "
        f"{KITTI_TIMES}), rtabmap-export's formats 0, 1, 10 and 11, ORB-SLAM"
        + ("; of several recordings one each, in their order" if several else ""),
    )
    parser.add_argument(
        "--trajectory-format", choices=FORMATS, default="auto", help="default: auto, by the number of columns"
    )
    parser.add_argument(
        "--trajectory-frame",
        metavar="FRAME",
        help=f"what the poses are of: {OPTICAL} (camera, z forward), {BODY} (camera, x forward), or a frame of /tf "
        f"(default: {OPTICAL}; for rtabmap {BODY}, or base_link where /tf connects it to the camera)",
    )


def trajectory_options(args: argparse.Namespace) -> TrajectoryOptions | None:
    """What `add_trajectory_arguments` gave. Raises RecordingError where details are given without a file."""
    found = _options(args, () if args.trajectory is None else (args.trajectory,))
    return found[0] if found else None


def trajectories_options(args: argparse.Namespace, recordings: int) -> tuple[TrajectoryOptions | None, ...]:
    """The same of several recordings: one for each, or None for each. Raises RecordingError for another number."""
    found = _options(args, tuple(args.trajectory or ()))
    if found and len(found) != recordings:
        raise RecordingError(
            f"--trajectory is given {len(found)} times for {recordings} recordings: give one for each, in their order."
        )
    return found or (None,) * recordings


def _options(args: argparse.Namespace, files: tuple[Path, ...]) -> tuple[TrajectoryOptions, ...]:
    if not files and (args.trajectory_format != "auto" or args.trajectory_frame is not None):
        name = "frame" if args.trajectory_frame is not None else "format"
        raise RecordingError(f"--trajectory-{name} describes a trajectory: give its file with --trajectory.")
    return tuple(TrajectoryOptions(file, args.trajectory_format, args.trajectory_frame) for file in files)


def unknown_frame(frame: str, known: str) -> MvlocError:
    """The error for a frame that is neither of the two words nor known otherwise."""
    return RecordingError(
        f"--trajectory-frame {shown(frame)} is neither {OPTICAL} nor {BODY}{known}: name what the poses are of."
    )


def _system(named: str, columns: int) -> str:
    if named != "auto":
        return named
    return {8: "tum", 9: "rtabmap", KITTI_NUMBERS: "kitti"}[columns]
