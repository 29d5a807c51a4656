# SPDX-License-Identifier: Apache-2.0
"""Trials from retrieved starts are told in the summary."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mvloc_ros.localization.verification import NAMES, Evidence
from mvloc_ros.mapping.acceptance_trials import Trial
from mvloc_ros.mapping.retrieval_trials import KIND, with_retrieved
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.model.map_spec import AcceptanceSpec

SPEC = AcceptanceSpec(-5.0, dict.fromkeys(NAMES, 10.0), dict.fromkeys(NAMES, 1.0), 0.5, 0.005, {"right": {"trials": 9}})


class Rejected:
    """In the place of a refinement, as far as a rule's verdict goes."""

    def __init__(self, rejection: str = "") -> None:
        self.rejection = rejection


def trial(support: float, right: bool, rejection: str = "") -> Trial:
    evidence = replace(Evidence(*[0.0] * len(NAMES)), support=support)
    return Trial(KIND, evidence, right, Rejected(rejection), np.zeros(6))


def test_right_and_wrong_ones_are_told_apart_by_how_many_are_accepted():
    trials = [trial(0.9, True), trial(0.8, True), trial(0.1, True), trial(0.9, True, "view blocked")]
    trials += [trial(0.2, False), trial(0.9, False), trial(0.1, False), trial(0.0, False)]
    summary = with_retrieved(SPEC, trials).summary
    assert summary["right"] == {"trials": 9}
    assert summary["retrieved, right"] == {"trials": 4, "accepted": 0.5}
    assert summary["retrieved, wrong"] == {"trials": 4, "accepted": 0.25}
    assert with_retrieved(SPEC, []).summary == SPEC.summary


def test_a_map_tells_of_both(mapped: Bundle):
    summary = mapped.manifest.scene_map.acceptance.summary
    assert summary["retrieved, right"]["trials"] > 10
    assert summary["retrieved, right"]["accepted"] > 0.8
    assert summary.get("retrieved, wrong", {"accepted": 0.0})["accepted"] <= 0.1
