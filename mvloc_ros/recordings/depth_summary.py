# SPDX-License-Identifier: Apache-2.0
"""The unit of a folder's depth, its source, and whether it is plausible: from a few of its images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mvloc_ros.geometry.depth_statistics import DepthStatistics, DepthTally, unit_hint, unusual
from mvloc_ros.recordings.camera_file import CAMERA_FILE, read_camera_file
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.frames import BareFolder, PosedFolder
from mvloc_ros.recordings.images import read_depth

_IMAGES = 12


@dataclass(frozen=True)
class DepthSummary:
    """Of a sample of the training frames' depth images.

    Attributes:
        statistics: `inside` is by the range that was asked for.
        text: unit, its source and the median, in one line.
        problem: what is implausible, in a sentence without its full stop; empty if nothing.
    """

    statistics: DepthStatistics
    text: str
    problem: str


def depth_summary(folder: PosedFolder | BareFolder, near_m: float, far_m: float, purpose: str) -> DepthSummary:
    """Read a few depth images, spread over the training frames, or over all frames of a folder without poses.

    Args:
        folder: what is read.
        near_m: least measurement that is used, in metres.
        far_m: largest one.
        purpose: what uses them, for the sentence, as `mvloc map`.
    """
    frames, kind = (folder.train, "training frames") if isinstance(folder, PosedFolder) else (folder.frames, "frames")
    paths = [frame.depth for frame in frames if frame.depth is not None]
    picked = sorted({round(i) for i in np.linspace(0, len(paths) - 1, _IMAGES)}) if paths else []
    tally = DepthTally(near_m, far_m)
    for index in picked:
        try:
            tally.add(read_depth(paths[index], folder.depth_units_per_metre), step=1 if folder.depth_of_points else 8)
        except RecordingError:
            continue  # reported where this image is needed
    found = tally.result()
    unit_m = 1.0 / folder.depth_units_per_metre
    whose = f"default of the {folder.layout} layout"
    if "depth_units_per_metre" in read_camera_file(folder.root):
        whose = CAMERA_FILE
    images = f"{len(paths)} of {len(frames)} {kind}"
    text = f"depth of {images}: {folder.depth_units_per_metre:g} values a metre ({whose}), {found.text()}"
    return DepthSummary(found, text, _problem(folder, found, unit_m, (near_m, far_m), purpose))


def _problem(
    folder: PosedFolder | BareFolder, found: DepthStatistics, unit_m: float, range_m: tuple[float, float], purpose: str
) -> str:
    if not found.measured:
        return f"{folder.where} has no usable depth: {found.text()}"
    hint = unit_hint(found.median_m, unit_m)
    remedy = f": state the true depth_units_per_metre in {folder.root / CAMERA_FILE}"
    if found.inside <= 0.5:
        return (
            f"{1.0 - found.inside:.0%} of the measured depth of {folder.where} is outside of the {range_m[0]:g} to "
            f"{range_m[1]:g} m that {purpose} uses" + (f"; {hint}{remedy}" if hint else "")
        )
    if not folder.depth_of_points and (strange := unusual(found.median_m, unit_m)):
        return f"{strange}{remedy}"
    return ""
