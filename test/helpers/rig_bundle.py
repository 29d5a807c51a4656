# SPDX-License-Identifier: Apache-2.0
"""A bundle of a robot with a rear and a thermal camera whose network is arithmetic (`tiny_network.rig_network`)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from tiny_network import rig_network

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.bundle_writer import write_bundle
from mvloc_ros.model.modalities import Sensor, SensorInput

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
REAR = np.array([[-1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, -0.3], [0, 0, 0, 1]])
SENSORS = (
    Sensor("rear", "color", CAMERA, tuple(map(float, REAR.ravel()))),
    Sensor("thermal", "gray", CAMERA, tuple(map(float, np.eye(4).ravel()))),
)


def write_rig_bundle(pair: Path, folder: Path) -> Path:
    """The bundle in `folder/bundle`, in all else as that of the pair."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(rig_network(), str(folder / "model.onnx"))
    found = read_bundle(pair)
    manifest = replace(found.manifest, sensors=tuple(SensorInput(sensor, 12, 16) for sensor in SENSORS))
    files = {name: pair / name for name in found.manifest.files} | {"model.onnx": folder / "model.onnx"}
    return write_bundle(folder / "bundle", manifest, files).path
