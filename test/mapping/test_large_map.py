# SPDX-License-Identifier: Apache-2.0
"""Maps of whole buildings: what is built when, what is kept in memory, and what is said of their size.

Builds are counted, times are measured by `bench.large_map`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.localization.depth_points import CORRECTION_SHAPE
from mvloc_ros.localization.local_map import BYTES_PER_POINT, LocalMap, LocalMaps, thinning
from mvloc_ros.localization.scene_map import MapPoints, SceneMap, read_scene_map
from mvloc_ros.localization.starts import NETWORK, Start
from mvloc_ros.mapping.map_size import MapSize

ROOT = Path(__file__).resolve().parents[2]
PLACES = [np.array([100.0 * place + 2.0, 2.0, 1.0]) for place in range(3)]
"""In the rooms of `rooms`."""


def floor_map(points: np.ndarray, resolution_m: float = 0.05) -> SceneMap:
    normals = np.tile([0.0, 0.0, 1.0], (len(points), 1))
    content = MapPoints(points, normals, np.full(len(points), 100, np.uint8))
    return SceneMap.from_points(content, np.zeros(CORRECTION_SHAPE, np.float32), 4.0, resolution_m)


def rooms(count: int = 3) -> SceneMap:
    """Floors of 144 points in a tile each, 100 m apart."""
    grid = np.stack(np.meshgrid(*[np.linspace(0.1, 3.9, 12)] * 2, [1.0]), axis=-1).reshape(-1, 3)
    return floor_map(np.concatenate([grid + np.array([100.0 * place, 0.0, 0.0]) for place in range(count)]))


def test_a_map_that_fits_is_built_once_and_searched_from_everywhere():
    maps = LocalMaps(rooms(), 4.5, 1, most_points=432)
    maps.prepare(np.array(PLACES))
    assert maps.built == 1
    found = [maps.at(place) for place in (*PLACES, *reversed(PLACES))]
    assert maps.built == 1
    assert all(one is found[0] for one in found)
    assert len(found[0].fine) == 432
    assert maps.at(np.array([50.0, 2.0, 1.0])) is None, "the map has nothing there"


def test_a_map_that_is_a_little_too_large_is_thinned_evenly():
    scene_map = rooms()
    for most, every in ((432, 1), (431, 2), (216, 2), (144, 3), (108, 4), (107, None)):
        assert thinning(scene_map, most) == every
    whole = LocalMaps(scene_map, 4.5, 1, most_points=150).at(PLACES[0])
    assert len(whole.fine) == 144
    for place in PLACES:
        assert np.sum(np.linalg.norm(whole.fine.points - place, axis=1) < 10.0) == 48


def test_of_a_map_that_is_much_too_large_the_parts_of_the_latest_places_are_kept():
    maps = LocalMaps(rooms(), 4.5, 1, most_points=107)
    assert [len(maps.at(place).fine) for place in PLACES] == [144] * 3, "one part is there, whatever its size"
    assert maps.built == 3
    maps.at(PLACES[2])
    assert maps.built == 3
    maps.at(PLACES[0])
    assert maps.built == 4, "it made room"


def test_parts_that_are_kept_have_no_more_points_than_stated():
    visited = np.repeat(np.arange(10), [1, 1, 1, 9, 1, 8, 1, 1, 1, 1])
    maps = LocalMaps(rooms(10), 4.5, 1, most_points=300)
    maps.prepare(np.array([[100.0 * place + 2.0, 2.0, 1.0] for place in visited]))
    assert maps.built == 2, "two of 144 points each fit"
    for place in (3, 5):
        maps.at(np.array([100.0 * place + 2.0, 2.0, 1.0]))
    assert maps.built == 2, "the most visited ones were prepared"
    for place in range(10):
        maps.at(np.array([100.0 * place + 2.0, 2.0, 1.0]))
        assert sum(len(local.fine) for local in maps._ready.values()) <= 300


def test_coarse_points_are_the_means_of_their_cubes_tile_by_tile():
    """Four points in one cube, one in another tile, and one 10,000 km away, beyond the keys of one grid."""
    points = np.array([[0.01, 0.01, 0.01], [0.03, 0.01, 0.01], [0.01, 0.05, 0.01], [0.03, 0.05, 0.05]])
    points = np.concatenate([points, [[4.01, 0.01, 0.01]], [[1e7, 0.01, 0.01]]])
    scene_map = floor_map(points, 0.04)
    local = LocalMap(scene_map, range(len(scene_map.tiles)), 0.5, 1)
    expected = np.array([[0.02, 0.03, 0.02], [4.01, 0.01, 0.01], [1e7, 0.01, 0.01]])
    np.testing.assert_allclose(local.coarse.points, expected, atol=1e-4)
    near = local.coarse_near(np.array([3.0, 1.0, 1.0]))
    np.testing.assert_allclose(near.points, expected[:2], atol=1e-4)
    assert len(local.coarse_near(np.array([50.0, 1.0, 1.0])).points) == 0


def at(T: np.ndarray, place: np.ndarray) -> np.ndarray:
    result = T.copy()
    result[:3, 3] = place
    return result


def test_after_the_deadline_no_part_is_built_but_the_networks(localize, room, monkeypatch):
    """Each start lies in another part; what could not be registered there is not built for nothing."""
    truth = room.path(6, 0.57)[0]
    frame = room.frame_of(room.Scene(), truth)
    for budget_ms, tried in ((1e-6, 1), (60_000.0, 3)):
        _, localizer = localize(frame, truth, budget_ms=60_000.0)
        refiner = localizer._refiner
        network = localizer.process(frame).network
        maps = LocalMaps(rooms(), 4.5, 1, most_points=107)
        monkeypatch.setattr(refiner, "_maps", maps)
        names = "retrieval 1", "retrieval 2", NETWORK
        starts = [Start(name, at(truth, place)) for name, place in zip(names, PLACES, strict=True)]
        monkeypatch.setattr(refiner, "_starts", lambda *_, starts=starts: iter(starts))
        monkeypatch.setattr(refiner, "_options", type(refiner._options)(budget_ms=budget_ms))
        found = refiner.refine(network, frame.depth, None, None)
        assert found.starts == tried
        assert maps.built == 1 if tried == 1 else maps.built >= 3


def test_the_size_of_a_map_is_said_per_square_meter_of_ground():
    """A floor of 3 m by 2 m and a wall above its edge, 0.1 m apart: 96 cells of 0.25 m, 0.0625 m2 each."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(0.05, 3.0, 0.1), np.arange(0.05, 2.0, 0.1)))
    floor = np.stack([x, y, np.full(x.shape, 0.02)], axis=1)
    x, z = (axis.ravel() for axis in np.meshgrid(np.arange(0.05, 3.0, 0.1), np.arange(0.15, 6.0, 0.1)))
    wall = np.stack([x, np.full(x.shape, 1.97), z], axis=1)
    size = MapSize.of(floor_map(np.concatenate([floor, wall])), 12_000)
    assert size.points == 600 + 30 * 59
    assert size.ground_m2 == pytest.approx(6.0)
    assert size.loaded_bytes == size.points * BYTES_PER_POINT
    assert "6 m2 of ground" in str(size)
    assert "395 points and 2.0 kB per m2" in str(size)
    assert "point;" not in str(size)


@pytest.mark.parametrize(
    ("most", "said"), [(1000, "uses each 3. point"), (100, "at most 100 points at a time")], ids=["thinned", "parts"]
)
def test_of_a_map_that_is_too_large_it_is_said_what_is_used(most: int, said: str):
    rng = np.random.default_rng(0)
    points = rng.random((2500, 3)) * [3.9, 3.9, 0.1]
    size = MapSize.of(floor_map(points), 1000, most)
    assert said in str(size)
    assert "a larger --resolution" in str(size)


MEASURE = """
import sys
from pathlib import Path
import numpy as np
from mvloc_ros.localization.local_map import LocalMaps
from mvloc_ros.localization.scene_map import SceneMap

def resident():
    return 1024 * int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])

before = resident()
maps = LocalMaps(SceneMap.from_bytes(Path(sys.argv[1]).read_bytes()), 4.5, 1)
maps.prepare(np.array([[5.0, 5.0, 1.0]]))
print(resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
def test_the_memory_that_is_stated_is_what_is_taken(tmp_path: Path):
    """A building's share of coarse points: floors of 26 m by 26 m, a little uneven, one above the other."""
    spread = np.arange(0.02, 26.0, 0.04)
    x, y, z = (axis.ravel() for axis in np.meshgrid(spread, spread, [0.0, 3.0]))
    scene_map = floor_map(np.stack([x, y, z + 0.05 * np.sin(20.0 * x)], axis=1), 0.04)
    (tmp_path / "map.npz").write_bytes(scene_map.to_bytes())
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "map.npz")]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert 0.7 < int(found.stdout) / MapSize.of(scene_map, 1).loaded_bytes < 1.3


@pytest.fixture
def from_the_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(ROOT))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "bench"]:
        del sys.modules[name]


@pytest.mark.usefixtures("from_the_root")
def test_the_bench_drives_through_a_bundle_or_a_maps_file(mapped, folder: Path, tmp_path: Path, capsys):
    from bench import large_map

    spec = mapped.manifest.scene_map
    for number, path in enumerate((mapped.path, mapped.path / spec.file)):
        out = tmp_path / f"{number}.json"
        words = [str(path), "--data", str(folder), "--between", "4", "--budget-ms", "5000", "--json", str(out)]
        assert large_map.main(words) == 0
        found = json.loads(out.read_text())
        assert found["size"]["points"] == len(read_scene_map(mapped))
        frames = found["frames"]
        assert (frames["all"]["frames"], frames["driving"]["frames"], frames["waking up"]["frames"]) == (12, 9, 3)
        assert frames["driving"]["within_5cm_5deg"] == 1.0
        assert frames["in a new part"]["frames"] >= 1
    assert "m2 of ground" in capsys.readouterr().out
    with pytest.raises(large_map.BenchError, match="neither a bundle nor a scene map"):
        large_map.main([str(folder / "camera.json"), "--data", str(folder)])
