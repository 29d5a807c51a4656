# SPDX-License-Identifier: Apache-2.0
"""The interactive page: one file of bounded size that a browser without network draws, also as narrow as a phone."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from box_room import looking
from headless_browser import PHONE, WITH_3D, colors_of, installed_browser, measured, run_browser
from laid_room import laid_bundle, room_map

from mvloc_ros.cli import main
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.localization.scene_map import MapPoints, SceneMap
from mvloc_ros.view.page import page_of
from mvloc_ros.view.scene import BRIGHTNESS, HEIGHT, Scene, read_scene
from mvloc_ros.view.verbs import DEFAULT_POINTS

CAMERA = PinholeCamera(160, 120, 130.0, 130.0, 79.5, 59.5)
PATH = np.array([looking(x, 0.0, 1.0, 0.0, 0.0) for x in np.arange(-1.0, 1.01, 0.05)])


@pytest.fixture(scope="module")
def scene(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return read_scene(laid_bundle(tiny_bundle, tmp_path_factory.mktemp("page"), PATH, CAMERA, room_map()).path)


@pytest.fixture(scope="module")
def page(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("plotly")
    path = tmp_path_factory.mktemp("page_file") / "map.html"
    path.write_text(page_of(replace(scene, keyframes=PATH[::10]), 4_000, HEIGHT))
    return path


@pytest.fixture(scope="module")
def browser() -> str:
    return installed_browser()


def test_without_plotly_one_sentence_says_what_to_do(scene: Scene, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "plotly", None)
    out = tmp_path / "out"
    assert main(["view", str(scene.bundle.path), "--out", str(out), "--html"]) == 2
    assert "needs Plotly, which is not installed here: pip install plotly" in capsys.readouterr().err
    assert not out.exists()


def test_the_page_reaches_no_network_and_says_what_it_shows(page: Path):
    text = page.read_text()
    head = text[: text.index("<body>")]
    assert "default-src 'none'" in head
    assert "connect-src" not in head  # and so falls under the default
    assert '"modeBarButtons": [["zoom3d", "pan3d", "orbitRotation", "resetCameraDefault3d", "toImage"]]' in text
    assert not re.search(r"<script[^>]+src=|<link[^>]+href=[\"']?http", text)
    assert "4000 of 25405 points in the frame &#x27;map&#x27;, in meters; 41 training poses and 5 keyframes." in text


def test_a_point_takes_a_known_number_of_bytes(scene: Scene):
    """So that the page with the default of the points has less than 8 MB: 16 bytes, in base64 with escapes."""
    pytest.importorskip("plotly")
    few, many = (len(page_of(scene, points, HEIGHT)) for points in (5_000, 25_000))
    assert few < 5_300_000
    assert (many - few) / 20_000 < 28.0
    assert few + 28 * (DEFAULT_POINTS - 5_000) < 8_000_000


def test_coordinates_far_from_the_origin_keep_their_millimeters(scene: Scene):
    pytest.importorskip("plotly")
    away = np.array([450_000.0, 4_420_000.0, 0.0])
    content = scene.scene_map.content(range(len(scene.scene_map.tiles)))
    moved = MapPoints(content.points + away, content.normals, content.brightness)
    found = SceneMap.from_points(moved, scene.scene_map.correction, 4.0, scene.scene_map.resolution_m)
    text = page_of(replace(scene, scene_map=found, poses=np.zeros((0, 4, 4))), 100, BRIGHTNESS)
    assert "Shown less the offset 450,000, 4,420,000, 0 m." in text
    assert '"x - 450,000, m"' in text


def test_a_browser_draws_it_without_an_error_on_its_console(browser: str, page: Path, tmp_path: Path):
    picture = tmp_path / "page.png"
    arguments = ("--enable-logging=stderr", f"--screenshot={picture}", "--window-size=900,800", page.as_uri())
    found = run_browser(
        browser, tmp_path / "profile", "--virtual-time-budget=3000", *arguments, graphics=WITH_3D
    ).stderr
    said = [line for line in found.splitlines() if "CONSOLE" in line]
    # Chromium's own advice about speed is no error.
    assert not [line for line in said if "willReadFrequently" not in line]
    pixels = cv2.imread(str(picture))
    assert pixels.shape[:2] == (800, 900)
    drawn = pixels[60:600]
    assert colors_of(drawn) > 500
    blue, green, red = (drawn[..., i].astype(int) for i in range(3))
    assert np.count_nonzero((red > 200) & (green > 200) & (blue < 80)) > 300  # the top of the walls
    assert np.count_nonzero((red > 190) & (green > 60) & (green < 120) & (blue < 40)) > 50  # the training path


def test_it_fits_a_phone(browser: str, page: Path, tmp_path: Path):
    found = measured(browser, page.read_text(), tmp_path, graphics=WITH_3D, height=700)
    assert PHONE - 20 <= found["width"] <= PHONE  # less a scroll bar, where it has a width
    assert found["scroll"] <= found["width"]
    assert found["wide"] == 0
    assert found["smallest"] >= 14.0
