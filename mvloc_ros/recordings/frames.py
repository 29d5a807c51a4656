# SPDX-License-Identifier: Apache-2.0
"""The values that describe a posed RGB-D recording, whatever folder layout it came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mvloc_ros.geometry.camera import PinholeCamera


@dataclass(frozen=True, eq=False)
class FrameRecord:
    """One frame: where its images lie and where the camera was.

    `color` or `depth` is None where that image does not exist (a depth image that no colour image
    matches is no frame). `stamp_ns` is the colour image's time; `depth_stamp_ns` differs from it
    where the sensor was not synchronised. `T_map_camera` is 4x4 float64 and maps coordinates of the
    camera that `PosedFolder.pose_of` names (optical convention), at the time of its image, into the map.
    """

    sequence: str
    index: int
    stamp_ns: int
    color: Path | None
    depth: Path | None
    T_map_camera: npt.NDArray[np.float64] | None
    depth_stamp_ns: int | None = None


@dataclass(frozen=True)
class LeftOut:
    """A frame that is no record because a file of it is damaged or missing: that file, and what is wrong with it.

    `detail` is the whole sentence where there is more to say.
    """

    path: Path
    reason: str
    detail: str = ""


@dataclass(frozen=True, eq=False)
class PosedFolder:
    """A folder of posed RGB-D frames, split into training and test frames, each in order of time.

    `layout` is '7scenes' or 'tum', `pose_of` is 'color' or 'depth': the camera whose pose the frames
    carry. `depth_units_per_metre` is the value of a depth pixel at one metre. `depth_registered`
    says whether depth and colour pixels already correspond. `licence` is empty where unknown.
    `T_color_depth` (4x4) maps coordinates of the depth camera into the colour camera, None where unknown.
    `max_depth_m` is how far the depth measurements go, None where the folder does not say.
    `depth_of_points` says that depth images are of single points, as those of a LIDAR are.
    `depth_projection` is 'pinhole', or 'cylindrical' for panoramas, through whose `depth_camera` nothing may project.
    `left_out` are the frames whose pose could not be read.
    """

    root: Path
    layout: str
    color_camera: PinholeCamera
    depth_camera: PinholeCamera
    depth_units_per_metre: float
    depth_registered: bool
    pose_of: str
    rate_hz: float
    licence: str
    train: tuple[FrameRecord, ...]
    test: tuple[FrameRecord, ...]
    T_color_depth: npt.NDArray[np.float64] | None = None
    left_out: tuple[LeftOut, ...] = ()
    max_depth_m: float | None = None
    depth_of_points: bool = False
    depth_projection: str = "pinhole"

    def frames(self) -> Iterator[FrameRecord]:
        """All frames, training and test, in order of time."""
        return iter(sorted((*self.train, *self.test), key=lambda frame: frame.stamp_ns))
