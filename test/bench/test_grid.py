# SPDX-License-Identifier: Apache-2.0
"""The occupancy grid of the demo's map against the room itself, whose walls and furniture are known exactly."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.localization.scene_map import MapPoints, SceneMap, read_scene_map
from mvloc_ros.mapping.grid_cells import GridOptions
from mvloc_ros.mapping.grid_views import Views
from mvloc_ros.model.bundle import read_bundle

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(ROOT))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "bench"]:
        del sys.modules[name]


def test_the_walls_of_the_demo_are_where_they_are():
    from bench import grid

    bundle = read_bundle(ROOT / "models" / "demo")
    scene_map = read_scene_map(bundle)
    views = Views.of(bundle)
    some = replace(views, poses=views.poses[::8])
    truth = grid.truth_of(grid.triangles_of_demo(), some, 0.02, 30)
    found = grid.measured(scene_map, some, truth, GridOptions())
    assert found.occupied_within_5cm > 0.995
    assert found.distance_p95 < 0.03
    assert found.true_walls_found > 0.97
    assert found.free_but_occupied < 0.002
    assert found.free_of_seen_free > 0.8

    # The same map 10 cm to the side: the figures notice.
    content = scene_map.content(range(len(scene_map.tiles)))
    beside = MapPoints(content.points + np.array([0.1, 0.1, 0.0]), content.normals, content.brightness)
    moved = SceneMap.from_points(beside, scene_map.correction, scene_map.tile_m, scene_map.resolution_m)
    wrong = grid.measured(moved, some, truth, GridOptions())
    assert wrong.occupied_within_5cm < 0.9
    assert wrong.true_walls_found < 0.9
