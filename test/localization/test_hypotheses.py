# SPDX-License-Identifier: Apache-2.0
"""Several places that look alike: none is taken before the frames have told them apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.localization.gate import GateLimits
from mvloc_ros.localization.hypotheses import CONVINCING, MOST, Candidate, Hypotheses
from mvloc_ros.localization.motion import MotionModel
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.tracker import Fix, State, Tracker, Verdict

PERIOD_NS = 100_000_000
COVARIANCE = np.diag([0.02**2] * 3 + [0.01**2] * 3)
# Of a frame that fits clearly, of one that alone is not accepted, of one in a poor light, and of one that does not fit.
STRONG, WEAK, POOR, BAD = 2.0, -0.4, -1.2, -6.0
COPY = (0.0, 8.0, 0.0)


def pose(x: float = 0.0, y: float = 0.0, z: float = 0.0, turn=(0.0, 0.0, 0.0)) -> np.ndarray:
    """A pose of a position in metres and a rotation vector in radians."""
    return se3.from_parts([x, y, z], quaternion.exp(0.5 * np.asarray(turn, dtype=float)))


def stamp(number: float) -> int:
    return 1_000_000_000_000 + round(number * PERIOD_NS)


def candidate(number: float, T: np.ndarray, log_odds: float, *, is_ruled_out: bool = False) -> Candidate:
    return Candidate(Pose(stamp(number), T, COVARIANCE), log_odds, is_ruled_out)


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


places = st.tuples(numbers(-20, 20), numbers(-20, 20), numbers(-3, 3))
told = st.lists(st.tuples(places, numbers(-20, 20), st.booleans()), max_size=12)
drives = st.lists(told, min_size=1, max_size=8)


def observed(frames, order=lambda found: found) -> Hypotheses:
    """What is left after frames, each a list of (x, y, turn), log-odds and whether it is ruled out."""
    hypotheses = Hypotheses(MotionModel())
    for number, frame in enumerate(frames):
        found = [
            candidate(number, pose(x, y, turn=(0, 0, turn)), odds, is_ruled_out=out)
            for (x, y, turn), odds, out in frame
        ]
        hypotheses.observe(order(found), stamp(number), pose(0.1 * number))
    return hypotheses


@settings(deadline=None, max_examples=60)
@given(frames=drives)
def test_they_are_few_and_their_weights_are_shares(frames):
    hypotheses = observed(frames)
    assert len(hypotheses.alive) <= MOST
    assert len(hypotheses.weights) == 1 + len(hypotheses.alive)
    assert np.isclose(hypotheses.weights.sum(), 1.0)
    assert (hypotheses.weights >= 0.0).all()
    odds = [one.log_odds for one in hypotheses.alive]
    assert odds == sorted(odds, reverse=True)


@settings(deadline=None, max_examples=60)
@given(frames=drives, random=st.randoms(use_true_random=False))
def test_in_which_order_a_frame_tells_its_poses_does_not_matter(frames, random):
    def shuffled(found):
        random.shuffle(found)
        return found

    as_told, otherwise = observed(frames), observed(frames, shuffled)
    assert [one.log_odds for one in as_told.alive] == [one.log_odds for one in otherwise.alive]
    for a, b in zip(as_told.alive, otherwise.alive, strict=True):
        assert np.array_equal(a.pose.T, b.pose.T)


@settings(deadline=None, max_examples=60)
@given(frames=drives)
def test_at_most_one_is_convincing_and_never_one_of_two_that_tie(frames):
    hypotheses = observed(frames)
    convincing = [one for one in hypotheses.alive if hypotheses.is_convincing(one.pose, 1)]
    assert len(convincing) <= 1
    for one in convincing:
        assert one is hypotheses.alive[0]
        assert hypotheses.weights[1] > 0.5
        assert all(other.log_odds < one.log_odds for other in hypotheses.alive[1:])


@settings(deadline=None, max_examples=40)
@given(frames=drives)
def test_what_rules_reject_is_no_hypothesis(frames):
    ruled_out = [[(place, odds, True) for place, odds, _ in frame] for frame in frames]
    assert not observed(ruled_out).alive


@pytest.mark.parametrize("odometry", [True, False])
def test_frames_that_fit_make_one_convincing_and_others_refute_it(odometry: bool):
    hypotheses = Hypotheses(MotionModel())
    for number in range(12):
        T = pose(0.05 * number, turn=(0, 0, 0.02 * number))
        hypotheses.observe([candidate(number, T, STRONG)], stamp(number), T if odometry else None)
    (one,) = hypotheses.alive
    assert hypotheses.is_convincing(one.pose, 12)
    assert not hypotheses.is_convincing(one.pose, 13)
    for number in range(12, 25):
        hypotheses.observe([candidate(number, T, BAD)], stamp(number), T if odometry else None)
    assert not hypotheses.alive


def test_one_that_is_no_longer_found_fades():
    hypotheses = observed([[((0, 0, 0), STRONG, False)]] * 6 + [[]] * 20)
    assert not hypotheses.alive


def test_the_next_frame_starts_at_the_likeliest_as_odometry_carried_them():
    hypotheses = Hypotheses(MotionModel())
    found = [candidate(0, pose(9.0 * n), STRONG - 0.2 * n) for n in range(6)]
    hypotheses.observe(found, stamp(0), pose())
    search = hypotheses.search(stamp(1), pose(0.3, turn=(0, 0, 0.2)))
    assert np.allclose([one.T[0, 3] for one in search.possible], [0.3, 9.3, 18.3])
    assert all(one.stamp_ns == stamp(1) for one in search.possible)
    assert (np.diag(search.possible[0].covariance) > np.diag(COVARIANCE)).all()
    assert search.frames == 1


def seen(tracker: Tracker, number: int, here: float, there: float | None, *, moved: float = 0.05) -> Verdict:
    """A frame of a room, told by a keyframe, and what its copy says; the camera drives along x."""
    x = moved * number
    found = [candidate(number, pose(x), here)]
    if there is not None:
        found.append(candidate(number, pose(COPY[0] + x, COPY[1]), there))
    best = max(found, key=lambda one: one.log_odds)
    weak = best.log_odds < 0.0
    fix = Fix(
        best.pose,
        pose(x),
        is_of_keyframe=True,
        rejection="the score is too low" if weak else "",
        is_weak=weak,
        candidates=tuple(found),
    )
    return tracker.update(fix)


def told_by(*others: float, is_ruled_out: bool = False) -> float:
    """What one frame says for a pose of a poor light, registered to other places as well, of these log-odds."""
    hypotheses = Hypotheses(MotionModel())
    there = [candidate(0, pose(y=5.0 * n), odds) for n, odds in enumerate(others, 1)]
    hypotheses.observe([candidate(0, pose(), POOR, is_ruled_out=is_ruled_out), *there], stamp(0), pose())
    return next((one.log_odds for one in hypotheses.alive if np.array_equal(one.pose.T, pose())), 0.0)


def test_a_frame_that_fits_no_other_place_nearly_as_well_tells_more_than_its_score():
    alone = told_by()
    assert told_by(BAD, BAD, BAD) > told_by(POOR - 2.0, BAD, BAD) > told_by(POOR - 0.9, BAD, BAD) == alone
    # Of one other place nothing is concluded, and where two are alike neither stands out.
    assert told_by(BAD) == alone
    assert told_by(POOR, BAD, BAD) == alone
    assert told_by(BAD, BAD, BAD, is_ruled_out=True) == 0.0


def test_of_two_equal_rooms_none_is_accepted_until_a_frame_tells_them_apart():
    tracker = Tracker(GateLimits())
    verdicts = [seen(tracker, n, STRONG, STRONG - 0.01 * (-1) ** n) for n in range(40)]
    assert not any(verdict.accepted for verdict in verdicts)
    assert "2 places look alike: waiting until further frames tell them apart" in verdicts[-1].reason
    assert verdicts[-1].T_map_camera is None
    assert verdicts[-1].state is State.LOST  # nothing was accepted for `lost_after`
    told_apart = [seen(tracker, n, STRONG, BAD) for n in range(40, 50)]
    accepted = next(verdict for verdict in told_apart if verdict.accepted)
    assert accepted.T_map_camera is not None
    assert abs(accepted.T_map_camera[1, 3]) < 0.1, "the hypothesis that all later frames support"


@pytest.mark.parametrize("late", range(1, 4))
def test_a_copy_that_is_found_late_counts_as_much_as_one_that_was_there_from_the_first(late: int):
    tracker = Tracker(GateLimits())
    verdicts = [seen(tracker, n, STRONG, STRONG if n >= late else None) for n in range(20)]
    assert not any(verdict.accepted for verdict in verdicts)


def test_frames_that_tell_too_little_alone_tell_enough_together():
    tracker = Tracker(GateLimits())
    accepted = [seen(tracker, n, WEAK, None).accepted for n in range(20)]
    assert True in accepted
    assert accepted.index(True) + 1 >= CONVINCING / 2.0


@pytest.mark.parametrize(
    "changes", [{"is_of_keyframe": False}, {"is_partial": True}, {"is_weak": False}], ids=lambda one: next(iter(one))
)
def test_only_complete_frames_at_keyframes_tell_together_what_none_tells_alone(changes):
    """What rules reject, what one image alone shows and where the network itself looks stays rejected."""
    tracker = Tracker(GateLimits())
    for n in range(30):
        found = candidate(n, pose(0.05 * n), WEAK)
        told = {"is_of_keyframe": True, "is_weak": True, **changes}
        assert not tracker.update(Fix(found.pose, pose(0.05 * n), rejection="no", candidates=(found,), **told)).accepted


def test_of_a_camera_that_stands_still_weak_frames_are_one_frame():
    tracker = Tracker(GateLimits())
    assert not any(seen(tracker, n, WEAK, None, moved=0.0).accepted for n in range(100))
    accepted = [seen(tracker, 100 + n, STRONG, None, moved=0.0).accepted for n in range(10)]
    assert True in accepted, "clear ones are evidence all the same"


def test_a_jump_is_not_confirmed_where_two_places_look_alike():
    tracker = Tracker(GateLimits())
    here = Fix(Pose(stamp(0), pose(), COVARIANCE), pose())
    assert tracker.update(here).accepted
    for n in range(1, 20):
        there = [candidate(n, pose(20.0, y), STRONG) for y in (0.0, 8.0)]
        verdict = tracker.update(Fix(there[0].pose, pose(), is_of_keyframe=True, candidates=tuple(there)))
        assert not verdict.accepted
    assert "2 places look alike" in verdict.reason


def test_an_accepted_pose_ends_the_search():
    tracker = Tracker(GateLimits())
    assert not seen(tracker, 0, STRONG, STRONG).accepted
    assert len(tracker.search(stamp(1), pose()).possible) == 2
    known = candidate(1, pose(), STRONG)
    assert not tracker.update(Fix(known.pose, pose(), candidates=(known, candidate(1, pose(*COPY), STRONG)))).accepted
    known = candidate(2, pose(), STRONG)
    assert tracker.update(Fix(known.pose, pose(), candidates=(known, candidate(2, pose(*COPY), BAD)))).accepted
    assert tracker.search(stamp(3), pose()).possible == ()
    assert tracker.search(stamp(3), pose()).frames == 0


def test_a_frame_that_speaks_against_a_pose_is_not_the_one_that_it_is_accepted_with():
    tracker = Tracker(GateLimits())
    for n in range(4):
        assert not seen(tracker, n, STRONG, STRONG).accepted
    for n in range(4, 12):
        assert not seen(tracker, n, 0.9 * BAD, None).accepted


def settled(frames: int = 10) -> Tracker:
    """A tracker that accepted the origin in so many frames that fit it clearly, the last at time 0."""
    tracker = Tracker(GateLimits())
    for n in range(1 - frames, 1):
        here = candidate(n, pose(), STRONG)
        assert tracker.update(Fix(here.pose, pose(), candidates=(here,))).accepted
    return tracker


def copied(n: int, here: float | None, there: float) -> Fix:
    """The fix of a frame that fits the copy, with what it tells for where the camera is expected if anything."""
    found = candidate(n, pose(*COPY), there)
    others = () if here is None else (candidate(n, pose(), here),)
    return Fix(found.pose, pose(), is_of_keyframe=True, candidates=(found, *others))


def test_a_copy_is_no_jump_while_the_expected_place_fits_nearly_as_well():
    """The frames of one view repeat each other's errors: any number of them may prefer the copy a little."""
    tracker = settled()
    assert not any(tracker.update(copied(n, WEAK, STRONG - 1.8)).accepted for n in range(1, 40))
    assert tracker.search(stamp(41), pose()).for_expected > 0.0
    assert tracker.update(Fix(candidate(41, pose(), STRONG).pose, pose())).accepted


@pytest.mark.parametrize("here", [BAD, None], ids=["does not fit", "is not found"])
def test_a_camera_that_was_carried_away_is_found_there_once_the_expected_place_is_refuted(here):
    tracker = settled()
    accepted = [tracker.update(copied(n, here, STRONG)).accepted for n in range(1, 20)]
    assert not any(accepted[: GateLimits().confirmations - 1])
    assert True in accepted[:12]
    assert tracker.search(stamp(21), pose(*COPY)).for_expected > 0.0, "of the new place by now"


def test_what_spoke_for_the_accepted_place_is_kept_and_limited():
    few, many = (settled(frames).search(stamp(1), pose()).for_expected for frames in (2, 200))
    assert 0.0 < few < many < 15.0
    assert Tracker(GateLimits()).search(stamp(1), pose()).for_expected == 0.0


def test_the_accepted_place_is_no_place_to_look_besides():
    tracker = settled()
    assert not tracker.update(copied(1, WEAK, STRONG)).accepted
    (possible,) = tracker.search(stamp(2), pose()).possible
    assert np.allclose(possible.T, pose(*COPY))
