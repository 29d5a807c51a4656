# SPDX-License-Identifier: Apache-2.0
"""Weights and threshold from trials whose evidence is known."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mvloc_ros.localization import verification
from mvloc_ros.localization.verification import Evidence
from mvloc_ros.mapping.acceptance import fit_acceptance, fit_followed, fit_place
from mvloc_ros.mapping.acceptance_trials import OF_TWO_MOMENTS


def trials(
    kind: str, count: int, *, right: bool, contrast: float, support: float = 0.95, seed: int = 0, follows: bool = False
) -> list:
    rng = np.random.default_rng((seed, count))

    def about(value: float) -> float:
        return float(np.clip(value + 0.04 * rng.standard_normal(), 0.0, 1.0))

    return [
        SimpleNamespace(
            kind=kind,
            right=right,
            ruled_out=False,
            refined=SimpleNamespace(follows=follows),
            evidence=Evidence(
                *(about(support), 0.7, 0.95, 1.0, 0.85, 0.9),
                texture=1.0,
                local_contrast=about(contrast),
                synchrony=1.0,
                contrast_alignment=about(contrast),
            ),
        )
        for _ in range(count)
    ]


def share_accepted(some: list, spec) -> float:
    return float(np.mean([verification.score(trial.evidence, spec) >= spec.threshold for trial in some]))


def test_weights_are_of_what_is_asked_for_now():
    spec = fit_acceptance(trials("right", 60, right=True, contrast=0.8) + trials("a", 60, right=False, contrast=0.1))
    assert set(spec.weights) == set(verification.NAMES) == set(spec.typical)
    assert spec.weights["local_contrast"] > 1.0
    assert not set(verification.BRIGHTNESS) & set(spec.weights)


def test_a_rare_kind_of_wrong_trials_is_not_let_through_by_the_others():
    """40 among 4000 are 1 %: the threshold that lets 1 % of all wrong ones through would accept these."""
    right = trials("right", 400, right=True, contrast=0.8)
    common, rare = trials("a", 4000, right=False, contrast=0.1), trials("b", 40, right=False, contrast=0.55)
    spec = fit_acceptance(right + common + rare, false_accept_rate=0.01)
    assert share_accepted(rare, spec) <= 0.05
    assert share_accepted(right, spec) > 0.95


def test_geometry_and_colour_must_both_speak_for_a_pose():
    right = trials("right", 300, right=True, contrast=0.8)
    elsewhere = trials("elsewhere", 300, right=False, contrast=0.5, support=0.3)
    frozen = trials("frozen", 300, right=False, contrast=0.2)
    spec = fit_acceptance(right + elsewhere + frozen)
    assert share_accepted(right, spec) > 0.95
    misplaced = Evidence(
        *(0.4, 0.7, 0.7, 1.0, 0.85, 0.9), texture=1.0, local_contrast=0.8, synchrony=1.0, contrast_alignment=0.8
    )
    assert verification.score(misplaced, spec) < spec.threshold
    assert misplaced.consistency == pytest.approx(0.4 * 0.7 * 0.8)


def test_poses_that_follow_from_an_accepted_one_have_a_score_of_their_own():
    wakes = trials("right", 200, right=True, contrast=0.8) + trials("elsewhere", 200, right=False, contrast=0.3)
    follows = trials("rescued", 200, right=True, contrast=0.55, follows=True, seed=1)
    frozen = trials("frozen", 400, right=False, contrast=0.45, follows=True, seed=2)
    first, second = fit_followed(wakes + follows + frozen)
    assert first.threshold_by_odometry is None
    assert "observability" in first.weights
    assert "observability" not in second.weights
    assert share_accepted(frozen, second) <= 0.01
    assert second.threshold_by_odometry < second.threshold
    by_odometry = replace(second, threshold=second.threshold_by_odometry)
    assert 0.02 < share_accepted(frozen, by_odometry) <= 0.06
    assert share_accepted(follows, by_odometry) > share_accepted(follows, second)


def test_what_tells_places_apart_does_not_ask_for_depth_and_color_of_one_moment():
    """Where depth of another moment is all that contradicts, right poses in a poor light are lost with it."""
    right = trials("right", 300, right=True, contrast=0.6)
    elsewhere = trials("elsewhere", 300, right=False, contrast=0.2, support=0.4)
    moments = [one for kind in OF_TWO_MOMENTS for one in trials(kind, 60, right=False, contrast=0.5)]
    everything, place = fit_acceptance(right + elsewhere + moments), fit_place(right + elsewhere + moments)
    assert place.weights == fit_acceptance(right + elsewhere).weights
    assert share_accepted(elsewhere, place) <= 0.01
    assert share_accepted(right, place) > share_accepted(right, everything)
    assert fit_place(right + moments) is None


def test_with_too_few_of_one_kind_one_score_is_for_all():
    wakes = trials("right", 200, right=True, contrast=0.8) + trials("elsewhere", 200, right=False, contrast=0.3)
    first, second = fit_followed(wakes + trials("rescued", 20, right=True, contrast=0.8, follows=True))
    assert second is None
    assert first.summary["rescued"]["trials"] == 20


def test_what_could_not_be_compared_is_typical_and_told_apart_by_its_texture():
    nan = float("nan")
    blank = [
        SimpleNamespace(
            kind="elsewhere",
            right=False,
            ruled_out=False,
            refined=SimpleNamespace(follows=False),
            evidence=Evidence(
                *(1.0, 0.9, 1.0, 1.0, 0.0, 0.9), texture=0.0, local_contrast=nan, synchrony=nan, contrast_alignment=nan
            ),
        )
    ] * 100
    right = trials("right", 200, right=True, contrast=0.8)
    spec = fit_acceptance(right + blank)
    assert all(np.isfinite(value) for value in (*spec.weights.values(), *spec.typical.values()))
    assert share_accepted(right, spec) > 0.95
    seen = replace(blank[0].evidence, **{name: spec.typical[name] for name in verification.CONTRAST})
    assert verification.score(seen, spec) < spec.threshold
