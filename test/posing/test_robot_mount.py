# SPDX-License-Identifier: Apache-2.0
"""Where the camera is on the robot, in the camera file of what was posed."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from mvloc_ros.geometry import se3
from mvloc_ros.posing.base_odometry import Mount
from mvloc_ros.posing.robot_mount import with_mount
from mvloc_ros.recordings.seven_scenes import DEFAULTS

FORWARD = se3.from_parts([0.2, -0.05, 0.0], [-0.5, 0.5, -0.5, 0.5])


def moved(x: float = 0.0, degrees: float = 0.0) -> np.ndarray:
    half = np.deg2rad(degrees) / 2.0
    return se3.from_parts([x, 0.0, 0.0], [0.0, 0.0, np.sin(half), np.cos(half)]) @ FORWARD


def test_the_level_floor_tells_the_height():
    found = with_mount(DEFAULTS, Mount(FORWARD, 0.0, 0.0), 0.9)
    assert DEFAULTS.T_base_camera is None
    np.testing.assert_allclose(found.T_base_camera[:3, 3], [0.2, -0.05, 0.9])
    np.testing.assert_allclose(found.T_base_camera[:3, :3], FORWARD[:3, :3])


@pytest.mark.parametrize("mount", [None, Mount(FORWARD, 0.0, 0.0)])
def test_without_odometry_or_floor_nothing_is_made_up(mount: Mount | None):
    found = with_mount(DEFAULTS, mount, None)
    assert (found.T_base_camera is None) == (mount is None)
    if mount is not None:
        np.testing.assert_array_equal(found.T_base_camera, FORWARD)


@pytest.mark.parametrize(("stated", "warns"), [(moved(0.1, 3.0), False), (moved(0.3), True), (moved(0.0, 8.0), True)])
def test_what_is_stated_stays_and_is_checked(stated: np.ndarray, warns: bool, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        found = with_mount(replace(DEFAULTS, T_base_camera=stated), Mount(FORWARD, 0.0, 0.0), 0.9)
    np.testing.assert_array_equal(found.T_base_camera, stated)
    assert ("T_base_camera in camera.json is" in caplog.text) == warns
