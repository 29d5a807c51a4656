# SPDX-License-Identifier: Apache-2.0
"""Pairs of keyframes that show the same place: found by how they look or where they are, verified by aligning them.

A loop closure that is wrong bends a whole map, so one counts only if depth and colour agree on it, neither of the two
views sees through what the other shows, and the pose is determined in every direction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.geometry.projection import transform_points
from mvloc_ros.localization.local_features import match, pose_of
from mvloc_ros.posing.alignment import Aligned, Prior, Target, align
from mvloc_ros.posing.pose_graph import Relative
from mvloc_ros.posing.tracks import Keyframe, Track, fused
from mvloc_ros.posing.view import Rig, View, seen_through

Array = NDArray[np.float64]

# Most similar keyframes that are tried, and how many keyframes before and after one are not another place.
_MOST_ALIKE, _LEAST_ALIKE = 10, 0.05
_SAME_PLACE = 6
# Keyframes on both sides of one that are aligned to together with it.
_AROUND = 2
# Features that must agree with a closure by appearance; by nearness depth alone may do, with more of it.
_LEAST_MATCHES = 15
_LEAST_INLIERS, _LEAST_REACH = 0.7, 0.35
_LEAST_INLIERS_OF_DEPTH, _LEAST_REACH_OF_DEPTH = 0.8, 0.5
_MOST_SPREAD = (0.03, np.deg2rad(1.5))
_MOST_SEEN_THROUGH, _LEAST_COMPARED = 0.06, 100
# Nearness: how far apart, how many of each keyframe, and by how much alignment may move what the graph says.
_NEAR_M, _NEAR_RAD, _MOST_NEAR = 1.5, np.deg2rad(60.0), 6
_MOST_MOVED = (0.25, np.deg2rad(8.0))
_GRAPH_SIGMA = (0.10, np.deg2rad(4.0))


@dataclass(frozen=True, eq=False)
class Node:
    """A keyframe in the graph: its track's number, its number there, and the keyframe."""

    track: int
    number: int
    keyframe: Keyframe

    @property
    def view(self) -> View:
        """What it shows."""
        return self.keyframe.view


@dataclass(frozen=True, eq=False)
class Closure:
    """A verified pair of keyframes.

    Attributes:
        a, b: numbers of the nodes.
        T_a_b: 4x4.
        aligned: b's view in the frame of a.
        by_appearance: found by how they look, else by where they are.
    """

    a: int
    b: int
    T_a_b: Array
    aligned: Aligned
    by_appearance: bool

    @property
    def relative(self) -> Relative:
        """For the graph."""
        return Relative(self.a, self.b, self.T_a_b, self.aligned.information, is_robust=True)


def nodes_of(tracks: Sequence[Track]) -> list[Node]:
    """All keyframes, track by track."""
    return [Node(t, n, keyframe) for t, track in enumerate(tracks) for n, keyframe in enumerate(track.keyframes)]


def alike(nodes: Sequence[Node], likeness: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Pairs of nodes (the earlier first) that look most alike and are not neighbors in time."""
    pairs: set[tuple[int, int]] = set()
    for b, node in enumerate(nodes):
        row = np.array(likeness[b])
        for a in range(max(0, b - _SAME_PLACE), min(len(nodes), b + _SAME_PLACE + 1)):
            if nodes[a].track == node.track:
                row[a] = -1.0
        for a in np.argsort(-row, kind="stable")[:_MOST_ALIKE]:
            if row[a] > _LEAST_ALIKE:
                pairs.add((min(int(a), b), max(int(a), b)))
    return sorted(pairs)


def near(nodes: Sequence[Node], poses: Array, known: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pairs of nodes that are near each other by their poses `[N, 4, 4]` and look the same way, without those known."""
    pairs: set[tuple[int, int]] = set()
    position, ahead = poses[:, :3, 3], poses[:, :3, 2]
    for b, node in enumerate(nodes):
        distance = np.linalg.norm(position - position[b], axis=1)
        angle = np.arccos(np.clip(ahead @ ahead[b], -1.0, 1.0))
        cost = distance / _NEAR_M + angle / _NEAR_RAD
        taken = 0
        for a in np.argsort(cost, kind="stable"):
            if cost[a] > 1.0 or taken == _MOST_NEAR:
                break
            is_neighbor = nodes[a].track == node.track and abs(nodes[a].number - node.number) < 2
            if a == b or is_neighbor:
                continue
            taken += 1
            pair = (min(int(a), b), max(int(a), b))
            if pair not in known:
                pairs.add(pair)
    return sorted(pairs)


class Verifier:
    """Aligns pairs of keyframes and tells which of them show the same place."""

    def __init__(self, tracks: Sequence[Track], nodes: Sequence[Node], rig: Rig) -> None:
        """Of the same nodes throughout."""
        self._tracks, self._nodes, self._rig = tracks, nodes, rig
        self._around = lru_cache(maxsize=64)(self._fused)

    def by_appearance(self, a: int, b: int) -> Closure | None:
        """The relative pose of two keyframes that matched features tell; None where they do not show one place."""
        first, second = self._nodes[a], self._nodes[b]
        matches = match(second.view.features, first.view.features, np.eye(4))
        start = pose_of(matches)
        if start is None or matches.consensus(start) < _LEAST_MATCHES:
            return None
        aligned = align(second.view, self._around(a), start, matches)
        if aligned.matches < _LEAST_MATCHES or not self._agree(a, b, aligned, _LEAST_INLIERS, _LEAST_REACH):
            return None
        return Closure(a, b, aligned.T, aligned, by_appearance=True)

    def by_nearness(self, a: int, b: int, T_a: Array, T_b: Array) -> Closure | None:
        """As `by_appearance`, near where the graph has the two (4x4 each)."""
        first, second = self._nodes[a], self._nodes[b]
        start = se3.inverse(T_a) @ T_b
        matches = match(second.view.features, first.view.features, np.eye(4))
        prior = Prior(start, np.diag([_GRAPH_SIGMA[0] ** -2.0] * 3 + [_GRAPH_SIGMA[1] ** -2.0] * 3))
        aligned = align(second.view, self._around(a), start, matches, prior, is_near=True)
        came = pose_error(start, aligned.T)
        if np.linalg.norm(came[:3]) > _MOST_MOVED[0] or np.linalg.norm(came[3:]) > _MOST_MOVED[1]:
            return None
        by_features = aligned.matches >= _LEAST_MATCHES
        inliers = _LEAST_INLIERS if by_features else _LEAST_INLIERS_OF_DEPTH
        reach = _LEAST_REACH if by_features else _LEAST_REACH_OF_DEPTH
        if not self._agree(a, b, aligned, inliers, reach):
            return None
        return Closure(a, b, aligned.T, aligned, by_appearance=False)

    def _agree(self, a: int, b: int, aligned: Aligned, least_inliers: float, least_reach: float) -> bool:
        if aligned.inlier_ratio < least_inliers or aligned.in_reach < least_reach:
            return False
        if any(spread > most for spread, most in zip(aligned.spread, _MOST_SPREAD, strict=True)):
            return False
        first, second = self._nodes[a].view, self._nodes[b].view
        there = seen_through(first, transform_points(aligned.T, second.points), self._rig)
        back = seen_through(second, transform_points(se3.inverse(aligned.T), first.points), self._rig)
        compared, through = there[0] + back[0], there[1] + back[1]
        return compared >= _LEAST_COMPARED and through <= _MOST_SEEN_THROUGH * compared

    def _fused(self, a: int) -> Target:
        node = self._nodes[a]
        keyframes = self._tracks[node.track].keyframes
        around = keyframes[max(0, node.number - _AROUND) : node.number + _AROUND + 1]
        return fused(around, se3.inverse(node.keyframe.T))


def consecutive(tracks: Sequence[Track]) -> Iterator[Relative]:
    """The relative poses of consecutive keyframes by their images, the robot's odometry and the IMU."""
    first = 0
    for track in tracks:
        for number in range(1, len(track.keyframes)):
            before, now = track.keyframes[number - 1], track.keyframes[number]
            R = before.T[:3, :3]
            axes = np.kron(np.eye(2), R)
            information = axes.T @ now.information @ axes
            T = se3.inverse(before.T) @ now.T
            yield Relative(first + number - 1, first + number, T, information, is_robust=False)
            stamps = before.view.stamp_ns, now.view.stamp_ns
            told = track.odometry.motion(*stamps) if track.odometry is not None else None
            if told is not None:  # wheels may slip
                sigmas = np.diag(told[1] ** -2.0)
                yield Relative(first + number - 1, first + number, told[0], sigmas, is_robust=True)
            turn = track.imu.rotation(*stamps) if track.imu is not None else None
            if turn is not None:
                turned = np.array(T)
                turned[:3, :3] = turn[0]
                sigmas = np.diag([0.0] * 3 + [turn[1] ** -2.0] * 3)
                yield Relative(first + number - 1, first + number, turned, sigmas, is_robust=True)
        first += len(track.keyframes)
