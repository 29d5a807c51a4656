# SPDX-License-Identifier: Apache-2.0
"""Up by the accelerometer, of a map that is turned and bent, while the camera accelerates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from imu_scene import R_CAMERA_IMU, imu_on, rotation
from posing_scene import camera, hardly_anything, record, transform

from mvloc_ros.geometry import se3
from mvloc_ros.posing.gravity import Gravity, find_gravity
from mvloc_ros.posing.imu_motion import ImuMotion, ImuMount
from mvloc_ros.posing.tracks import Keyframe, Track, TrackedFrame
from mvloc_ros.recordings.imu.samples import Imu, Readings

TURNED = transform(3.0, -2.0, 1.0, 25.0, -15.0, 70.0)
"""Where the world is in the frame in which the poses were found."""
UP = TURNED[:3, :3] @ [0.0, 0.0, 1.0]
HZ, EVERY = 10.0, 3
VERTICAL = np.array([0.0, -1.0, 0.0])


def on_wheels(count: int = 400) -> list[np.ndarray]:
    """Drives, brakes and turns on a floor, with a level camera."""
    t = np.arange(count) / HZ
    return [camera(2.0 * np.sin(0.4 * k), 1.5 * np.cos(0.3 * k), 0.9, 60.0 * np.sin(0.5 * k) + 10.0 * k) for k in t]


def by_hand(count: int = 400) -> list[np.ndarray]:
    t = np.arange(count) / HZ
    return [camera(0.3 * np.sin(k), 0.2 * np.cos(k), 1.2, 60.0 * np.sin(0.5 * k), 30.0 * np.sin(0.7 * k)) for k in t]


def track_of(poses: Sequence[np.ndarray], imu: Imu, mount: ImuMount | None) -> tuple[Track, np.ndarray]:
    """A track with every third frame a keyframe, and the poses of these."""
    track = Track(0, imu=ImuMotion(imu, mount))
    for index, T in enumerate(poses):
        if index % EVERY == 0:
            track.keyframes.append(Keyframe(hardly_anything(index), T, np.eye(6)))
        keyframe = track.keyframes[-1]
        T_keyframe_camera = se3.inverse(keyframe.T) @ T
        track.frames.append(TrackedFrame(record(index), len(track.keyframes) - 1, T_keyframe_camera))
    return track, np.array([keyframe.T for keyframe in track.keyframes])


def mount(sigma: float = 0.0, turn_deg: float = 0.0) -> ImuMount:
    """As it is, or turned about the camera's vertical, which is what is not known."""
    R = rotation(0.0, turn_deg, 0.0) @ R_CAMERA_IMU
    return ImuMount(R, np.zeros(3), 0.0, VERTICAL, sigma, is_stated=False)


def found(
    poses: Sequence[np.ndarray], how: ImuMount | None, *, bend: Sequence[np.ndarray] | None = None, **changed: object
) -> Gravity | str:
    imu = imu_on(poses, 1.0 / HZ, np.random.default_rng(0))
    moved = [TURNED @ T for T in (poses if bend is None else bend)]
    track, at = track_of(moved, replace(imu, **changed), how)
    return find_gravity([track], [range(len(at))], at)


def off_deg(up: np.ndarray, wanted: np.ndarray = UP) -> float:
    return float(np.rad2deg(np.arccos(np.clip(up @ wanted, -1.0, 1.0))))


@pytest.mark.parametrize("way", [on_wheels, by_hand])
def test_up_is_found_although_the_camera_accelerates(way):
    gravity = found(way(), mount())
    assert isinstance(gravity, Gravity)
    assert off_deg(gravity.up) < 0.1
    assert np.rad2deg(gravity.spread_rad) < 0.3
    assert len(gravity.known) > 120
    # A single sample shows no such direction: the drive brakes with up to 0.5 m/s^2.
    np.testing.assert_allclose(gravity.T_level[:3, :3] @ gravity.up, [0.0, 0.0, 1.0], atol=1e-9)


def test_the_turn_that_rotations_left_open_is_found_by_the_accelerations():
    """Turned by 120 degrees the forces point up as well, but do not fit to how the robot brakes."""
    right, turned = found(on_wheels(), mount()), found(on_wheels(), mount(np.pi, 120.0))
    as_if_known = found(on_wheels(), mount(0.0, 120.0))
    assert isinstance(right, Gravity)
    assert isinstance(turned, Gravity)
    assert isinstance(as_if_known, Gravity)
    assert turned.spread_rad < 1.5 * right.spread_rad
    assert as_if_known.spread_rad > 2.0 * right.spread_rad


def test_a_map_that_is_bent_is_told_where():
    """The second half is tilted by 5 degrees, as by one wrong relative pose."""
    poses = by_hand()
    tilt = transform(0.0, 0.0, 0.0, 5.0, 0.0, 0.0)
    half = len(poses) // 2
    bend = [*poses[:half], *(poses[half] @ tilt @ se3.inverse(poses[half]) @ T for T in poses[half:])]
    gravity = found(poses, mount(), bend=bend)
    assert isinstance(gravity, Gravity)
    world = poses[half][:3, :3] @ tilt[:3, :3] @ poses[half][:3, :3].T
    for known in gravity.known:
        index = known.pose * EVERY
        if abs(index - half) < 25:
            continue  # its span is in both parts
        pose = gravity.T_level @ TURNED @ bend[index]
        correction = known.T[:3, :3] @ pose[:3, :3].T
        true_up = gravity.T_level[:3, :3] @ TURNED[:3, :3] @ (world if index > half else np.eye(3)) @ [0.0, 0.0, 1.0]
        # What is known of the tilt turns up, as the bent map has it there, to z.
        assert off_deg(correction @ true_up, np.array([0.0, 0.0, 1.0])) < 1.5
    assert 1.5 < np.rad2deg(gravity.spread_rad) < 3.5


def test_a_bias_of_the_accelerometer_is_told_from_a_tilt_while_the_camera_turns():
    poses = on_wheels()
    imu = imu_on(poses, 1.0 / HZ, np.random.default_rng(0))
    assert imu.accelerations is not None
    bias = R_CAMERA_IMU.T @ [0.12, 0.0, 0.12]  # across the vertical: 1 degree
    biased = Readings(imu.accelerations.stamps_ns, imu.accelerations.values + bias)
    gravity = found(poses, mount(), accelerations=biased)
    assert isinstance(gravity, Gravity)
    assert off_deg(gravity.up) < 0.25
    assert np.rad2deg(gravity.spread_rad) < 0.5


def test_without_angular_velocity_up_is_found_from_tilts_and_only_from_these():
    gravity = found(by_hand(), None, rates=None)
    assert isinstance(gravity, Gravity)
    assert off_deg(gravity.up) < 1.0
    still = [camera(0.1 * np.sin(0.1 * k), 0.0, 1.2, 0.0, 20.0) for k in range(200)]
    assert "neither the recording nor the camera's motion tells how it is mounted" in str(
        found(still, None, rates=None)
    )


def test_an_imu_whose_rotations_do_not_fit_tells_no_up():
    assert isinstance(found(by_hand(), None), str)
    assert found(by_hand(), mount(), accelerations=None) == ""


def test_an_imu_that_is_turned_otherwise_than_stated_is_said():
    """Stated 40 degrees off, and too little motion to check the gyroscope: over all headings the forces cancel."""
    off = ImuMount(rotation(40.0, 0.0, 0.0) @ R_CAMERA_IMU, np.zeros(3), 0.0, VERTICAL, 0.0, is_stated=True)
    why = found(on_wheels(), off)
    assert isinstance(why, str)
    assert "accelerations have a mean of " in why


def test_a_bend_that_looks_like_a_bias_is_not_taken_for_one():
    """Half of a drive leans by 5 degrees as the camera has it, as a bias of 0.9 m/s^2 would make it seem."""
    poses = on_wheels()
    half = len(poses) // 2
    tilt = transform(0.0, 0.0, 0.0, 0.0, 0.0, 5.0)
    gravity = found(poses, mount(), bend=[*poses[:half], *(T @ tilt for T in poses[half:])])
    assert isinstance(gravity, Gravity)
    assert len(gravity.known) > 120
    assert np.rad2deg(gravity.spread_rad) > 2.0
