# SPDX-License-Identifier: Apache-2.0
"""Localization by image retrieval without learning: the mean pose of the most similar training frames.

A baseline that pose regression should exceed (Sattler et al., CVPR 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.training.datasets import PosedFrames

Array = NDArray[np.float64]

HOG_SIZE, HOG_CELL = (64, 48), 8  # width, height; cell in pixels, blocks of 2x2 cells
TINY_SIZE = (16, 12)
COUNTS = (1, 2, 3, 5, 8, 12, 20)  # candidates for k
FOLDS = 5
CHUNK = 256  # queries at a time
NO_DISTANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Descriptors:
    """Global descriptors `[N, D]` of N frames; undefined for a missing modality.

    Color: histograms of oriented gradients (Dalal and Triggs, 2005) of a 64x48 image, and the colors of a 16x12 image
    without its mean and contrast. Depth: a 16x12 map of mean valid depth in meters.
    """

    color: NDArray[np.float32]
    depth: NDArray[np.float32]
    present: NDArray[np.float32]

    def __getitem__(self, picked: NDArray[np.int64]) -> Descriptors:
        """Descriptors of some frames."""
        return Descriptors(self.color[picked], self.depth[picked], self.present[picked])


def describe(frames: PosedFrames) -> Descriptors:
    """The descriptors of frames of any size."""
    cell = (HOG_CELL, HOG_CELL)
    gradients = cv2.HOGDescriptor(HOG_SIZE, (2 * HOG_CELL, 2 * HOG_CELL), cell, cell, 9)
    color = [np.concatenate([_unit(_hog(gradients, image)), _unit(_tiny_color(image))]) for image in frames.color]
    return Descriptors(np.stack(color), np.stack([_tiny_depth(image) for image in frames.depth]), frames.present)


@dataclass(frozen=True, eq=False)
class Retrieval:
    """A database of training frames; a query gets the weighted mean pose of the k = `count` nearest.

    `poses` are `[M, 4, 4]`; differences of color and depth descriptors are divided by `spreads`.
    """

    database: Descriptors
    poses: Array
    count: int
    spreads: tuple[float, float]

    @staticmethod
    def build(database: Descriptors, poses: Array, count: int) -> Retrieval:
        """From descriptors and poses `[M, 4, 4]` of training frames."""
        color = _spread(database.color[database.present[:, 0] > 0])
        depth = _spread(database.depth[database.present[:, 1] > 0])
        return Retrieval(database, poses, min(count, len(poses)), (color, depth))

    def predict(self, queries: Descriptors) -> Array:
        """Poses `[N, 4, 4]`."""
        return self.average(*self.nearest(queries))

    def nearest(self, queries: Descriptors) -> tuple[NDArray[np.int64], Array]:
        """Indices of the k nearest training frames and their squared distances, `[N, k]`, the nearest first."""
        indices = np.empty((len(queries.present), self.count), dtype=np.int64)
        squares = np.empty(indices.shape)
        for start in range(0, len(indices), CHUNK):
            part = slice(start, start + CHUNK)
            found = self._distances(queries[np.arange(len(indices))[part]])
            picked = np.argpartition(found, self.count - 1, axis=1)[:, : self.count]
            near = np.take_along_axis(found, picked, axis=1)
            order = np.argsort(near, axis=1, kind="stable")
            indices[part], squares[part] = (np.take_along_axis(values, order, axis=1) for values in (picked, near))
        return indices, squares

    def average(self, indices: NDArray[np.int64], squares: Array) -> Array:
        """Poses `[N, 4, 4]`: means of positions and of rotations, weighted by the inverse squared distances."""
        positions, orientations = se3.to_parts(self.poses)
        weights = 1.0 / np.maximum(squares, NO_DISTANCE)
        weights /= weights.sum(axis=1, keepdims=True)
        # The mean rotation weighs a quaternion by its squared length.
        scaled = np.sqrt(weights)[:, :, None] * orientations[indices]
        rotations = np.stack([quaternion.mean(of_frame) for of_frame in scaled])
        return se3.from_parts(np.einsum("nk,nki->ni", weights, positions[indices]), rotations)

    def _distances(self, queries: Descriptors) -> Array:
        """Squared distances `[N, M]`, the mean over the common modalities.

        Each modality is in units of its spread over the database. Frames without a common modality have the mean
        distance of two frames of the database.
        """
        total = np.zeros((len(queries.present), len(self.poses)))
        shared = np.zeros_like(total)
        pairs = ((queries.color, self.database.color), (queries.depth, self.database.depth))
        for column, ((query, known), spread) in enumerate(zip(pairs, self.spreads, strict=True)):
            both = queries.present[:, column, None] * self.database.present[None, :, column]
            total += both * _squared_distances(query, known) / spread**2
            shared += both
        return np.where(shared > 0, total / np.maximum(shared, 1.0), 2.0)


def choose_count(database: Descriptors, poses: Array, sequences: Sequence[str]) -> int:
    """The k of COUNTS with the smallest median errors on held-out training frames.

    Each training sequence is divided into FOLDS blocks of consecutive frames, and each block is localized with all
    other frames. The score is the sum of both medians, each relative to the best of any k.

    Args:
        database: descriptors of the training frames, each sequence in the order of time.
        poses: of the frames, `[M, 4, 4]`.
        sequences: of the frames.
    """
    names = np.array(sequences)
    fold = np.empty(len(poses), dtype=np.int64)
    for name in set(sequences):
        of_sequence = np.flatnonzero(names == name)
        fold[of_sequence] = np.arange(len(of_sequence)) * FOLDS // len(of_sequence)
    errors: dict[int, list[Array]] = {count: [] for count in COUNTS}
    for number in range(FOLDS):
        held, rest = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        if not len(held) or not len(rest):
            continue
        retrieval = Retrieval.build(database[rest], poses[rest], max(COUNTS))
        indices, squares = retrieval.nearest(database[held])
        for count in COUNTS:
            found = retrieval.average(indices[:, :count], squares[:, :count])
            pair = se3.translation_error(found, poses[held]), se3.rotation_error(found, poses[held])
            errors[count].append(np.stack(pair))
    if not errors[COUNTS[0]]:
        return COUNTS[0]
    medians = np.array([np.median(np.concatenate(errors[count], axis=1), axis=1) for count in COUNTS])
    relative = medians / np.maximum(medians.min(axis=0), NO_DISTANCE)
    return COUNTS[int(np.argmin(relative.sum(axis=1)))]


def _hog(gradients: cv2.HOGDescriptor, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    gray = cv2.cvtColor(cv2.resize(image, HOG_SIZE, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    return np.asarray(gradients.compute(gray), dtype=np.float32).ravel()


def _tiny_color(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    tiny = cv2.resize(image.astype(np.float32), TINY_SIZE, interpolation=cv2.INTER_AREA).ravel()
    return np.asarray(tiny - tiny.mean(), dtype=np.float32)


def _tiny_depth(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    known = (np.isfinite(depth) & (depth > 0)).astype(np.float32)
    total = cv2.resize(np.where(known > 0, depth, 0).astype(np.float32), TINY_SIZE, interpolation=cv2.INTER_AREA)
    share = cv2.resize(known, TINY_SIZE, interpolation=cv2.INTER_AREA)
    return np.where(share > 0, total / np.maximum(share, 1e-6), 0.0).astype(np.float32).ravel()


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return vector / max(float(np.linalg.norm(vector)), 1e-6)


def _spread(descriptors: NDArray[np.float32]) -> float:
    """Root of the total variance; 1 if it is zero."""
    total = float(np.sqrt(descriptors.var(axis=0).sum())) if len(descriptors) else 0.0
    return total if total > NO_DISTANCE else 1.0


def _squared_distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> Array:
    """`[N, M]` of rows `[N, D]` and `[M, D]`."""
    squares = np.sum(a * a, axis=1)[:, None] + np.sum(b * b, axis=1)
    return np.asarray(np.maximum(squares - 2.0 * (a @ b.T), 0.0), dtype=np.float64)
