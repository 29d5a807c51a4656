# SPDX-License-Identifier: Apache-2.0
"""What a folder says of its depth: how far it counts, and whether it is points; and whether the range fits the data.

The command line's word goes first, the folder's next, the preset's last.

What lies beyond the range is to the network as if it had not been measured. A preset's is that of rooms; a LIDAR
measures ten times as far, and its folder says so in `camera.json`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection
from pathlib import Path

import numpy as np

from mvloc_ros.recordings.camera_file import CAMERA_FILE, read_camera_file
from mvloc_ros.recordings.depth_summary import depth_summary
from mvloc_ros.recordings.frames import PosedFolder
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.datasets import PosedFrames

SAMPLE = 50  # frames, evenly spread, that the range is compared with
# Values of a run that the folder may state, and how `CameraSettings` calls them.
STATED = {"max_depth": "max_depth_m", "depth_of_points": "depth_of_points"}
_log = logging.getLogger(__name__)


def with_folder_depth(config: TrainingConfig, root: Path, given: Collection[str]) -> TrainingConfig:
    """The values with what the folder's camera.json states of its depth, if the system sees depth.

    Args:
        config: values of a run, of the preset and the command line.
        root: folder of posed frames.
        given: names of the values that the command line gives; these stay.

    Raises:
        RecordingError: the folder's camera.json cannot be used.
        TrainingError: its range ends before `min_depth`.
    """
    if not SYSTEMS[config.system].uses_depth:
        return config
    stated = read_camera_file(root)
    changes = {name: stated[field] for name, field in STATED.items() if field in stated and name not in given}
    return config.with_options(changes) if changes else config


def explain_range(config: TrainingConfig, root: Path, given: Collection[str]) -> str:
    """Which depth counts and who says so, of values that `with_folder_depth` returned; empty where none is seen."""
    if not SYSTEMS[config.system].uses_depth:
        return ""
    whose = f"the preset {config.preset}"
    if "max_depth" in given:
        whose = "--max-depth"
    elif STATED["max_depth"] in read_camera_file(root):
        whose = str(root / CAMERA_FILE)
    return f"depth counts from {config.input.min_depth:g} to {config.input.max_depth:g} m, says {whose}"


def report_depth(config: TrainingConfig, folder: PosedFolder) -> None:
    """Say in which unit the folder's depth is read and how far it is; warn where that cannot be right."""
    if not SYSTEMS[config.system].uses_depth:
        return
    summary = depth_summary(folder, config.input.min_depth, math.inf, "training")
    print(f"{summary.text}.")
    if summary.problem:
        _log.warning("%s.", summary.problem)


def warn_of_far_depth(config: TrainingConfig, frames: PosedFrames) -> None:
    """Say so where more than half of the measured depth, in a sample of the frames, lies beyond the range."""
    if not SYSTEMS[config.system].uses_depth:
        return
    picked = np.unique(np.linspace(0, len(frames) - 1, SAMPLE).round().astype(int))
    depth = np.concatenate([frames.depth[i][np.isfinite(frames.depth[i]) & (frames.depth[i] > 0.0)] for i in picked])
    limit = config.input.max_depth
    if not depth.size or (far := float(np.mean(depth > limit))) <= 0.5:
        return
    _log.warning(
        "%.0f %% of the measured depth lies beyond --max-depth %g m and counts as not measured; 95 %% of it is within "
        "%.1f m: raise --max-depth, or state max_depth in %s.",
        100.0 * far,
        limit,
        float(np.percentile(depth, 95.0)),
        CAMERA_FILE,
    )
