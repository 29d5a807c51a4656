# SPDX-License-Identifier: Apache-2.0
"""Weights and threshold from trials whose evidence is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mvloc_ros.localization import verification
from mvloc_ros.localization.verification import Evidence
from mvloc_ros.mapping.acceptance import fit_acceptance


def trials(kind: str, count: int, *, right: bool, contrast: float, support: float = 0.95, seed: int = 0) -> list:
    rng = np.random.default_rng((seed, count))

    def about(value: float) -> float:
        return float(np.clip(value + 0.04 * rng.standard_normal(), 0.0, 1.0))

    return [
        SimpleNamespace(
            kind=kind,
            right=right,
            ruled_out=False,
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
