# SPDX-License-Identifier: Apache-2.0
"""The file of a scene map: what is written is read, and what is no map is refused with a sentence."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvloc_ros.localization.depth_points import CORRECTION_SHAPE
from mvloc_ros.localization.scene_map import MapPoints, SceneMap, SceneMapError, read_scene_map
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.model.bundle_writer import add_scene_map
from mvloc_ros.model.map_spec import SceneMapSpec

NONE = np.zeros(CORRECTION_SHAPE, np.float32)


def content(count: int, extent_m: float, seed: int) -> MapPoints:
    rng = np.random.default_rng(seed)
    normals = rng.standard_normal((count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    points = extent_m * (rng.random((count, 3)) - 0.5)
    return MapPoints(points, normals, rng.integers(0, 256, count).astype(np.uint8))


def everything(scene_map: SceneMap) -> MapPoints:
    return scene_map.content(range(len(scene_map.tiles)))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 300), st.floats(0.5, 200.0), st.floats(0.5, 8.0), st.integers(0, 1000))
def test_what_is_written_is_read(count: int, extent_m: float, tile_m: float, seed: int):
    given_points = content(count, extent_m, seed)
    correction = (0.01 * np.random.default_rng(seed).standard_normal(CORRECTION_SHAPE)).astype(np.float32)
    scene_map = SceneMap.from_points(given_points, correction, tile_m, 0.02)
    read = SceneMap.from_bytes(scene_map.to_bytes())
    np.testing.assert_array_equal(read.correction, correction)
    assert (read.tile_m, read.resolution_m, len(read)) == (tile_m, 0.02, count)
    stored, again = everything(scene_map), everything(read)
    for name in ("points", "normals", "brightness"):
        np.testing.assert_array_equal(getattr(again, name), getattr(stored, name))
    # The same as were given, sorted by tile and to the steps of the file.
    distances = np.linalg.norm(again.points[:, None] - given_points.points[None], axis=2)
    nearest = distances.argmin(axis=1)
    assert distances.min(axis=1).max() < tile_m / 65536 * np.sqrt(3)
    assert np.abs(again.normals - given_points.normals[nearest]).max() < 0.02
    assert len(set(nearest)) == count


def test_only_tiles_in_reach_are_given():
    scene_map = SceneMap.from_points(content(2000, 40.0, 0), NONE, 4.0, 0.02)
    near = scene_map.content(scene_map.tiles_near((0, 0, 0), 4.5)).points
    whole = everything(scene_map).points
    gap = np.linalg.norm(np.maximum(np.maximum(-whole, whole - 4.0), 0.0), axis=1)
    assert len(near) < len(whole)
    needed = whole[gap <= 4.5]
    assert {tuple(p) for p in needed} <= {tuple(p) for p in near}
    assert scene_map.tiles_near((100, 0, 0), 4.5) == ()
    assert len(scene_map.content(()).points) == 0


def damaged(change: dict[str, np.ndarray | None]) -> bytes:
    """A map's file with arrays replaced, or left out (None)."""
    with np.load(io.BytesIO(SceneMap.from_points(content(200, 6.0, 1), NONE, 4.0, 0.02).to_bytes())) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays = {**arrays, **change}
    stream = io.BytesIO()
    np.savez_compressed(stream, **{name: array for name, array in arrays.items() if array is not None})
    return stream.getvalue()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"normal": None}, "no scene map"),
        ({"offset": np.zeros((200, 3), np.float64)}, "offset is float64"),
        ({"offset": np.zeros((200, 3), object)}, "no scene map|allow_pickle"),
        ({"brightness": np.zeros(199, np.uint8)}, "do not fit together"),
        ({"correction": np.zeros((2, 2), np.float32)}, "do not fit together"),
        ({"first": np.array([0, 200], np.int64)}, "do not divide"),
        ({"sizes": np.array([4.0, 5.0])}, "impossible"),
        ({"sizes": np.array([4.0, np.nan])}, "impossible"),
        ({"sizes": np.array([4.0])}, "sizes"),
        ({"version": np.array([2])}, "version 2"),
    ],
)
def test_an_archive_that_is_no_map_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        SceneMap.from_bytes(damaged(change))


def test_a_file_of_before_versions_were_written_is_read():
    assert len(SceneMap.from_bytes(damaged({"version": None}))) == 200


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(share):
    whole = damaged({})
    with pytest.raises(ValueError, match="no scene map"):
        SceneMap.from_bytes(whole[: int(share * len(whole))])


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Bundle:
    """The tiny model with a map of nothing in particular."""
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    scene_map = SceneMap.from_points(content(200, 6.0, 1), NONE, 4.0, 0.02)
    spec = SceneMapSpec("", "", 0.02, 4.0, 200, 0.3, 4.5, tuple(np.eye(4).ravel()), 100.0, None)
    return add_scene_map(read_bundle(tmp_path / "bundle"), scene_map.to_bytes(), spec)


def test_the_map_of_another_scene_is_refused_by_its_digest(bundle: Bundle):
    assert len(read_scene_map(bundle)) == 200
    other = SceneMap.from_points(content(150, 6.0, 2), NONE, 4.0, 0.02).to_bytes()
    (bundle.path / bundle.manifest.scene_map.file).write_bytes(other)
    with pytest.raises(SceneMapError, match=r"damaged or of another scene.*mvloc map"):
        read_scene_map(bundle)


def test_a_map_that_no_digest_saves_is_still_refused(bundle: Bundle):
    """A map of a newer version in a manifest that fits it."""
    again = add_scene_map(bundle, damaged({"version": np.array([9])}), replace(bundle.manifest.scene_map))
    with pytest.raises(SceneMapError, match=r"version 9.*mvloc map"):
        read_scene_map(again)
