# SPDX-License-Identifier: Apache-2.0
"""Where registration starts, and in which order: the network's pose, the expected one, retrieved ones, drawn ones.

What is likelier to reach the true pose comes first. How likely that is follows from the covariance of the network's
pose and of the expected one; for retrieved ones it was measured on held-out training frames. The network's pose keeps
the first place as long as it reaches the true one at least every other time: it depends on no earlier frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.localization.pose import Pose

Array = NDArray[np.float64]

REACH_M, REACH_RAD = 0.5, np.radians(20.0)
"""From how far away registration usually ends at the true pose."""
NETWORK, TRACKER, DRAW = "network", "tracker", "draw"
NEAR_KEYFRAME = np.diag([0.2**2] * 3 + [np.radians(8.0) ** 2] * 3)
"""Covariance 6x6 of the pose of a frame that a retrieved keyframe looks like, where it does for good reason."""
_OFTEN = 0.5
_SAMPLES = np.random.default_rng(0).standard_normal((200, 6))


@dataclass(frozen=True, eq=False)
class Start:
    """A pose to start from.

    Attributes:
        name: where it comes from: "network", "tracker", "retrieval N" or "draw".
        T: 4x4.
        is_keyframe: whether it is that of a keyframe, which then tells where the camera is (`NEAR_KEYFRAME`).
    """

    name: str
    T: Array
    is_keyframe: bool = False


@dataclass(frozen=True, eq=False)
class Retrieved:
    """Poses of keyframes for one frame, computed when they are asked for.

    Attributes:
        nearest: gives the poses (4x4) of the most similar keyframes, at most so many.
        reach: see `KeyframesSpec`.
    """

    nearest: Callable[[int], Sequence[Array]]
    reach: tuple[float, ...]

    def starts(self, count: int) -> list[Start]:
        """The most similar ones first."""
        return [Start(f"retrieval {rank}", T, is_keyframe=True) for rank, T in enumerate(self.nearest(count), 1)]


def in_order(
    network: Pose, expected: Pose | None, retrieved: Retrieved | None, drawn: Iterator[Array], limit: int
) -> Iterator[Start]:
    """At most `limit` starts; 1: the network's alone. Drawn ones only where there are not enough others.

    Args:
        network: its pose.
        expected: where the tracker expects the camera; None if it does not.
        retrieved: None where the model has no keyframes.
        drawn: as many poses (4x4) as are wanted.
        limit: how many.
    """
    first = Start(NETWORK, network.T)
    ordered = [] if expected is None or limit == 1 else [(gain(expected), Start(TRACKER, expected.T))]
    share = 1.0 if retrieved is None or limit == 1 else gain(network)
    if share < _OFTEN:
        ordered.insert(0, (share, first))
    else:
        yield first  # before anything is retrieved, which its success would make needless
    left = limit - (1 if expected is None else 2)
    if retrieved is not None and left > 0:
        found = retrieved.starts(left)
        left -= len(found)
        reach = retrieved.reach + (0.0,) * len(found)
        ordered = sorted([*ordered, *zip(reach, found, strict=False)], key=lambda one: -one[0])
    yield from (start for _, start in ordered)
    for _, T in zip(range(left), drawn, strict=False):
        yield Start(DRAW, T)


def gain(pose: Pose) -> float:
    """The share of poses with this covariance from which registration reaches the true one."""
    values, vectors = np.linalg.eigh(pose.covariance)
    errors = _SAMPLES @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    metres, radians = np.linalg.norm(errors[:, :3], axis=1), np.linalg.norm(errors[:, 3:], axis=1)
    return float(np.mean((metres <= REACH_M) & (radians <= REACH_RAD)))
