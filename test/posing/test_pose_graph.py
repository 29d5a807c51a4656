# SPDX-License-Identifier: Apache-2.0
"""The pose graph: loops close, wrong closures count little, covariances are in ROS order and the map's axes."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
from posing_scene import transform

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.localization.motion import moved
from mvloc_ros.posing.errors import PosingError
from mvloc_ros.posing.pose_graph import Relative, optimize

pytest.importorskip("gtsam", reason="poses are found with gtsam, which is not installed")

SIGMAS = np.array([0.010, 0.010, 0.010, *np.deg2rad([0.4, 0.4, 0.4])])
SURE = np.array([0.005, 0.005, 0.005, *np.deg2rad([0.2, 0.2, 0.2])])


def square(steps: int = 5) -> np.ndarray:
    """A drive around a square of 4 m, back to where it began: `[4 * steps + 1, 4, 4]`."""
    poses = [transform(1.0, -2.0, 0.5, 20.0, 10.0, 0.0)]
    for _ in range(4):
        poses += [poses[-1] @ transform(k * 4.0 / steps, 0.0, 0.0, 0.0, 0.0, 0.0) for k in range(1, steps + 1)]
        poses[-1] = poses[-1] @ transform(0.0, 0.0, 0.0, 0.0, 0.0, 90.0)
    return np.array(poses)


def relative(poses: np.ndarray, a: int, b: int, sigmas: np.ndarray, error: np.ndarray, robust: bool) -> Relative:
    """The true relative pose, moved by an error in the axes of a."""
    T = moved(se3.inverse(poses[a]) @ poses[b], error)
    return Relative(a, b, T, np.diag(sigmas**-2.0), robust)


def chain(poses: np.ndarray, rng: np.random.Generator, drift: np.ndarray | None = None) -> list[Relative]:
    drift = np.zeros(6) if drift is None else drift
    return [
        relative(poses, k, k + 1, SIGMAS, SIGMAS * rng.standard_normal(6) + drift, False) for k in range(len(poses) - 1)
    ]


def integrated(first: np.ndarray, steps: list[Relative]) -> np.ndarray:
    poses = [first]
    for step in steps:
        poses.append(poses[-1] @ step.T_a_b)
    return np.array(poses)


def test_a_drifted_square_with_one_closure_comes_back_to_the_truth():
    true, rng = square(), np.random.default_rng(0)
    steps = chain(true, rng, drift=np.array([0.0, 0.0, 0.0, 0.0, 0.0, np.deg2rad(0.4)]))
    begun = integrated(true[0], steps)
    closure = relative(true, 0, len(true) - 1, SURE, np.zeros(6), True)
    assert se3.translation_error(begun, true).max() > 0.3
    # At first the closure is at a hundred standard deviations: it counts all the same, for nothing contradicts it.
    found = optimize(begun, [*steps, closure])
    assert se3.translation_error(found.poses[-1], true[-1]) < 3 * SURE[0]
    assert se3.translation_error(found.poses, true).max() < 3 * SIGMAS[0] * np.sqrt(len(steps))
    assert np.rad2deg(se3.rotation_error(found.poses, true)).max() < 3 * 0.4 * np.sqrt(len(steps))
    np.testing.assert_allclose(found.poses[0], true[0], atol=1e-3)
    assert se3.is_rigid(found.poses[7], 1e-9)
    assert found.covariances is None


def test_a_wrong_closure_among_right_ones_bends_nothing():
    true, rng = square(), np.random.default_rng(1)
    steps = chain(true, rng)
    pairs = [(0, 20), (1, 20), (0, 19), (1, 19)]
    right = [relative(true, a, b, SURE, SURE * rng.standard_normal(6), True) for a, b in pairs]
    wrong = relative(true, 2, 12, SURE, np.array([1.0, -0.5, 0.0, 0.0, 0.0, 0.3]), True)
    begun = integrated(true[0], steps)
    without, together = optimize(begun, [*steps, *right]).poses, optimize(begun, [*steps, *right, wrong]).poses
    assert se3.translation_error(together, without).max() < 0.01
    trusted = Relative(wrong.a, wrong.b, wrong.T_a_b, wrong.information, is_robust=False)
    assert se3.translation_error(optimize(begun, [*steps, *right, trusted]).poses, without).max() > 0.2


def test_covariances_grow_with_the_distance_from_the_first_pose():
    true = square()[:11]  # two sides: further and further away
    steps = chain(true, np.random.default_rng(2))
    found = optimize(integrated(true[0], steps), steps, with_covariances=True)
    sigma = np.sqrt(np.linalg.eigvalsh(found.covariances[:, :3, :3])[:, -1])
    assert sigma[0] < 1e-3
    assert (np.diff(sigma) > 0.0).all()
    turned = np.sqrt(np.linalg.eigvalsh(found.covariances[:, 3:, 3:])[:, -1])
    assert (np.diff(turned) > 0.0).all()
    closed = optimize(found.poses, [*steps, relative(true, 0, 10, SURE, np.zeros(6), True)], with_covariances=True)
    assert np.sqrt(np.linalg.eigvalsh(closed.covariances[-1, :3, :3])[-1]) < 0.5 * sigma[-1]


UNLIKE = np.array([0.10, 0.02, 0.04, *np.deg2rad([1.0, 2.0, 6.0])])


def two_steps() -> np.ndarray:
    """Three poses with turned frames, so that every order and every axis matters."""
    first = transform(3.0, -1.0, 0.5, 0.0, 0.0, 90.0)
    second = first @ transform(2.0, 0.3, -0.2, 40.0, -20.0, 60.0)
    return np.array([first, second, second @ transform(1.5, -0.5, 0.4, 10.0, 30.0, -20.0)])


def test_the_covariance_of_one_step_is_its_own_in_the_maps_axes():
    poses = two_steps()
    step = relative(poses, 0, 1, UNLIKE, np.zeros(6), False)
    covariance = optimize(poses[:2], [step], with_covariances=True).covariances[1]
    sigma = np.sqrt(np.diag(covariance))
    # The first frame is turned by 90 degrees about z: its x is the map's y. 3 mm and 0.15 degrees are always added.
    wanted = np.sqrt(UNLIKE[[1, 0, 2, 4, 3, 5]] ** 2 + np.array([0.003] * 3 + [np.deg2rad(0.15)] * 3) ** 2)
    np.testing.assert_allclose(sigma, wanted, rtol=0.03)  # a direction is known to 1 m and 30 degrees in any case
    apart = covariance / np.outer(sigma, sigma) - np.eye(6)
    assert np.abs(apart).max() < 0.02


def test_the_covariance_of_two_steps_is_that_of_drawn_errors():
    poses, rng = two_steps(), np.random.default_rng(3)
    sigmas = 0.2 * UNLIKE
    steps = [relative(poses, k, k + 1, sigmas, np.zeros(6), False) for k in (0, 1)]
    stated = optimize(poses, steps, with_covariances=True).covariances[2]
    drawn_sigmas = np.sqrt(sigmas**2 + np.array([0.003] * 3 + [np.deg2rad(0.15)] * 3) ** 2)
    errors = []
    for _ in range(4000):
        first, second = (moved(step.T_a_b, drawn_sigmas * rng.standard_normal(6)) for step in steps)
        errors.append(pose_error(poses[0] @ first @ second, poses[2]))
    drawn = np.cov(np.array(errors).T)
    scale = np.sqrt(np.outer(np.diag(drawn), np.diag(drawn)))
    np.testing.assert_allclose(stated / scale, drawn / scale, atol=0.07)


def test_the_errors_of_optimized_poses_fit_their_covariances():
    true, rng = square(3), np.random.default_rng(4)
    squares = []
    for _ in range(30):
        steps = [*chain(true, rng), relative(true, 0, 12, SURE, SURE * rng.standard_normal(6), True)]
        found = optimize(true, steps, with_covariances=True)
        error = pose_error(found.poses[6], true[6])
        squares.append(error @ np.linalg.solve(found.covariances[6], error))
    # 180 degrees of freedom; the systematic share that is always added was not drawn.
    assert 3.0 < np.mean(squares) < 7.5


def test_poses_that_nothing_connects_are_refused_in_one_sentence():
    poses = square()[:4]
    with pytest.raises(PosingError, match=r"nothing connects 1 of 4 keyframes.*\.$"):
        optimize(poses, chain(poses, np.random.default_rng(5))[:2])


def test_without_gtsam_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def refuse(name: str, *rest: object) -> object:
        if name == "gtsam":
            raise ImportError("no gtsam")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(PosingError, match="pip install gtsam"):
        optimize(square()[:2], [])
