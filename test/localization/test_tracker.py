# SPDX-License-Identifier: Apache-2.0
"""The tracker: what agrees is accepted, what does not is not, and a robot that was carried is found again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.localization.gate import GateLimits
from mvloc_ros.localization.motion import Growth, MotionModel
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.tracker import Fix, State, Tracker

PERIOD_NS = 100_000_000
SIGMA = np.array([0.05, 0.05, 0.05, 0.02, 0.02, 0.02])
COVARIANCE = np.diag(SIGMA**2)
LIMITS = GateLimits()
ELSEWHERE = (20.0, -3.0, 0.0)


def pose(x: float = 0.0, y: float = 0.0, z: float = 0.0, turn=(0.0, 0.0, 0.0)) -> np.ndarray:
    """A pose of a position in metres and a rotation vector in radians."""
    return se3.from_parts([x, y, z], quaternion.exp(0.5 * np.asarray(turn, dtype=float)))


def fix(number: float, T: np.ndarray, T_odom: np.ndarray | None = None, **of_pose: np.ndarray) -> Fix:
    """A fix at `number` periods; `of_pose` are fields of its pose that differ."""
    changes = {"T": T, "covariance": COVARIANCE, **of_pose}
    return Fix(Pose(1_000_000_000_000 + round(number * PERIOD_NS), **changes), T_odom)


def tracking(*, odometry: bool = True, limits: GateLimits = LIMITS) -> Tracker:
    """A tracker that accepted the origin at time 0."""
    tracker = Tracker(limits)
    assert tracker.update(fix(0, pose(), pose() if odometry else None)).accepted
    return tracker


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


rotations = st.tuples(*[numbers(-1.5, 1.5)] * 3)
places = st.tuples(*[numbers(-50.0, 50.0)] * 3)
rigid = st.builds(lambda place, turn: pose(*place, turn), places, rotations)
steps = st.lists(
    st.tuples(st.tuples(*[numbers(-0.5, 0.5)] * 3), st.tuples(*[numbers(-0.3, 0.3)] * 3)), min_size=1, max_size=15
)
noises = st.lists(st.tuples(*[numbers(-1.0, 1.0)] * 6), min_size=15, max_size=15)


@settings(deadline=None, max_examples=40)
@given(start=rigid, odom=rigid, path=steps, noise=noises)
def test_poses_that_odometry_explains_are_all_accepted(start, odom, path, noise):
    """However the robot moves: map and odometry have other origins, and each pose errs by at most one sigma."""
    tracker = Tracker(LIMITS)
    for number, (place, turn) in enumerate(path):
        move = pose(*place, turn)
        start, odom = start @ move, odom @ move
        error = SIGMA * noise[number]
        estimate = pose(*error[:3]) @ start
        estimate[:3, :3] = pose(turn=error[3:])[:3, :3] @ start[:3, :3]
        verdict = tracker.update(fix(number, estimate, odom))
        assert verdict.accepted, verdict.reason
        assert verdict.state is State.TRACKING
    assert tracker.streak == len(path)


@settings(deadline=None, max_examples=40)
@given(frame=rigid, offset=st.tuples(numbers(-3, 3), numbers(-3, 3), numbers(-3, 3)), turn=rotations)
def test_the_verdict_does_not_depend_on_where_the_map_has_its_origin(frame, offset, turn):
    first, second = pose(0.3, -0.2, 1.0, (0.1, 0.2, 0.3)), pose(*offset, turn)
    rotation = np.kron(np.eye(2), frame[:3, :3])
    here, there = Tracker(LIMITS), Tracker(LIMITS)
    for tracker, T, covariance in ((here, np.eye(4), COVARIANCE), (there, frame, rotation @ COVARIANCE @ rotation.T)):
        tracker.update(fix(0, T @ first, pose(), covariance=covariance))
    a = here.update(fix(1, second, pose(0.1)))
    b = there.update(fix(1, frame @ second, pose(0.1), covariance=rotation @ COVARIANCE @ rotation.T))
    assert a.accepted == b.accepted


@settings(deadline=None, max_examples=40)
@given(outliers=st.lists(st.tuples(numbers(30, 300), numbers(-300, 300)), min_size=1, max_size=25))
def test_outliers_that_agree_with_nothing_are_never_accepted(outliers):
    tracker = tracking()
    for number, (x, y) in enumerate(outliers, start=1):
        # 10 m further at each step than any motion explains.
        verdict = tracker.update(fix(number, pose(x + 500.0 * number, y), pose()))
        assert not verdict.accepted
        assert verdict.state in (State.DEGRADED, State.LOST)
        assert np.allclose(verdict.T_map_camera, pose())  # where odometry says it still is
    assert tracker.update(fix(len(outliers) + 1, pose(0.02), pose())).accepted


@pytest.mark.parametrize("needed", [1, 2, 5, 9])
@pytest.mark.parametrize("odometry", [True, False])
def test_a_jump_is_accepted_at_the_last_of_the_confirming_fixes_and_not_before(needed: int, odometry: bool):
    tracker = tracking(odometry=odometry, limits=replace(LIMITS, confirmations=needed))
    verdicts = [
        tracker.update(fix(n, pose(20.0 + 0.03 * n, 5.0), pose(0.03 * n) if odometry else None))
        for n in range(1, needed + 1)
    ]
    assert [v.accepted for v in verdicts] == [False] * (needed - 1) + [True]
    assert verdicts[-1].state is State.TRACKING
    assert "20." in verdicts[-1].reason
    assert "m from" in verdicts[-1].reason


@settings(deadline=None, max_examples=40)
@given(outlier_at=st.sets(st.integers(2, 9), max_size=5))
def test_outliers_in_between_do_not_keep_a_carried_robot_lost(outlier_at):
    tracker = tracking()
    accepted = []
    for n in range(1, 15):
        T = pose(100.0 * n, 7.0) if n in outlier_at else pose(*ELSEWHERE)
        accepted.append(tracker.update(fix(n, T, pose())).accepted)
    accepted_at = accepted.index(True) + 1
    good = [n for n in range(1, 15) if n not in outlier_at]
    assert accepted_at == good[LIMITS.confirmations - 1]


def test_fixes_that_agree_with_the_accepted_pose_end_a_confirmation():
    tracker = tracking()
    for n in range(1, 40):
        elsewhere = n % 5 != 0  # four outliers that agree, then a fix that fits: an aliased place, not a carried robot
        assert tracker.update(fix(n, pose(*ELSEWHERE) if elsewhere else pose(), pose())).accepted != elsewhere


def test_odometry_moves_the_expectation():
    tracker = tracking()
    driven = pose(8.0, 0.0, 0.0, (0.0, 0.0, 1.0))
    assert not tracker.update(fix(1, pose(), driven)).accepted  # still at the start although the wheels turned
    assert tracker.update(fix(2, driven, driven)).accepted


def test_without_odometry_a_pose_may_be_as_far_as_the_camera_can_have_moved():
    for seconds, metres, accepted in ((0.1, 0.3, True), (0.1, 2.5, False), (10.0, 2.5, True), (10.0, 60.0, False)):
        tracker = tracking(odometry=False)
        assert tracker.update(fix(10 * seconds, pose(metres))).accepted is accepted, (seconds, metres)


@pytest.mark.parametrize(
    ("limits", "T", "words"),
    [
        ({"max_jump_m": 1.0}, pose(1.2), r"1\.20 m from where odometry puts it, 1\.00 m are allowed"),
        ({"max_jump_rad": 0.1}, pose(turn=(0, 0, 0.2)), "turned by 11 degrees .*, 6 are allowed"),
        ({}, pose(0.5), r"0\.50 m and 0 degrees .* Mahalanobis distance .*, 5 is allowed"),
    ],
)
def test_a_rejection_names_the_measure_and_its_limit(limits, T, words):
    tracker = tracking(limits=replace(LIMITS, **limits))
    verdict = tracker.update(fix(1, T, pose()))
    assert not verdict.accepted
    assert verdict.state is State.DEGRADED
    with pytest.raises(AssertionError, match=words):  # `match` of a plain text
        raise AssertionError(verdict.reason)
    assert "1 of 5 poses" in verdict.reason


def test_a_wider_covariance_of_either_fix_lets_more_pass():
    wide = 25.0 * COVARIANCE
    for first, second in ((wide, COVARIANCE), (COVARIANCE, wide)):
        tracker = Tracker(LIMITS)
        tracker.update(fix(0, pose(), pose(), covariance=first))
        assert tracker.update(fix(1, pose(0.5), pose(), covariance=second)).accepted


def test_an_uncertain_direction_weighs_with_the_distance_driven():
    """0.2 rad of spread in the last pose is 2 m of spread after 10 m of straight driving."""
    limits = replace(LIMITS, motion=MotionModel(odometry=Growth(0.01, 0.05, 0.02, 0.01)))
    sideways, ahead = pose(turn=(0.0, 0.0, 0.19)) @ pose(10.0), pose(10.0)
    for spread, accepted in ((0.2, True), (0.02, False)):
        tracker = Tracker(limits)
        covariance = np.diag([0.0025, 0.0025, 0.0025, 0.0004, 0.0004, spread**2])
        tracker.update(fix(0, pose(), pose(), covariance=covariance))
        assert tracker.update(fix(1, sideways, ahead)).accepted is accepted


def test_two_places_in_turn_do_not_confirm_what_lies_between():
    tracker = tracking()
    for n, y in enumerate((-0.3, 0.3, -0.3, 0.3), start=1):
        assert not tracker.update(fix(n, pose(20.0, y), pose())).accepted
    assert not tracker.update(fix(5, pose(20.0), pose())).accepted


def test_the_state_is_lost_once_nothing_was_accepted_for_long_enough():
    tracker = tracking()
    states = [tracker.update(fix(n, pose(30.0 * n), pose())).state for n in range(1, 31)]
    assert states[:20] == [State.DEGRADED] * 20
    assert states[20:] == [State.LOST] * 10
    assert tracker.update(fix(31, pose(), pose())).state is State.TRACKING


def test_rejection_from_the_start_ends_in_lost_as_well():
    tracker = Tracker(LIMITS)
    states = [tracker.update(replace(fix(n, pose()), rejection="covered")).state for n in range(31)]
    assert states[:21] == [State.INITIALISING] * 21
    assert states[21:] == [State.LOST] * 10
    tracker.forget()
    assert tracker.update(replace(fix(31, pose()), rejection="covered")).state is State.INITIALISING


def test_the_first_pose_waits_for_its_confirmations():
    tracker = Tracker(replace(LIMITS, initial_fixes=3))
    verdicts = [tracker.update(fix(n, pose(0.01 * n), pose(0.01 * n))) for n in range(3)]
    assert [v.accepted for v in verdicts] == [False, False, True]
    assert [v.state for v in verdicts] == [State.INITIALISING, State.INITIALISING, State.TRACKING]
    assert verdicts[0].T_map_camera is None
    assert "no pose has been accepted yet" in verdicts[0].reason


@pytest.mark.parametrize(
    "changes",
    [
        {"T": np.full((4, 4), np.nan)},
        {"T": np.diag([1.0, 1.0, 1.0, 0.0])},
        {"T": pose(np.inf)},
        {"covariance": np.full((6, 6), np.nan)},
        {"covariance": -COVARIANCE},
        {"covariance": np.eye(3)},
    ],
)
@pytest.mark.parametrize("enabled", [True, False])
def test_what_is_no_pose_is_never_accepted(changes, enabled):
    tracker = tracking(limits=replace(LIMITS, enabled=enabled))
    for n in range(1, 9):
        assert not tracker.update(fix(n, **{"T": pose(), "T_odom": pose(), **changes})).accepted
    assert tracker.update(fix(9, pose(), pose())).accepted


def test_covariances_of_zero_are_no_claim_of_perfection():
    tracker = Tracker(LIMITS)
    for n in range(3):
        assert tracker.update(fix(n, pose(), pose(), covariance=np.zeros((6, 6)))).accepted


@pytest.mark.parametrize(("variance", "correlation"), [(-1.0, 0.0), (-1e300, 0.0), (0.0, -1e9), (1.0, -1e300)])
def test_nothing_is_close_to_an_expected_pose_by_a_distance_that_is_no_number(variance: float, correlation: float):
    """The root of a negative number is no distance, and compares as not too large."""
    expected = variance * np.eye(6)
    expected[0, 1] = expected[1, 0] = correlation
    tracker = Tracker(LIMITS)
    tracker.hint(fix(0, pose(50.0, 50.0), covariance=expected).pose, None)
    verdict = tracker.update(fix(0, pose()))
    assert not verdict.accepted
    assert "Mahalanobis distance inf" in verdict.reason


def test_a_switched_off_gate_accepts_every_pose():
    tracker = tracking(limits=replace(LIMITS, enabled=False))
    assert all(tracker.update(fix(n, pose(50.0 * n), pose())).accepted for n in range(1, 9))


def test_forget_begins_again():
    tracker = tracking()
    tracker.forget()
    assert tracker.streak == 0
    assert tracker.update(fix(1, pose(*ELSEWHERE), pose())).accepted


@settings(deadline=None, max_examples=40)
@given(stamps=st.lists(st.integers(1, 10**18), min_size=2, max_size=20), odometry=st.booleans())
def test_any_order_of_stamps_is_survived(stamps, odometry):
    tracker = Tracker(LIMITS)
    for stamp in stamps:
        verdict = tracker.update(Fix(Pose(stamp, pose(), COVARIANCE), pose() if odometry else None))
        assert verdict.accepted  # a camera at rest


class TestHint:
    WIDE = np.diag([0.25, 0.25, 1.0, 0.25, 0.25, 0.07])

    def hinted(self) -> Tracker:
        tracker = tracking()
        tracker.hint(fix(1, pose(*ELSEWHERE), covariance=self.WIDE).pose, pose())
        return tracker

    def test_a_fix_near_it_is_accepted_at_once(self):
        verdict = self.hinted().update(fix(2, pose(20.8, -2.5, 0.3), pose()))
        assert verdict.accepted
        assert verdict.state is State.TRACKING

    def test_a_fix_far_from_it_is_not_until_it_is_confirmed(self):
        tracker = self.hinted()
        verdicts = [tracker.update(fix(n, pose(), pose())) for n in range(2, 7)]
        assert [v.accepted for v in verdicts] == [False] * 4 + [True]
        assert verdicts[0].state is State.INITIALISING
        assert "the initial pose that was given" in verdicts[0].reason

    def test_it_may_be_wider_than_the_largest_jump(self):
        tracker = Tracker(replace(LIMITS, max_jump_m=0.1))
        tracker.hint(fix(1, pose(*ELSEWHERE), covariance=self.WIDE).pose, pose())
        assert tracker.update(fix(2, pose(20.8, -2.5, 0.3), pose())).accepted


@pytest.mark.parametrize("odometry", [True, False])
def test_poses_of_one_image_alone_confirm_no_jump_away_from_what_both_told(odometry: bool):
    tracker = tracking(odometry=odometry)
    T_odom = pose() if odometry else None
    far = [replace(fix(0.1 * n, pose(*ELSEWHERE), T_odom), is_partial=True) for n in range(1, 20)]
    verdicts = [tracker.update(one) for one in far]
    assert not any(verdict.accepted for verdict in verdicts)
    assert "poses of one image alone do not confirm a jump" in verdicts[-1].reason
    # One that agrees is accepted, and makes the others no more credible.
    assert tracker.update(replace(fix(2.0, pose(0.02), T_odom), is_partial=True)).accepted
    assert not any(
        tracker.update(replace(one, pose=replace(one.pose, stamp_ns=one.pose.stamp_ns + 2 * PERIOD_NS))).accepted
        for one in far
    )
    # Poses of both images do confirm it.
    accepted = [tracker.update(fix(5 + 0.1 * n, pose(*ELSEWHERE), T_odom)).accepted for n in range(5)]
    assert accepted == [False] * 4 + [True]


def test_a_camera_that_never_had_both_images_is_found_again_by_one():
    tracker = Tracker(LIMITS)
    assert tracker.update(replace(fix(0, pose(), pose()), is_partial=True)).accepted
    accepted = [
        tracker.update(replace(fix(0.1 * n, pose(*ELSEWHERE), pose()), is_partial=True)).accepted for n in range(1, 6)
    ]
    assert accepted == [False] * 4 + [True]


def test_a_first_pose_that_a_keyframe_told_needs_three_that_agree():
    tracker = Tracker(LIMITS)
    verdicts = [tracker.update(replace(fix(i, pose(), pose()), is_of_keyframe=True)) for i in range(3)]
    assert [verdict.accepted for verdict in verdicts] == [False, False, True]
    assert "1 of 3 poses" in verdicts[0].reason
    tracker = Tracker(LIMITS)
    elsewhere = replace(fix(0, pose(*ELSEWHERE), pose()), is_of_keyframe=True)
    assert not tracker.update(elsewhere).accepted
    assert not tracker.update(replace(fix(1, pose(), pose()), is_of_keyframe=True)).accepted
    assert tracker.update(fix(2, pose(), pose())).accepted, "the network puts the camera there itself"
    assert tracker.update(replace(fix(3, pose(), pose()), is_of_keyframe=True)).accepted, "and now it is followed"
