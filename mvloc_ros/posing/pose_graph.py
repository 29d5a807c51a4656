# SPDX-License-Identifier: Apache-2.0
"""Poses that fit all relative poses best, by gtsam; relative poses that contradict the rest count little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.posing.errors import PosingError

Array = NDArray[np.float64]

# Beyond so many standard deviations a loop closure counts less and less (Geman-McClure). The information of relative
# poses leaves out what is systematic (distortion of the depth), so that many good ones are at two or three.
_CUTOFF = 4.0
# What a drive drifted by is a hundred standard deviations of the closure that ends it. The cutoff begins so wide that
# every closure counts, and narrows by this factor (graduated non-convexity; Yang et al., RA-L 2020).
_NARROWER = 2.0
# What systematic errors add to every relative pose: meters and radians, one standard deviation.
_LEAST_SIGMA = (0.003, np.deg2rad(0.15))
_FIXED = 1e-4
# The first pose is held so loosely where single poses are known better than this, meters or radians.
_LOOSE, _TOLD = 10.0, 1.0
# Where nothing tells a direction, it is unknown to this degree.
_MOST_SIGMA = (1.0, np.deg2rad(30.0))


@dataclass(frozen=True, eq=False)
class Relative:
    """A measured relative pose.

    Attributes:
        a, b: numbers of the poses.
        T_a_b: 4x4.
        information: `[6, 6]`: position and rotation of b, in the axes of a.
        is_robust: whether it may be wrong as a whole, as loop closures may.
    """

    a: int
    b: int
    T_a_b: Array
    information: Array
    is_robust: bool

    def error(self, poses: Array) -> tuple[float, float]:
        """Its difference, in meters and radians, from that between poses `[N, 4, 4]`."""
        T = se3.inverse(poses[self.a]) @ poses[self.b]
        return float(se3.translation_error(T, self.T_a_b)), float(se3.rotation_error(T, self.T_a_b))

    def sigmas(self, poses: Array) -> float:
        """That difference in standard deviations."""
        off = pose_error(se3.inverse(poses[self.a]) @ poses[self.b], self.T_a_b)
        return float(np.sqrt(off @ np.linalg.solve(_covariance(self.information), off)))


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of one pose alone: T (4x4), and its covariance `[6, 6]` in the axes of the poses' frame."""

    pose: int
    T: Array
    covariance: Array

    def sigmas(self, poses: Array) -> float:
        """How far the pose among poses `[N, 4, 4]` is from it, in standard deviations."""
        off = pose_error(poses[self.pose], self.T)
        return float(np.sqrt(off @ np.linalg.solve(self.covariance, off)))


@dataclass(frozen=True, eq=False)
class Optimized:
    """Poses `[N, 4, 4]`, and their covariances `[N, 6, 6]`: position and rotation, in the axes of the poses' frame."""

    poses: Array
    covariances: Array | None


def optimize(
    poses: Array, relatives: Sequence[Relative], known: Sequence[Known] = (), *, with_covariances: bool = False
) -> Optimized:
    """Optimize poses that relative ones connect to the first.

    The first one stays where it is, but for its height and its tilt where `known` ones tell these.

    Args:
        poses: `[N, 4, 4]` to begin with.
        relatives: what was measured between them.
        known: what is known of single ones; it may be wrong for some.
        with_covariances: of the poses relative to the first one.

    Raises:
        PosingError: gtsam is not installed, or not all poses are connected.
    """
    gtsam = _gtsam()
    _require_connected(len(poses), relatives)
    result = gtsam.Values()
    for number, T in enumerate(poses):
        result.insert(number, gtsam.Pose3(T))
    parameters = gtsam.LevenbergMarquardtParams()
    parameters.setMaxIterations(50)
    try:
        for cutoff in _cutoffs(poses, relatives, known):
            graph = _graph(gtsam, poses[0], relatives, known, cutoff)
            result = gtsam.LevenbergMarquardtOptimizer(graph, result, parameters).optimize()
        found = np.array([result.atPose3(number).matrix() for number in range(len(poses))])
        covariances = None
        if with_covariances:
            marginals = gtsam.Marginals(graph, result)
            covariances = np.array(
                [_in_ros_order(marginals.marginalCovariance(n), found[n]) for n in range(len(poses))]
            )
    except RuntimeError as error:  # gtsam's IndeterminantLinearSystemException
        raise PosingError(f"The poses of the recording cannot be determined together ({str(error)[:80]}).") from error
    found[:, :3, :3] = se3.project_to_so3(found[:, :3, :3])
    return Optimized(found, covariances)


def _require_connected(count: int, relatives: Sequence[Relative]) -> None:
    neighbors: list[list[int]] = [[] for _ in range(count)]
    for relative in relatives:
        neighbors[relative.a].append(relative.b)
        neighbors[relative.b].append(relative.a)
    reached, new = {0}, [0]
    while new:
        found = {other for number in new for other in neighbors[number]} - reached
        reached |= found
        new = sorted(found)
    if len(reached) < count:
        raise PosingError(
            f"The poses of the recording cannot be determined together: nothing connects {count - len(reached)} of "
            f"{count} keyframes to the first."
        )


def _cutoffs(poses: Array, relatives: Sequence[Relative], known: Sequence[Known]) -> list[float]:
    """From one within which everything lies that may be wrong, to `_CUTOFF`."""
    off = [relative.sigmas(poses) for relative in relatives if relative.is_robust]
    off += [one.sigmas(poses) for one in known]
    cutoffs = [_CUTOFF]
    while cutoffs[-1] < max(off, default=0.0):
        cutoffs.append(cutoffs[-1] * _NARROWER)
    return cutoffs[::-1]


def _graph(gtsam: Any, first: Array, relatives: Sequence[Relative], known: Sequence[Known], cutoff: float) -> Any:
    graph = gtsam.NonlinearFactorGraph()
    fixed = np.full(6, _FIXED)
    for axis in (2, 3, 4):  # height and tilt
        if any(one.covariance[axis, axis] < _TOLD**2 for one in known):
            fixed[axis] = _LOOSE
    graph.add(_prior(gtsam, Known(0, first, np.diag(fixed**2)), None))
    for one in known:
        graph.add(_prior(gtsam, one, cutoff))
    for relative in relatives:
        graph.add(_factor(gtsam, relative, cutoff if relative.is_robust else None))
    return graph


def _factor(gtsam: Any, relative: Relative, cutoff: float | None) -> Any:
    noise = _noise(gtsam, _covariance(relative.information), relative.T_a_b, cutoff)
    return gtsam.BetweenFactorPose3(relative.a, relative.b, gtsam.Pose3(relative.T_a_b), noise)


def _prior(gtsam: Any, known: Known, cutoff: float | None) -> Any:
    noise = _noise(gtsam, known.covariance, known.T, cutoff)
    return gtsam.PriorFactorPose3(known.pose, gtsam.Pose3(known.T), noise)


def _noise(gtsam: Any, covariance: Array, T: Array, cutoff: float | None) -> Any:
    """Of a pose (4x4) with a covariance in ROS order, in the axes of the frame around; robust from a cutoff on."""
    # gtsam's errors are rotation first, then position, in the axes of the pose.
    turn = np.zeros((6, 6))
    turn[:3, 3:], turn[3:, :3] = T[:3, :3], T[:3, :3]
    covariance = turn.T @ covariance @ turn
    noise = gtsam.noiseModel.Gaussian.Covariance(0.5 * (covariance + covariance.T))
    if cutoff is not None:
        noise = gtsam.noiseModel.Robust.Create(gtsam.noiseModel.mEstimator.GemanMcClure.Create(cutoff), noise)
    return noise


def _covariance(information: Array) -> Array:
    weakest = np.diag([_MOST_SIGMA[0] ** -2.0] * 3 + [_MOST_SIGMA[1] ** -2.0] * 3)
    systematic = np.diag([_LEAST_SIGMA[0] ** 2.0] * 3 + [_LEAST_SIGMA[1] ** 2.0] * 3)
    return np.asarray(np.linalg.inv(information + weakest) + systematic)


def _in_ros_order(covariance: Array, T: Array) -> Array:
    """Gtsam's (rotation, position; axes of the pose) as position and rotation in the axes of the frame around."""
    turn = np.zeros((6, 6))
    turn[:3, 3:], turn[3:, :3] = T[:3, :3], T[:3, :3]
    return np.asarray(turn @ covariance @ turn.T)


def _gtsam() -> Any:
    try:
        version = metadata.version("gtsam")
    except metadata.PackageNotFoundError:
        version = ""
    # 4.2, the last version for Python 3.10, ends the process with NumPy 2.
    if version.startswith("4.2") and np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        raise PosingError(
            f"gtsam {version} works with NumPy 1 only: pip install 'numpy<2', or use Python 3.11 or newer."
        )
    try:
        import gtsam
    except ImportError as error:
        raise PosingError(
            "Poses are found with gtsam, which is not installed: pip install gtsam (with Python 3.10 also 'numpy<2')."
        ) from error
    return gtsam
