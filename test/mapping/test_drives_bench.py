# SPDX-License-Identifier: Apache-2.0
"""The benchmark of drives follows a session with its odometry and wakes up along it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.drives import BenchError, drives_of, main
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import Trajectory, write_tum
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.recordings import open_folder


def walk_of(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Stamps and true poses of the test walk."""
    records = [record for record in open_folder(folder).test if record.sequence == "seq-03"]
    return np.array([r.stamp_ns for r in records], np.int64), np.array([r.T_map_camera for r in records])


@pytest.fixture
def driven(folder: Path, tmp_path: Path) -> Path:
    """The folder, with exact odometry of a base below the camera, which moves 6 m/s, beside the test walk."""
    copy = tmp_path / "room"
    (copy / "seq-03").mkdir(parents=True)
    for item in (*folder.iterdir(), *(folder / "seq-03").iterdir()):
        if item.name != "seq-03":
            (copy / item.relative_to(folder)).symlink_to(item)
    stamps, truth = walk_of(folder)
    heading = np.arctan2(truth[0, 1, 2], truth[0, 0, 2])
    T_map_base = np.eye(4)
    T_map_base[:2, :2] = [[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]]
    T_map_base[:2, 3] = truth[0, :2, 3]
    T_base_camera = se3.inverse(T_map_base) @ truth[0]
    base = np.array([se3.inverse(T_map_base) @ T @ se3.inverse(T_base_camera) for T in truth])
    write_tum(copy / "seq-03" / "odometry.tum", Trajectory(stamps - stamps[0], base))
    return copy


def test_a_drive_is_followed_and_woken_up_along(mapped: Bundle, driven: Path, tmp_path: Path, capsys):
    out = tmp_path / "drives.json"
    words = [str(mapped.path), "--data", str(driven), "--wake-ups", "2", "--every", "4", "--budget-ms", "10000"]
    assert main([*words, "--json", str(out)]) == 0
    found = json.loads(out.read_text())["sessions"]["seq-03"]
    assert found["followed"]["frames"] == 12
    assert found["followed"]["right_and_accepted"] == pytest.approx(7 / 12), "six frames must agree on the first pose"
    assert found["followed"]["accepted_far"] == 0
    assert found["single"]["frames"] == 3
    assert found["wake_ups"]["right"] == 2
    said = capsys.readouterr().out
    assert "seq-03: 12 frames, odometry of a base upright below the camera" in said
    assert "seq-03: 2 of 2 wake-ups right" in said
    with pytest.raises(BenchError, match="seq-77"):
        main([*words, "--sequences", "seq-77"])


def test_odometry_of_the_base_is_carried_to_the_camera(driven: Path):
    (drive,), _ = drives_of(driven, ["seq-03"])
    _, truth = walk_of(driven)
    moved = np.array([se3.inverse(drive.odometry[0]) @ T for T in drive.odometry])
    true = np.array([se3.inverse(truth[0]) @ T for T in truth])
    np.testing.assert_allclose(moved, true, atol=1e-5)
