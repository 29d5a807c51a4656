# SPDX-License-Identifier: Apache-2.0
"""How far depth counts: the command line's word, else the folder's, else the preset's; and whether that fits the data.

What lies beyond the range is to the network as if it had not been measured. A preset's is that of rooms; a LIDAR
measures ten times as far, and its folder says so in `camera.json`.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from mvloc_ros.recordings.camera_file import CAMERA_FILE, read_camera_file
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.datasets import PosedFrames

SAMPLE = 50  # frames, evenly spread, that the range is compared with
_log = logging.getLogger(__name__)


def with_folder_range(config: TrainingConfig, root: Path, given: bool) -> TrainingConfig:
    """The values with the folder's `max_depth`, if it states one, the command line gave none, and depth is seen.

    Args:
        config: values of a run, with the preset's range or the command line's.
        root: folder of posed frames.
        given: whether the range is the command line's.

    Raises:
        RecordingError: the folder's camera.json cannot be used.
        TrainingError: its range ends before `min_depth`.
    """
    stated = None if given or not SYSTEMS[config.system].uses_depth else read_camera_file(root).get("max_depth_m")
    return config if stated is None else config.with_options({"max_depth": stated})


def explain_range(config: TrainingConfig, root: Path, given: bool) -> str:
    """Which depth counts and who says so, of values that `with_folder_range` returned; empty where none is seen."""
    if not SYSTEMS[config.system].uses_depth:
        return ""
    whose = f"the preset {config.preset}"
    if given:
        whose = "--max-depth"
    elif "max_depth_m" in read_camera_file(root):
        whose = str(root / CAMERA_FILE)
    return f"depth counts from {config.input.min_depth:g} to {config.input.max_depth:g} m, says {whose}"


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
