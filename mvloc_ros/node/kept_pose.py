# SPDX-License-Identifier: Apache-2.0
"""The last accepted pose, kept in a file over a restart: a hint where to look, never a truth.

The robot may have been carried meanwhile, so that what is read has a spread of its own, and poses elsewhere are
accepted as after any wrong hint.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mvloc_ros.errors import MvlocError
from mvloc_ros.foreign_text import shown
from mvloc_ros.frontend.input_log import InputLog
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.json_text import parse_json
from mvloc_ros.limits import MOST_METRES
from mvloc_ros.localization.pose import Pose
from mvloc_ros.pipeline.robot_tracking import Placement
from mvloc_ros.storage import StorageError, write_file

PERIOD_S = 10.0
"""The file is written no more often than this, for the life of the robot's disk."""
# By how far a robot that was switched off may be expected to have been moved (m, rad).
_SPREAD = np.array([0.5, 0.5, 0.5, 0.25, 0.25, 0.25])


class KeptPoseError(MvlocError):
    """A file of a kept pose cannot be used."""


class KeptPose:
    """One file; used by the executor's thread."""

    def __init__(self, path: str, log: InputLog) -> None:
        """Name the file; an empty path keeps nothing. `log` is told of what cannot be read or written."""
        self._path, self._log = path, log
        self._written_s, self._written_ns = float("-inf"), 0

    def read(self, map_frame: str, map_identity: str, frame: str) -> Pose | None:
        """The pose with the spread of a hint, stamp 0; None where there is none of this map and frame.

        Args:
            map_frame: the map's frame.
            map_identity: tells the map from others whose frame has that name (`Bundle.map_identity`).
            frame: whose pose it is to be; empty for the camera's, whatever its name.
        """
        if not self._path or not Path(self._path).exists():
            return None
        try:
            pose, found = _read(self._path)
        except KeptPoseError as error:
            self._log.warn("kept pose", str(error))
            return None
        if (found.map_frame, found.map_identity) != (map_frame, map_identity) or (frame and found.frame != frame):
            of = f"the pose of {shown(found.frame)!r} in {shown(found.map_frame)!r} by the model {shown(found.model)!r}"
            why = "which is of another map" if found.map_identity else "and does not tell in which map it is"
            if found.map_identity == map_identity:
                why = "which is another frame"
            self._log.tell("kept pose", f"{self._path} has {of}, {why}; it is not used")
            return None
        x, y, z = pose.T[:3, 3]
        self._log.tell("kept pose", f"the last pose before the start, {x:.2f}, {y:.2f}, {z:.2f}, is taken as a hint")
        return pose

    def write(self, placement: Placement | None, model: str, *, now: bool = False) -> None:
        """Keep an accepted pose, if the last one was kept long enough ago or it must be `now`."""
        due = now or time.monotonic() - self._written_s >= PERIOD_S
        if not self._path or not due or placement is None or placement.pose is None:
            return
        if placement.pose.stamp_ns == self._written_ns:
            return
        self._written_s, self._written_ns = time.monotonic(), placement.pose.stamp_ns
        position, orientation = se3.to_parts(placement.pose.T)
        content = {
            "map_frame": placement.map_frame,
            "map_identity": placement.map_identity,
            "frame": placement.child,
            "model": model,
            "stamp_ns": placement.pose.stamp_ns,
            "position_m": position.tolist(),
            "orientation_xyzw": orientation.tolist(),
            "covariance": placement.pose.covariance.reshape(-1).tolist(),
        }
        try:
            write_file(self._path, json.dumps(content, indent=2) + "\n")
        except StorageError as error:
            self._log.warn("kept pose", f"The last pose cannot be kept: {error}")


@dataclass(frozen=True)
class _Whose:
    """Of what a kept pose is; the identity of the map is empty in files of earlier versions."""

    map_frame: str
    map_identity: str
    model: str
    frame: str


def _read(path: str) -> tuple[Pose, _Whose]:
    """The pose, and of what it is. Raises KeptPoseError."""
    try:
        content = parse_json(read_text(path, "pose file", KeptPoseError))
        names = content["map_frame"], content.get("map_identity", ""), content["model"], content["frame"]
        position = _numbers(content["position_m"], 3)
        orientation = _numbers(content["orientation_xyzw"], 4)
        covariance = _numbers(content["covariance"], 36).reshape(6, 6)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KeptPoseError(
            f"The pose file {path} cannot be used ({type(error).__name__}: {shown(error)}); remove it."
        ) from error
    is_covariance = np.allclose(covariance, covariance.T) and np.linalg.eigvalsh(covariance)[0] >= 0.0
    plausible = np.abs(position).max() <= MOST_METRES and quaternion.is_unit(orientation) and is_covariance
    if not (plausible and all(isinstance(name, str) for name in names)):
        raise KeptPoseError(f"The pose file {path} holds no pose that can be right; remove it.")
    T = se3.from_parts(position, quaternion.normalise(orientation))
    return Pose(0, T, covariance + np.diag(_SPREAD**2)), _Whose(*names)


def _numbers(values: Any, count: int) -> np.ndarray:
    array = np.array(values, dtype=np.float64)
    if array.shape != (count,) or not np.isfinite(array).all():
        raise ValueError(f"{count} finite numbers are needed")
    return array
