# SPDX-License-Identifier: Apache-2.0
"""The map of all frames: what test frames alone saw is in it, with thresholds by its own trials."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mvloc_ros import cli
from mvloc_ros.geometry.trajectory import Trajectory, write_tum
from mvloc_ros.localization.keyframes import read_keyframes
from mvloc_ros.localization.scene_map import read_scene_map
from mvloc_ros.mapping.errors import MappingError
from mvloc_ros.mapping.grid_views import Views
from mvloc_ros.mapping.map import add_map_of_all_frames
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.model.bundle_writer import add_scene_map, write_bundle
from mvloc_ros.recordings import open_folder


@pytest.fixture(scope="module")
def both_ways(room: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A walk that looks east for training, and one that looks west for tests."""
    turn = np.diag([-1.0, -1.0, 1.0, 1.0])  # about the vertical
    away = [turn @ T for T in room.path(16, 0.3)]
    walks = {"seq-01": room.path(60, 0.0), "seq-02": away}
    return room.write_folder(tmp_path_factory.mktemp("both") / "room", room.Scene(), walks, test="seq-02")


@pytest.fixture
def copy(mapped: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(mapped.path, tmp_path / "room"))


def points_on_the_western_wall(bundle: Bundle) -> int:
    scene_map = read_scene_map(bundle)
    points = scene_map.content(scene_map.tiles_near((0, 0, 0), 10.0)).points
    return int(np.count_nonzero(np.abs(points[:, 0] + 2.0) < 0.03))


def test_what_only_test_frames_saw_is_in_it(mapped: Bundle, copy: Path, both_ways: Path):
    assert points_on_the_western_wall(mapped) == 0
    made = add_map_of_all_frames(copy, both_ways, min_frames=2, keyframe_features=9)
    assert points_on_the_western_wall(made) > 200
    before, after = mapped.manifest.scene_map, made.manifest.scene_map
    again = {"acceptance": None, "acceptance_followed": None, "inflation": 1.0}
    same = {"points": 1, "file": "f", "sha256": "", **again}
    assert replace(after, **same) == replace(before, **same)
    assert after.acceptance is not None
    assert after.acceptance != before.acceptance, "its own trials decide"
    assert made.manifest.files == mapped.manifest.files
    assert made.manifest.training == mapped.manifest.training
    keyframes = read_keyframes(made)
    assert keyframes is not None
    counts = np.diff(keyframes.first)
    assert 0 < counts.max() <= 9
    of_tests = [frame.T_map_camera for frame in open_folder(both_ways).test]
    near = [np.linalg.norm(keyframes.poses() - T, axis=(1, 2)).min() for T in of_tests]
    assert sum(distance < 1e-6 for distance in near) > len(of_tests) / 2
    assert read_bundle(copy).manifest == made.manifest


def test_what_keyframes_saw_is_known_as_well(mapped: Bundle, copy: Path, both_ways: Path, tmp_path: Path):
    """Free space is found by the views of a bundle: its training poses are those of the network alone."""
    made = add_map_of_all_frames(copy, both_ways, min_frames=2)
    training = [frame.T_map_camera for frame in open_folder(both_ways).train]
    write_tum(tmp_path / "poses.tum", Trajectory(np.arange(len(training), dtype=np.int64), np.array(training)))
    files = {"model.onnx": made.model_path, "training_poses.tum": tmp_path / "poses.tum"}
    told = write_bundle(tmp_path / "told", replace(made.manifest, scene_map=None, keyframes=None), files)
    keyframes = ((made.path / made.manifest.keyframes.file).read_bytes(), made.manifest.keyframes)
    told = add_scene_map(
        told, (made.path / made.manifest.scene_map.file).read_bytes(), made.manifest.scene_map, keyframes
    )
    views = Views.of(told)
    assert views is not None
    ahead = views.poses[:, 0, 2]
    assert np.count_nonzero(ahead[: len(training)] > 0.0) == len(training)
    assert np.count_nonzero(ahead < 0.0) > 8


def test_the_verb(copy: Path, both_ways: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["map", str(copy), "--data", str(both_ways), "--all-frames", "--min-frames", "2"]
    assert cli.main(arguments) == 0
    assert "scene map: " in capsys.readouterr().out
    assert points_on_the_western_wall(read_bundle(copy)) > 200


def test_without_a_map_there_is_nothing_to_take_over(plain_bundle: Path, both_ways: Path, tmp_path: Path):
    copy = shutil.copytree(plain_bundle, tmp_path / "room")
    before = (copy / "manifest.json").read_bytes()
    with pytest.raises(MappingError, match="has no map yet"):
        add_map_of_all_frames(copy, both_ways)
    assert (copy / "manifest.json").read_bytes() == before
