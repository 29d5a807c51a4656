# SPDX-License-Identifier: Apache-2.0
"""The depth range of a run and the kind of its depth, and whether the range fits the data.

The command line overrides `camera.json` of the folder, which overrides the preset. Depth outside the range is invalid
for the network. The range of the presets is for rooms; a LIDAR measures ten times as far, which its `camera.json`
states.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection

import numpy as np

from mvloc_ros.recordings.camera_file import CAMERA_FILE, read_camera_file
from mvloc_ros.recordings.depth_summary import depth_summary
from mvloc_ros.recordings.frames import PosedFolder
from mvloc_ros.recordings.joined_folders import Folders, in_order
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.datasets import PosedFrames, evenly_spaced

SAMPLE = 50  # evenly spaced frames that the range is compared with
# Options that the folder may state, and their names in `CameraSettings`.
STATED = {"max_depth": "max_depth_m", "depth_of_points": "depth_of_points"}
_log = logging.getLogger(__name__)


def with_folder_depth(config: TrainingConfig, root: Folders, given: Collection[str]) -> TrainingConfig:
    """The configuration with the depth settings of camera.json of the folder, if the system uses depth.

    Args:
        config: of preset and command line.
        root: folder of posed frames, or several, which must agree on these settings (`open_folders`).
        given: names of the values of the command line, which are not replaced.

    Raises:
        RecordingError: camera.json of the folder cannot be used.
        TrainingError: its range ends below `min_depth`.
    """
    if not SYSTEMS[config.system].uses_depth:
        return config
    stated = read_camera_file(in_order(root)[0])
    changes = {name: stated[field] for name, field in STATED.items() if field in stated and name not in given}
    return config.with_options(changes) if changes else config


def explain_range(config: TrainingConfig, root: Folders, given: Collection[str]) -> str:
    """The depth range and its source, for the result of `with_folder_depth`; empty if the system uses no depth."""
    if not SYSTEMS[config.system].uses_depth:
        return ""
    source = f"preset {config.preset}"
    if "max_depth" in given:
        source = "--max-depth"
    elif STATED["max_depth"] in read_camera_file(first := in_order(root)[0]):
        source = str(first / CAMERA_FILE)
    return f"depth range {config.input.min_depth:g} to {config.input.max_depth:g} m (from {source})"


def report_depth(config: TrainingConfig, folder: PosedFolder) -> None:
    """Print unit and statistics of the depth of the folder; warn if they are implausible."""
    if not SYSTEMS[config.system].uses_depth:
        return
    summary = depth_summary(folder, config.input.min_depth, math.inf, "training")
    print(f"{summary.text}.")
    if summary.problem:
        _log.warning("%s.", summary.problem)


def warn_of_far_depth(config: TrainingConfig, frames: PosedFrames) -> None:
    """Warn if more than half of the measured depth, in a sample of the frames, is beyond the range."""
    if not SYSTEMS[config.system].uses_depth:
        return
    picked = evenly_spaced(len(frames), SAMPLE)
    depth = np.concatenate([frames.depth[i][np.isfinite(frames.depth[i]) & (frames.depth[i] > 0.0)] for i in picked])
    limit = config.input.max_depth
    if not depth.size or (far := float(np.mean(depth > limit))) <= 0.5:
        return
    _log.warning(
        "%.0f %% of the measured depth is beyond --max-depth %g m and treated as invalid; 95 %% of it is within %.1f "
        "m: raise --max-depth, or state max_depth in %s.",
        100.0 * far,
        limit,
        float(np.percentile(depth, 95.0)),
        CAMERA_FILE,
    )
