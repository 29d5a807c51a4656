# SPDX-License-Identifier: Apache-2.0
"""Reader of the 7-Scenes folder layout (Shotton et al., CVPR 2013).

`seq-NN/frame-NNNNNN.{color.png|color.jpg,depth.png,pose.txt}` and, in `TrainSplit.txt` and
`TestSplit.txt`, one `sequenceN` a line. Poses are 4x4 camera to world, of the DEPTH camera; their
rotations are orthonormal only to about 4e-4 and are projected onto SO(3) here. The data set has no
stamps: frames are 1 / rate apart, sequences follow each other with a pause.
"""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.recordings.camera_file import CameraSettings, apply_camera_file, fit_to_images
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.frames import FrameRecord, LeftOut, PosedFolder
from mvloc_ros.recordings.split import require_both, tail_split

# Where the depth camera sits beside the colour camera of a Kinect: the translation that the LIRIS human activities
# data set publishes for its own (liris.cnrs.fr/voir/activities-dataset/kinect-calibration.html), which others use for
# 7-Scenes. Its rotation of 0.67 degrees is left out: it belongs to principal points up to 30 pixels apart, which
# 7-Scenes puts into the middle of both images, and moves edges in depth 6 pixels off those in colour (redkitchen).
KINECT_T_COLOR_DEPTH = np.array(
    [[1.0, 0.0, 0.0, -0.02556], [0.0, 1.0, 0.0, 0.00010], [0.0, 0.0, 1.0, 0.00203], [0.0, 0.0, 0.0, 1.0]]
)
SPLIT_FILES = ("TrainSplit.txt", "TestSplit.txt")
DEFAULTS = CameraSettings(
    color_camera=PinholeCamera(640, 480, 525.0, 525.0, 320.0, 240.0),
    depth_camera=PinholeCamera(640, 480, 585.0, 585.0, 320.0, 240.0),
    depth_units_per_metre=1000.0,
    depth_registered=False,
    pose_of="depth",
    rate_hz=30.0,
    T_color_depth=KINECT_T_COLOR_DEPTH,
)
FIRST_STAMP_NS = 1_000_000_000
PAUSE_NS = 1_000_000_000
ROTATION_TOLERANCE = 0.05
"""Largest deviation of R R^T from the identity that is taken for rounding and not for a wrong file."""

_FRAME = re.compile(r"frame-(\d+)\.(color\.png|color\.jpg|depth\.png|pose\.txt)")
_log = logging.getLogger(__name__)


def is_seven_scenes(root: Path) -> bool:
    """Whether the folder has this layout: a sequence folder of frames."""
    return any(folder.is_dir() for folder in root.glob("seq-*"))


def open_seven_scenes(root: Path, test_fraction: float) -> PosedFolder:
    """Read a 7-Scenes folder. Without any split file the last `test_fraction` of each sequence is test.

    Raises RecordingError where a split file names a sequence that is not there or has no frame, or a split is empty.
    """
    settings, stated = apply_camera_file(root, DEFAULTS)
    folders = sorted(folder for folder in root.glob("seq-*") if folder.is_dir())
    left_out: list[LeftOut] = []
    sequences: dict[str, list[FrameRecord]] = {}
    start_ns = FIRST_STAMP_NS
    for folder in folders:
        frames, last_ns = _read_sequence(folder, start_ns, settings.rate_hz, left_out)
        sequences[folder.name] = frames
        start_ns = last_ns + PAUSE_NS
    if left_out:
        causes = ", ".join(f"{n} {cause}" for cause, n in sorted(Counter(item.reason for item in left_out).items()))
        _log.warning("%s: %d frames left out: %s; the first: %s", root, len(left_out), causes, left_out[0].path)
    settings = fit_to_images(root, settings, stated, [frame for frames in sequences.values() for frame in frames])
    train, test = _split(root, sequences, test_fraction)
    require_both(root, train, test)
    return PosedFolder(root=root, layout="7scenes", train=train, test=test, left_out=tuple(left_out), **vars(settings))


def _read_sequence(
    folder: Path, start_ns: int, rate_hz: float, left_out: list[LeftOut]
) -> tuple[list[FrameRecord], int]:
    """The frames of one sequence that have a pose and an image, and the stamp of its last frame."""
    files: dict[int, dict[str, Path]] = {}
    for path in folder.iterdir():
        match = _FRAME.fullmatch(path.name)
        if match:
            files.setdefault(int(match[1]), {})[match[2].split(".")[0]] = path
    frames, stamp_ns = [], start_ns
    for index in sorted(files):
        found = files[index]
        stamp_ns = start_ns + round(index * 1e9 / rate_hz)
        if "color" not in found and "depth" not in found:
            left_out.append(LeftOut(found["pose"], "without an image"))
            continue
        pose = read_pose(found["pose"]) if "pose" in found else None
        if pose is None:
            reason = "with an invalid pose" if "pose" in found else "without a pose file"
            left_out.append(LeftOut(folder / f"frame-{index:06d}.pose.txt", reason))
            continue
        frames.append(FrameRecord(folder.name, index, stamp_ns, found.get("color"), found.get("depth"), pose, stamp_ns))
    return frames, stamp_ns


def read_pose(path: Path) -> npt.NDArray[np.float64] | None:
    """The 4x4 pose in a text file with its rotation on SO(3); None where the file holds no rigid pose."""
    try:
        values = [float(field) for field in path.read_text(encoding="ascii").split()]
    except (OSError, ValueError):
        return None
    if len(values) != 16 or not all(map(math.isfinite, values)):
        return None
    pose = np.array(values, dtype=np.float64).reshape(4, 4)
    if not se3.is_rigid(pose, tolerance=ROTATION_TOLERANCE):
        return None
    pose[:3, :3] = se3.project_to_so3(pose[:3, :3])
    pose[3] = (0.0, 0.0, 0.0, 1.0)
    return pose


def _split(
    root: Path, sequences: dict[str, list[FrameRecord]], test_fraction: float
) -> tuple[tuple[FrameRecord, ...], tuple[FrameRecord, ...]]:
    present = [name for name in SPLIT_FILES if (root / name).is_file()]
    if not present:
        return tail_split(list(sequences.values()), test_fraction)
    if len(present) == 1:
        missing = next(name for name in SPLIT_FILES if name not in present)
        raise RecordingError(
            f"{root} has {present[0]} but no {missing}: add it, or remove both to split each sequence in time."
        )
    train, test = (_named(root / name, sequences) for name in SPLIT_FILES)
    shared = {frame.sequence for frame in train} & {frame.sequence for frame in test}
    if shared:
        raise RecordingError(
            f"The split files of {root} name {sorted(shared)[0]} for training and for test: keep it in one of them."
        )
    return train, test


def _named(path: Path, sequences: dict[str, list[FrameRecord]]) -> tuple[FrameRecord, ...]:
    """The frames of the sequences that a split file names, in order of time."""
    frames: list[FrameRecord] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        name = line.split("#", 1)[0].strip()
        if not name:
            continue
        match = re.fullmatch(r"(?:sequence|seq-?)(\d+)", name)
        folder = f"seq-{int(match[1]):02d}" if match else name
        if folder not in sequences:
            raise RecordingError(f"{path} names {name!r}, but there is no folder {folder} in {path.parent}.")
        if not sequences[folder]:
            raise RecordingError(
                f"{path} names {name!r}, but {path.parent / folder} has no usable frame (image and valid pose): "
                "copy it again, or take it out of the split."
            )
        frames += sequences[folder]
    return tuple(sorted(frames, key=lambda frame: frame.stamp_ns))
