# SPDX-License-Identifier: Apache-2.0
"""A pose of which its frame tells too little is accepted while depth and odometry tell it, and starts no other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mvloc_ros.geometry import se3
from mvloc_ros.localization.gate import GateLimits
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.tracker import Expectation, Fix, State, Tracker

PERIOD_NS = 100_000_000
FAULT = "the contrasts of the colour image are not those of the map"
VIEW_M = 0.31  # from one view to the next
NARROW = np.diag([0.01**2] * 3 + [0.005**2] * 3)
ALONG = np.diag([0.081**2, 0.01**2, 0.01**2] + [0.005**2] * 3)  # a corridor along x
TURNED = np.diag([0.01**2] * 3 + [0.005**2, 0.005**2, 0.036**2])


def fix(number: int, x: float, T_odom_x: float | None = None, **of_fix: Any) -> Fix:
    """A fix at `number` periods and `x` metres, odometry as far if nothing else is said."""
    T, T_odom = np.eye(4), np.eye(4)
    T[0, 3], T_odom[0, 3] = x, x if T_odom_x is None else T_odom_x
    values = {"T_odom_camera": T_odom, **of_fix}
    return Fix(Pose(1_000_000_000_000 + number * PERIOD_NS, T, values.pop("covariance", NARROW)), **values)


def weak(number: int, x: float, **of_fix: Any) -> Fix:
    return fix(number, x, **{"rejection": FAULT, "is_weak": True, "follows": True, **of_fix})


def tracking(frames: int = 5) -> Tracker:
    """A tracker that accepted so many views, at time 0 last and at the origin."""
    tracker = Tracker(GateLimits())
    for number in range(1 - frames, 1):
        assert tracker.update(fix(number, VIEW_M * number)).accepted
    return tracker


def expectation(tracker: Tracker, at: Fix) -> Expectation:
    found = tracker.expected(at.pose.stamp_ns, at.T_odom_camera)
    assert found is not None
    return found


def test_it_is_accepted_degraded_and_said():
    tracker = tracking()
    verdict = tracker.update(weak(3, 0.1))
    assert verdict.accepted
    assert verdict.state is State.DEGRADED
    assert verdict.reason == f"accepted as odometry leads there from the pose of 0.3 s before, although {FAULT}"
    assert np.array_equal(verdict.T_map_camera, fix(3, 0.1).pose.T)
    assert np.allclose(verdict.T_map_odom, np.eye(4))
    assert tracker.update(fix(4, 0.12)).state is State.TRACKING


def test_what_follows_starts_from_the_pose_that_the_images_told():
    """Else each step would forget what odometry erred before, and many small steps seem surer than one large."""
    one, many = tracking(), tracking()
    for number in range(1, 20):
        assert many.update(weak(number, 0.01 * number)).accepted
    last = weak(20, 0.2)
    found, expected = expectation(many, last), expectation(one, last)
    assert np.array_equal(found.pose.T, expected.pose.T)
    assert np.array_equal(found.pose.covariance, expected.pose.covariance)


@pytest.mark.parametrize(
    "changes",
    [
        {"T_odom_camera": None},
        {"is_weak": False},
        {"follows": False},
        {"is_partial": True},
        {"is_repeated": True},
        {"unverified": "there is no depth image"},
        {"covariance": ALONG},
        {"covariance": TURNED},
        {"covariance": np.full((6, 6), np.nan)},
        {"T_odom_x": 1.5},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_it_is_rejected_where_anything_of_that_is_missing(changes: dict[str, Any]):
    tracker = tracking()
    assert not tracker.update(weak(1, 0.1, **changes)).accepted
    assert tracker.update(weak(1, 0.1)).accepted, "nothing else is missing"


def test_only_a_place_that_several_views_told_leads_on():
    """In a copy of the place a frame or two are accepted by chance."""
    tracker = tracking(4)
    assert not tracker.update(weak(1, 0.0)).accepted
    assert tracker.update(fix(2, VIEW_M)).accepted
    assert tracker.update(weak(3, VIEW_M)).accepted
    tracker.forget()
    assert tracker.update(fix(4, 0.0)).accepted
    assert not tracker.update(weak(5, 0.0)).accepted


def test_a_jump_begins_anew():
    tracker = tracking()
    jumps = [tracker.update(fix(number, 20.0, 0.0)) for number in range(1, 6)]
    assert [jump.accepted for jump in jumps] == [False] * 4 + [True]
    assert not tracker.update(weak(6, 20.0, T_odom_x=0.0)).accepted
    ways = [VIEW_M * number for number in range(5)]
    assert all(tracker.update(fix(7 + n, 20.0 + way, way)).accepted for n, way in enumerate(ways))
    assert tracker.update(weak(12, 20.0 + ways[-1], T_odom_x=ways[-1])).accepted


def test_frames_of_one_view_tell_a_place_once():
    """They repeat each other's errors, however long the robot stands there."""
    tracker = Tracker(GateLimits())
    assert all(tracker.update(fix(number, 0.0)).accepted for number in range(50))
    assert not tracker.update(weak(50, 0.0)).accepted


def test_a_hint_and_no_pose_at_all_lead_nowhere():
    assert not Tracker(GateLimits()).update(weak(1, 0.0)).accepted
    hinted = tracking()
    hinted.hint(fix(0, 0.0).pose, se3.inverse(np.eye(4)))
    assert not hinted.update(weak(1, 0.0)).accepted
    off = Tracker(replace(GateLimits(), enabled=False))
    assert all(off.update(fix(number, 0.0)).accepted for number in range(-5, 1))
    assert not off.update(weak(1, 0.0)).accepted


def test_lost_counts_from_the_last_pose_that_was_accepted_of_either_kind():
    tracker = tracking()
    assert tracker.update(weak(15, 0.1)).accepted
    rejected = [tracker.update(weak(number, 0.1, follows=False)).state for number in (16, 34, 36)]
    assert rejected == [State.DEGRADED, State.DEGRADED, State.LOST]
