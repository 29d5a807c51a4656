# SPDX-License-Identifier: Apache-2.0
"""The robot's transforms out of a recording answer as TF would, or say why not."""

from __future__ import annotations

import numpy as np
import pytest

from mvloc_ros.geometry import se3
from mvloc_ros.recordings.transforms import TransformTree
from mvloc_ros.replay.recorded_transforms import RecordedTransforms

NONE = [0.0, 0.0, 0.0, 1.0]
SECOND = 10**9
MOUNT = se3.from_parts([0.1, 0.0, 0.4], [-0.5, 0.5, -0.5, 0.5])


@pytest.fixture
def tree() -> TransformTree:
    """odom -> base at 1 m/s, with a step of 8 m that no robot makes between 3 and 4 s; base -> camera fixed."""
    tree = TransformTree()
    for second, metres in ((1, 1.0), (2, 2.0), (3, 3.0), (4, 12.0)):
        tree.add("odom", "base", second * SECOND, se3.from_parts([metres, 0.0, 0.0], NONE))
    tree.add("base", "camera", None, MOUNT)
    tree.add("elsewhere", "thing", None, MOUNT)
    return tree


def test_chains_are_interpolated_as_by_tf2_whatever_the_motion(tree):
    transforms = RecordedTransforms(tree)
    for at, metres in ((SECOND, 1.0), (3 * SECOND // 2, 1.5), (7 * SECOND // 2, 7.5)):
        found = transforms.lookup("odom", "camera", at)
        np.testing.assert_allclose(found.T, se3.from_parts([metres, 0.0, 0.0], NONE) @ MOUNT, atol=1e-12)
    np.testing.assert_allclose(transforms.lookup("camera", "base", 0).T, se3.inverse(MOUNT), atol=1e-12)


def test_nothing_is_made_up_beyond_what_was_recorded(tree):
    for at in (SECOND - 1, 4 * SECOND + 1):
        found = RecordedTransforms(tree).lookup("odom", "camera", at)
        assert (found.T, found.connected) == (None, True)
        assert "before the first or after the last" in found.reason


def test_frames_that_are_not_connected_and_sources_that_contradict_are_told(tree):
    found = RecordedTransforms(tree).lookup("odom", "thing", SECOND)
    assert (found.T, found.connected) == (None, False)
    assert "no chain of transforms" in found.reason
    tree.add("other", "base", SECOND, MOUNT)
    found = RecordedTransforms(tree).lookup("odom", "camera", SECOND)
    assert found.T is None
    assert "more than one parent" in found.reason
