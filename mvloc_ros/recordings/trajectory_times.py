# SPDX-License-Identifier: Apache-2.0
"""Which pose of a trajectory is at which image: by their times, or one a frame in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.trajectory import Interpolation, NoPose, Trajectory
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.pose_series import stamp_text
from mvloc_ros.recordings.trajectory_file import TrajectoryFile

SAME_TIME_NS = 1_000_000
"""A pose that is no further from an image's time is of that time: files round their times to 0.1 ms or finer."""
_FEW = 0.5


@dataclass(frozen=True)
class Association:
    """How poses and images fit in time; differences are of an image to the pose nearest in time, in nanoseconds."""

    images: int
    posed: int
    median_ns: float
    largest_ns: float
    in_order: str = ""
    """Where the poses have no times: the images that they are of, one each."""

    @property
    def few(self) -> bool:
        """Whether so many images are without a pose that the user should look why."""
        return self.posed < _FEW * self.images

    def text(self) -> str:
        """One line for the terminal."""
        if self.in_order:
            return f"trajectory: one pose for each of {self.images} {self.in_order}, in order (it has no times)"
        share = self.posed / max(self.images, 1)
        return (
            f"trajectory: {self.posed} of {self.images} images ({share:.0%}) got a pose; the "
            f"nearest pose is {self.median_ns / 1e6:.3g} ms away (median), at most {self.largest_ns / 1e6:.3g} ms"
        )


def in_time(
    file: TrajectoryFile, images: Mapping[str, Sequence[int]], how: Interpolation
) -> tuple[Trajectory, Association]:
    """The trajectory with the times of the images, and how the two fit.

    Args:
        file: the trajectory.
        images: name -> stamps in nanoseconds, increasing. Poses with times are compared with those of the first name;
            poses without belong to the first images of which there are as many.
        how: what may be interpolated.

    Raises:
        RecordingError: poses without times are not as many as any images, or no pose is near an image in time.
    """
    first = next(iter(images.values()))
    if file.stamps_ns is None:
        return _in_order(file, images)
    stamps = np.array(first, dtype=np.int64)
    snapped = _snapped(file.stamps_ns, stamps)
    trajectory = Trajectory.collect(dict(zip(snapped.tolist(), file.poses, strict=True)))
    posed = [stamp for stamp in first if not isinstance(trajectory.sample(stamp, how), NoPose)]
    if not posed:
        raise RecordingError(
            f"No image has a pose in {file.options.path}: its times are from {stamp_text(int(file.stamps_ns[0]))} to "
            f"{stamp_text(int(file.stamps_ns[-1]))}, those of the images from {stamp_text(first[0])} to "
            f"{stamp_text(first[-1])}. Give the trajectory of this recording, with its times, or a larger --max-gap."
        )
    apart = _nearest_ns(file.stamps_ns, np.array(posed, dtype=np.int64))
    return trajectory, Association(len(first), len(posed), float(np.median(apart)), float(np.max(apart)))


def _in_order(file: TrajectoryFile, images: Mapping[str, Sequence[int]]) -> tuple[Trajectory, Association]:
    count = len(file.poses)
    for name, stamps in images.items():
        if len(stamps) == count:
            found = Trajectory(np.array(stamps, dtype=np.int64), file.poses)
            return found, Association(count, count, 0.0, 0.0, name)
    there = ", ".join(f"{len(stamps)} {name}" for name, stamps in images.items())
    raise RecordingError(
        f"{file.options.path} has {count} poses without times, one a frame, but the recording has {there}: the numbers "
        "must be equal; export the trajectory with times (TUM)."
    )


def _snapped(poses_ns: NDArray[np.int64], images_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """The times of the poses, those of the same time as an image moved onto it; of several the nearest."""
    nearest = images_ns[_nearest(images_ns, poses_ns)]
    apart = np.abs(nearest - poses_ns)
    result = poses_ns.copy()
    for image in np.unique(nearest[apart <= SAME_TIME_NS]):
        near = np.flatnonzero((nearest == image) & (apart <= SAME_TIME_NS))
        result[near[np.argmin(apart[near])]] = image
    return result


def _nearest(sorted_ns: NDArray[np.int64], wanted_ns: NDArray[np.int64]) -> NDArray[np.intp]:
    """Indices of the nearest of some sorted times."""
    after = np.clip(np.searchsorted(sorted_ns, wanted_ns), 1, max(len(sorted_ns) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(sorted_ns) - 1)
    return np.where(np.abs(sorted_ns[after] - wanted_ns) < np.abs(sorted_ns[before] - wanted_ns), after, before)


def _nearest_ns(poses_ns: NDArray[np.int64], images_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.abs(poses_ns[_nearest(poses_ns, images_ns)] - images_ns)
