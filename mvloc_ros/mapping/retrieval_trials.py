# SPDX-License-Identifier: Apache-2.0
"""Refinements that start where keyframes or a scan say: right ones, and the likeliest way to a wrong pose that fits.

Held-out frames, three of four in another light, are registered from

    retrieved             the poses of the keyframes that look most like them, and some such as a keyframe beside them
                          would have
    features              the pose that matched local features tell
    retrieved elsewhere   both, from keyframes of other places alone: two offices alike, a place that was not recorded;
                          if their features, seen from afar, tell a pose at the true place, that counts as `features`
    scan                  the places that their depth fits, right or wrong, where the camera moves in a plane

The network errs there as its covariance says, and no pose was accepted before: a localizer that wakes up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros.localization.keyframe_starts import KeyframeStarts, Look
from mvloc_ros.localization.level_scan import ScanHistory
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.refinement import Refiner
from mvloc_ros.localization.retrieval import near
from mvloc_ros.localization.scan_map import ScanMap
from mvloc_ros.localization.scan_starts import depth_scans
from mvloc_ros.localization.starts import NEAR_KEYFRAME, REACH_M, REACH_RAD, SCAN, Start
from mvloc_ros.mapping.acceptance_trials import RETRIEVED, Trial, attempt, is_complete, judged, pose_of
from mvloc_ros.mapping.build import Cameras
from mvloc_ros.mapping.trial_images import Images, devices_of, lost_in
from mvloc_ros.model.frame import ColorImage, Frame
from mvloc_ros.recordings import FrameRecord

Array = NDArray[np.float64]

NEAR, BY_FEATURES, ELSEWHERE, BY_SCAN = RETRIEVED
_STARTS_PER_FRAME, _BESIDE_PER_FRAME, _SCANS_PER_FRAME = 2, 2, 2
_ELSEWHERE_M, _ELSEWHERE_RAD = 1.5, np.radians(60.0)


def run_retrieval_trials(
    held: Sequence[FrameRecord],
    keyframes: KeyframeStarts,
    cameras: Cameras,
    localizer: Localizer,
    refiner: Refiner,
    scan_map: ScanMap | None = None,
) -> list[Trial]:
    """Trials on held-out frames, of which none is a keyframe; `scan_map` of the refiner's map, if it has one."""
    rng = np.random.default_rng(1)
    trials: list[Trial] = []
    # What is retrieved by is the pair, so that this is not lost.
    others = devices_of(cameras)[1:]
    for number, record in enumerate(tqdm([r for r in held if is_complete(r)], desc="retrieval trials", unit="frame")):
        lost = lost_in(number, cameras, others)
        trials += _trials_of(record, keyframes, cameras, localizer, refiner, scan_map, rng, lost)
    return trials


def _trials_of(
    record: FrameRecord,
    keyframes: KeyframeStarts,
    cameras: Cameras,
    localizer: Localizer,
    refiner: Refiner,
    scan_map: ScanMap | None,
    rng: np.random.Generator,
    lost: frozenset[str],
) -> Iterator[Trial]:
    images, truth = Images.of(record, cameras).lit(rng).without(lost), pose_of(record)
    assert images.color is not None
    covariance = localizer.covariance
    frame = Frame(record.stamp_ns, "", ColorImage(images.color, "rgb"), images.depth, further=images.further)
    descriptor, features = localizer.described(frame), localizer.features(frame)
    look = Look(lambda: descriptor, lambda: features)
    beside = [Start(NEAR, _beside(truth, rng), NEAR_KEYFRAME) for _ in range(_BESIDE_PER_FRAME)]
    starts: list[tuple[str, Start | None]] = [
        (NEAR, start) for start in (*beside, *keyframes.by_images(look, _STARTS_PER_FRAME))
    ]
    starts.append((BY_FEATURES, keyframes.by_features(look)))
    here = keyframes.near(truth, _ELSEWHERE_M, _ELSEWHERE_RAD)
    starts += [(ELSEWHERE, start) for start in keyframes.by_images(look, 1, without=here)]
    from_afar = keyframes.by_features(look, without=here)
    starts.append((BY_FEATURES if from_afar is not None and is_here(from_afar.T, truth) else ELSEWHERE, from_afar))
    if scan_map is not None:
        starts += [(BY_SCAN, start) for start in _scanned(images, refiner, scan_map)]
    for kind, start in starts:
        network = moved(truth, np.sqrt(np.diag(covariance)) * rng.standard_normal(6))
        if start is None:
            continue
        found = attempt(refiner, localizer, start, Pose(0, network, covariance), images)
        if found is not None:
            yield judged(kind, found, truth)


def is_here(T: Array, truth: Array) -> bool:
    """Whether a pose (4x4) that the features of other places tell is at the true place after all."""
    return bool(near(T[None], truth, _ELSEWHERE_M, _ELSEWHERE_RAD)[0])


def _scanned(images: Images, refiner: Refiner, scan_map: ScanMap) -> list[Start]:
    """The best places of one frame alone; none without depth."""
    scans = depth_scans(refiner.rig, images.depth, images.further)
    scan = ScanHistory(scan_map.motion, scan_map.bottom_m).with_images(scans, 0, None)
    return [Start(SCAN, place, NEAR_KEYFRAME) for place in scan_map.find(scan, _SCANS_PER_FRAME)]


def _beside(T: Array, rng: np.random.Generator) -> Array:
    """A pose as far away as a keyframe is from which registration should succeed."""
    ways = rng.standard_normal((2, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    return moved(T, np.concatenate([rng.uniform(0.0, REACH_M) * ways[0], rng.uniform(0.0, REACH_RAD) * ways[1]]))
