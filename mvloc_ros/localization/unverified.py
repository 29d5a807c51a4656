# SPDX-License-Identifier: Apache-2.0
"""Poses that nothing could verify: rejected while verification works, and for a stated time after it ended.

A pose is verified by the scene map, which needs depth in the map's range. Without it there is no verdict, and that is
no reason to accept the pose: a hand in front of the camera gives the network a view that it has never seen, and the
covariance of its answer does not show that. So such poses are rejected until verification has had nothing to judge for
`after_s` (a depth camera that is silent, a hall beyond the map's range); from then on they are the best there is. A
verdict of either kind ends that: where the map rejects poses, unverified ones are no better.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Unrefined:
    """A frame whose pose could not be refined, so that the scene map has not judged it.

    Attributes:
        reason: why, in words.
        rejection: by which rule the pose is rejected all the same, in words; empty if by none.
    """

    reason: str
    rejection: str = ""


class UnverifiedPoses:
    """Tells of unverified poses whether they are rejected. Not safe to share between threads."""

    def __init__(self, after_s: float) -> None:
        """No verdict yet: the time counts from the first pose that is asked about.

        Args:
            after_s: seconds without a verdict, by the images' stamps; 0 accepts all unverified poses.
        """
        self._after_s = after_s
        self._since_ns: int | None = None

    def forget(self) -> None:
        """Start counting again at the next pose."""
        self._since_ns = None

    def verified(self, stamp_ns: int) -> None:
        """A pose of this stamp was verified, or rejected by verification."""
        self._since_ns = stamp_ns

    def rejection_of(self, stamp_ns: int, why: str) -> str:
        """Why an unverified pose is rejected, in words; empty if it is not.

        Args:
            stamp_ns: of the pose.
            why: what kept it from being verified, in words.
        """
        if self._since_ns is None:
            self._since_ns = stamp_ns
        elapsed_s = 1e-9 * abs(stamp_ns - self._since_ns)
        if elapsed_s >= self._after_s:
            return ""
        return (
            f"the pose could not be verified ({why}); the network's poses are accepted without it after "
            f"{self._after_s:g} s, {elapsed_s:.1f} s have passed"
        )
