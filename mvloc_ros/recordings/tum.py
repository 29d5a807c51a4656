# SPDX-License-Identifier: Apache-2.0
"""Reader of the TUM RGB-D folder layout (Sturm et al., IROS 2012).

A recording is a folder with `rgb.txt` and `depth.txt` (`stamp file` a line) and `groundtruth.txt`
(`stamp x y z qx qy qz qw`, of the colour camera); a folder of such folders is several sequences.
Colour, depth and ground truth have stamps of their own: depth is matched to colour by the nearest
stamp, ground truth is interpolated at the colour stamp.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path, PurePath

import numpy as np

from mvloc_ros.foreign_text import quoted
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.pose_text import stamps_of
from mvloc_ros.geometry.stamp_text import read_number
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.geometry.trajectory import Interpolation, NoPose, read_tum
from mvloc_ros.recordings.camera_file import apply_camera_file, fit_to_images
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.frames import CameraSettings, FrameRecord, LeftOut, PosedFolder
from mvloc_ros.recordings.pose_series import jump_text
from mvloc_ros.recordings.train_test_split import require_both, tail_split

FILES = ("rgb.txt", "depth.txt", "groundtruth.txt")
CAMERA = PinholeCamera(640, 480, 525.0, 525.0, 319.5, 239.5)
DEFAULTS = CameraSettings(
    color_camera=CAMERA,
    depth_camera=CAMERA,
    depth_units_per_metre=5000.0,
    depth_registered=True,
    pose_of="color",
    rate_hz=30.0,
)
MAX_SKEW_NS = 20_000_000
TRUTH = Interpolation(100_000_000)
"""What is interpolated of the ground truth."""

_log = logging.getLogger(__name__)


def is_tum(root: Path) -> bool:
    """Whether the folder is a recording of this layout, or holds some."""
    return bool(recording_folders(root))


def open_tum(root: Path, test_fraction: float) -> PosedFolder:
    """Read a TUM folder; the last `test_fraction` of each recording is test.

    Raises RecordingError where a list is missing or damaged, or a split would be empty.
    """
    settings, stated = apply_camera_file(root, DEFAULTS)
    skipped: Counter[str] = Counter()
    left_out: list[LeftOut] = []
    sequences = [_read_recording(folder, settings.pose_of, skipped, left_out) for folder in recording_folders(root)]
    frames = [frame for sequence in sequences for frame in sequence]
    if skipped:
        causes = ", ".join(f"{count} {cause}" for cause, count in sorted(skipped.items()))
        _log.warning("%s: %s", root, causes)
    if left_out:
        first = left_out[0]
        _log.warning(
            "%s: %d lines of ground truth left out; the first: %s of %s", root, len(left_out), first.reason, first.path
        )
    train, test = tail_split(sequences, test_fraction)
    require_both(root, train, test)
    settings = fit_to_images(root, settings, stated, frames)
    if "rate_hz" not in stated:
        settings = replace(settings, rate_hz=rate_of(sequences))
    return PosedFolder(root=root, layout="tum", train=train, test=test, left_out=tuple(left_out), **vars(settings))


def associate(color_ns: Sequence[int], depth_ns: Sequence[int], max_skew_ns: int) -> dict[int, int]:
    """Pairs {index in color_ns: index in depth_ns}, one to one, the smallest differences first.

    Both sequences are sorted. Equal differences go to the earlier pair.
    """
    depth = np.asarray(depth_ns, dtype=np.int64)
    candidates = []
    for i, stamp in enumerate(color_ns):
        first = int(np.searchsorted(depth, stamp - max_skew_ns, side="left"))
        last = int(np.searchsorted(depth, stamp + max_skew_ns, side="right"))
        candidates += [(abs(int(depth[j]) - stamp), i, j) for j in range(first, last)]
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in sorted(candidates):
        if i not in pairs and j not in taken:
            pairs[i] = j
            taken.add(j)
    return pairs


def recording_folders(root: Path) -> list[Path]:
    """The folders that hold a recording: `root` itself or, sorted by name, those in it."""
    if (root / FILES[0]).is_file():
        return [root]
    return sorted(folder for folder in root.iterdir() if (folder / FILES[0]).is_file())


def read_images(folder: Path) -> list[FrameRecord]:
    """The frames of one recording, without their poses; raises RecordingError where a list is missing or damaged."""
    color, depth, pairs = _lists_of(folder, FILES[:2])
    frames = []
    for index, (stamp_ns, path) in enumerate(color):
        depth_stamp, depth_path = depth[pairs[index]] if index in pairs else (None, None)
        frames.append(FrameRecord(folder.name, index, stamp_ns, path, depth_path, None, depth_stamp))
    return frames


def _lists_of(
    folder: Path, needed: Sequence[str]
) -> tuple[list[tuple[int, Path]], list[tuple[int, Path]], dict[int, int]]:
    """Colour images, depth images and which belong together; `needed` files must be there."""
    for name in needed:
        if not (folder / name).is_file():
            raise RecordingError(f"{folder} has no {name}, which the TUM RGB-D layout needs.")
    color, depth = read_list(folder / FILES[0]), read_list(folder / FILES[1])
    if not color:
        raise RecordingError(f"{folder / FILES[0]} lists no image: copy the recording again.")
    return color, depth, associate([stamp for stamp, _ in color], [stamp for stamp, _ in depth], MAX_SKEW_NS)


def rate_of(sequences: list[list[FrameRecord]]) -> float:
    """Frames per second: the inverse of the median distance of neighbouring colour stamps."""
    steps = [
        np.diff([frame.stamp_ns for frame in frames]) / np.diff([frame.index for frame in frames])
        for frames in sequences
        if len(frames) > 1
    ]
    return float(1e9 / np.median(np.concatenate(steps))) if steps else DEFAULTS.rate_hz


def _read_recording(folder: Path, pose_of: str, skipped: Counter[str], left_out: list[LeftOut]) -> list[FrameRecord]:
    color, depth, pairs = _lists_of(folder, FILES)
    bad_lines: list[int] = []
    truth = read_tum(folder / FILES[2], bad_lines)
    left_out += [LeftOut(folder / FILES[2], f"line {number}, which is not a pose,") for number in bad_lines]
    if jumps := jump_text(str(folder / FILES[2]), truth, TRUTH):
        _log.warning("%s.", jumps)
    frames = []
    for index, (stamp_ns, path) in enumerate(color):
        depth_stamp, depth_path = depth[pairs[index]] if index in pairs else (None, None)
        posed_ns = depth_stamp if pose_of == "depth" and depth_stamp is not None else stamp_ns
        pose = truth.sample(posed_ns, TRUTH)
        if isinstance(pose, NoPose):
            skipped[f"frames left out without ground truth at their time, {pose.value}"] += 1
            continue
        if depth_path is None:
            skipped[f"colour images without a depth image within {MAX_SKEW_NS // 1_000_000} ms"] += 1
        frames.append(FrameRecord(folder.name, index, stamp_ns, path, depth_path, pose, depth_stamp))
    return frames


def read_list(path: Path) -> list[tuple[int, Path]]:
    """(stamp in ns, image file) of each line of `rgb.txt` or `depth.txt`, in order of time.

    Stamps are read as decimals: a float64 of today's seconds is exact only to 240 ns.
    """
    stamps: list[Decimal] = []
    files: list[Path] = []
    for number, line in enumerate(read_text(path, "list", RecordingError).splitlines(), start=1):
        fields = line.split("#", 1)[0].split(maxsplit=1)
        if not fields:
            continue
        try:
            stamps.append(read_number(fields[0]))
            name = fields[1].strip()
        except (IndexError, ValueError):
            raise RecordingError(
                f"Line {number} of {path} is not `stamp file` (seconds, and the image's path): {quoted(line)}."
            ) from None
        files.append(_listed(path, name))
    entries: dict[int, Path] = {}
    for stamp_ns, file in zip(stamps_of(stamps, path).tolist(), files, strict=True):
        if entries.setdefault(stamp_ns, file) != file:
            raise RecordingError(
                f"{path} has two images at {stamp_ns / 1e9:.9f} s, {entries[stamp_ns].name} and {file.name}: keep one."
            )
    return sorted(entries.items())


def _listed(path: Path, name: str) -> Path:
    """A file that a list names: of the list's own folder, so that no list makes a command read other files."""
    parts = PurePath(name)
    if parts.is_absolute() or ".." in parts.parts or "\0" in name:
        raise RecordingError(
            f"{path} names {quoted(name)}, which is not in {path.parent}: list files by their paths in that folder "
            "(links in it to images elsewhere are followed)."
        )
    return path.parent / parts
