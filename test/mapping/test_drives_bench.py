# SPDX-License-Identifier: Apache-2.0
"""The benchmark of drives follows a session with its odometry and wakes up along it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench import carried
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


def test_a_carried_camera_jumps_along_its_drive_and_its_odometry_does_not(
    mapped: Bundle, driven: Path, tmp_path, capsys
):
    (drive,), _ = drives_of(driven, ["seq-03"])
    period_ns = np.median(np.diff([record.stamp_ns for record in drive.records]))
    (only, before), (other, _) = carried.carried_drives(drive, 2, 0.1, 0.1)
    assert (before, len(only.records)) == (3, 6)
    np.testing.assert_array_equal(only.truth, drive.truth[[0, 1, 2, 5, 6, 7]])
    np.testing.assert_array_equal(other.truth, drive.truth[[3, 4, 5, 8, 9, 10]])
    np.testing.assert_array_equal(np.diff([record.stamp_ns for record in only.records]), period_ns)
    np.testing.assert_allclose(only.odometry[3], only.odometry[2], atol=1e-9)
    for place, number in ((4, 6), (5, 7)):
        moved = se3.inverse(drive.odometry[5]) @ drive.odometry[number]
        np.testing.assert_allclose(se3.inverse(only.odometry[3]) @ only.odometry[place], moved, atol=1e-9)
    with pytest.raises(BenchError, match="12 frames, 540 are needed"):
        carried.carried_drives(drive, 2, 3.0, 6.0)
    out = tmp_path / "carried.json"
    words = [str(mapped.path), "--data", str(driven), "--sequences", "seq-03", "--times", "2"]
    assert carried.main([*words, "--before", "0.1", "--after", "0.1", "--json", str(out)]) == 0
    assert [one["wrong"] for one in json.loads(out.read_text())["times"]] == [0, 0]
    assert "accepted far off" in capsys.readouterr().out
