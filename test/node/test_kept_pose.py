# SPDX-License-Identifier: Apache-2.0
"""The file of the last pose: what is written is what is read, seldom, and nothing else is taken."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.frontend.input_log import InputLog
from mvloc_ros.geometry import se3
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.tracker import State, Verdict
from mvloc_ros.node.kept_pose import KeptPose
from mvloc_ros.pipeline.robot_tracking import Placement

T = se3.from_parts([1.0, -2.0, 0.5], [0.0, 0.0, np.sin(0.4), np.cos(0.4)])


def placement(stamp_ns: int, map_identity: str = "/ground") -> Placement:
    pose = Pose(stamp_ns, T, np.diag([0.01, 0.02, 0.03, 0.001, 0.002, 0.003]))
    return Placement(Verdict(True, State.TRACKING, "", T), "map", "base_link", pose, np.eye(4), (), map_identity)


@pytest.fixture
def kept(tmp_path: Path) -> KeptPose:
    return KeptPose(str(tmp_path / "pose.json"), InputLog(pytest.fail, lambda _: None))


def test_it_comes_back_with_the_spread_of_a_hint(kept: KeptPose):
    kept.write(placement(5), "house")
    pose = kept.read("map", "/ground", "base_link")
    np.testing.assert_allclose(pose.T, T, atol=1e-12)
    expected = [0.01 + 0.25, 0.02 + 0.25, 0.03 + 0.25, 0.001 + 0.0625, 0.002 + 0.0625, 0.003 + 0.0625]
    np.testing.assert_allclose(np.diag(pose.covariance), expected)
    assert pose.stamp_ns == 0


@pytest.mark.parametrize("asked", [("other", "/ground", ""), ("map", "/upstairs", ""), ("map", "/ground", "camera")])
def test_a_pose_of_another_map_or_frame_is_not_taken(kept: KeptPose, asked: tuple[str, str, str]):
    kept.write(placement(5), "house")
    assert kept.read(*asked) is None


def test_a_file_of_an_earlier_version_does_not_tell_its_map_and_is_not_taken(tmp_path: Path):
    """It has the name of the model's folder alone, in which another map may lie by now."""
    said: list[str] = []
    path = tmp_path / "pose.json"
    kept = KeptPose(str(path), InputLog(pytest.fail, said.append))
    kept.write(placement(5), "house")
    values = json.loads(path.read_text())
    del values["map_identity"]
    path.write_text(json.dumps(values))
    assert kept.read("map", "/ground", "") is None
    assert "by the model 'house', and does not tell in which map it is; it is not used" in said[0]


def test_a_pose_is_kept_with_the_map_that_it_is_in_whatever_model_runs_by_then(kept: KeptPose):
    kept.write(placement(5, "/ground"), "upstairs")
    assert kept.read("map", "/upstairs", "") is None
    assert kept.read("map", "/ground", "") is not None


def test_it_is_written_seldom_and_at_the_end(kept: KeptPose, tmp_path: Path):
    def stamp() -> int:
        return json.loads((tmp_path / "pose.json").read_text())["stamp_ns"]

    kept.write(None, "house", now=True)
    assert not (tmp_path / "pose.json").exists()
    kept.write(placement(5), "house")
    kept.write(placement(6), "house")
    assert stamp() == 5
    kept.write(placement(6), "house", now=True)
    assert stamp() == 6


def test_impossible_numbers_are_refused_by_name(tmp_path: Path):
    said: list[str] = []
    path = tmp_path / "pose.json"
    KeptPose(str(path), InputLog(said.append, lambda _: None)).write(placement(5), "house")
    good = json.loads(path.read_text())
    for name, value in (
        ("position_m", [1.0, 2.0]),
        ("position_m", [1e9, 0.0, 0.0]),
        ("orientation_xyzw", [0.0, 0.0, 0.0, 0.0]),
        ("covariance", [-1.0] * 36),
        ("covariance", ["x"] * 36),
        ("frame", 7),
        ("map_identity", 7),
    ):
        path.write_text(json.dumps({**good, name: value}))
        said.clear()
        kept = KeptPose(str(path), InputLog(said.append, lambda _: None))
        assert kept.read("map", "/ground", "") is None
        assert len(said) == 1
        assert "remove it" in said[0]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path):
    said: list[str] = []
    (tmp_path / "file").write_text("")
    KeptPose(str(tmp_path / "file" / "pose.json"), InputLog(said.append, lambda _: None)).write(placement(5), "house")
    assert len(said) == 1
    assert said[0].startswith("The last pose cannot be kept: ")


def test_without_a_path_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    kept = KeptPose("", InputLog(pytest.fail, pytest.fail))
    kept.write(placement(5), "house", now=True)
    assert kept.read("map", "/ground", "") is None
    assert not list(tmp_path.iterdir())
