# SPDX-License-Identifier: Apache-2.0
"""Odometry and the camera's place on the robot against true poses: agreement, drift, and what is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.geometry import se3
from mvloc_ros.recordings.frames import FrameRecord, PosedFolder
from mvloc_ros.recordings.odometry_check import contradiction
from mvloc_ros.recordings.seven_scenes import DEFAULTS

T_BASE_CAMERA = se3.from_parts([0.2, -0.05, 0.9], [-0.5, 0.5, -0.5, 0.5])
T_MAP_ODOM = se3.from_parts([3.0, 1.0, 0.0], [0.0, 0.0, 0.6, 0.8])


def base_at(n: int, drift: float = 0.0) -> np.ndarray:
    """A base on a circle, ten times a second: 0.4 m and 23 degrees a second; its way is too long by `drift`."""
    half = 0.02 * n
    return se3.from_parts(
        [(1.0 + drift) * np.sin(2.0 * half), (1.0 + drift) * (1.0 - np.cos(2.0 * half)), 0.0],
        [0.0, 0.0, np.sin(half), np.cos(half)],
    )


@pytest.fixture
def folder() -> PosedFolder:
    frames = tuple(
        FrameRecord("seq-01", n, n * 100_000_000, Path("c"), Path("d"), T_MAP_ODOM @ base_at(n) @ T_BASE_CAMERA)
        for n in range(100)
    )
    return PosedFolder(root=Path("r"), layout="7scenes", train=frames, test=(), **vars(DEFAULTS))


@pytest.mark.parametrize("drift", [0.0, 0.05])
def test_what_agrees_but_for_drift_is_no_fault(folder: PosedFolder, drift: float):
    odometry = {("seq-01", n): base_at(n, drift) for n in range(100)}
    assert contradiction(folder, T_BASE_CAMERA, odometry) == ""


def test_a_camera_that_looks_elsewhere_on_the_robot_is_said(folder: PosedFolder):
    odometry = {("seq-01", n): base_at(n) for n in range(100)}
    sideways = se3.from_parts([0.0, 0.0, 0.0], [0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)]) @ T_BASE_CAMERA
    assert "differ by 0.5" in contradiction(folder, sideways, odometry)


def test_odometry_in_millimetres_and_of_another_drive_are_said(folder: PosedFolder):
    large = {("seq-01", n): base_at(n).copy() for n in range(100)}
    for T in large.values():
        T[:3, 3] *= 1000.0
    assert "correct odometry.tum" in contradiction(folder, T_BASE_CAMERA, large)
    backwards = {("seq-01", n): base_at(99 - n) for n in range(100)}
    assert "45.8 degrees" in contradiction(folder, T_BASE_CAMERA, backwards)


def test_a_camera_at_rest_tells_nothing(folder: PosedFolder):
    still = tuple(replace(frame, T_map_camera=T_BASE_CAMERA) for frame in folder.train)
    odometry = {("seq-01", n): 1000.0 * base_at(n) for n in range(100)}
    assert contradiction(replace(folder, train=still), T_BASE_CAMERA, odometry) == ""
