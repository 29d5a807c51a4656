# SPDX-License-Identifier: Apache-2.0
"""Refinements whose outcome is known: of right frames, and of frames that must not be believed.

All on frames that the map of the trials has not seen. Right frames start from their true pose with errors drawn from
the network's covariance (the network itself may have been refitted to them). Wrong ones are

    elsewhere   a start from which registration ends at another pose
    frozen      depth of an earlier moment, when the camera was more than the limits away
    shuffled    depth of any other moment
    mirrored    both images mirrored: a place that does not exist, with everything else as in this one
    blank       a colour image that shows nothing
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.inference.frame import ColorImage, DepthImage, Frame, FrameError
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.refinement import Refined, Refiner, moved
from mvloc_ros.localization.verification import Evidence
from mvloc_ros.mapping.build import Cameras, depth_image
from mvloc_ros.recordings import FrameRecord, read_color

Array = NDArray[np.float64]

LIMITS = 0.10, np.radians(10.0)
"""Metres and radians: a pose with a larger error is wrong."""
_STARTS_PER_FRAME = 3
# How far away a start must be to count as elsewhere.
_ELSEWHERE = 0.6, np.radians(40.0)


@dataclass(frozen=True, eq=False)
class Trial:
    """One refinement: what it was, what was found, and whether the pose is right.

    `error` is `[6]` in ROS order; None where the frame has no right pose.
    """

    kind: str
    evidence: Evidence
    right: bool
    refined: Refined
    error: Array | None


@dataclass(frozen=True, eq=False)
class Images:
    """The images of a frame."""

    color: NDArray[np.uint8]
    depth: DepthImage

    @staticmethod
    def of(record: FrameRecord, cameras: Cameras) -> Images:
        """Read them."""
        assert record.color is not None
        return Images(read_color(record.color), depth_image(record, cameras))


def run_trials(
    held: Sequence[FrameRecord], others: Sequence[FrameRecord], cameras: Cameras, localizer: Localizer, refiner: Refiner
) -> list[Trial]:
    """Trials on held-out frames; `others` lend their depth to the wrong ones. `localizer` gives the network's poses."""
    usable = [record for record in held if _is_complete(record)]
    lenders = [record for record in others if _is_complete(record)]
    rng = np.random.default_rng(0)
    trials: list[Trial] = []
    for record in tqdm(usable, desc="trials", unit="frame"):
        trials += _trials_of(record, lenders, cameras, localizer, refiner, rng)
    return trials


def _trials_of(
    record: FrameRecord,
    lenders: Sequence[FrameRecord],
    cameras: Cameras,
    localizer: Localizer,
    refiner: Refiner,
    rng: np.random.Generator,
) -> Iterator[Trial]:
    images = Images.of(record, cameras)
    truth = np.asarray(record.T_map_camera, dtype=np.float64)

    def trial(kind: str, seen: Images, start: Array, T_true: Array | None) -> Iterator[Trial]:
        color, covariance = localizer.prepared(seen.color), localizer.covariance
        found = refiner.refine(start, covariance, seen.depth, color, None)
        if not isinstance(found, str):
            yield _judged(kind, found, T_true)

    spread = np.sqrt(np.diag(localizer.covariance))
    for draw in rng.standard_normal((_STARTS_PER_FRAME, 6)):
        yield from trial("right", images, moved(truth, spread * draw), truth)
    away = [lender for lender in lenders if _apart(lender, truth, _ELSEWHERE)]
    if away:
        yield from trial("elsewhere", images, _pose(away[rng.integers(len(away))]), truth)
    earlier = [r for r in lenders if r.sequence == record.sequence and r.stamp_ns < record.stamp_ns]
    frozen = next((r for r in reversed(earlier) if _apart(r, truth, LIMITS)), None)
    shuffled = [r for r in lenders if _apart(r, truth, LIMITS)]
    lent = {"frozen": frozen, "shuffled": shuffled[rng.integers(len(shuffled))] if shuffled else None}
    wrong = {
        kind: Images(images.color, depth_image(other, cameras)) for kind, other in lent.items() if other is not None
    }
    wrong["mirrored"] = Images(
        images.color[:, ::-1], DepthImage(images.depth.values[:, ::-1], images.depth.metres_per_unit)
    )
    wrong["blank"] = Images(np.full_like(images.color, 20), images.depth)
    for kind, seen in wrong.items():
        yield from _network_trial(kind, seen, localizer, trial)


def _network_trial(
    kind: str, seen: Images, localizer: Localizer, trial: Callable[[str, Images, Array, Array | None], Iterator[Trial]]
) -> Iterator[Trial]:
    """A trial that starts where the network puts the images."""
    frame = Frame(0, "", ColorImage(np.ascontiguousarray(seen.color), "rgb"), seen.depth)
    try:
        start = localizer.process(frame).T_map_camera
    except FrameError:
        return
    yield from trial(kind, Images(np.ascontiguousarray(seen.color), seen.depth), start, None)


def _judged(kind: str, found: Refined, T_true: Array | None) -> Trial:
    if T_true is None:
        return Trial(kind, found.evidence, False, found, None)
    error = pose_error(found.T_map_camera, T_true)
    right = float(np.linalg.norm(error[:3])) <= LIMITS[0] and float(np.linalg.norm(error[3:])) <= LIMITS[1]
    return Trial(kind, found.evidence, right, found, error)


def _is_complete(record: FrameRecord) -> bool:
    return record.color is not None and record.depth is not None and record.T_map_camera is not None


def _pose(record: FrameRecord) -> Array:
    return np.asarray(record.T_map_camera, dtype=np.float64)


def _apart(record: FrameRecord, T: Array, limits: tuple[float, float]) -> bool:
    pose = _pose(record)
    return bool(se3.translation_error(pose, T) > limits[0] or se3.rotation_error(pose, T) > limits[1])
