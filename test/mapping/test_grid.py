# SPDX-License-Identifier: Apache-2.0
"""`mvloc grid` on maps whose surfaces the tests lay themselves: what is occupied, free and unknown, and where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from mvloc_ros.cli import main
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.trajectory import Trajectory, write_tum
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE
from mvloc_ros.localization.scene_map import MapPoints, SceneMap, SceneMapError
from mvloc_ros.mapping import grid_cells
from mvloc_ros.mapping.errors import MappingError
from mvloc_ros.mapping.grid import grid_of
from mvloc_ros.mapping.grid_cells import Cell, GridOptions, make_grid
from mvloc_ros.mapping.grid_floor import find_floor, given_floor
from mvloc_ros.mapping.grid_views import Views, depth_views
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.model.bundle_writer import add_scene_map, write_bundle
from mvloc_ros.model.manifest import FrameSpec
from mvloc_ros.model.map_spec import SceneMapSpec

STEP = 0.02
CAMERA = PinholeCamera(160, 120, 130.0, 130.0, 79.5, 59.5)
LOW, HIGH = np.array([-2.0, -1.5]), np.array([2.0, 1.5])


def patch(corner, along, across, normal) -> np.ndarray:
    """Points and normals `[N, 6]` of a rectangle, one in the middle of each square of 2 cm."""
    corner, along, across = (np.asarray(value, float) for value in (corner, along, across))
    lengths = np.linalg.norm(along), np.linalg.norm(across)
    s, t = ((np.arange(round(length / STEP)) + 0.5) / round(length / STEP) for length in lengths)
    points = corner + s[:, None, None] * along + t[None, :, None] * across
    return np.hstack(
        [points.reshape(-1, 3), np.tile(np.asarray(normal, float), (points.shape[0] * points.shape[1], 1))]
    )


def floor(low=LOW, high=HIGH, z=0.0) -> np.ndarray:
    return patch((*low, z), (high[0] - low[0], 0, 0), (0, high[1] - low[1], 0), (0, 0, 1))


def box(x, y, size, height, z=0.0) -> np.ndarray:
    """Four sides and the top."""
    a, b = size
    sides = [
        patch((x, y, z), (a, 0, 0), (0, 0, height), (0, -1, 0)),
        patch((x, y + b, z), (a, 0, 0), (0, 0, height), (0, 1, 0)),
        patch((x, y, z), (0, b, 0), (0, 0, height), (-1, 0, 0)),
        patch((x + a, y, z), (0, b, 0), (0, 0, height), (1, 0, 0)),
    ]
    return np.vstack([*sides, patch((x, y, z + height), (a, 0, 0), (0, b, 0), (0, 0, 1))])


def walls(z=0.0, height=2.4) -> np.ndarray:
    """Four walls around the floor, seen from inside, 1 cm beyond it so that they lie within cells."""
    (x0, y0), (x1, y1) = LOW - 0.01, HIGH + 0.01
    return np.vstack([
        patch((x0, y0, z), (x1 - x0, 0, 0), (0, 0, height), (0, 1, 0)),
        patch((x0, y1, z), (x1 - x0, 0, 0), (0, 0, height), (0, -1, 0)),
        patch((x0, y0, z), (0, y1 - y0, 0), (0, 0, height), (1, 0, 0)),
        patch((x1, y0, z), (0, y1 - y0, 0), (0, 0, height), (-1, 0, 0)),
    ])  # fmt: skip


def without(rows: np.ndarray, x, y, size) -> np.ndarray:
    """Without the points that stand under a box, which no camera sees."""
    inside = (rows[:, 0] > x) & (rows[:, 0] < x + size[0]) & (rows[:, 1] > y) & (rows[:, 1] < y + size[1])
    return rows[~inside]


def scene(*parts: np.ndarray, turn: np.ndarray | None = None) -> SceneMap:
    rows = np.vstack(parts)
    turn = np.eye(3) if turn is None else turn
    content = MapPoints(rows[:, :3] @ turn.T, rows[:, 3:] @ turn.T, np.full(len(rows), 100, np.uint8))
    return SceneMap.from_points(content, np.zeros(CORRECTION_SHAPE, np.float32), 4.0, STEP)


def around(room, x=0.0, y=0.0, z=1.0, pitches=(0.1, 0.6), count=12, turn=None) -> Views:
    """A camera that turns about itself."""
    poses = [room.looking(x, y, z, 2 * np.pi * i / count, pitch) for i in range(count) for pitch in pitches]
    whole = np.eye(4)
    whole[:3, :3] = np.eye(3) if turn is None else turn
    return Views(whole @ np.array(poses), CAMERA, 0.2, 6.0)


def turned(axis: str, degrees: float) -> np.ndarray:
    vector = np.zeros(3)
    vector["xyz".index(axis)] = np.deg2rad(degrees)
    return cv2.Rodrigues(vector)[0]


def at(grid, x, y) -> Cell:
    """The cell of a place in the map frame."""
    return Cell(int(grid.cells.reshape(-1)[grid.frame.flat(np.array([[x, y]]))[0]]))


def region(grid, low, high) -> set[Cell]:
    """The kinds of the cells whose centres lie in a rectangle."""
    rows, columns = np.indices(grid.cells.shape)
    x, y = grid.frame.centres(rows, columns)
    inside = (x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1])
    return {Cell(int(value)) for value in np.unique(grid.cells[inside])}


def test_a_view_shows_what_nothing_hides(room):
    """Of the far wall what stands free, not what is behind a box as high as the room, and nothing behind the camera."""
    found = scene(floor(), walls(), box(0.8, -0.9, (0.4, 0.3), 2.0))
    views = Views(room.looking(-1.0, 0.0, 1.0, 0.0, 0.0)[None], CAMERA, 0.2, 6.0)
    (view,) = depth_views(found, views)
    hidden = (2.0, -1.2, 1.0)  # the line to it crosses the box at x = 0.8 to 1.2, y = -0.72 to -0.88
    points = np.array([(2.0, 0.5, 1.0), hidden, (-2.0, 0.0, 1.0), (0.8, -0.7, 1.0)])
    assert view.shows(points, 0.1).tolist() == [True, False, False, True]
    assert np.isinf(view.front[0, 0]) or view.front[0, 0] > 0.0


BOX = (0.8, -0.9), (0.4, 0.3)


def furnished(z=0.0) -> SceneMap:
    (x, y), size = BOX
    return scene(without(floor(z=z), x, y, size), walls(z), box(x, y, size, 0.5, z))


def test_a_room_with_a_box_has_exactly_its_walls(room):
    views = around(room)
    views = replace(views, poses=np.vstack([views.poses, around(room, 1.5, 0.8).poses, around(room, -1.0, -1.0).poses]))
    found = find_floor(furnished(), views.poses)
    grid = make_grid(furnished(), found, GridOptions(), views)
    assert found.height_m == pytest.approx(0.0, abs=1e-3)
    rows, columns = np.indices(grid.cells.shape)
    x, y = grid.frame.centres(rows, columns)
    beyond = np.maximum(np.abs(x) - 2.0, np.abs(y) - 1.5)
    both = (np.abs(x) > 2.0) & (np.abs(y) > 1.5)  # the corners, where the walls end within a cell
    wall = (beyond > 0.0) & (beyond < 0.05) & ~both
    (left, low), (wide, high) = BOX
    in_box = (x > left) & (x < left + wide) & (y > low) & (y < low + high)
    # The box's sides lie on borders of cells, so that the cells beside it may have their points.
    near_box = (x > left - 0.05) & (x < left + wide + 0.05) & (y > low - 0.05) & (y < low + high + 0.05)
    assert np.all(grid.cells[wall] == Cell.OCCUPIED)
    assert np.all(grid.cells[in_box] == Cell.OCCUPIED)
    assert np.all(grid.cells[beyond > 0.05] == Cell.UNKNOWN)
    rest = (beyond < 0.0) & ~near_box
    assert not np.any(grid.cells[rest] == Cell.OCCUPIED)
    assert np.mean(grid.cells[rest] == Cell.FREE) > 0.9


def test_a_floor_at_another_height_is_found_and_its_things_are_not_lost(room):
    views = around(room, z=1.0 - 0.7)
    grid = make_grid(furnished(-0.7), find_floor(furnished(-0.7), views.poses), GridOptions(), views)
    assert at(grid, 1.0, -0.75) == Cell.OCCUPIED
    assert at(grid, -1.0, 0.5) == Cell.FREE
    with pytest.raises(MappingError, match=r"no surface from 3 to 4 m above the floor at z = -0\.70 m"):
        make_grid(furnished(-0.7), given_floor(furnished(-0.7), -0.7), GridOptions(0.05, 3.0, 4.0), views)


def test_a_floor_with_a_small_tilt_is_followed(room):
    turn = turned("y", 3.0)
    tilted = scene(floor(), walls(), turn=turn)
    found = find_floor(tilted, around(room, turn=turn).poses)
    assert found.tilt_deg == pytest.approx(3.0, abs=0.1)
    assert found.spread_m < 0.003
    grid = make_grid(tilted, found, GridOptions(), around(room, turn=turn))
    assert region(grid, (-1.8, -1.3), (1.8, 1.3)) <= {Cell.FREE, Cell.UNKNOWN}
    # Taken as level at its middle, half of it would be 10 cm above the floor: the mend is what keeps it free.
    assert Cell.OCCUPIED in region(
        make_grid(tilted, given_floor(tilted, 0.0), GridOptions(), around(room)), (-1.95, -1.3), (1.95, 1.3)
    )


@pytest.mark.parametrize("turn", [turned("x", 90.0), turned("y", -90.0), turned("x", 180.0), turned("x", 20.0)])
def test_a_map_whose_z_is_not_up_is_refused(room, turn: np.ndarray):
    with pytest.raises(MappingError, match="z does not point up"):
        find_floor(scene(floor(), walls(), turn=turn), around(room, turn=turn).poses)


def test_a_table_that_was_filmed_more_than_the_floor_is_not_the_floor(room):
    table = patch((-1, -0.5, 0.75), (2, 0, 0), (0, 1, 0), (0, 0, 1))
    little_floor = floor((-2.0, -1.5), (-1.2, -0.5))
    found = find_floor(scene(table, little_floor), around(room, z=1.3).poses)
    assert found.height_m == pytest.approx(0.0, abs=1e-3)
    ((height, area),) = found.other_levels
    assert (height, area) == (pytest.approx(0.75, abs=0.02), pytest.approx(2.0, rel=0.05))


def test_a_table_over_things_that_are_no_floor_is_refused(room):
    table = patch((-1, -0.5, 0.75), (2, 0, 0), (0, 1, 0), (0, 0, 1))
    leg = box(-0.2, -0.2, (0.2, 0.2), 0.6)
    with pytest.raises(MappingError, match=r"No floor was found.*below it.*--floor Z"):
        find_floor(scene(table, leg), around(room, z=1.3).poses)
    with pytest.raises(MappingError, match=r"No floor was found.*faces up"):
        find_floor(scene(walls()), around(room).poses)
    with pytest.raises(MappingError, match=r"No floor was found.*above most of the training cameras"):
        find_floor(scene(table), around(room, z=0.3).poses)


def test_what_no_camera_saw_is_never_free(room):
    """The floor is in the map everywhere, but the training poses look one way."""
    whole = scene(floor(), walls())
    one_way = Views(np.array([room.looking(0.0, 0.0, 1.0, 0.0, 0.4)]), CAMERA, 0.2, 6.0)
    grid = make_grid(whole, find_floor(whole, one_way.poses), GridOptions(), one_way)
    assert region(grid, (-1.9, -1.4), (-0.1, 1.4)) == {Cell.UNKNOWN}
    assert at(grid, 1.0, 0.0) == Cell.FREE
    assert at(make_grid(whole, find_floor(whole, None), GridOptions(), None), -1.0, 0.0) == Cell.FREE
    seen_floor = make_grid(whole, find_floor(whole, None), GridOptions(clear_m=0.0), one_way)
    assert at(seen_floor, -1.0, 0.0) == Cell.FREE


def test_behind_a_box_is_unknown_where_the_floor_was_not_seen(room):
    """Seen through a gap that is too wide: no floor, so not free, though cameras saw through above."""
    x, y, size = 0.6, -0.6, (0.3, 1.2)
    hidden = 0.9, -0.6, (0.8, 1.2)
    bare = without(without(floor(), x, y, size), *hidden)
    shadowed = scene(bare, walls(), box(x, y, size, 0.5))
    grid = make_grid(shadowed, find_floor(shadowed, None), GridOptions(), around(room, z=1.3))
    assert region(grid, (1.0, -0.35), (1.5, 0.35)) == {Cell.UNKNOWN}


def test_behind_a_screen_is_unknown_though_the_floor_there_is_in_the_map(room):
    screened = scene(floor(), walls(), box(0.6, -1.2, (0.1, 2.4), 2.0))
    views = Views(np.array([room.looking(-1.5, 0.0, 1.0, 0.0, 0.2)]), CAMERA, 0.2, 6.0)
    grid = make_grid(screened, find_floor(screened, None), GridOptions(), views)
    assert region(grid, (0.8, -1.0), (1.9, 1.0)) == {Cell.UNKNOWN}
    assert at(grid, 0.4, 0.0) == Cell.FREE


@pytest.mark.parametrize(("normal", "expected"), [((-1, 0, 0), Cell.FREE), ((1, 0, 0), Cell.UNKNOWN)])
def test_a_wall_that_is_known_from_behind_alone_shows_nothing(room, normal, expected: Cell):
    """No camera could measure its other side from here, so that something else may stand before it."""
    open_side = scene(floor(), patch((1.5, -1.5, 0), (0, 3, 0), (0, 0, 2.4), normal))
    views = Views(np.array([room.looking(-1.5, 0.0, 1.0, 0.0, 0.1)]), CAMERA, 0.2, 6.0)
    grid = make_grid(open_side, find_floor(open_side, None), GridOptions(), views)
    assert at(grid, 1.2, 0.0) == expected


def test_a_gap_in_the_seen_floor_is_free_where_all_above_was_seen_through(room):
    holed = scene(without(floor(), 0.6, -0.1, (0.16, 0.16)), walls())
    views = around(room, -1.5, 0.0)
    assert at(make_grid(holed, find_floor(holed, None), GridOptions(), views), 0.67, -0.03) == Cell.FREE
    assert at(make_grid(holed, find_floor(holed, None), GridOptions(), None), 0.67, -0.03) == Cell.UNKNOWN


def test_over_a_table_whose_top_is_not_in_the_map_the_space_is_not_known(room):
    """The cameras see the floor below and the wall above; between them is the height of the top."""
    bare = scene(floor(), walls())
    views = Views(
        np.array([room.looking(-1.8, 0.0, 0.3, 0.0, 0.4), room.looking(-1.8, 0.0, 1.2, 0.0, -0.3)]), CAMERA, 0.2, 6.0
    )
    grid = make_grid(bare, find_floor(bare, None), GridOptions(), views)
    assert at(grid, 0.5, 0.0) == Cell.UNKNOWN
    assert at(make_grid(bare, find_floor(bare, None), GridOptions(clear_m=0.1), views), 0.5, 0.0) == Cell.FREE


def test_specks_are_left_out_and_thin_poles_are_kept(room):
    speck = np.array([[0.52, 0.52, z, 1.0, 0.0, 0.0] for z in (0.5, 0.52, 0.54)])
    pole = np.vstack([patch((-1.01, 0.51, 0), (0.02, 0, 0), (0, 0, 1.4), (0, -1, 0))])
    spoiled = scene(floor(), walls(), speck, pole)
    grid = make_grid(spoiled, find_floor(spoiled, None), GridOptions(), around(room))
    assert at(grid, 0.52, 0.52) == Cell.UNKNOWN
    assert grid.specks == 1
    assert at(grid, -1.0, 0.51) == Cell.OCCUPIED


def test_a_drop_is_not_free(room):
    stairs = scene(without(floor(), 0.5, 0.5, (0.8, 0.8)), floor((0.5, 0.5), (1.3, 1.3), -0.2), walls())
    grid = make_grid(stairs, find_floor(stairs, None), GridOptions(), around(room, z=1.3))
    assert region(grid, (0.56, 0.56), (1.24, 1.24)) == {Cell.UNKNOWN}
    assert at(grid, -0.9, 0.9) == Cell.FREE
    # Where the floor has as small a gap over nothing, it is bridged: see above.
    hole = scene(without(floor(), 0.6, -0.1, (0.16, 0.16)), floor((0.6, -0.1), (0.76, 0.06), -0.2), walls())
    grid = make_grid(hole, find_floor(hole, None), GridOptions(), around(room, -1.5, 0.0))
    assert at(grid, 0.67, -0.03) == Cell.UNKNOWN
    assert grid.drops == 16


def test_low_things_are_ground_and_high_ones_are_above_the_robot(room):
    sill = patch((0.5, 0.5, 0.06), (0.5, 0, 0), (0, 0.5, 0), (0, 0, 1))
    lamp = box(-1.0, -1.0, (0.3, 0.3), 0.3, z=1.8)
    spoiled = scene(without(floor(), 0.5, 0.5, (0.5, 0.5)), walls(), sill, lamp)
    grid = make_grid(spoiled, find_floor(spoiled, None), GridOptions(), around(room))
    assert at(grid, 0.75, 0.75) == Cell.FREE
    assert at(grid, -0.85, -0.85) == Cell.FREE
    assert at(make_grid(spoiled, find_floor(spoiled, None), GridOptions(0.05, 0.1, 2.2), None), -0.85, -0.85) == (
        Cell.OCCUPIED
    )


def test_bounds(room, monkeypatch):
    whole = furnished()
    with pytest.raises(MappingError, match=r"would have holes.*0\.02 m"):
        make_grid(whole, find_floor(whole, None), GridOptions(0.01), None)
    monkeypatch.setattr(grid_cells, "MOST_GRID_CELLS", 1000)
    with pytest.raises(MappingError, match="more than 1000; choose a larger --resolution"):
        make_grid(whole, find_floor(whole, None), GridOptions(), None)
    for wrong in ({"low_m": 1.5, "high_m": 0.1}, {"resolution_m": 0.0}, {"low_m": 0.0}, {"clear_m": float("nan")}):
        with pytest.raises(MappingError):
            GridOptions(**wrong)


@pytest.fixture
def bundle(tiny_bundle: Path, room, tmp_path: Path) -> Bundle:
    """The furnished room, moved to x 10, y -20, as a bundle with poses of the color camera."""
    moved = np.array([10.0, -20.0, 0.0])
    shifted = furnished().content(range(len(furnished().tiles)))
    found = SceneMap.from_points(
        replace(shifted, points=shifted.points + moved), np.zeros(CORRECTION_SHAPE, np.float32), 4.0, STEP
    )
    poses = around(room).poses
    poses[:, :3, 3] += moved
    write_tum(tmp_path / "poses.tum", Trajectory(1_000_000_000 * np.arange(len(poses), dtype=np.int64), poses))
    tiny = read_bundle(tiny_bundle)
    manifest = replace(tiny.manifest, frames=FrameSpec("hall", "color"), color_camera=CAMERA, depth_camera=CAMERA)
    files = {"model.onnx": tiny.model_path, "training_poses.tum": tmp_path / "poses.tum"}
    plain = write_bundle(tmp_path / "room", manifest, files)
    spec = SceneMapSpec("", "", STEP, 4.0, len(found), 0.2, 6.0, tuple(np.eye(4).reshape(16)), 1.0, None)
    return add_scene_map(plain, found.to_bytes(), spec)


def served(folder: Path, free_threshold: float | None = None) -> tuple[np.ndarray, dict]:
    """The grid as map_server publishes it: 100, 0 or -1, first row the lowest y; with another threshold, if given."""
    values = yaml.safe_load((folder / "map.yaml").read_text())
    image = cv2.imread(str(folder / values["image"]), cv2.IMREAD_UNCHANGED)
    assert image.dtype == np.uint8
    assert image.ndim == 2
    assert values["negate"] == 0
    assert values["mode"] == "trinary"
    share = (255.0 - image) / 255.0
    free = values["free_thresh"] if free_threshold is None else free_threshold
    cells = np.where(share > values["occupied_thresh"], 100, np.where(share < free, 0, -1))
    return cells[::-1], values


def test_map_server_reads_the_same_places(bundle: Bundle, tmp_path: Path, capsys):
    out = tmp_path / "new" / "maps"
    assert main(["grid", str(bundle.path), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    for words in ("frame: hall", "z up", "floor: found at z = 0.000 m", "0.1 to 1.5 m", "% free", "24 training poses"):
        assert words in text
    assert {path.name for path in out.iterdir()} == {"map.pgm", "map.yaml", "grid.png"}
    cells, values = served(out)
    made = grid_of(bundle.path, GridOptions())
    expected = np.array([-1, 0, 100])[made.grid.cells]
    assert np.array_equal(cells, expected)
    for free_threshold in (0.25, 0.196):  # the one of Nav2 and the one of ROS 1: unknown is never free
        assert np.array_equal(served(out, free_threshold)[0], expected)
    x0, y0, yaw = values["origin"]
    assert yaw == 0.0

    def value(x: float, y: float) -> int:
        return int(cells[int((y - y0) / values["resolution"]), int((x - x0) / values["resolution"])])

    assert value(10 + 1.0, -20 - 0.75) == 100  # the box
    for sign in ((-1, 1), (1, -1), (-1, -1)):
        assert value(10 + sign[0] * 1.0, -20 - sign[1] * 0.75) != 100
    assert value(10 - 1.0, -20 + 0.75) == 0
    assert value(10 + 2.02, -20 + 1.0) == 100  # the wall's cell
    picture = cv2.imread(str(out / "grid.png"))
    scale = picture.shape[0] // cells.shape[0]
    assert picture.shape[:2] == (scale * cells.shape[0], scale * cells.shape[1])
    row = picture.shape[0] - scale * (-20 - y0) / values["resolution"]
    column = scale * (10 - x0) / values["resolution"]
    near = picture[int(row) - 2 : int(row) + 3, int(column) - 2 : int(column) + 3].astype(int)
    assert np.any(near[..., 0] > near[..., 2] + 50)  # the training path is blue


def test_an_earlier_grid_is_replaced_and_other_folders_are_not(bundle: Bundle, tmp_path: Path, capsys):
    out = tmp_path / "maps"
    assert main(["grid", str(bundle.path), "--out", str(out), "--resolution", "0.1"]) == 0
    assert main(["grid", str(bundle.path), "--out", str(out), "--floor", "0.01"]) == 0
    assert served(out)[1]["resolution"] == 0.05
    assert "given as z = 0.010 m" in capsys.readouterr().out
    (out / "notes.txt").write_text("mine")
    assert main(["grid", str(bundle.path), "--out", str(out)]) == 2
    assert "is no folder of a grid" in capsys.readouterr().err
    assert (out / "notes.txt").read_text() == "mine"


def test_a_floor_that_is_given_wrong_is_said(bundle: Bundle, tmp_path: Path, capsys):
    assert main(["grid", str(bundle.path), "--out", str(tmp_path / "maps"), "--floor", "-0.5"]) == 0
    assert "WARNING: no level surface of the map lies within 0.1 m" in capsys.readouterr().out


def test_a_map_whose_z_is_not_up_is_said_even_if_the_floor_is_given(bundle: Bundle, tmp_path: Path, capsys):
    trajectory = bundle.training_trajectory()
    lying = trajectory.poses.copy()
    lying[:, :3, :3] = turned("x", 90.0) @ lying[:, :3, :3]
    write_tum(tmp_path / "lying.tum", Trajectory(trajectory.stamps_ns, lying))
    spec, files = bundle.manifest.scene_map, {"model.onnx": bundle.model_path}
    files["training_poses.tum"] = tmp_path / "lying.tum"
    turned_bundle = write_bundle(tmp_path / "lying", replace(bundle.manifest, scene_map=None), files)
    add_scene_map(turned_bundle, (bundle.path / spec.file).read_bytes(), spec)
    assert main(["grid", str(turned_bundle.path), "--out", str(tmp_path / "maps")]) == 2
    assert "z does not point up" in capsys.readouterr().err
    assert not (tmp_path / "maps").exists()
    assert main(["grid", str(turned_bundle.path), "--out", str(tmp_path / "maps"), "--floor", "0"]) == 0
    text = capsys.readouterr().out
    assert "up direction is 90 degrees from z" in text
    assert "WARNING: the training cameras were not upright" in text


def test_a_bundle_without_a_map_gets_one_sentence(tiny_bundle: Path, tmp_path: Path, capsys):
    assert main(["grid", str(tiny_bundle), "--out", str(tmp_path / "maps")]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert "has no scene map" in error[0]
    assert "mvloc map" in error[0]
    assert not (tmp_path / "maps").exists()
    with pytest.raises(SceneMapError):
        grid_of(tiny_bundle, GridOptions())


def test_a_bundle_without_training_poses_says_what_free_means(bundle: Bundle, tmp_path: Path, capsys):
    manifest = replace(bundle.manifest, scene_map=None)
    plain = write_bundle(tmp_path / "plain", manifest, {"model.onnx": bundle.model_path})
    spec = bundle.manifest.scene_map
    add_scene_map(plain, (bundle.path / spec.file).read_bytes(), spec)
    assert main(["grid", str(plain.path), "--out", str(tmp_path / "maps")]) == 0
    assert "does not tell its training poses" in capsys.readouterr().out
