# SPDX-License-Identifier: Apache-2.0
"""The time budget: what is left out so that it holds. Whether it holds is measured (bench.refinement), not tested."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import numpy as np
import pytest

from mvloc_ros.geometry.depth_noise import depth_noise
from mvloc_ros.localization import judging, refinement, registration
from mvloc_ros.localization.local_map import LocalMap, LocalMaps
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.registration import Source, register
from mvloc_ros.localization.scene_map import read_scene_map
from mvloc_ros.model.frame import DepthImage, FrameError


def test_registration_ends_so_early_that_judging_still_fits(localize, room, monkeypatch):
    """Judging that is known to take half of the budget is given its time."""
    deadlines = []

    def register(*arguments):
        deadlines.append(arguments[4] - time.perf_counter())
        return real(*arguments)

    real = refinement.register
    monkeypatch.setattr(refinement, "register", register)
    truth = room.path(6, 0.57)[0]
    frame = room.frame_of(room.Scene(), truth)
    _, localizer = localize(frame, truth, budget_ms=4000.0)
    localizer._refiner._judging_s = 2.0
    localize(frame, truth, localizer=localizer)
    assert 3.0 < deadlines[0] < 4.0
    assert deadlines[1] < 2.0


def test_a_further_start_is_begun_only_if_one_as_long_as_the_slowest_fits(localize, room, monkeypatch):
    real = refinement.register

    def slow(*arguments):
        time.sleep(0.25)
        return real(*arguments)

    monkeypatch.setattr(refinement, "register", slow)
    truth = room.path(6, 0.57)[0]
    # Of another place: no start is accepted.
    other = room.Scene(((-2.5, -2.0, -0.2), (1.4, 1.9, 2.9)), ())
    found = [localize(room.frame_of(other, truth), truth, budget_ms=ms, starts=3)[0] for ms in (400.0, 60_000.0)]
    assert [estimate.details.starts for estimate in found] == [1, 3]


def test_places_that_see_the_same_tiles_share_one_local_map(mapped):
    maps = LocalMaps(read_scene_map(mapped), 4.5, 1)
    corner = maps.at(np.zeros(3))
    assert isinstance(corner, LocalMap)
    for signs in np.ndindex(2, 2, 2):
        assert maps.at(0.01 * (2.0 * np.array(signs) - 1.0)) is corner
    assert maps.at(np.array([100.0, 0.0, 0.0])) is None
    for value in (np.nan, np.inf, -1e30, 3e38):
        assert maps.at(np.array([value, 0.0, 0.0])) is None


def test_a_start_that_drifts_is_ended_by_the_deadline_and_still_judged(localize, room):
    truth = room.path(6, 0.57)[1]
    start = moved(truth, np.array([0.1, 0.1, 0.0, 0.0, 0.0, 0.05]))
    frame = room.frame_of(room.Scene(), truth)
    estimate, _ = localize(frame, start, budget_ms=1e-6)
    assert estimate.details.iterations == 0
    assert estimate.rejection
    assert not estimate.refined
    assert "the time budget was used up" in estimate.remark
    np.testing.assert_array_equal(estimate.pose.T, estimate.network.T)
    with pytest.raises(FrameError, match="the time budget was used up"):
        localize(frame, start, budget_ms=1e-6, mode="required")


def test_one_slow_moment_leaves_the_next_frames_time_to_be_registered(localize, room, monkeypatch):
    """However long judging took, it is not expected to take all of the budget."""
    truth = room.path(6, 0.57)[0]
    frame = room.frame_of(room.Scene(), truth)
    _, localizer = localize(frame, truth, budget_ms=1000.0)
    with monkeypatch.context() as patched:
        real = judging.support
        patched.setattr(judging, "support", lambda *arguments: (time.sleep(1.5), real(*arguments))[1])
        localize(frame, truth, localizer=localizer)
    estimate, _ = localize(frame, truth, localizer=localizer)
    assert estimate.details.iterations > 0
    assert estimate.refined


def portions_of(patch: pytest.MonkeyPatch, deadline: float, *arguments) -> registration.Registered:
    """A registration by a clock that goes on by one whenever it is read: the deadline leaves so many portions."""
    ticks = itertools.count()
    with patch.context() as patched:
        patched.setattr(registration.time, "perf_counter", lambda: float(next(ticks)))
        return register(*arguments, deadline, 1)


def as_measured(frame, seed: int):
    """With a sensor's noise: walls without any end the thin clouds' part nearer than what is measured does."""
    metres = 1e-3 * frame.depth.values.astype(float)
    noise = depth_noise(metres) * np.random.default_rng(seed).standard_normal(metres.shape)
    values = np.where(metres > 0.0, np.rint(1e3 * (metres + noise)), 0.0).astype(np.uint16)
    return replace(frame, depth=DepthImage(values, 0.001))


def test_a_registration_that_was_cut_short_knows_how_far_it_may_be_from_its_end(localize, room, monkeypatch):
    ratios = []
    for number, truth in enumerate(room.path(5, 0.3)):
        frame = as_measured(room.frame_of(room.Scene(), truth), number)
        refiner = localize(frame, truth)[1]._refiner
        source = Source.of(refiner.rig.depth.points(frame.depth), refiner._resolution_m, 3000, 1)
        shift = np.random.default_rng(number).standard_normal(6) * [0.06, 0.06, 0.06, 0.03, 0.03, 0.03]
        start = source, refiner._maps.at(truth[:3, 3]), moved(truth, shift), refiner._resolution_m
        end = portions_of(monkeypatch, np.inf, *start)
        assert end.left_m == 0.0
        assert portions_of(monkeypatch, -1.0, *start).left_m == np.inf
        for deadline in range(2, 40, 2):
            cut = portions_of(monkeypatch, deadline, *start)
            if cut.iterations == end.iterations:
                break
            assert 0.0 < cut.left_m < 1.0
            ratios.append(np.linalg.norm(cut.T_map_depth[:3, 3] - end.T_map_depth[:3, 3]) / cut.left_m)
    assert len(ratios) > 10
    assert 0.1 < np.sqrt(np.mean(np.square(ratios))) < 1.5


def test_a_pose_that_time_did_not_suffice_for_states_no_less_than_the_network(localize, room):
    truth = room.path(6, 0.57)[1]
    frame = room.frame_of(room.Scene(), truth)
    start = moved(truth, np.array([0.05, -0.05, 0.02, 0.01, 0.02, -0.02]))
    hurried, localizer = localize(frame, start, budget_ms=1e-6)
    at_leisure, _ = localize(frame, start, budget_ms=60_000.0)
    network = localizer.covariance
    for axes in (slice(0, 3), slice(3, 6)):
        assert np.trace(hurried.pose.covariance[axes, axes]) >= np.trace(network[axes, axes])
        assert np.trace(at_leisure.pose.covariance[axes, axes]) < 0.2 * np.trace(network[axes, axes])
