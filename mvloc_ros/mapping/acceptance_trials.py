# SPDX-License-Identifier: Apache-2.0
"""Refinements whose outcome is known: of right frames, and of frames that must not be accepted.

All on frames that the map of the trials has not seen. Right frames start from their true pose with errors drawn from
the network's covariance (the network itself may have been refitted to them):

    right       the network is as far off as usual
    far off     it is three times as far off
    rescued     it is much further off, but the last accepted pose is near
    changed     the network is as far off as usual, something stands in front of a part of the view, and another part
                shows what was elsewhere

Wrong ones are

    elsewhere   a start from which registration ends at another pose
    beside      the same, nearer, with the network failing and the start accepted a moment ago: a wrong pose that was
                accepted must not speak for the next one
    frozen      depth of an earlier moment, when the camera was more than the limits away
    shuffled    depth of any other moment
    blocked     something stands in front of most of the view, which registration fits to some surface of the map; where
                the rest suffices it ends right all the same
    mirrored    both images mirrored: a place that does not exist, with everything else as in this one
    turned      both images upside down: the same

The frozen and the shuffled ones start three times: where the network puts the images, at a keyframe at the very pose
that their depth was taken from, and there with that pose accepted a moment ago, so that nothing but the colour image
speaks against them. A good network would
else make its agreement the judge of all, and a poor one leave the rest untried.

Colour images are of the light of the recording in one trial of four, and in a light drawn by chance in the others
(`lighting`): what is accepted must not depend on the lamps of the day of the recording.

With further sensors all of them see the same of these, and every third frame lacks one (`trial_images.lost_in`).

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
from mvloc_ros.localization.judging import Refined
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.refinement import Refiner
from mvloc_ros.localization.starts import NEAR_KEYFRAME, NETWORK, TRACKER, Start
from mvloc_ros.localization.tracker import Expectation
from mvloc_ros.localization.verification import Evidence
from mvloc_ros.mapping.build import Cameras
from mvloc_ros.mapping.trial_images import Images, devices_of, lost_in
from mvloc_ros.model.frame import ColorImage, Frame, FrameError
from mvloc_ros.recordings import FrameRecord

Array = NDArray[np.float64]

LIMITS = 0.10, np.radians(10.0)
"""Metres and radians: a pose with a larger error is wrong."""
BESIDE = "beside"
RETRIEVED = "retrieved", "features", "retrieved elsewhere", "scan"
"""Kinds of `retrieval_trials`."""
BLOCKED = "blocked"
EITHER = *RETRIEVED, BLOCKED
"""Kinds of which neither outcome is the usual one; the summary counts right and wrong ones apart."""
OF_TWO_MOMENTS = tuple(f"{kind}{way}" for kind in ("frozen", "shuffled") for way in ("", ", keyframe", ", at its pose"))
"""Kinds with the depth of another moment, whose place may be right by the depth."""
RIGHT_KINDS = "right", "far off", "rescued", "changed"
_STARTS_PER_FRAME, _STARTS_ELSEWHERE, _STARTS_BESIDE = 2, 1, 2
# How far away a start must be to count as elsewhere.
_ELSEWHERE = 0.6, np.radians(40.0)
# How far beside the true pose one starts that was accepted wrongly: metres and radians, from and to.
_BESIDE_M, _BESIDE_RAD = (0.15, 0.5), (0.1, 0.5)
# By how many of its standard deviations the network errs where it fails.
_FAILURE = 8.0
# And by how many times its usual error where it is far off.
_FAR_OFF = 3.0
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


def run_trials(
    held: Sequence[FrameRecord], others: Sequence[FrameRecord], cameras: Cameras, localizer: Localizer, refiner: Refiner
) -> list[Trial]:
    """Trials on held-out frames; `others` lend their depth to the wrong ones. `localizer` gives the network's poses."""
    usable = [record for record in held if is_complete(record)]
    lenders = [record for record in others if is_complete(record)]
    rng = np.random.default_rng(0)
    trials: list[Trial] = []
    for number, record in enumerate(tqdm(usable, desc="trials", unit="frame")):
        lost = lost_in(number, cameras, devices_of(cameras))
        trials += _trials_of(record, lenders, cameras, localizer, refiner, rng, lost)
    return trials


def _trials_of(
    record: FrameRecord,
    lenders: Sequence[FrameRecord],
    cameras: Cameras,
    localizer: Localizer,
    refiner: Refiner,
    rng: np.random.Generator,
    lost: frozenset[str],
) -> Iterator[Trial]:
    images = Images.of(record, cameras)
    truth, covariance = pose_of(record), localizer.covariance
    spread = np.sqrt(np.diag(covariance))

    def trial(
        kind: str, seen: Images, network: Array, T_true: Array | None, expected: Array | None = None
    ) -> Iterator[Trial]:
        near = None if expected is None else Expectation(Pose(0, expected, np.diag(_MOTION**2)), is_hint=False)
        start = Start(NETWORK, network) if expected is None else Start(TRACKER, expected)
        found = attempt(refiner, localizer, start, Pose(0, network, covariance), seen.without(lost), near)
        if found is not None and not (kind == BESIDE and _is_undecidable(found)):
            yield judged(kind, found, T_true)

    def keyframe(kind: str, seen: Images, T: Array) -> Iterator[Trial]:
        network = moved(truth, _FAR_OFF * spread * rng.standard_normal(6))
        start, pose = Start(kind, T, NEAR_KEYFRAME), Pose(0, network, covariance)
        found = attempt(refiner, localizer, start, pose, seen.without(lost))
        if found is not None:
            yield judged(kind, found, None)

    for draw in rng.standard_normal((_STARTS_PER_FRAME, 6)):
        yield from trial("right", images.lit(rng), moved(truth, spread * draw), truth)
    yield from trial("far off", images.lit(rng), moved(truth, _FAR_OFF * spread * rng.standard_normal(6)), truth)
    way, motion = rng.standard_normal((2, 6))
    failed = moved(truth, _FAILURE * np.sqrt(6.0) / float(np.linalg.norm(way)) * spread * way)
    yield from trial("rescued", images.lit(rng), failed, truth, moved(truth, _MOTION * motion))
    for _ in range(_STARTS_BESIDE):
        beside = moved(truth, np.concatenate([_way(rng, _BESIDE_M), _way(rng, _BESIDE_RAD)]))
        yield from trial(BESIDE, images.lit(rng), failed, truth, beside)
    yield from trial(BLOCKED, images.blocked(rng), moved(truth, spread * rng.standard_normal(6)), truth)
    away = [lender for lender in lenders if _apart(lender, truth, _ELSEWHERE)]
    for _ in range(_STARTS_ELSEWHERE if away else 0):
        yield from trial("elsewhere", images.lit(rng), pose_of(away[rng.integers(len(away))]), truth)
    earlier = [r for r in lenders if r.sequence == record.sequence and r.stamp_ns < record.stamp_ns]
    frozen = next((r for r in reversed(earlier) if _apart(r, truth, LIMITS)), None)
    others = [r for r in lenders if _apart(r, truth, LIMITS)]
    shuffled = others[rng.integers(len(others))] if others else None
    if shuffled is not None:
        changed = images.changed(Images.of(shuffled, cameras), rng).lit(rng)
        yield from trial("changed", changed, moved(truth, spread * rng.standard_normal(6)), truth)
    for kind, other in (("frozen", frozen), ("shuffled", shuffled)):
        if other is None:
            continue
        seen = images.with_depth_of(Images.of(other, cameras)).lit(rng)
        yield from keyframe(f"{kind}, keyframe", seen, pose_of(other))
        network = _network_pose(seen.without(lost), localizer)
        if network is not None:
            yield from trial(kind, seen, network, None)
            yield from trial(f"{kind}, at its pose", seen, network, None, pose_of(other))
    for kind, seen in (("mirrored", images.mirrored()), ("turned", images.turned())):
        lit = seen.lit(rng)
        network = _network_pose(lit.without(lost), localizer)
        if network is not None:
            yield from trial(kind, lit, network, None)


def attempt(
    refiner: Refiner,
    localizer: Localizer,
    start: Start,
    network: Pose,
    seen: Images,
    expected: Expectation | None = None,
) -> Refined | None:
    """What a start leads to with these images; None where it leads nowhere."""
    color = None if seen.color is None else localizer.prepared(seen.color)
    return refiner.attempt(start, network, seen.depth, color, expected, seen.further)


def _way(rng: np.random.Generator, lengths: tuple[float, float]) -> Array:
    """A vector `[3]` in any direction, of a length between the two."""
    way = rng.standard_normal(3)
    return np.asarray(way * (rng.uniform(*lengths) / np.linalg.norm(way)))


def _network_pose(seen: Images, localizer: Localizer) -> Array | None:
    """Where the network puts the images."""
    color = None if seen.color is None else ColorImage(seen.color, "rgb")
    try:
        return localizer.process(Frame(0, "", color, seen.depth, further=seen.further)).pose.T
    except FrameError:
        return None


def _is_undecidable(found: Refined) -> bool:
    """Whether nothing in the view could contradict a pose that was accepted wrongly: a plain wall, a corridor.

    What the depth image leaves open there is what was accepted before, and a trial that claims to know that to
    centimetres where it is decimetres off asks for the impossible.
    """
    return found.determined < 6


def judged(kind: str, found: Refined, T_true: Array | None) -> Trial:
    """A refinement beside the true pose (4x4); None where the frame has none."""
    if T_true is None:
        return Trial(kind, found.evidence, False, found, None)
    error = pose_error(found.pose.T, T_true)
    right = float(np.linalg.norm(error[:3])) <= LIMITS[0] and float(np.linalg.norm(error[3:])) <= LIMITS[1]
    return Trial(kind, found.evidence, right, found, error)


def is_complete(record: FrameRecord) -> bool:
    """Whether a frame has both images and a pose."""
    return record.color is not None and record.depth is not None and record.T_map_camera is not None


def pose_of(record: FrameRecord) -> Array:
    """T_map_camera (4x4) of a frame that has one."""
    return np.asarray(record.T_map_camera, dtype=np.float64)


def _apart(record: FrameRecord, T: Array, limits: tuple[float, float]) -> bool:
    pose = pose_of(record)
    return bool(se3.translation_error(pose, T) > limits[0] or se3.rotation_error(pose, T) > limits[1])
