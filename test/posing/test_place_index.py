# SPDX-License-Identifier: Apache-2.0
"""How alike views look by their local features."""

from __future__ import annotations

import numpy as np
from posing_scene import hardly_anything

from mvloc_ros.localization.local_features import LENGTH, LocalFeatures
from mvloc_ros.posing.place_index import likeness
from mvloc_ros.posing.view import View

PLACES, EACH = 5, 60


def views(seed: int = 0) -> list[View]:
    """Two views of each of five places; of the second most features are those of the first, with noise."""
    rng = np.random.default_rng(seed)
    result = []
    for place in range(PLACES):
        first = rng.gamma(0.5, 30.0, (EACH, LENGTH))
        second = np.concatenate(
            [first[10:] + rng.normal(0.0, 8.0, (EACH - 10, LENGTH)), rng.gamma(0.5, 30.0, (10, LENGTH))]
        )
        for number, descriptors in enumerate((first, second)):
            found = LocalFeatures(np.zeros((EACH, 3)), np.clip(descriptors, 0, 255).astype(np.uint8))
            result.append(hardly_anything(2 * place + number, features=found))
    return result


def test_a_view_is_most_like_itself_and_then_like_its_place():
    found = likeness(views())
    assert found.shape == (2 * PLACES, 2 * PLACES)
    np.testing.assert_allclose(np.diag(found), 1.0, atol=1e-5)
    np.testing.assert_allclose(found, found.T, atol=1e-6)
    assert (np.argmax(found, axis=1) == np.arange(2 * PLACES)).all()
    others = found - 2.0 * np.eye(2 * PLACES)
    assert (np.argmax(others, axis=1) == np.arange(2 * PLACES) ^ 1).all()


def test_a_view_without_features_is_like_none():
    found = likeness([*views(), hardly_anything(99)])
    assert (found[-1] == 0.0).all()
    assert (found[:, -1] == 0.0).all()
    assert found[0, 0] > 0.99


def test_of_too_few_features_nothing_is_known():
    none = [hardly_anything(n) for n in range(3)]
    assert (likeness(none) == 0.0).all()
    assert likeness(none).shape == (3, 3)


def test_the_same_views_give_the_same():
    np.random.default_rng(1).random(100)
    first, second = likeness(views()), likeness(views())
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, likeness(views(seed=1)))
