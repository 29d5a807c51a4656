# SPDX-License-Identifier: Apache-2.0
"""Localization by image retrieval, with nothing learned: the mean pose of the most similar training frames.

Pose regression has to be better than this to be worth its training (Sattler et al., CVPR 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.training.datasets import PosedFrames

Array = NDArray[np.float64]

HOG_SIZE, HOG_CELL = (64, 48), 8  # width, height; cell in pixels, blocks of 2x2 cells
TINY_SIZE = (16, 12)
COUNTS = (1, 2, 3, 5, 8, 12, 20)  # what k is chosen from
FOLDS = 5
CHUNK = 256  # queries at a time


@dataclass(frozen=True, eq=False)
class Descriptors:
    """Global descriptors of N frames; the parts `[N, D]` of a frame that lacks the modality mean nothing.

    Colour: histograms of oriented gradients (Dalal and Triggs, 2005) of a 64x48 image, and the colours of
    a 16x12 image without its mean and contrast. Depth: a 16x12 map of mean valid depth in metres.
    """

    color: NDArray[np.float32]
    depth: NDArray[np.float32]
    present: NDArray[np.float32]

    def __getitem__(self, picked: NDArray[np.int64]) -> Descriptors:
        """Those of some frames."""
        return Descriptors(self.color[picked], self.depth[picked], self.present[picked])


def describe(frames: PosedFrames) -> Descriptors:
    """The descriptors of frames of any size."""
    cell = (HOG_CELL, HOG_CELL)
    gradients = cv2.HOGDescriptor(HOG_SIZE, (2 * HOG_CELL, 2 * HOG_CELL), cell, cell, 9)
    color = [np.concatenate([_unit(_hog(gradients, image)), _unit(_tiny_color(image))]) for image in frames.color]
    return Descriptors(np.stack(color), np.stack([_tiny_depth(image) for image in frames.depth]), frames.present)


@dataclass(frozen=True, eq=False)
class Retrieval:
    """A database of training frames that answers with the weighted mean pose of the k nearest."""

    database: Descriptors
    poses: Array
    count: int
    spreads: tuple[float, float]

    @staticmethod
    def build(database: Descriptors, poses: Array, count: int) -> Retrieval:
        """From descriptors and poses `[M, 4, 4]` of training frames, with k = `count`."""
        spreads = [
            float(np.sqrt(part[known > 0].var(axis=0).sum())) if np.any(known > 0) else 1.0
            for part, known in ((database.color, database.present[:, 0]), (database.depth, database.present[:, 1]))
        ]
        return Retrieval(database, poses, min(count, len(poses)), (max(spreads[0], 1e-9), max(spreads[1], 1e-9)))

    def predict(self, queries: Descriptors) -> Array:
        """Poses `[N, 4, 4]`: positions and quaternions averaged with the inverse squared distances as weights."""
        positions, orientations = se3.to_parts(self.poses)
        estimates = np.empty((len(queries.present), 4, 4))
        for start in range(0, len(estimates), CHUNK):
            squares = self._distances(queries[np.arange(start, min(start + CHUNK, len(estimates)))])
            nearest = np.argpartition(squares, self.count - 1, axis=1)[:, : self.count]
            for i, (row, picked) in enumerate(zip(squares, nearest, strict=True), start):
                weights = 1.0 / np.maximum(row[picked], 1e-9)
                weights /= weights.sum()
                # The mean rotation weighs a quaternion by its squared length.
                rotation = quaternion.mean(np.sqrt(weights)[:, None] * orientations[picked])
                estimates[i] = se3.from_parts(weights @ positions[picked], rotation)
        return estimates

    def _distances(self, queries: Descriptors) -> Array:
        """Squared distances `[N, M]`, the mean over the modalities that both frames have.

        Each modality is in units of its spread over the database. Frames with no modality in common are
        as far apart as two frames of the database are on average, so that they come last.
        """
        total = np.zeros((len(queries.present), len(self.poses)))
        shared = np.zeros_like(total)
        pairs = ((queries.color, self.database.color), (queries.depth, self.database.depth))
        for column, ((query, known), spread) in enumerate(zip(pairs, self.spreads, strict=True)):
            both = queries.present[:, column, None] * self.database.present[None, :, column]
            total += both * _squared_distances(query, known) / spread**2
            shared += both
        return np.where(shared > 0, total / np.maximum(shared, 1.0), 2.0)


def choose_count(database: Descriptors, poses: Array, sequences: tuple[str, ...]) -> int:
    """The k of COUNTS with the smallest median errors on held-out training frames.

    Each training sequence is cut into FOLDS blocks of consecutive frames, and each block is localized
    among the rest. The score is the sum of both medians, each relative to the best one of any k.
    """
    fold = np.empty(len(poses), dtype=np.int64)
    for name in set(sequences):
        members = np.flatnonzero(np.array(sequences) == name)
        fold[members] = np.arange(len(members)) * FOLDS // len(members)
    used = [number for number in range(FOLDS) if 0 < np.sum(fold == number) < len(fold)]
    if not used:
        return 1
    medians = []
    for count in COUNTS:
        translation, rotation = [], []
        for number in used:
            held, rest = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
            found = Retrieval.build(database[rest], poses[rest], count).predict(database[held])
            translation.append(se3.translation_error(found, poses[held]))
            rotation.append(se3.rotation_error(found, poses[held]))
        medians.append((np.median(np.concatenate(translation)), np.median(np.concatenate(rotation))))
    relative = np.array(medians) / np.maximum(np.min(medians, axis=0), 1e-9)
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


def _squared_distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> Array:
    """`[N, M]` of rows `[N, D]` and `[M, D]`."""
    products = a.astype(np.float64) @ b.astype(np.float64).T
    squares = np.sum(a.astype(np.float64) ** 2, axis=1)[:, None] + np.sum(b.astype(np.float64) ** 2, axis=1)
    return np.maximum(squares - 2.0 * products, 0.0)
