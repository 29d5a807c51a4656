# SPDX-License-Identifier: Apache-2.0
"""Refinements that start at retrieved poses: how many of those that end at a wrong pose would be accepted.

A keyframe that looks like the frame and was taken elsewhere is the likeliest way to a wrong pose that fits. So held-out
frames are registered from the poses retrieved for them, and from some such as keyframes beside them would have. The
score is not fitted to where that ends: in a house whose network knew nothing a quarter of what such a fit accepted was
wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.localization.keyframes import Keyframes
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.refinement import Refiner, moved
from mvloc_ros.localization.retrieval import Retrieval
from mvloc_ros.localization.starts import REACH_M, REACH_RAD, Start
from mvloc_ros.localization.verification import score
from mvloc_ros.mapping.acceptance_trials import LIMITS, Images, Trial
from mvloc_ros.mapping.build import Cameras
from mvloc_ros.mapping.keyframes import Described
from mvloc_ros.model.map_spec import AcceptanceSpec

Array = NDArray[np.float64]

KIND = "retrieved"
_STARTS_PER_FRAME, _BESIDE_PER_FRAME = 2, 2


def with_retrieved(spec: AcceptanceSpec, trials: Sequence[Trial]) -> AcceptanceSpec:
    """The same, with how many of the trials, right and wrong, it accepts in its summary."""
    told = {}
    for name, right in (("retrieved, right", True), ("retrieved, wrong", False)):
        mine = [trial for trial in trials if trial.right == right]
        passed = sum(not trial.ruled_out and score(trial.evidence, spec) >= spec.threshold for trial in mine)
        if mine:
            told[name] = {"trials": len(mine), "accepted": round(passed / len(mine), 4)}
    return replace(spec, summary={**spec.summary, **told})


def run_retrieval_trials(
    held: Sequence[Described], keyframes: Keyframes, cameras: Cameras, localizer: Localizer, refiner: Refiner
) -> list[Trial]:
    """Trials on held-out frames, of which none is a keyframe; the network errs there as its covariance says."""
    retrieval, rng = Retrieval(keyframes), np.random.default_rng(1)
    usable = [frame for frame in held if frame.record.color is not None and frame.record.depth is not None]
    trials: list[Trial] = []
    for frame in tqdm(usable, desc="retrieval trials", unit="frame"):
        trials += _trials_of(frame, retrieval, cameras, localizer, refiner, rng)
    return trials


def _trials_of(
    frame: Described,
    retrieval: Retrieval,
    cameras: Cameras,
    localizer: Localizer,
    refiner: Refiner,
    rng: np.random.Generator,
) -> Iterator[Trial]:
    images, covariance = Images.of(frame.record, cameras), localizer.covariance
    color, spread = localizer.prepared(images.color), np.sqrt(np.diag(covariance))
    beside = [_beside(frame.T, rng) for _ in range(_BESIDE_PER_FRAME)]
    for start in (*beside, *retrieval.nearest(frame.descriptor, _STARTS_PER_FRAME)):
        network = moved(frame.T, spread * rng.standard_normal(6))
        found = refiner.attempt(Start(KIND, start, is_keyframe=True), Pose(0, network, covariance), images.depth, color)
        if found is not None:
            error = pose_error(found.pose.T, frame.T)
            lengths = np.linalg.norm(error[:3]), np.linalg.norm(error[3:])
            right = bool(lengths[0] <= LIMITS[0] and lengths[1] <= LIMITS[1])
            yield Trial(KIND, found.evidence, right, found, error)


def _beside(T: Array, rng: np.random.Generator) -> Array:
    """A pose as far away as a keyframe is from which registration should succeed."""
    ways = rng.standard_normal((2, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    return moved(T, np.concatenate([rng.uniform(0.0, REACH_M) * ways[0], rng.uniform(0.0, REACH_RAD) * ways[1]]))
