# SPDX-License-Identifier: Apache-2.0
"""Trials that start where keyframes say take part in the score, and are told in the summary."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.verification import Evidence
from mvloc_ros.mapping.acceptance import fit_acceptance
from mvloc_ros.mapping.map import hold_out
from mvloc_ros.mapping.retrieval_trials import BY_FEATURES, ELSEWHERE, NEAR, is_here
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.recordings import FrameRecord

NOTHING = Evidence(*[0.0] * 6, texture=1.0, local_contrast=0.0, synchrony=0.0, contrast_alignment=0.0)


def trials(kind: str, count: int, right: bool, support: float) -> list:
    rng = np.random.default_rng(count)
    return [
        SimpleNamespace(
            kind=kind,
            right=right,
            ruled_out=False,
            evidence=replace(NOTHING, support=float(support + 0.02 * rng.standard_normal())),
        )
        for _ in range(count)
    ]


def test_right_and_wrong_ones_are_told_apart_by_how_many_are_accepted():
    found = trials(NEAR, 60, True, 0.9) + trials(NEAR, 50, False, 0.2) + trials(ELSEWHERE, 40, False, 0.3)
    summary = fit_acceptance([*found, *trials(BY_FEATURES, 30, True, 0.1)]).summary
    assert summary["retrieved, right"]["trials"] == 60
    assert summary["retrieved, right"]["accepted"] > 0.95
    assert summary["retrieved, wrong"] == {"trials": 50, "accepted": 0.0}
    assert summary["retrieved elsewhere, wrong"]["accepted"] <= 0.05
    assert summary["features, right"] == {"trials": 30, "accepted": 0.0}


def test_a_map_tells_of_each_kind(mapped: Bundle):
    summary = mapped.manifest.scene_map.acceptance.summary
    assert summary["retrieved, right"]["trials"] > 10
    assert summary["retrieved, right"]["accepted"] > 0.8
    assert summary.get("retrieved, wrong", {"accepted": 0.0})["accepted"] <= 0.1
    assert summary.get("retrieved elsewhere, wrong", {"accepted": 0.0})["accepted"] <= 0.1


def test_a_pose_told_from_afar_is_of_another_place_by_where_it_lies_not_by_its_keyframe():
    truth = moved(np.eye(4), np.array([3.0, -2.0, 1.0, 0.0, 0.0, 2.0]))
    assert is_here(moved(truth, np.array([0.1, 0.0, 0.0, 0.0, 0.0, 0.1])), truth), "a near miss of the true place"
    assert not is_here(moved(truth, np.array([1.6, 0.0, 0.0, 0.0, 0.0, 0.0])), truth)
    assert not is_here(moved(truth, np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.2])), truth)


@pytest.mark.parametrize(("frames", "blocks", "length"), [(120, 1, 12), (199, 1, 20), (1000, 5, 20)])
def test_what_is_held_out_is_spread_over_a_long_drive(frames: int, blocks: int, length: int):
    records = [FrameRecord("a", i, i, None, None, np.eye(4)) for i in range(frames)]
    seen, held = hold_out(records)
    numbers = sorted(record.stamp_ns for record in held)
    begins = [n for n in numbers if n - 1 not in numbers]
    assert (len(begins), len(numbers)) == (blocks, blocks * length)
    known = {record.stamp_ns for record in seen}
    assert not known & {n + by for n in numbers for by in range(-5, 6)}, "neither its neighbours"
