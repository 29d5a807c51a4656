# SPDX-License-Identifier: Apache-2.0
"""Refinements whose outcome is known: of right frames, and of frames that must not be accepted.

All on frames that the map of the trials has not seen. Right frames start from their true pose with errors drawn from
the network's covariance (the network itself may have been refitted to them):

    right       the network is as far off as usual
    rescued     it is much further off, but the last accepted pose is near

Wrong ones are

    elsewhere   a start from which registration ends at another pose
    frozen      depth of an earlier moment, when the camera was more than the limits away
    shuffled    depth of any other moment
    mirrored    both images mirrored: a place that does not exist, with everything else as in this one

The frozen and the shuffled ones start twice: where the network puts the images, and at the very pose that their depth
was taken from, accepted a moment ago, so that nothing but the colour image speaks against them. A good network would
else make its agreement the judge of all, and a poor one leave the rest untried.

Frames that a rule rejects (`verification.fault`) tell the score nothing; they are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.refinement import Refined, Refiner, moved
from mvloc_ros.localization.tracker import Expectation
from mvloc_ros.localization.verification import Evidence
from mvloc_ros.mapping.build import Cameras, depth_image
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame, FrameError
from mvloc_ros.recordings import FrameRecord, read_color

Array = NDArray[np.float64]

LIMITS = 0.10, np.radians(10.0)
"""Metres and radians: a pose with a larger error is wrong."""
_STARTS_PER_FRAME = 3
# How far away a start must be to count as elsewhere.
_ELSEWHERE = 0.6, np.radians(40.0)
# By how many of its standard deviations the network errs where it fails.
_FAILURE = 8.0
# How far the accepted pose is from the true one: metres and radians, what a camera moves in a tenth of a second.
_MOTION = np.array([0.03] * 3 + [0.03] * 3)


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

    @property
    def ruled_out(self) -> bool:
        """Whether a rule rejects it, whatever its score."""
        return bool(self.refined.rejection)


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

    def mirrored(self) -> Images:
        """Left and right exchanged."""
        depth = DepthImage(np.ascontiguousarray(self.depth.values[:, ::-1]), self.depth.metres_per_unit)
        return Images(np.ascontiguousarray(self.color[:, ::-1]), depth)


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
    truth, covariance = _pose(record), localizer.covariance
    spread = np.sqrt(np.diag(covariance))

    def trial(
        kind: str, seen: Images, network: Array, T_true: Array | None, expected: Array | None = None
    ) -> Iterator[Trial]:
        near = None if expected is None else Expectation(Pose(0, expected, np.diag(_MOTION**2)), is_hint=False)
        start = network if expected is None else expected
        color = localizer.prepared(seen.color)
        found = refiner.attempt(start, Pose(0, network, covariance), seen.depth, color, near)
        if found is not None:
            yield _judged(kind, found, T_true)

    for draw in rng.standard_normal((_STARTS_PER_FRAME, 6)):
        yield from trial("right", images, moved(truth, spread * draw), truth)
    way, motion = rng.standard_normal((2, 6))
    failed = moved(truth, _FAILURE * np.sqrt(6.0) / float(np.linalg.norm(way)) * spread * way)
    yield from trial("rescued", images, failed, truth, moved(truth, _MOTION * motion))
    away = [lender for lender in lenders if _apart(lender, truth, _ELSEWHERE)]
    if away:
        yield from trial("elsewhere", images, _pose(away[rng.integers(len(away))]), truth)
    earlier = [r for r in lenders if r.sequence == record.sequence and r.stamp_ns < record.stamp_ns]
    frozen = next((r for r in reversed(earlier) if _apart(r, truth, LIMITS)), None)
    others = [r for r in lenders if _apart(r, truth, LIMITS)]
    shuffled = others[rng.integers(len(others))] if others else None
    for kind, other in (("frozen", frozen), ("shuffled", shuffled)):
        if other is None:
            continue
        seen = Images(images.color, depth_image(other, cameras))
        network = _network_pose(seen, localizer)
        if network is not None:
            yield from trial(kind, seen, network, None)
            yield from trial(f"{kind}, at its pose", seen, network, None, _pose(other))
    mirrored = images.mirrored()
    network = _network_pose(mirrored, localizer)
    if network is not None:
        yield from trial("mirrored", mirrored, network, None)


def _network_pose(seen: Images, localizer: Localizer) -> Array | None:
    """Where the network puts the images."""
    try:
        return localizer.process(Frame(0, "", ColorImage(seen.color, "rgb"), seen.depth)).pose.T
    except FrameError:
        return None


def _judged(kind: str, found: Refined, T_true: Array | None) -> Trial:
    if T_true is None:
        return Trial(kind, found.evidence, False, found, None)
    error = pose_error(found.pose.T, T_true)
    right = float(np.linalg.norm(error[:3])) <= LIMITS[0] and float(np.linalg.norm(error[3:])) <= LIMITS[1]
    return Trial(kind, found.evidence, right, found, error)


def _is_complete(record: FrameRecord) -> bool:
    return record.color is not None and record.depth is not None and record.T_map_camera is not None


def _pose(record: FrameRecord) -> Array:
    return np.asarray(record.T_map_camera, dtype=np.float64)


def _apart(record: FrameRecord, T: Array, limits: tuple[float, float]) -> bool:
    pose = _pose(record)
    return bool(se3.translation_error(pose, T) > limits[0] or se3.rotation_error(pose, T) > limits[1])
