# SPDX-License-Identifier: Apache-2.0
"""Traversals -> a folder in the 7-Scenes layout: undistorted images, depth from LIDAR, poses of the camera."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.projection import Panorama
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.folder import open_folder
from mvloc_ros.recordings.folder_writer import FolderWriter
from mvloc_ros.recordings.frames import CameraSettings
from mvloc_ros.recordings.robotcar.layout import open_traversal
from mvloc_ros.recordings.robotcar.posed_images import make_frames, sequence_name
from mvloc_ros.recordings.robotcar.robotcar_options import RobotCarOptions
from mvloc_ros.recordings.robotcar.splits import split_traversals
from mvloc_ros.recordings.robotcar.writing import DEPTH_UNITS, write_images

MAX_DEPTH_M = 80.0
"""The depth range that a folder states: about the range of the LIDARs."""
LICENCE = "CC BY-NC-SA 4.0 (Oxford RobotCar)"


@dataclass(frozen=True)
class RobotCarSummary:
    """What was written; `coverage` is the mean share of pixels with depth, None where nothing was measured."""

    out: Path
    train: int
    test: int
    left_out: Counter[str]
    coverage: float | None
    note: str = ""

    def text(self) -> str:
        """Lines for the terminal."""
        lines = [f"{self.out}: {self.train} training and {self.test} test frames"]
        if self.coverage is not None:
            lines.append(f"depth in {100 * self.coverage:.2f} % of the pixels")
        if self.note:
            lines.append(self.note)
        return "\n".join(lines + [f"left out: {n} {reason}" for reason, n in sorted(self.left_out.items())])


def convert(roots: Sequence[Path], out: Path, options: RobotCarOptions, progress: bool = True) -> RobotCarSummary:
    """Write traversals as one folder; each is a sequence, `seq-` and its name.

    Raises RecordingError where a file is missing or the folder holds something else.
    """
    traversals = [open_traversal(root) for root in roots]
    train, test = split_traversals([traversal.name for traversal in traversals], options.test)
    if options.every < 1 or options.short_side < 1 or not options.splat >= 1.0:
        raise RecordingError("--every, --short-side and --splat must be 1 or more.")
    left_out: Counter[str] = Counter()
    frames, model, period = make_frames(traversals, options, left_out)
    camera = scaled(model.camera, options.short_side)
    source = {"traversals": [traversal.name for traversal in traversals], "options": options.stated()}
    with FolderWriter(out, source) as writer:
        if writer.complete:
            folder = open_folder(out)
            return RobotCarSummary(out, len(folder.train), len(folder.test), Counter(), None, "complete already")
        lost, coverage = write_images(writer, frames, model, camera, options, left_out, progress)
        written = [frame for frame in frames if frame.name not in lost]
        counts = [sum(frame.traversal.name in part for frame in written) for part in (train, test)]
        if not all(counts):
            writer.discard()
            raise RecordingError(
                f"{out} would have no training or no test frame, since {len(lost)} of {len(frames)} images cannot be "
                f"read: {next(iter(lost.values()))}"
            )
        for frame in written:
            writer.write_pose(frame.name, frame.T_map_camera)
        settings = CameraSettings(
            color_camera=camera,
            depth_camera=_depth_camera(camera, options.panorama),
            depth_units_per_metre=DEPTH_UNITS,
            depth_registered=options.panorama is None,
            pose_of="color",
            rate_hz=1e9 / period,
            licence=LICENCE,
            max_depth_m=MAX_DEPTH_M if options.lidars else None,
            depth_of_points=bool(options.lidars),
            depth_projection="pinhole" if options.panorama is None else "cylindrical",
        )
        writer.finish(settings, [sequence_name(name) for name in train], [sequence_name(name) for name in test])
    left_out["images that cannot be read"] += len(lost)
    return RobotCarSummary(out, counts[0], counts[1], +left_out, coverage)


def scaled(camera: PinholeCamera, short_side: int) -> PinholeCamera:
    """The camera with its shorter side at `short_side` pixels, never enlarged."""
    scale = min(1.0, short_side / min(camera.width, camera.height))
    return camera.scaled_to(round(camera.width * scale), round(camera.height * scale))


def _depth_camera(camera: PinholeCamera, panorama: Panorama | None) -> PinholeCamera:
    """For a panorama a pinhole that agrees with it at the horizon straight ahead; nothing projects through it."""
    if panorama is None:
        return camera
    width, height = camera.width, camera.height
    fx, fy = width / (panorama.right - panorama.left), height / (panorama.top - panorama.bottom)
    return PinholeCamera(width, height, fx, fy, -panorama.left * fx - 0.5, panorama.top * fy - 0.5)
