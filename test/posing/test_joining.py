# SPDX-License-Identifier: Apache-2.0
"""Which loop closures join tracks: those that agree with each other and with odometry."""

from __future__ import annotations

import numpy as np
import pytest
from posing_scene import closure, track_nodes, transform

from mvloc_ros.geometry import se3
from mvloc_ros.localization.motion import moved
from mvloc_ros.posing.joining import distances, join, within_tracks
from mvloc_ros.posing.loop_closures import Closure, Node

COUNT = 8
LINE = [transform(0.2 * k, 0.0, 0.0, 0.0, 0.0, 2.0 * k) for k in range(COUNT)]
NODES = [*track_nodes(0, LINE), *track_nodes(1, LINE[::-1])]
"""Two tracks of 8 keyframes each; the second goes along the same line backwards, in its own frame."""
RIGHT = transform(1.0, 2.0, 0.1, 0.0, 0.0, 70.0)
ELSEWHERE = transform(6.0, -3.0, 0.0, 0.0, 0.0, -40.0)
"""Where the second track lies in the frame of the first; and where it lies if a room like that one is meant."""


def between(a: int, b: int, T_first_second: np.ndarray = RIGHT, matches: int = 20, seed: int | None = None) -> Closure:
    """A closure between keyframe a of the first and b of the second track, with a centimeter of noise."""
    rng = np.random.default_rng(100 * a + b if seed is None else seed)
    T = se3.inverse(NODES[a].keyframe.T) @ T_first_second @ NODES[COUNT + b].keyframe.T
    return closure(a, COUNT + b, moved(T, 0.01 * rng.standard_normal(6)), matches)


def turned_round(one: Closure) -> Closure:
    """The same closure with the tracks in the other order."""

    return closure(one.b - COUNT, one.a + COUNT, se3.inverse(one.T_a_b), one.aligned.matches)


def parts_of(closures: list[Closure], nodes: list[Node] = NODES) -> list[list[int]]:
    return [part.nodes for part in join(nodes, closures)[0]]


APART = [list(range(COUNT)), list(range(COUNT, 2 * COUNT))]
TOGETHER = [list(range(2 * COUNT))]


def test_three_closures_that_agree_join_two_tracks():
    closures = [between(0, 1), between(3, 4), between(7, 6)]
    parts, contradicting = join(NODES, closures)
    (part,) = parts
    assert part.nodes == TOGETHER[0]
    assert set(map(id, part.closures)) == set(map(id, closures))
    assert contradicting == []
    wanted = np.array([*LINE, *(RIGHT @ T for T in LINE[::-1])])
    assert se3.translation_error(part.poses, wanted).max() < 0.08  # one closure's error of 0.01 rad over the line
    assert np.rad2deg(se3.rotation_error(part.poses, wanted)).max() < 3.0


def test_as_many_that_agree_on_another_place_leave_them_apart():
    right = [between(0, 1), between(3, 4), between(7, 6)]
    alike = [between(1, 0, ELSEWHERE), between(4, 3, ELSEWHERE), between(6, 7, ELSEWHERE)]
    parts, contradicting = join(NODES, right + alike)
    assert [part.nodes for part in parts] == APART
    assert len(contradicting) == 6
    more = [between(2, 2), between(5, 5), between(1, 3)]
    parts, contradicting = join(NODES, right + more + alike)
    assert [part.nodes for part in parts] == TOGETHER
    assert set(map(id, contradicting)) == set(map(id, alike))


@pytest.mark.parametrize("matches", [20, 300])
def test_one_closure_alone_joins_nothing_however_many_features_it_has(matches: int):
    parts, contradicting = join(NODES, [between(3, 4, matches=matches)])
    assert [part.nodes for part in parts] == APART
    assert len(contradicting) == 1


def test_two_closures_join_if_they_have_many_features():
    assert parts_of([between(0, 1), between(3, 4)]) == APART
    assert parts_of([between(0, 1, matches=60), between(3, 4, matches=60)]) == TOGETHER


def test_closures_of_one_keyframe_are_one_view_whichever_track_it_is_of():
    """A poster that hangs in two rooms is seen from one keyframe in several of the other track."""
    of_one, of_several = [between(3, b) for b in (3, 4, 5)], [between(a, a + 1) for a in (2, 3, 4)]
    assert parts_of(of_one) == APART
    assert parts_of(of_several) == TOGETHER
    swapped = [*track_nodes(0, LINE[::-1]), *track_nodes(1, LINE)]
    assert parts_of([turned_round(one) for one in of_one], swapped) == APART
    assert parts_of([turned_round(one) for one in of_several], swapped) == TOGETHER


def test_closures_that_do_not_agree_with_each_other_join_nothing():
    scattered = [between(2 * k, k, transform(float(k), 3.0 * k, 0.0, 0.0, 0.0, 50.0 * k)) for k in range(4)]
    assert parts_of(scattered) == APART


def test_a_third_track_is_joined_through_the_second():
    nodes = [*NODES, *track_nodes(2, LINE)]
    first = [between(0, 1), between(3, 4), between(7, 6)]
    second = [
        closure(COUNT + b, 2 * COUNT + c, se3.inverse(LINE[::-1][b]) @ ELSEWHERE @ LINE[c])
        for b, c in ((0, 0), (3, 3), (6, 5))
    ]
    (part,), contradicting = join(nodes, [*first, *second])
    assert len(part.nodes) == 3 * COUNT
    assert contradicting == []
    wanted = np.array([RIGHT @ ELSEWHERE @ T for T in LINE])
    assert se3.translation_error(part.poses[-COUNT:], wanted).max() < 0.15


def test_within_a_track_odometry_allows_what_drift_explains_only():
    way = distances(NODES)
    assert way[COUNT - 1] == pytest.approx(1.4)
    assert way[COUNT] == 0.0
    T = se3.inverse(LINE[0]) @ LINE[7]
    drifted = closure(0, 7, moved(T, np.array([0.12, 0.0, 0.05, 0.0, 0.0, np.deg2rad(4.0)])))
    far = closure(0, 7, moved(T, np.array([0.4, 0.0, 0.0, 0.0, 0.0, 0.0])))
    turned = closure(0, 7, moved(T, np.array([0.0, 0.0, 0.0, 0.0, 0.0, np.deg2rad(20.0)])))
    other_track = closure(0, 2 * COUNT - 1, np.eye(4))  # two frames that have nothing in common
    assert within_tracks(NODES, [drifted, far, turned, other_track]) == [drifted]
    parts, contradicting = join(NODES, [drifted, far, turned])
    assert parts[0].closures == [drifted]
    assert contradicting == [far, turned]
