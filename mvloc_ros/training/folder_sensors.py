# SPDX-License-Identifier: Apache-2.0
"""The sensors besides color and depth that a run uses: those that `camera.json` of the folder declares."""

from __future__ import annotations

from mvloc_ros.model.manifest_checks import ManifestError
from mvloc_ros.model.modalities import PAIR
from mvloc_ros.recordings.camera_file import CAMERA_FILE, read_camera_file
from mvloc_ros.recordings.frames import PosedFolder
from mvloc_ros.recordings.joined_folders import Folders, in_order
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.options import shown


def with_folder_sensors(config: TrainingConfig, root: Folders, chosen: str = "all") -> TrainingConfig:
    """The configuration with the sensors that camera.json of the folder declares besides color and depth.

    Args:
        config: with the depth range, which a depth sensor without one of its own gets.
        root: folder of posed frames, or several.
        chosen: `all`, `none`, or names with commas; a system without a product of experts takes none of `all`.

    Raises:
        RecordingError: camera.json of the folder cannot be used.
        TrainingError: a chosen sensor is not declared, or the system takes color and depth only.
    """
    first = in_order(root)[0]
    path, declared = first / CAMERA_FILE, {s.name: s for s in read_camera_file(first).get("sensors", ())}
    if chosen == "none" or (chosen == "all" and not SYSTEMS[config.system].samples):
        return config
    names = list(declared) if chosen == "all" else [name.strip() for name in chosen.split(",")]
    if unknown := [name for name in names if name not in declared]:
        raise TrainingError(
            f"--sensors {shown(unknown[0])} is not declared in {path}, which declares "
            f"{', '.join(declared) or 'no sensor besides color and depth'}."
        )
    limits = config.input.min_depth, config.input.max_depth
    try:
        picked = tuple(sensor.with_range(*limits) for name, sensor in declared.items() if name in names)
    except ManifestError as error:
        raise TrainingError(
            f"{path} contradicts the depth range of training: {error}; state both limits there."
        ) from error
    return config.with_options({"sensors": picked}) if picked else config


def explain_sensors(config: TrainingConfig, folder: PosedFolder) -> str:
    """The modalities that a run uses, and the sensors of the folder that it does not."""
    pair = PAIR if SYSTEMS[config.system].uses_depth else PAIR[:1]
    used = {sensor.name for sensor in config.input.sensors}
    unused = [sensor.name for sensor in folder.sensors if sensor.name not in used]
    text = "modalities: " + ", ".join((*pair, *(sensor.in_words for sensor in config.input.sensors)))
    return f"{text}; not used: {', '.join(unused)}" if unused else text
