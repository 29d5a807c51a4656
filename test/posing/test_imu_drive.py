# SPDX-License-Identifier: Apache-2.0
"""`mvloc pose` with an IMU: turns that nothing else tells, and up where no floor was seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from imu_scene import R_CAMERA_IMU, imu_on
from posing_scene import camera

from mvloc_ros.geometry import se3
from mvloc_ros.posing import pose
from mvloc_ros.posing.options import PosingOptions
from mvloc_ros.posing.pose import PosingSummary, pose_folders
from mvloc_ros.recordings import open_folder
from mvloc_ros.recordings.imu.imu_file import write_imu

pytest.importorskip("gtsam", reason="poses are found with gtsam, which is not installed")

SLOW, PERIOD_S = 16, 0.1
# From frame to frame, at 10 Hz, each unlike the one before: no velocity tells them.
SUDDEN_DEG = (-29.0, 27.0, -31.0, 4.0, 28.0, -33.0)


def way() -> list[np.ndarray]:
    """Looking 20 degrees up: first slowly, then with sudden turns on the spot."""
    t = np.linspace(0.0, 1.0, SLOW)
    yaw = [*(80.0 * t), *(80.0 + np.cumsum(SUDDEN_DEG))]
    pitch = [*(-20.0 + 8.0 * np.sin(9.0 * t)), *([-20.0 + 8.0 * np.sin(9.0)] * len(SUDDEN_DEG))]
    x = [*(0.4 * t), *([0.4] * len(SUDDEN_DEG))]
    return [camera(a, 0.2 * a, 1.2, b, c) for a, b, c in zip(x, yaw, pitch, strict=True)]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Path:
    """While it turns suddenly there is no texture, so that no feature tells how far."""
    root = render(tmp_path_factory.mktemp("imu") / "turns", way())
    for index in range(SLOW, len(way())):
        cv2.imwrite(str(root / "seq-01" / f"frame-{index:06d}.color.jpg"), np.full((240, 320, 3), 120, np.uint8))
    imu = imu_on(way(), PERIOD_S, np.random.default_rng(0), bias=(0.02, -0.01, 0.01))
    write_imu(root / "seq-01" / "imu.csv", replace(imu, R_camera_imu=R_CAMERA_IMU))
    return root


def posed(recording: Path, out: Path, monkeypatch: pytest.MonkeyPatch, *, use_imu: bool) -> PosingSummary:
    monkeypatch.setattr(pose, "with_corrected_depth", lambda whole, *_: whole)
    return pose_folders([recording], out, PosingOptions(use_imu=use_imu))


def found_and_true(out: Path) -> tuple[np.ndarray, np.ndarray]:
    frames = sorted(open_folder(out).frames(), key=lambda frame: frame.index)
    return np.array([frame.T_map_camera for frame in frames]), np.array([way()[frame.index] for frame in frames])


def up_deg(found: np.ndarray, true: np.ndarray) -> float:
    """By how much z of the map is off the vertical."""
    up = np.einsum("nij,nkj,k->ni", found[:, :3, :3], true[:, :3, :3], [0.0, 0.0, 1.0]).mean(axis=0)
    return float(np.rad2deg(np.arccos(up[2] / np.linalg.norm(up))))


def test_the_imu_tells_sudden_turns_and_up(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    summary = posed(recording, tmp_path / "with", monkeypatch, use_imu=True)
    assert "seq-01: imu: imu.csv, angular velocity at 200 Hz and acceleration at 200 Hz" in capsys.readouterr().out
    assert (summary.content["parts"], summary.content["sequences"][0]["posed"]) == (1, len(way()))
    assert (summary.content["up"], summary.content["floor_z_m"]) == ("IMU", None)
    assert "imu of seq-01: tells rotation, turned against the camera as the recording states it" in summary.text
    assert "z up by the IMU" in summary.text
    found, true = found_and_true(tmp_path / "with")
    turned = se3.rotation_error(se3.inverse(found[0]) @ found, se3.inverse(true[0]) @ true)
    assert np.rad2deg(turned).max() < 1.5
    assert up_deg(found, true) < 1.0


def test_without_the_imu_the_same_drive_is_not_posed_so(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    summary = posed(recording, tmp_path / "without", monkeypatch, use_imu=False)
    assert summary.content["sequences"][0]["posed"] < len(way())
    assert summary.content["up"] == "first camera"
    assert summary.content["sequences"][0]["imu"]["why_not"] == "not asked for"
    found, true = found_and_true(tmp_path / "without")
    assert up_deg(found, true) > 5.0
