# SPDX-License-Identifier: Apache-2.0
"""Poses that nothing could verify: how long they are rejected."""

from __future__ import annotations

import pytest

from mvloc_ros.localization.unverified import UnverifiedPoses

SECOND = 1_000_000_000
SILENT = "there is no depth image"


def accepted(poses: UnverifiedPoses, *seconds: float) -> list[bool]:
    return [poses.rejection_of(round(s * SECOND), SILENT) == "" for s in seconds]


def test_unverified_poses_are_accepted_when_there_was_no_verdict_for_the_stated_time():
    poses = UnverifiedPoses(5.0)
    poses.verified(10 * SECOND)
    assert accepted(poses, 10.1, 12.0, 14.9, 15.0, 15.1) == [False, False, False, True, True]
    # Depth is there again for one frame, whatever it says.
    poses.verified(16 * SECOND)
    assert accepted(poses, 16.1, 20.9, 21.0) == [False, False, True]


def test_the_words_name_the_cause_and_the_time():
    poses = UnverifiedPoses(5.0)
    poses.verified(0)
    assert poses.rejection_of(2 * SECOND, SILENT) == (
        "the pose could not be verified (there is no depth image); the network's poses are accepted without it after "
        "5 s, 2.0 s have passed"
    )


def test_at_the_start_the_time_counts_from_the_first_pose_and_after_forget_anew():
    poses = UnverifiedPoses(5.0)
    assert accepted(poses, 100.0, 104.9, 105.0) == [False, False, True]
    poses.forget()
    # Stamps that went back: the clock was set.
    assert accepted(poses, 3.0, 7.9, 8.0) == [False, False, True]


@pytest.mark.parametrize("first", [0.0, 1e9])
def test_a_time_of_zero_accepts_at_once(first):
    assert accepted(UnverifiedPoses(0.0), first) == [True]
