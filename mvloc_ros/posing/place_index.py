# SPDX-License-Identifier: Apache-2.0
"""Which keyframes look alike: a vector of aggregated local descriptors of each (VLAD; Jegou et al., 2010)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.posing.view import View

_WORDS = 32
_MOST_FOR_WORDS, _ROUNDS = 40_000, 15
_SEED = 0


def likeness(views: Sequence[View]) -> NDArray[np.float32]:
    """`[N, N]`, cosine of the views' vectors; 0 for those without features."""
    described = [view.features.descriptors.astype(np.float32) for view in views]
    every = np.concatenate([*described, np.zeros((0, 128), np.float32)])
    if len(every) < _WORDS:
        return np.zeros((len(views), len(views)), np.float32)
    words = _words(every)
    vectors = np.stack([_vector(own, words) for own in described])
    return np.asarray(vectors @ vectors.T)


def _words(descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centers `[_WORDS, 128]` of the descriptors; always the same for the same ones."""
    rng = np.random.default_rng(_SEED)
    some = descriptors[rng.permutation(len(descriptors))[:_MOST_FOR_WORDS]]
    cv2.setRNGSeed(_SEED)
    criteria = (cv2.TERM_CRITERIA_MAX_ITER | cv2.TERM_CRITERIA_EPS, _ROUNDS, 1e-3)
    _, _, centers = cv2.kmeans(some, _WORDS, None, criteria, 1, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
    return np.asarray(centers, dtype=np.float32)


def _vector(descriptors: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.float32]:
    result = np.zeros_like(words)
    if len(descriptors):
        apart = (words**2).sum(axis=1) - 2.0 * descriptors @ words.T
        nearest = np.argmin(apart, axis=1)
        np.add.at(result, nearest, descriptors - words[nearest])
    # Each word counts alike: repeated patterns would fill the vector (intra-normalization).
    result /= np.maximum(np.linalg.norm(result, axis=1, keepdims=True), 1e-9)
    flat = result.ravel()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-9), dtype=np.float32)
