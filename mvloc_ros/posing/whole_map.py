# SPDX-License-Identifier: Apache-2.0
"""Tracks and their loop closures -> poses of all keyframes in one frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros.posing.gravity import Gravity, find_gravity
from mvloc_ros.posing.joining import Part, join
from mvloc_ros.posing.kept_work import KeptWork
from mvloc_ros.posing.level_floor import level_floor
from mvloc_ros.posing.loop_closures import Closure, Node, Verifier, alike, consecutive, near, nodes_of
from mvloc_ros.posing.options import PosingOptions
from mvloc_ros.posing.place_index import likeness
from mvloc_ros.posing.pose_graph import Known, Optimized, Relative, optimize
from mvloc_ros.posing.tracks import Track
from mvloc_ros.posing.view import Rig

Array = NDArray[np.float64]

_NEAR_ROUNDS = 3
_TOGETHER = 32
# Tilts by accelerometers are found by poses and change them: so often.
_LEVEL_ROUNDS = 2
# A floor that is taken as level lies across gravity to this.
_MOST_TILT_RAD = np.deg2rad(3.0)
# A closure that the optimized poses contradict by so much is wrong.
_WRONG_M, _WRONG_RAD = 0.10, np.deg2rad(4.0)


@dataclass(frozen=True, eq=False)
class WholeMap:
    """The largest part of the recordings that is in one frame.

    Attributes:
        nodes: all keyframes, also of other parts.
        members: numbers of the nodes of this part.
        poses: `[N, 4, 4]` of these.
        covariances: `[N, 6, 6]`, relative to the first one.
        closures: that were used.
        rejected: how many were not.
        parts: how many there are.
        camera_height_m: above a floor that was taken as level; None where none was.
        up: by the accelerometer, unit vector `[3]`; None without.
        remark: of what the IMU and the floor contradict each other in; empty where they do not.
    """

    nodes: list[Node]
    members: list[int]
    poses: Array
    covariances: Array
    closures: list[Closure]
    rejected: int
    parts: int
    camera_height_m: float | None = None
    up: Array | None = None
    remark: str = ""


def build(tracks: Sequence[Track], rig: Rig, options: PosingOptions, kept: KeptWork, name: str) -> WholeMap:
    """Find loop closures by appearance, join the tracks, then close loops by nearness until none is new.

    What is verified is kept, by a name that is this map's.
    """
    threads = options.threads
    nodes = nodes_of(tracks)
    verifier = Verifier(tracks, nodes, rig)
    pairs = alike(nodes, likeness([node.view for node in nodes]))
    found = _verified(pairs, verifier.by_appearance, "loop closures", threads, kept, f"{name}-closures")
    parts, contradicting = join(nodes, found)
    part = parts[0]
    rejected = len(contradicting)
    chain = list(consecutive(tracks))
    poses, closures, wrong = _settled(part, chain, part.closures)
    members: list[list[int]] = [[] for _ in tracks]
    for index, node in enumerate(part.nodes):
        members[nodes[node].track].append(index)
    level = partial(_leveled, tracks, members, part.nodes, chain)
    poses = level(closures, poses)[0]
    tried = {(closure.a, closure.b) for closure in found}
    for turn in range(_NEAR_ROUNDS):
        near_pairs = _near(part, nodes, poses, tried)
        tried |= set(near_pairs)
        number = {node: index for index, node in enumerate(part.nodes)}

        def verify(a: int, b: int, number: dict[int, int] = number, poses: Array = poses) -> Closure | None:
            return verifier.by_nearness(a, b, poses[number[a]], poses[number[b]])

        label = f"neighbors {turn + 1} of {_NEAR_ROUNDS}"
        more = _verified(near_pairs, verify, label, threads, kept, f"{name}-neighbors-{turn + 1}")
        rejected += wrong
        if not more:
            break
        poses, closures, wrong = _settled(Part(part.nodes, poses, []), chain, closures + more)
        poses = level(closures, poses)[0]
    poses, gravity = level(closures, poses)
    floor = level_floor([nodes[i].view for i in part.nodes], poses) if options.level_floor else None
    remark = gravity if isinstance(gravity, str) else ""
    if floor is not None and isinstance(gravity, Gravity) and (tilt := floor.tilt_against(gravity.up)) > _MOST_TILT_RAD:
        remark = f"the floor tilts by {np.rad2deg(tilt):.1f} degrees against the IMU and is not taken as level"
        floor = None
    known = gravity.known if isinstance(gravity, Gravity) else []
    if floor is not None:
        poses, known = floor.T_level @ poses, floor.known
    final = _optimized(part.nodes, poses, chain, closures, known, with_covariances=True)
    assert final.covariances is not None
    gravity = find_gravity(tracks, members, final.poses)
    return WholeMap(
        nodes,
        part.nodes,
        final.poses,
        final.covariances,
        closures,
        rejected + wrong,
        len(parts),
        None if floor is None else floor.height_m,
        gravity.up if isinstance(gravity, Gravity) else None,
        remark,
    )


def _leveled(
    tracks: Sequence[Track],
    members: Sequence[Sequence[int]],
    nodes: Sequence[int],
    chain: Sequence[Relative],
    closures: Sequence[Closure],
    poses: Array,
) -> tuple[Array, Gravity | str]:
    """Poses with the tilts that accelerometers tell, z up, and what these tell of them; as they are without."""
    for _ in range(_LEVEL_ROUNDS):
        if isinstance(gravity := find_gravity(tracks, members, poses), str):
            return poses, gravity
        poses = _optimized(nodes, gravity.T_level @ poses, chain, closures, gravity.known).poses
    gravity = find_gravity(tracks, members, poses)
    if isinstance(gravity, str):
        return poses, gravity
    poses = gravity.T_level @ poses
    return poses, find_gravity(tracks, members, poses)


def _near(part: Part, nodes: Sequence[Node], poses: Array, known: set[tuple[int, int]]) -> list[tuple[int, int]]:
    inside = [nodes[i] for i in part.nodes]
    number = {node: index for index, node in enumerate(part.nodes)}
    mine = {(number[a], number[b]) for a, b in known if a in number and b in number}
    return [(part.nodes[a], part.nodes[b]) for a, b in near(inside, poses, mine)]


def _settled(part: Part, chain: Sequence[Relative], closures: list[Closure]) -> tuple[Array, list[Closure], int]:
    """Optimized poses, the closures without those that these contradict, and how many did."""
    wrong = 0
    poses = part.poses
    while True:
        poses = _optimized(part.nodes, poses, chain, closures).poses
        number = {node: index for index, node in enumerate(part.nodes)}
        kept = []
        for closure in closures:
            metres, radians = _local(closure.relative, number).error(poses)
            if metres <= _WRONG_M and radians <= _WRONG_RAD:
                kept.append(closure)
        if len(kept) == len(closures):
            return poses, kept, wrong
        wrong += len(closures) - len(kept)
        closures = kept


def _optimized(
    members: Sequence[int],
    poses: Array,
    chain: Sequence[Relative],
    closures: Sequence[Closure],
    known: Sequence[Known] = (),
    *,
    with_covariances: bool = False,
) -> Optimized:
    number = {node: index for index, node in enumerate(members)}
    relatives = [one for one in chain if one.a in number and one.b in number]
    relatives += [closure.relative for closure in closures]
    local = [_local(one, number) for one in relatives]
    return optimize(poses, local, known, with_covariances=with_covariances)


def _local(relative: Relative, number: dict[int, int]) -> Relative:
    return Relative(number[relative.a], number[relative.b], relative.T_a_b, relative.information, relative.is_robust)


def _verified(
    pairs: Iterable[tuple[int, int]],
    verify: Callable[[int, int], Closure | None],
    label: str,
    threads: int,
    kept: KeptWork,
    name: str,
) -> list[Closure]:
    pairs = list(pairs)
    done: list[tuple[tuple[int, int], Closure | None]] = kept.load(name) or []
    if [pair for pair, _ in done] != pairs[: len(done)]:
        done = []
    with ThreadPoolExecutor(threads) as pool, tqdm(total=len(pairs), desc=label, unit="pair") as bar:
        bar.update(len(done))
        while len(done) < len(pairs):
            # So few at a time that an interrupted run ends at once.
            some = pairs[len(done) : len(done) + _TOGETHER]
            done += zip(some, pool.map(lambda pair: verify(*pair), some), strict=True)
            bar.update(len(some))
            if kept.is_due():
                kept.keep(name, done)
    kept.keep(name, done)
    return [closure for _, closure in done if closure is not None]
