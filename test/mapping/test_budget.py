# SPDX-License-Identifier: Apache-2.0
"""The time budget: what is left out so that it holds. Whether it holds is measured (bench.refinement), not tested."""

from __future__ import annotations

import time

import numpy as np

from mvloc_ros.localization import refinement
from mvloc_ros.localization.local_map import LocalMap, LocalMaps
from mvloc_ros.localization.refinement import moved
from mvloc_ros.localization.scene_map import read_scene_map


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
    # Of another place: no start is believed.
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
    assert maps.at(np.array([np.nan, 0.0, 0.0])) is None


def test_what_is_prepared_is_not_built_again(mapped):
    maps = LocalMaps(read_scene_map(mapped), 1.0, 1, keep=2)
    places = np.array([[-0.5, 0.1, 1.0]] * 3 + [[-0.5, 40.0, 1.0]] + [[2.0, 0.1, 1.0]] * 2)
    maps.prepare(places)
    ready = dict(maps._ready)
    assert 1 <= len(ready) <= 2
    assert maps.at(places[0]) is ready[maps._tiles_at(places[0])]


def test_a_start_that_drifts_is_ended_by_the_deadline_and_still_judged(localize, room):
    truth = room.path(6, 0.57)[1]
    start = moved(truth, np.array([0.1, 0.1, 0.0, 0.0, 0.0, 0.05]))
    estimate, _ = localize(room.frame_of(room.Scene(), truth), start, budget_ms=1e-6)
    assert estimate.details.iterations == 0
    assert estimate.refined
    assert estimate.rejection
