# SPDX-License-Identifier: Apache-2.0
"""Tracks brought into one frame by loop closures that agree with each other.

Two rooms may look alike, so one closure never joins two tracks. Closures agree if each puts the one track into the
frame of the other where the others do, within what odometry may have drifted between their keyframes (pairwise
consistent sets; Mangelson et al., ICRA 2018). Within one track a closure must agree with its odometry likewise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.posing.loop_closures import Closure, Node

Array = NDArray[np.float64]

# What odometry may drift: a share of the way, and radians a meter; and what closures differ by in any case.
_DRIFT, _DRIFT_RAD_PER_M = 0.04, np.deg2rad(1.5)
_MOST_DRIFT_RAD = np.deg2rad(30.0)
_DIFFER_M, _DIFFER_RAD = 0.15, np.deg2rad(4.0)
# Closures (of different keyframes) that join two tracks: so many that agree, and so many times as many as agree on
# another place; or fewer, but not one alone, that have so many matched features together.
_LEAST_CLOSURES, _LEAST_PAIRS, _LEAST_MATCHES = 3, 2, 100
_TIMES_OTHERS = 2
# Closures between two parts that are compared with each other, those with most matches.
_MOST_COMPARED = 400


@dataclass(frozen=True, eq=False)
class Part:
    """Tracks in one frame.

    Attributes:
        nodes: numbers of the nodes, in their order.
        poses: `[N, 4, 4]` of these, to begin with.
        closures: between them, those that agree.
    """

    nodes: list[int]
    poses: Array
    closures: list[Closure]


def distances(nodes: Sequence[Node]) -> Array:
    """Metres `[N]` that the camera had come in its track at each node."""
    result = np.zeros(len(nodes))
    for index in range(1, len(nodes)):
        before, now = nodes[index - 1], nodes[index]
        if before.track == now.track:
            step = float(np.linalg.norm(now.keyframe.T[:3, 3] - before.keyframe.T[:3, 3]))
            result[index] = result[index - 1] + step
    return result


def within_tracks(nodes: Sequence[Node], closures: Sequence[Closure]) -> list[Closure]:
    """The closures of one track that its odometry allows."""
    way = distances(nodes)
    kept = []
    for closure in closures:
        a, b = nodes[closure.a], nodes[closure.b]
        if a.track != b.track:
            continue
        by_odometry = se3.inverse(a.keyframe.T) @ b.keyframe.T
        if _agree(by_odometry, closure.T_a_b, abs(float(way[closure.b] - way[closure.a]))):
            kept.append(closure)
    return kept


def join(nodes: Sequence[Node], closures: Sequence[Closure]) -> tuple[list[Part], list[Closure]]:
    """The parts that closures join the tracks to, the largest first; and the closures that agree with no part."""
    way = distances(nodes)
    count = 1 + max(node.track for node in nodes)
    owner = list(range(count))
    T_part_track = np.tile(np.eye(4), (count, 1, 1))
    kept = within_tracks(nodes, closures)
    left = [closure for closure in closures if nodes[closure.a].track != nodes[closure.b].track]
    while True:
        groups = _between_parts(left, owner, T_part_track, nodes)
        best = max((_agreeing(group, nodes, way) for group in groups), key=_weight, default=None)
        if best is None or not best.is_enough:
            break
        lead = best.placed[0]
        for track in range(count):
            if owner[track] == lead.second:
                T_part_track[track] = lead.T_first_second @ T_part_track[track]
                owner[track] = lead.first
        taken = {id(placed.closure) for placed in best.placed}
        kept += [placed.closure for placed in best.placed]
        left = [closure for closure in left if id(closure) not in taken]
    kept += _inside(left, owner, T_part_track, nodes, way)
    known = {id(closure) for closure in kept}
    return _parts(nodes, owner, T_part_track, kept), [one for one in closures if id(one) not in known]


@dataclass(frozen=True, eq=False)
class _Placed:
    """A closure between two parts, in the direction from the lower to the higher number.

    Attributes:
        closure: as it was found.
        first, second: the parts.
        a, b: the nodes, of the first and of the second part.
        T_a, T_b: these in the frames of their parts.
        T_a_b: as it was measured.
    """

    closure: Closure
    first: int
    second: int
    a: int
    b: int
    T_a: Array
    T_b: Array
    T_a_b: Array

    @property
    def T_first_second(self) -> Array:
        """Where it puts the second part."""
        return np.asarray(self.T_a @ self.T_a_b @ se3.inverse(self.T_b))


@dataclass(frozen=True, eq=False)
class _Agreeing:
    """Closures between two parts that agree, the one they agree with first, and how many agree on another place."""

    placed: list[_Placed]
    others: int

    @property
    def is_enough(self) -> bool:
        count = _views(self.placed)
        matches = sum(placed.closure.aligned.matches for placed in self.placed)
        is_many = count >= _LEAST_CLOSURES or (len(self.placed) >= _LEAST_PAIRS and matches >= _LEAST_MATCHES)
        return is_many and count >= _TIMES_OTHERS * self.others


def _views(placed: Sequence[_Placed]) -> int:
    """How many keyframes of either part these show: several with one keyframe of the other part are one view of it."""
    return min(len({one.a for one in placed}), len({one.b for one in placed}))


def _between_parts(
    closures: Sequence[Closure], owner: list[int], T_part_track: Array, nodes: Sequence[Node]
) -> list[list[_Placed]]:
    """The closures between each two parts."""
    result: dict[tuple[int, int], list[_Placed]] = defaultdict(list)
    for closure in closures:
        a, b, T_a_b = closure.a, closure.b, closure.T_a_b
        first, second = owner[nodes[a].track], owner[nodes[b].track]
        if first == second:
            continue
        if first > second:
            a, b, first, second, T_a_b = b, a, second, first, se3.inverse(T_a_b)
        T_a, T_b = (T_part_track[nodes[i].track] @ nodes[i].keyframe.T for i in (a, b))
        result[first, second].append(_Placed(closure, first, second, a, b, T_a, T_b, T_a_b))
    return list(result.values())


def _agreeing(group: list[_Placed], nodes: Sequence[Node], way: Array) -> _Agreeing:
    """The largest set of closures that agree with one of them, and the size of the largest among the others."""
    group = sorted(group, key=lambda placed: -placed.closure.aligned.matches)[:_MOST_COMPARED]
    agree = _pairwise(group, nodes, way)
    best = int(np.argmax(agree.sum(axis=1)))
    rest = np.flatnonzero(~agree[best])
    others = 0
    if len(rest):
        among = agree[np.ix_(rest, rest)]
        others = _views([group[int(rest[i])] for i in np.flatnonzero(among[int(np.argmax(among.sum(axis=1)))])])
    order = [best, *(int(i) for i in np.flatnonzero(agree[best]) if i != best)]
    return _Agreeing([group[i] for i in order], others)


def _pairwise(group: list[_Placed], nodes: Sequence[Node], way: Array) -> NDArray[np.bool_]:
    """`[N, N]`: whether two closures agree.

    Compared where the other closure is, either way round: a small rotation moves what is far away.
    """
    T_first_second = np.array([placed.T_first_second for placed in group])
    T_a, T_b, T_a_b = (np.array([getattr(placed, name) for placed in group]) for name in ("T_a", "T_b", "T_a_b"))
    agree = np.zeros((len(group), len(group)), dtype=bool)
    for j, other in enumerate(group):
        predicted = se3.inverse(T_a[j]) @ T_first_second @ T_b[j]
        metres = np.array(
            [_way(nodes, way, one.a, other.a) + _way(nodes, way, one.b, other.b) for one in group], dtype=np.float64
        )
        agree[:, j] = _agree(predicted, np.broadcast_to(T_a_b[j], predicted.shape), metres)
    return np.asarray(agree & agree.T)


def _way(nodes: Sequence[Node], way: Array, i: int, j: int) -> float:
    """Metres of odometry between two nodes; of different tracks, about all of both."""
    if nodes[i].track == nodes[j].track:
        return abs(float(way[i] - way[j]))
    return float(way[i] + way[j])


def _weight(found: _Agreeing) -> tuple[bool, int]:
    return found.is_enough, sum(placed.closure.aligned.matches for placed in found.placed)


def _inside(
    closures: Sequence[Closure], owner: list[int], T_part_track: Array, nodes: Sequence[Node], way: Array
) -> list[Closure]:
    """Closures between tracks that others joined, if they agree with where these put them."""
    kept = []
    for closure in closures:
        a, b = nodes[closure.a], nodes[closure.b]
        if owner[a.track] != owner[b.track]:
            continue
        T_a, T_b = (T_part_track[node.track] @ node.keyframe.T for node in (a, b))
        if _agree(se3.inverse(T_a) @ T_b, closure.T_a_b, _way(nodes, way, closure.a, closure.b)):
            kept.append(closure)
    return kept


def _parts(nodes: Sequence[Node], owner: list[int], T_part_track: Array, closures: Sequence[Closure]) -> list[Part]:
    members: dict[int, list[int]] = defaultdict(list)
    for index, node in enumerate(nodes):
        members[owner[node.track]].append(index)
    parts = []
    for found in members.values():
        inside = set(found)
        poses = np.array([T_part_track[nodes[i].track] @ nodes[i].keyframe.T for i in found])
        parts.append(Part(found, poses, [one for one in closures if {one.a, one.b} <= inside]))
    return sorted(parts, key=lambda part: -len(part.nodes))


def _agree(T: Array, other: Array, metres: Array | float) -> NDArray[np.bool_]:
    """Whether relative poses `[..., 4, 4]` differ by no more than odometry may drift on so many metres `[...]`."""
    apart, angle = se3.translation_error(T, other), se3.rotation_error(T, other)
    allowed_rad = _DIFFER_RAD + np.minimum(_DRIFT_RAD_PER_M * np.asarray(metres), _MOST_DRIFT_RAD)
    return np.asarray((apart <= _DIFFER_M + _DRIFT * np.asarray(metres)) & (angle <= allowed_rad))
