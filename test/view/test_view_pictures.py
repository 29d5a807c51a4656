# SPDX-License-Identifier: Apache-2.0
"""`mvloc view`: each wall of a room is where it must be in the pictures, to a pixel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from box_room import looking
from laid_room import laid_bundle, room_map

from mvloc_ros.cli import main
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE
from mvloc_ros.localization.scene_map import MapPoints, SceneMap
from mvloc_ros.view.above import draw_above, origin_line
from mvloc_ros.view.from_poses import EMPTY, UNKNOWN, draw_from, poses_to_show
from mvloc_ros.view.scene import BRIGHTNESS, HEIGHT, Scene, ViewError, read_scene, require_colors

CAMERA = PinholeCamera(160, 120, 130.0, 130.0, 79.5, 59.5)
FLOOR, EAST, BOX_FRONT, OTHER, NORTH = 120, 200, 30, 60, 0
"""Brightness of the surfaces; the north wall's is not known."""
PATH_COLOR = np.array([0xD5, 0x5E, 0x00])
PATH = np.array([looking(x, 0.0, 1.0, 0.0, 0.0) for x in np.arange(-1.0, 1.01, 0.05)])


def shaded_room() -> SceneMap:
    """The laid room (4 x 3 m, walls at x and y of 2.02 and 1.52 m, 2 m high), each surface with its own brightness."""
    found = room_map()
    content = found.content(range(len(found.tiles)))
    x, y, z = content.points.T
    brightness = np.full(len(x), OTHER, np.uint8)
    brightness[z < 0.01], brightness[x > 2.0], brightness[y > 1.51] = FLOOR, EAST, NORTH
    brightness[(np.abs(x - 1.2) < 0.01) & (z > 0.01)] = BOX_FRONT
    points = MapPoints(content.points, content.normals, brightness)
    return SceneMap.from_points(points, found.correction, found.tile_m, found.resolution_m)


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return laid_bundle(tiny_bundle, tmp_path_factory.mktemp("view"), PATH, CAMERA, shaded_room()).path


@pytest.fixture(scope="module")
def scene(bundle: Path) -> Scene:
    return read_scene(bundle)


class FromAbove:
    """The picture from above, by the map's coordinates."""

    def __init__(self, scene: Scene, color: str = HEIGHT) -> None:
        self.figure = draw_above(scene, color, np.array([0]))
        self.axes = self.figure.axes[0]
        self.figure.canvas.draw()
        self._pixels = np.asarray(self.figure.canvas.buffer_rgba())

    def at(self, x: float, y: float) -> np.ndarray:
        """Red, green, blue."""
        column, row = self.axes.transData.transform((x, y))
        return self._pixels[len(self._pixels) - 1 - int(row), int(column), :3].astype(int)


def test_from_above_walls_are_yellow_the_floor_is_blue_and_nothing_is_white(scene: Scene):
    picture = FromAbove(scene)
    floor = picture.at(-1.0, -1.0)
    assert floor[2] > floor[1]  # the low end of viridis
    for wall in ((2.02, 0.4), (-2.02, 0.4), (0.4, 1.52), (0.4, -1.52)):
        red, green, blue = picture.at(*wall)
        assert red > 200, wall  # the high end: yellow
        assert green > 200
        assert blue < 180
    # One square of 8 cm beyond each wall is nothing.
    for nothing in ((2.12, 0.4), (-2.14, 0.4), (0.4, 1.64), (0.4, -1.64)):
        assert (picture.at(*nothing) == 255).all(), nothing
    box, between = picture.at(1.5, -0.7), picture.at(1.5, 0.3)
    assert np.abs(box - between).max() > 20  # half a meter high
    assert np.abs(between - floor).max() == 0


def test_from_above_the_training_path_and_the_keyframes_are_where_they_were(scene: Scene):
    keyframe = looking(-1.5, 1.0, 1.0, -0.5 * np.pi, 0.0)
    picture = FromAbove(replace(scene, keyframes=keyframe[None]))
    # The line is about a pixel wide, and Matplotlib before 3.11 blends its edge with white.
    path, white = picture.at(-0.55, 0.0), np.array([255, 255, 255])
    share = (path - white) @ (PATH_COLOR - white) / ((PATH_COLOR - white) @ (PATH_COLOR - white))
    assert share > 0.6
    assert path == pytest.approx(white + share * (PATH_COLOR - white), abs=2)
    assert picture.at(-1.5, 0.95).tolist() == [0xCC, 0x79, 0xA7]  # the arrow points along -y
    for bare in ((-1.5, 1.05), (-1.4, 1.0), (-1.6, 1.0), (1.2, 0.0)):
        assert (picture.at(*bare) == picture.at(-1.0, -1.0)).all(), bare


def test_from_above_by_brightness(scene: Scene):
    picture = FromAbove(scene, BRIGHTNESS)
    assert picture.at(-1.0, -1.0) == pytest.approx([FLOOR] * 3, abs=2)
    assert picture.at(2.02, 0.4) == pytest.approx([EAST] * 3, abs=2)


def test_the_axes_are_meters_and_the_origin_is_in_the_picture(scene: Scene):
    axes = FromAbove(scene).axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x, m", "y, m")
    assert {"origin", "x", "y", "1"} <= {text.get_text() for text in axes.texts}
    assert "in the picture" in origin_line(scene)


def test_an_origin_far_away_is_told(tiny_bundle: Path, tmp_path: Path):
    found = room_map()
    content = found.content(range(len(found.tiles)))
    away = np.array([100.0, 0.0, 0.0])
    moved = MapPoints(content.points + away, content.normals, content.brightness)
    poses = PATH.copy()
    poses[:, :3, 3] += away
    scene_map = SceneMap.from_points(moved, np.zeros(CORRECTION_SHAPE, np.float32), 4.0, found.resolution_m)
    scene = read_scene(laid_bundle(tiny_bundle, tmp_path, poses, CAMERA, scene_map).path)
    assert "outside of the picture from above, 97." in origin_line(scene)
    assert "origin" not in {text.get_text() for text in FromAbove(scene).axes.texts}


def test_what_the_camera_sees_is_at_the_right_pixels(scene: Scene):
    image = draw_from(scene, looking(-1.0, 0.0, 1.0, 0.0, 0.0), BRIGHTNESS)
    assert image.shape == (120, 160, 3)
    gray = image[..., 0].astype(int)
    # The east wall is 3.02 m ahead, 3 m wide, and from 1 m below to 1 m above the camera: 65 columns and 43 rows.
    row = gray[50]
    inside = np.flatnonzero(row == EAST)
    assert (inside[0], inside[-1]) == (pytest.approx(79.5 - 64.6, abs=1.5), pytest.approx(79.5 + 64.6, abs=1.5))
    column = gray[:, 60]
    inside = np.flatnonzero(column == EAST)
    assert (inside[0], inside[-1]) == (pytest.approx(59.5 - 43.0, abs=1.5), pytest.approx(59.5 + 43.0, abs=1.5))
    assert (column[106:] == FLOOR).all()
    assert (image[:14, 60] == EMPTY).all()  # there is no ceiling
    assert (image[40:60, :10] == UNKNOWN).all()  # the north wall, to the left
    # The box, 2.2 m ahead and to the right, hides wall and floor: y from -1 to -0.4, half a meter high.
    front = np.argwhere(gray == BOX_FRONT)
    (top, left), (bottom, right) = front.min(axis=0), front.max(axis=0)
    expected = (59.5 + 29.5, 59.5 + 59.1, 79.5 + 23.6, 79.5 + 59.1)
    assert (top, bottom, left, right) == pytest.approx(expected, abs=2.0)
    assert (gray[top + 3 : bottom - 2, left + 2 : right - 2] == BOX_FRONT).all()


def test_by_height_what_is_higher_is_yellower(scene: Scene):
    image = draw_from(scene, looking(-1.0, 0.0, 1.0, 0.0, 0.0), HEIGHT).astype(int)
    blue, green = image[..., 0], image[..., 1]
    assert green[22, 60] > blue[22, 60] + 80
    assert green[112, 60] < blue[112, 60]


def test_poses_are_spread_over_the_length_of_the_path(scene: Scene):
    places = scene.poses[poses_to_show(scene, 4), 0, 3]
    assert places == pytest.approx([-0.75, -0.25, 0.25, 0.75], abs=0.06)
    assert len(poses_to_show(scene, 0)) == 0
    assert len(poses_to_show(replace(scene, poses=np.zeros((0, 4, 4))), 4)) == 0


def test_the_command_writes_pictures_and_says_what_it_assumed(bundle: Path, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["view", str(bundle), "--views", "2"]) == 0
    out = tmp_path / "room_view"
    assert {file.name for file in out.iterdir()} == {"above.png", "view_1.png", "view_2.png"}
    said = capsys.readouterr().out
    for words in ("frame: map, meters, z up", "x -2.02 to 2.02", "training path: 41 poses, 2.0 m", "160x120 pixels"):
        assert words in said
    assert cv2.imread(str(out / "above.png")).shape[1] > 900
    assert main(["view", str(bundle), "--views", "1", "--color", "height"]) == 0  # in the place of the earlier one
    assert {file.name for file in out.iterdir()} == {"above.png", "view_1.png"}
    (out / "mine.txt").write_text("")
    assert main(["view", str(bundle)]) == 2
    assert "is no folder of `mvloc view`; choose another one" in capsys.readouterr().err
    assert (out / "mine.txt").exists()


def test_a_model_without_a_map_is_one_sentence(tiny_bundle: Path, tmp_path: Path, capsys):
    assert main(["view", str(tiny_bundle), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "has no scene map, only a network, so there is nothing to show; add a map with `mvloc map`." in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_brightness_that_is_not_known_is_refused_or_replaced(scene: Scene, tiny_bundle: Path, tmp_path: Path, capsys):
    content = scene.scene_map.content(range(len(scene.scene_map.tiles)))
    dark = MapPoints(content.points, content.normals, np.zeros(len(content.points), np.uint8))
    scene_map = SceneMap.from_points(dark, scene.scene_map.correction, 4.0, scene.scene_map.resolution_m)
    path = laid_bundle(tiny_bundle, tmp_path, PATH, CAMERA, scene_map).path
    with pytest.raises(ViewError, match=r"have no brightness.*--color height"):
        require_colors(read_scene(path), BRIGHTNESS)
    assert main(["view", str(path), "--out", str(tmp_path / "out"), "--views", "1"]) == 0
    assert "by height in all pictures, since the points have no brightness" in capsys.readouterr().out
    assert len(np.unique(cv2.imread(str(tmp_path / "out" / "view_1.png")))) > 20


def test_a_map_that_lies_on_its_side_is_turned(scene: Scene, tiny_bundle: Path, tmp_path: Path, capsys):
    turn = np.eye(4)
    turn[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]  # y of the map points up
    content = scene.scene_map.content(range(len(scene.scene_map.tiles)))
    points, normals = content.points @ turn[:3, :3].T, content.normals @ turn[:3, :3].T
    scene_map = SceneMap.from_points(
        MapPoints(points, normals, content.brightness), scene.scene_map.correction, 4.0, scene.scene_map.resolution_m
    )
    path = laid_bundle(tiny_bundle, tmp_path, turn @ PATH, CAMERA, scene_map).path
    assert main(["view", str(path), "--out", str(tmp_path / "out"), "--views", "1"]) == 0
    assert "turned: its z does not point up" in capsys.readouterr().out
