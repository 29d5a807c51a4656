# SPDX-License-Identifier: Apache-2.0
"""The sensors of a bundle besides the pair, where the folder of its training data declares them to be.

A network does not know where its sensors sit; a map is built with that. So an extrinsic that is corrected in
`camera.json` needs a new map, and no new training.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mvloc_ros.mapping.errors import MappingError
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.model.modalities import Sensor
from mvloc_ros.recordings import PosedFolder

_SAME_FOCAL_LENGTH = 0.01
# Rounding of the numbers in a file.
_SAME = 1e-6


def folder_sensors(bundle: Bundle, folder: PosedFolder) -> tuple[Sensor, ...]:
    """The sensors that the bundle takes, with the place and the unit that the folder states.

    Raises:
        MappingError: the folder does not declare one of them, or another camera by its name.
    """
    declared = {sensor.name: sensor for sensor in folder.sensors}
    found = []
    for item in bundle.manifest.sensors:
        mine, theirs = item.sensor, declared.get(item.sensor.name)
        if theirs is None or theirs.kind != mine.kind:
            raise MappingError(
                f"camera.json of {folder.where} declares no sensor {mine.name} of kind {mine.kind}, which "
                f"{bundle.name} was trained with; give its training data with --data."
            )
        scaled = theirs.camera.scaled_to(mine.camera.width, mine.camera.height)
        differs = max(abs(scaled.fx / mine.camera.fx - 1.0), abs(scaled.fy / mine.camera.fy - 1.0))
        if differs > _SAME_FOCAL_LENGTH:
            raise MappingError(
                f"The sensor {mine.name} of {folder.where} is not that of {bundle.name} (focal lengths "
                f"{scaled.fx:.1f} and {mine.camera.fx:.1f} pixels); give its training data with --data."
            )
        found.append(
            replace(mine, T_reference_sensor=theirs.T_reference_sensor, units_per_metre=theirs.units_per_metre)
        )
    return tuple(found)


def with_places_of(bundle: Bundle, sensors: tuple[Sensor, ...]) -> Bundle:
    """The bundle with its sensors where `sensors` has them; not written yet."""
    if not sensors:
        return bundle
    inputs = tuple(replace(item, sensor=sensor) for item, sensor in zip(bundle.manifest.sensors, sensors, strict=True))
    return replace(bundle, manifest=replace(bundle.manifest, sensors=inputs))


def require_places_of(bundle: Bundle, sensors: tuple[Sensor, ...], where: str) -> None:
    """Raise MappingError where the folder has a sensor elsewhere than the bundle's map was built with."""
    for item, sensor in zip(bundle.manifest.sensors, sensors, strict=True):
        if not np.allclose(item.sensor.pose, sensor.pose, rtol=0.0, atol=_SAME):
            raise MappingError(
                f"camera.json of {where} has the sensor {sensor.name} elsewhere than the map of {bundle.name} was "
                "built with; run `mvloc map` again."
            )
