# SPDX-License-Identifier: Apache-2.0
"""In which order poses are tried, and what is retrieved or drawn for it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.sightings import Sightings
from mvloc_ros.localization.starts import FEATURES, NEAR_KEYFRAME, Retrieved, Start, gain, in_order


def pose(metres: float, radians: float) -> Pose:
    """With these standard deviations along each axis."""
    return Pose(0, np.eye(4), np.diag([metres**2] * 3 + [radians**2] * 3))


GOOD, VAGUE, HOPELESS = pose(0.05, 0.03), pose(0.35, 0.1), pose(3.0, 1.0)


class Keyframes:
    """Counts how often it is asked."""

    def __init__(self, count: int, reach: tuple[float, ...]) -> None:
        self.asked = 0
        self.count = count
        self.retrieved = Retrieved(self.by_images, reach)

    def by_images(self, count: int) -> list[Start]:
        self.asked += 1
        return [Start(f"retrieval {rank}", np.eye(4), NEAR_KEYFRAME) for rank in range(1, min(count, self.count) + 1)]


def names(network: Pose, expected: Pose | None, keyframes: Keyframes | None, limit: int) -> list[str]:
    drawn = (np.eye(4) for _ in range(64))
    retrieved = None if keyframes is None else keyframes.retrieved
    return [start.name for start in in_order(network, expected, retrieved, drawn, limit)]


def test_the_gain_follows_from_the_covariance():
    assert gain(GOOD) == 1.0
    assert 0.2 < gain(VAGUE) < 0.6
    assert gain(HOPELESS) < 0.02
    assert gain(Pose(0, np.eye(4), np.zeros((6, 6)))) == 1.0


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_without_keyframes_the_starts_are_as_before(limit: int):
    for network in (GOOD, HOPELESS):
        assert names(network, None, None, limit) == ["network", "draw", "draw", "draw"][:limit]
        assert names(network, GOOD, None, limit) == ["network", "tracker", "draw", "draw"][:limit]


def test_one_start_is_the_networks_alone():
    for network in (GOOD, HOPELESS):
        keyframes = Keyframes(9, (0.9,))
        assert names(network, GOOD, keyframes, 1) == ["network"]
        assert keyframes.asked == 0


def test_retrieved_poses_take_the_place_of_drawn_ones():
    assert names(GOOD, None, Keyframes(9, (0.5, 0.2)), 4) == ["network", "retrieval 1", "retrieval 2", "retrieval 3"]
    assert names(GOOD, GOOD, Keyframes(9, (0.5, 0.2)), 4) == ["network", "tracker", "retrieval 1", "retrieval 2"]
    assert names(GOOD, None, Keyframes(1, (0.5,)), 4) == ["network", "retrieval 1", "draw", "draw"]
    assert names(GOOD, GOOD, Keyframes(0, ()), 3) == ["network", "tracker", "draw"]


def test_what_is_likelier_to_succeed_comes_first():
    found = names(HOPELESS, None, Keyframes(9, (0.5, 0.2)), 4)
    assert found == ["retrieval 1", "retrieval 2", "network", "retrieval 3"]
    assert names(HOPELESS, GOOD, Keyframes(9, (0.5,)), 3) == ["tracker", "retrieval 1", "network"]
    assert names(GOOD, HOPELESS, Keyframes(9, (0.5,)), 3) == ["network", "retrieval 1", "tracker"]
    # Of unknown reach, they do not push back what is known.
    assert names(HOPELESS, GOOD, Keyframes(9, ()), 3) == ["tracker", "network", "retrieval 1"]


def test_matched_features_come_first_of_what_is_retrieved():
    points = 1.0 + np.arange(27.0).reshape(9, 3)
    rays = points / points[:, 2:]
    by_features = Start(FEATURES, np.eye(4), matches=Sightings(rays, points[:, 2], points, np.eye(4)))
    retrieved = replace(Keyframes(9, (0.5, 0.2)).retrieved, by_features=lambda: by_features)
    found = [start.name for start in in_order(HOPELESS, None, retrieved, iter(()), 4)]
    assert found == ["features", "retrieval 1", "retrieval 2", "network"]
    assert [start.name for start in in_order(HOPELESS, None, retrieved, iter(()), 2)] == ["features", "network"]


def test_nothing_is_retrieved_before_the_sure_starts_were_tried():
    keyframes = Keyframes(9, (0.9,))
    starts = in_order(GOOD, GOOD, keyframes.retrieved, iter(()), 4)
    assert [next(starts).name, next(starts).name] == ["network", "tracker"]
    assert keyframes.asked == 0
    assert [start.name for start in starts] == ["retrieval 1", "retrieval 2"]
    starts = in_order(HOPELESS, GOOD, keyframes.retrieved, iter(()), 4)
    assert next(starts).name == "tracker"
    assert keyframes.asked == 1


def test_hypotheses_come_after_the_sure_starts_and_take_no_place_of_the_others():
    possible = [pose(0.1, 0.05), pose(0.2, 0.05)]
    keyframes = Keyframes(9, (0.9,)).retrieved

    def found(network: Pose, limit: int) -> list[str]:
        return [start.name for start in in_order(network, None, keyframes, iter(()), limit, possible)]

    assert found(HOPELESS, 3) == ["hypothesis", "hypothesis", "retrieval 1", "network", "retrieval 2"]
    assert found(GOOD, 2) == ["network", "hypothesis", "hypothesis", "retrieval 1"]
    assert found(HOPELESS, 1) == ["network"]


def test_a_well_known_expected_pose_is_tried_near_first_and_then_as_any():
    def reaches(expected: Pose, reach_m: float) -> list[tuple[str, float]]:
        starts = in_order(HOPELESS, expected, Keyframes(9, (0.4,)).retrieved, iter(()), 3, reach_m=reach_m)
        return [(start.name, start.reach_m) for start in starts]

    far = math.inf
    assert reaches(GOOD, 0.1)[:3] == [("tracker", 0.1), ("tracker", far), ("retrieval 1", far)]
    assert reaches(GOOD, far)[:2] == [("tracker", far), ("retrieval 1", far)]
    assert len(reaches(GOOD, 0.1)) == len(reaches(GOOD, far)) + 1, "at the cost of no other start"
