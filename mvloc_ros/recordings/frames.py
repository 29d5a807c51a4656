# SPDX-License-Identifier: Apache-2.0
"""The values that describe an RGB-D recording, with poses or without, whatever folder layout it came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.model.modalities import Sensor
from mvloc_ros.recordings.imu.samples import Imu


@dataclass(frozen=True, eq=False)
class FrameRecord:
    """One frame: where its images lie and where the camera was.

    `color` or `depth` is None where that image does not exist (a depth image that no colour image
    matches is no frame); `further` are name and image of the sensors besides the two.
    `stamp_ns` is the colour image's time; `depth_stamp_ns` differs from it
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
    further: tuple[tuple[str, Path], ...] = ()

    def images(self) -> dict[str, Path]:
        """The image files by modality, of those that exist."""
        pair = {"color": self.color, "depth": self.depth}
        return {name: path for name, path in pair.items() if path is not None} | dict(self.further)


@dataclass(frozen=True)
class LeftOut:
    """A frame that is no record because a file of it is damaged or missing: that file, and what is wrong with it.

    `detail` is the whole sentence where there is more to say.
    """

    path: Path
    reason: str
    detail: str = ""


@dataclass(frozen=True, eq=False)
class CameraSettings:
    """Cameras and conventions of a folder: the layout's defaults, or what `camera.json` says.

    `depth_units_per_metre` is the value of a depth pixel at one metre. `depth_registered` says whether depth and colour
    pixels already correspond. `pose_of` is 'color' or 'depth': the camera whose pose the frames carry. `licence` is
    empty where unknown. `T_color_depth` (4x4) maps coordinates of the depth camera into the colour camera, None where
    unknown. `max_depth_m` is how far the depth measurements go, None where nothing says it; `depth_of_points` says that
    depth images are of single points, with nothing between them. Of depth that is a panorama (`depth_projection` is
    'cylindrical', not 'pinhole') the depth camera means nothing. `T_base_camera` (4x4) maps coordinates of the camera
    that `pose_of` names into the robot's base (REP-105's `base_link`), None where unknown.
    `sensors` are those besides color and depth, in order.
    """

    color_camera: PinholeCamera
    depth_camera: PinholeCamera
    depth_units_per_metre: float
    depth_registered: bool
    pose_of: str
    rate_hz: float
    licence: str = ""
    T_color_depth: npt.NDArray[np.float64] | None = None
    max_depth_m: float | None = None
    depth_of_points: bool = False
    depth_projection: str = "pinhole"
    T_base_camera: npt.NDArray[np.float64] | None = None
    sensors: tuple[Sensor, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class PosedFolder(CameraSettings):
    """A folder of posed RGB-D frames, split into training and test frames, each in order of time.

    `layout` is '7scenes' or 'tum'. `unused` are frames beside test frames and too much like them to be trained on;
    `left_out` are the frames whose pose could not be read. `parts` are the folders that this one joins, with their
    frames as they are named here, `root` the first of them; a single folder has none.
    """

    root: Path
    layout: str
    train: tuple[FrameRecord, ...]
    test: tuple[FrameRecord, ...]
    unused: tuple[FrameRecord, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    parts: tuple[PosedFolder, ...] = ()

    @property
    def where(self) -> str:
        """The path of the folder, or of all that it joins, for a message."""
        *others, last = (str(part.root) for part in self.parts or (self,))
        return f"{', '.join(others)} and {last}" if others else last

    def frames(self) -> Iterator[FrameRecord]:
        """All frames, whatever they are used for, in order of time."""
        return iter(sorted((*self.train, *self.test, *self.unused), key=lambda frame: frame.stamp_ns))


@dataclass(frozen=True, eq=False)
class BareSequence:
    """One recording in order of time.

    Attributes:
        name: of its folder.
        frames: with no pose (`T_map_camera` is None).
        odometry: T_odom_base at stamps of the frames' clock; None without.
        imu: its samples, checked; None without. It may be that none can be used, as its remarks say.
    """

    name: str
    frames: tuple[FrameRecord, ...]
    odometry: Trajectory | None = None
    imu: Imu | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class BareFolder(CameraSettings):
    """A folder of RGB-D frames without poses; `layout` is '7scenes' or 'tum'."""

    root: Path
    layout: str
    sequences: tuple[BareSequence, ...]

    @property
    def where(self) -> str:
        """The path, for a message."""
        return str(self.root)

    @property
    def frames(self) -> tuple[FrameRecord, ...]:
        """Of all sequences, one after another."""
        return tuple(frame for sequence in self.sequences for frame in sequence.frames)
