# SPDX-License-Identifier: Apache-2.0
"""Whether a camera moves in a plane, and what then tells its pose."""

from __future__ import annotations

import numpy as np
import pytest
from box_room import looking

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.localization.planar_motion import PlanarMotion


def drive(count: int = 60, height: float = 0.9, pitch: float = 0.1) -> np.ndarray:
    """A camera on a robot that turns around twice while it drives."""
    rng = np.random.default_rng(3)
    return np.array(
        [
            looking(*rng.uniform(-3.0, 3.0, 2), height, yaw, pitch)
            for yaw in np.linspace(0.0, 4.0 * np.pi, count, endpoint=False)
        ]
    )


def rolled(poses: np.ndarray, radians: float) -> np.ndarray:
    """The camera mounted with a roll."""
    T = np.eye(4)
    T[:3, :3] = quaternion.to_matrix(quaternion.exp(0.5 * np.array([0.0, 0.0, radians])))
    return poses @ T


def test_of_a_robot_the_height_and_the_mounting_are_found():
    poses = rolled(drive(), 0.2)
    motion = PlanarMotion.of(poses)
    assert motion is not None
    assert motion.height_m == pytest.approx(0.9)
    assert motion.R_map_plane[:, 2] == pytest.approx([0.0, 0.0, 1.0], abs=1e-9)
    for T in poses:
        assert motion.pose(*motion.place(T)) == pytest.approx(T, abs=1e-9)


def test_the_map_need_not_be_level():
    tilt = np.eye(4)
    tilt[:3, :3] = quaternion.to_matrix(quaternion.exp(0.5 * np.array([0.7, -1.1, 0.3])))
    tilt[:3, 3] = 5.0, -2.0, 1.0
    poses = tilt @ drive()
    motion = PlanarMotion.of(poses)
    assert motion is not None
    assert motion.R_map_plane[:, 2] == pytest.approx(tilt[:3, 2], abs=1e-9)
    assert motion.pose(*motion.place(poses[7])) == pytest.approx(poses[7], abs=1e-9)
    above = motion.in_plane((poses[7] @ [0.0, -0.5, 0.0, 1.0])[None, :3])
    assert above[0, 2] == pytest.approx(0.5 * np.cos(0.1)), "the camera's y axis points down"


def test_small_deviations_are_accepted_and_the_nearest_pose_is_given():
    rng = np.random.default_rng(0)
    noise = [
        se3.from_parts(0.02 * rng.standard_normal(3), quaternion.exp(0.004 * rng.standard_normal(3))) for _ in range(60)
    ]
    poses = drive() @ np.array(noise)
    motion = PlanarMotion.of(poses)
    assert motion is not None
    for T in poses:
        near = motion.pose(*motion.place(T))
        assert se3.translation_error(near, T) < 0.1
        assert np.degrees(se3.rotation_error(near, T)) < 2.0


@pytest.mark.parametrize(
    "poses",
    [
        pytest.param(drive(15), id="too few poses"),
        pytest.param(np.array([looking(x, 0.0, 0.9, 0.0, 0.0) for x in np.linspace(0, 5, 50)]), id="it never turned"),
        pytest.param(
            np.array([looking(0, 0, z, 9 * z, 0.1) for z in np.linspace(0.5, 1.5, 50)]), id="its height changes"
        ),
        pytest.param(
            np.array([looking(0, 0, 0.9, a, 0.4 * np.sin(5 * a)) for a in np.linspace(0, 6, 50)]), id="it nods"
        ),
        pytest.param(np.array([looking(0, 0, 0.9, a, 1.5) for a in np.linspace(0, 6, 50)]), id="it looks at the floor"),
    ],
)
def test_what_does_not_move_so_is_recognized(poses: np.ndarray):
    assert PlanarMotion.of(poses) is None
