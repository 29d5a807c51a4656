# SPDX-License-Identifier: Apache-2.0
"""Reader of the 7-Scenes folder layout (Shotton et al., CVPR 2013).

`seq-NN/frame-NNNNNN.{color.png,depth.png,pose.txt}` (any kind of image that OpenCV reads) and, in `TrainSplit.txt` and
`TestSplit.txt`, one `sequenceN` a line; or, in `held_out.txt`, stretches of sequences that are for tests. Poses are 4x4
camera to world, of the DEPTH camera; their rotations are orthonormal only to about 4e-4 and are projected onto SO(3)
here. Images of further sensors that `camera.json` declares are `frame-NNNNNN.NAME.png`. The data set has no stamps:
frames are 1 / rate apart, sequences follow each other with a pause.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mvloc_ros.foreign_text import quoted, shown
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.pose_text import KITTI_NUMBERS, matrix_of
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.image_bytes import SUFFIXES
from mvloc_ros.recordings.camera_file import apply_camera_file, fit_to_images
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.frames import CameraSettings, FrameRecord, LeftOut, PosedFolder
from mvloc_ros.recordings.held_out_file import HELD_OUT_FILE, read_held_out, split_by
from mvloc_ros.recordings.train_test_split import require_both, tail_split

# The depth camera of a Kinect relative to its colour camera: the translation that the LIRIS human activities
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

MAX_DURATION_S = 30 * 86_400.0
"""A frame's number that would be later than this, from the sequence's beginning, does not count frames."""


def _frame_file(sensors: Sequence[str]) -> re.Pattern[str]:
    """The name of a file of a frame, with its number, and its modality or `pose`."""
    images = "|".join(("color", "depth", *sensors))
    return re.compile(rf"frame-(\d+)\.(?:({images})\.(?:{'|'.join(SUFFIXES)})|(pose)\.txt)", re.IGNORECASE)


_FRAME = _frame_file(())
_log = logging.getLogger(__name__)


def is_seven_scenes(root: Path) -> bool:
    """Whether the folder has this layout: a sequence folder of frames."""
    return any(folder.is_dir() for folder in root.glob("seq-*"))


def open_seven_scenes(root: Path, test_fraction: float) -> PosedFolder:
    """Read a 7-Scenes folder. Without a split the last `test_fraction` of each sequence is test.

    Raises RecordingError where a split file names a sequence that is not there or has no frame, or a split is empty.
    """
    settings, stated = apply_camera_file(root, DEFAULTS)
    left_out: list[LeftOut] = []
    sequences: dict[str, list[FrameRecord]] = {}
    start_ns = FIRST_STAMP_NS
    for folder in sequence_folders(root):
        names = [sensor.name for sensor in settings.sensors]
        frames, last_ns = _read_sequence(folder, start_ns, settings.rate_hz, left_out, names)
        sequences[folder.name] = frames
        start_ns = last_ns + PAUSE_NS
    if left_out:
        causes = ", ".join(f"{n} {cause}" for cause, n in sorted(Counter(item.reason for item in left_out).items()))
        first = next((item.detail for item in left_out if item.detail), str(left_out[0].path))
        _log.warning("%s: %d frames left out: %s; the first: %s", root, len(left_out), causes, first)
    settings = fit_to_images(root, settings, stated, [frame for frames in sequences.values() for frame in frames])
    train, test, unused = _split(root, sequences, test_fraction)
    require_both(root, train, test)
    return PosedFolder(
        root=root,
        layout="7scenes",
        train=train,
        test=test,
        unused=unused,
        left_out=tuple(left_out),
        **vars(settings),
    )


def sequence_folders(root: Path) -> list[Path]:
    """The sequences of a folder of this layout, by name."""
    return sorted(folder for folder in root.glob("seq-*") if folder.is_dir())


def read_images(folder: Path, start_ns: int, rate_hz: float, sensors: Sequence[str] = ()) -> list[FrameRecord]:
    """The frames of one sequence, without their poses; `start_ns` is the stamp of number 0.

    `sensors` are the names of those besides color and depth.
    """
    frames = []
    for index, found in sorted(_numbered_files(folder, rate_hz, sensors).items()):
        color, depth = found.get("color"), found.get("depth")
        if color is None and depth is None:
            continue
        stamp_ns = counted_stamp(start_ns, index, rate_hz)
        further = tuple((name, found[name]) for name in sensors if name in found)
        frames.append(FrameRecord(folder.name, index, stamp_ns, color, depth, None, stamp_ns, further))
    return frames


def _numbered_files(folder: Path, rate_hz: float, sensors: Sequence[str]) -> dict[int, dict[str, Path]]:
    """As `_files_of`; raises RecordingError where the numbers of the frames do not count them."""
    files = _files_of(folder, sensors)
    if files and max(files) / rate_hz > MAX_DURATION_S:
        raise RecordingError(
            f"{folder} has the frame number {max(files)}, which would be {max(files) / rate_hz / 86_400:.6g} days "
            f"after its first at {rate_hz:g} Hz: number the frames from 0, or, if the numbers are times, write them "
            "into rgb.txt, depth.txt and groundtruth.txt (TUM RGB-D layout)."
        )
    return files


def _read_sequence(
    folder: Path, start_ns: int, rate_hz: float, left_out: list[LeftOut], sensors: Sequence[str]
) -> tuple[list[FrameRecord], int]:
    """The frames of one sequence that have a pose and an image, and the stamp of its last frame."""
    files = _numbered_files(folder, rate_hz, sensors)
    frames, stamp_ns = [], start_ns
    for index in sorted(files):
        found = files[index]
        stamp_ns = counted_stamp(start_ns, index, rate_hz)
        if "color" not in found and "depth" not in found:
            left_out.append(LeftOut(found.get("pose", next(iter(found.values()))), "without an image"))
            continue
        if "pose" not in found:
            left_out.append(LeftOut(folder / f"frame-{index:06d}.pose.txt", "without a pose file"))
            continue
        try:
            pose = read_pose(found["pose"])
        except RecordingError as problem:
            left_out.append(LeftOut(found["pose"], "with an invalid pose", str(problem)))
            continue
        color, depth = found.get("color"), found.get("depth")
        further = tuple((name, found[name]) for name in sensors if name in found)
        frames.append(FrameRecord(folder.name, index, stamp_ns, color, depth, pose, stamp_ns, further))
    return frames, stamp_ns


def counted_stamp(start_ns: int, index: int, rate_hz: float) -> int:
    """The stamp of a frame by its number in a sequence that starts at `start_ns`."""
    return start_ns + round(index * 1e9 / rate_hz)


def _files_of(folder: Path, sensors: Sequence[str]) -> dict[int, dict[str, Path]]:
    """The files of each frame by `color`, `depth`, `pose` and the names of sensors; images of any kind that is read.

    Raises RecordingError where a frame has two files of one kind: nothing would say which one is meant.
    """
    files: dict[int, dict[str, Path]] = {}
    unread: list[str] = []
    frame_file = _frame_file(sensors) if sensors else _FRAME
    for path in sorted(folder.iterdir()):
        match = frame_file.fullmatch(path.name)
        if match is None:
            unread += [path.name] if path.name.lower().startswith("frame-") else []
            continue
        kind = (match[2] or match[3]).lower()
        other = files.setdefault(int(match[1]), {}).setdefault(kind, path)
        if other != path:
            raise RecordingError(
                f"{folder} has two {kind} files of frame {int(match[1])}, {other.name} and {path.name}: keep one."
            )
    if unread and any(not {"color", "depth"} <= found.keys() for found in files.values()):
        _log.warning(
            "%s: %d files are not read, since their names are not frame-N.color.EXT, frame-N.depth.EXT (EXT: %s) or "
            "frame-N.pose.txt; the first: %s", folder, len(unread), ", ".join(SUFFIXES), unread[0],
        )  # fmt: skip
    return files


def read_pose(path: Path) -> npt.NDArray[np.float64]:
    """The 4x4 pose in a text file, four rows or KITTI's 12 numbers in one, with its rotation on SO(3).

    Raises RecordingError where the file holds no rigid pose.
    """
    lines = read_text(path, "pose file", RecordingError).strip().splitlines()
    fields = [field for line in lines for field in line.split()]
    try:
        if len(fields) == KITTI_NUMBERS and len(lines) > 1:
            raise ValueError("its last row is missing")
        return matrix_of(fields)
    except ValueError as problem:
        raise RecordingError(
            f"{path} is not the 4x4 matrix of a pose ({problem}): {quoted(lines[0] if lines else '')}."
        ) from None


def _split(
    root: Path, sequences: dict[str, list[FrameRecord]], test_fraction: float
) -> tuple[tuple[FrameRecord, ...], tuple[FrameRecord, ...], tuple[FrameRecord, ...]]:
    """(train, test, unused)."""
    present = [name for name in SPLIT_FILES if (root / name).is_file()]
    if (root / HELD_OUT_FILE).is_file():
        if present:
            raise RecordingError(
                f"{root} has {present[0]} and {HELD_OUT_FILE}, which say different things: remove one."
            )
        return split_by(read_held_out(root, sequences), sequences)
    if not present:
        return (*tail_split(list(sequences.values()), test_fraction), ())
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
    return train, test, ()


def _named(path: Path, sequences: dict[str, list[FrameRecord]]) -> tuple[FrameRecord, ...]:
    """The frames of the sequences that a split file names, in order of time."""
    frames: list[FrameRecord] = []
    named: set[str] = set()
    for line in read_text(path, "split file", RecordingError).splitlines():
        name = line.split("#", 1)[0].strip()
        if not name:
            continue
        match = re.fullmatch(r"(?:sequence|seq-?)(\d+)", name)
        folder = f"seq-{int(match[1]):02d}" if match else name
        if folder not in sequences:
            raise RecordingError(f"{path} names {quoted(name)}, but {path.parent} has no folder {shown(folder)}.")
        if folder in named:
            raise RecordingError(f"{path} names {name!r} twice: remove one of the two.")
        named.add(folder)
        if not sequences[folder]:
            raise RecordingError(
                f"{path} names {name!r}, but {path.parent / folder} has no usable frame (image and valid pose): "
                "copy it again, or remove it from the split."
            )
        frames += sequences[folder]
    return tuple(sorted(frames, key=lambda frame: frame.stamp_ns))
