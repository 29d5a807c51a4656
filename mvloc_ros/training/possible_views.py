# SPDX-License-Identifier: Apache-2.0
"""A preset with new views on a folder that cannot have all of them: what is left out, and why.

A value of the command line is never left out: `check_projection`, `check_renderable` and `prepare_views` refuse it.
"""

from __future__ import annotations

from collections.abc import Collection

from mvloc_ros.recordings import PosedFolder, open_folders
from mvloc_ros.recordings.joined_folders import Folders
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.presets.preset_files import FURTHER

_WORDS = {
    "rendered": "rendered views (--rendered)",
    "shift": "shifted views (--shift)",
    "turn": "turned views (--turn)",
}


def with_possible_views(
    config: TrainingConfig, root: Folders, test_fraction: float, given: Collection[str] = ()
) -> tuple[TrainingConfig, list[str]]:
    """The configuration without the views of its preset that the folder cannot have, and a clause for each of them.

    Args:
        config: of a preset, with the depth settings and the sensors of the folder.
        root: folder that is trained on, or several.
        test_fraction: as for `open_folders`.
        given: names of the values of the command line, which are kept.

    Raises:
        RecordingError: the folder cannot be used.
    """
    if config.preset not in FURTHER.get(config.system, ()):  # the others have no views of their own
        return config, []
    folder = open_folders(root, test_fraction)
    reasons = {
        name: reason
        for name, reason in _impossible(config, folder).items()
        if name not in given and getattr(config.augmentation, name) > 0.0
    }
    clauses = [f"no {_WORDS[name]}: {reason}" for name, reason in reasons.items()]
    return (config.with_options(dict.fromkeys(reasons, 0.0)) if reasons else config), clauses


def _impossible(config: TrainingConfig, folder: PosedFolder) -> dict[str, str]:
    """The kinds of views that are not possible, and why."""
    if folder.depth_projection != "pinhole":
        return dict.fromkeys(_WORDS, f"the depth images of {folder.where} are panoramas")
    if not any(frame.depth is not None for frame in folder.train):
        return dict.fromkeys(("rendered", "shift"), f"no training frame of {folder.where} has depth")
    if config.input.depth_of_points or folder.depth_of_points:
        return {"rendered": f"the depth of {folder.where} is of single points"}
    if not config.input.sensors:
        return {}
    from mvloc_ros.training.views.sensor_views import plan_views  # needs torch

    names = ", ".join(sensor.name for sensor in config.input.sensors)
    found = {"rendered": f"they are of color and depth, and this run has further sensors ({names})"}
    try:
        plan_views(config.input.sensors, config.input.short_side, folder.depth_camera, config.augmentation.shift > 0.0)
    except TrainingError:
        found |= dict.fromkeys(("shift", "turn"), f"not all images of the further sensors ({names}) can be moved")
    return found
