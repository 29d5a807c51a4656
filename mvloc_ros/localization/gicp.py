# SPDX-License-Identifier: Apache-2.0
"""One step of generalised ICP (Segal et al., RSS 2009) between surfaces whose normals are known.

Each point stands for a piece of plane: its covariance is 1 along the surface and `ACROSS` along the normal n, so it is
I - a n n^T with a = 1 - ACROSS, and that of a pair is 2 I - a N N^T with both normals in N (3x2). By the Woodbury
identity its inverse is I/2 + a/4 N (I - a/2 N^T N)^-1 N^T, which needs the inverse of a 2x2 matrix only. So a map that
stores normals is registered to without covariances: these would have to be estimated from neighbours, which takes eight
times as long as building the tree, and would take 128 bytes a point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import small_gicp
from numpy.typing import NDArray

Array = NDArray[np.float64]

ACROSS = 1e-3
"""Variance along the normal, where that along the surface is 1 (the regularisation of the paper)."""
# Added to the diagonal of the Hessian: where nothing is in reach, the step is zero.
_DAMPING = 1e-3


@dataclass(frozen=True, eq=False)
class Surface:
    """Points `[N, 3]` and their normals `[N, 3]`.

    Normals have the length 1, or less where they are means of different ones: the surface is less flat there.
    """

    points: Array
    normals: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.points)

    def chosen(self, which: NDArray[np.intp]) -> Surface:
        """Some of the points, by their indices."""
        return Surface(self.points[which], self.normals[which])


@dataclass(frozen=True, eq=False)
class SearchedSurface(Surface):
    """A surface with its search tree.

    Attributes:
        tree: of its points.
        outline: a surface of fewer points; None without.
        outline_m: how far its own points are from the nearest one of the outline, at most.
    """

    tree: small_gicp.KdTree
    outline: SearchedSurface | None = None
    outline_m: float = 0.0

    @staticmethod
    def of(
        points: Array,
        normals: NDArray[np.floating],
        threads: int,
        outline: SearchedSurface | None = None,
        outline_m: float = 0.0,
    ) -> SearchedSurface:
        """Build the tree: 0.2 microseconds a point."""
        tree = small_gicp.KdTree(small_gicp.PointCloud(points), num_threads=threads)
        return SearchedSurface(points, normals, tree, outline, outline_m)

    def nearest(self, points: Array, threads: int) -> tuple[NDArray[np.intp], Array]:
        """Index `[M]` of the point nearest to each of `[M, 3]`, and its squared distance `[M]`."""
        index, squared = self.tree.batch_knn_search(points, 1, threads)
        return np.asarray(index)[:, 0].astype(np.intp), np.asarray(squared)[:, 0]

    def in_reach(self, points: Array, within_m: float, threads: int) -> NDArray[np.intp]:
        """Which of points `[M, 3]` may have one of these within a distance; the others surely have not.

        A search far from any surface takes up to a hundred times as long as others; that in the outline does not.
        """
        if self.outline is None:
            return np.arange(len(points))
        return np.flatnonzero(self.outline.nearest(points, threads)[1] <= (within_m + self.outline_m) ** 2)


def step(source: Surface, target: SearchedSurface, T: Array, within_m: float, threads: int) -> Array:
    """By what a pose is to be moved, `[6]` in ROS order: position, and rotation about the pose's own place, map axes.

    Args:
        source: of the frame, in its own axes.
        target: of the map.
        T: the pose, 4x4.
        within_m: pairs that are further apart are left out.
        threads: of the search.
    """
    placed = source.points @ T[:3, :3].T + T[:3, 3]
    nearest, squared = target.nearest(placed, threads)
    near = np.flatnonzero(squared < within_m**2)
    placed, nearest = placed[near], nearest[near]
    # Coordinates in rows: sums over pairs then run along memory.
    apart, arms = (target.points[nearest] - placed).T.copy(), (placed - T[:3, 3]).T.copy()
    theirs = target.normals[nearest].T.astype(np.float64, order="C")
    mine = T[:3, :3] @ source.normals[near].T
    return np.asarray(np.linalg.solve(*_equations(apart, arms, theirs, mine)))


def _equations(apart: Array, arms: Array, theirs: Array, mine: Array) -> tuple[Array, Array]:
    """Hessian 6x6 and right side `[6]` of pairs `[3, N]`: their difference, the arm, and both normals."""
    a = 1.0 - ACROSS
    one, both, other = (0.5 * a * _dot(p, q) for p, q in ((theirs, theirs), (theirs, mine), (mine, mine)))
    scale = 0.25 * a / ((1.0 - one) * (1.0 - other) - both * both)
    first, mixed, second = scale * (1.0 - other), scale * both, scale * (1.0 - one)
    J, K = (np.concatenate([normals, _cross(arms, normals)]) for normals in (theirs, mine))
    weighted_J, weighted_K = first * J + mixed * K, mixed * J + second * K
    x, y, z = arms.sum(axis=1)
    turned = np.array([[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]])
    squares = arms @ arms.T
    isotropic = np.block([[arms.shape[1] * np.eye(3), turned], [turned.T, np.trace(squares) * np.eye(3) - squares]])
    pull = np.concatenate([apart, _cross(arms, apart)]).sum(axis=1)
    hessian = J @ weighted_J.T + K @ weighted_K.T + 0.5 * isotropic + _DAMPING * np.eye(6)
    return hessian, weighted_J @ _dot(theirs, apart) + weighted_K @ _dot(mine, apart) + 0.5 * pull


def _dot(a: Array, b: Array) -> Array:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Array, b: Array) -> Array:
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])
