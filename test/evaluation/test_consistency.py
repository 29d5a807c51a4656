# SPDX-License-Identifier: Apache-2.0
"""Covariances evaluated: right ones, wrong ones, and whether they announce errors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mvloc_ros.evaluation.consistency import REMOVED, consistency, sparsification
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.replay.evaluation import evaluate
from mvloc_ros.replay.report import write_report
from mvloc_ros.replay.run import Run

FRAMES = 600


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Errors `[N, 6]` drawn from covariances `[N, 6, 6]`, correlated, each of its own size."""
    rng = np.random.default_rng(0)
    turned, _ = np.linalg.qr(rng.standard_normal((FRAMES, 6, 6)))
    sigmas = np.array([0.05] * 3 + [0.02] * 3) * 10.0 ** rng.uniform(-0.5, 0.5, (FRAMES, 1))
    roots = turned * sigmas[:, None, :]
    errors = np.einsum("nij,nj->ni", roots, rng.standard_normal((FRAMES, 6)))
    return errors, roots @ np.swapaxes(roots, 1, 2)


def test_right_covariances_are_found_right(drawn):
    found = consistency(*drawn)
    assert found.frames == FRAMES
    for name, block in found.blocks.items():
        low, high = block.bounds
        assert low < block.anees < high, name
        assert block.verdict == "as stated"
        assert block.dof == (6 if name == "pose" else 3)
        assert block.median == pytest.approx(1.0, abs=0.15)
        for level, share in block.coverage.items():
            p = float(level[:-1]) / 100
            assert share == pytest.approx(p, abs=3.5 * np.sqrt(p * (1 - p) / FRAMES)), (name, level)
    assert found.blocks["position"].rms == pytest.approx(found.blocks["position"].sigma, rel=0.1)


@pytest.mark.parametrize(("factor", "verdict"), [(0.5, "too confident"), (2.0, "too cautious")])
def test_wrong_covariances_are_flagged(drawn, factor: float, verdict: str):
    errors, covariances = drawn
    for block in consistency(errors, factor**2 * covariances).blocks.values():
        assert block.verdict == verdict
        assert block.anees == pytest.approx(factor**-2, rel=0.15)
        assert (block.coverage["95%"] < 0.8) == (factor < 1)


def test_what_is_no_number_gets_no_verdict_and_is_valid_json():
    found = consistency(np.array([[np.nan] * 6]), np.eye(6)[None])
    assert {block.verdict for block in found.blocks.values()} == {""}
    position = json.loads(json.dumps(found.to_dict()["position"]), parse_constant=pytest.fail)
    assert position["anees"] is None
    assert position["verdict"] is None


def test_a_truth_that_is_nan_in_part_evaluates_nothing():
    stated = dict.fromkeys((10, 20, 40), np.eye(6))
    whole = run(stated)
    poses = whole.truth.poses.copy()
    poses[1, 1, 3] = np.nan
    result = evaluate(replace(whole, truth=Trajectory(whole.truth.stamps_ns, poses)))
    np.testing.assert_array_equal(result.evaluated, [True, False, False, True])
    assert np.isfinite(result.consistency.blocks["pose"].anees)


def test_blocks_are_in_ros_order():
    errors = np.tile([0.0, 0, 0, 0.1, 0.1, 0.1], (50, 1))
    found = consistency(errors, np.tile(np.diag([1.0] * 3 + [0.01] * 3), (50, 1, 1)))
    assert found.blocks["position"].anees == 0.0
    assert found.blocks["rotation"].anees == pytest.approx(1.0)
    assert found.blocks["pose"].anees == pytest.approx(0.5)


def test_announced_errors_give_a_smaller_area_than_unannounced_ones(drawn):
    errors, covariances = drawn
    found = consistency(errors, covariances).blocks
    shuffled = consistency(errors, covariances[::-1]).blocks
    constant = consistency(errors, np.broadcast_to(covariances[0], covariances.shape)).blocks
    for name in ("position", "rotation"):
        assert found[name].ause < 0.6 * constant[name].ause < shuffled[name].ause + 0.6 * constant[name].ause
    assert found["pose"].ause is None


def test_a_constant_uncertainty_gives_a_constant_curve_and_the_oracle_falls():
    errors = np.random.default_rng(1).random(100)
    np.testing.assert_allclose(sparsification(errors, np.full(100, 0.3)), 1.0)
    oracle = sparsification(errors, errors)
    assert np.all(np.diff(oracle) < 0)
    assert oracle[0] == pytest.approx(1.0)
    half = int(np.argmin(np.abs(REMOVED - 0.5)))
    assert oracle[half] == pytest.approx(np.sort(errors)[:50].mean() / errors.mean())


def test_a_turned_camera_keeps_a_constant_covariance_constant():
    # The same covariance with its last bits different, as the carrying through an extrinsic leaves it.
    covariances = np.eye(6)[None] * (1.0 + 1e-13 * np.arange(40))[:, None, None]
    errors = np.random.default_rng(2).standard_normal((40, 6))
    np.testing.assert_allclose(consistency(errors, covariances).curves["position"][0], 1.0)


def turned(x: float, angle: float) -> np.ndarray:
    return se3.from_parts(np.array([x, 0, 0]), quaternion.exp(np.array([0, 0, 0.5 * angle])))


def run(covariances: dict[int, np.ndarray]) -> Run:
    """Four frames, of which 30 has no pose; errors of 0.2 m along x and 0.1 rad about z."""
    truth = {stamp: turned(stamp / 10, 0.3) for stamp in (10, 20, 30, 40)}
    estimates = {stamp: turned(stamp / 10 + 0.2, 0.4) for stamp in (10, 20, 40)}
    return Run(
        source="offline", recording="bag", model="m", backend="b",
        frames_ns=np.array(sorted(truth), dtype=np.int64), truth=Trajectory.collect(truth),
        estimates=Trajectory.collect(estimates), latency_ms={}, drops={}, training_poses=None,
        covariances=covariances,
    )  # fmt: skip


def test_a_run_is_evaluated_by_the_covariance_of_each_pose(tmp_path: Path):
    stated = np.diag([0.04, 1.0, 1.0, 1.0, 1.0, 0.01])
    result = evaluate(run({10: stated, 20: 4.0 * stated, 30: stated}))
    assert result.consistency.frames == 2
    np.testing.assert_array_equal(result.evaluated, [True, True, False, False])
    np.testing.assert_allclose(result.consistency.nees["position"], [1.0, 0.25])
    np.testing.assert_allclose(result.consistency.nees["pose"], [2.0, 0.5])
    table = write_report(result, tmp_path)
    assert "rotation (3 dof), as stated" in table
    report = json.loads((tmp_path / "report.json").read_text())["covariance"]
    assert report["frames"] == 2
    assert report["pose"]["anees"] == pytest.approx(1.25 / 6)
    assert set(report["position"]["coverage"]) == {"50%", "68%", "95%"}
    assert len(report["sparsification"]["rotation"]["stated"]) == len(report["sparsification"]["removed"])
    rows = (tmp_path / "frames.csv").read_text().splitlines()
    assert rows[0].endswith("nees_position,nees_rotation,nees_pose")
    assert rows[2].endswith("0.25,0.25,0.5")
    assert rows[3].endswith(",,,")
    assert cv2.imread(str(tmp_path / "covariance.png")).shape == (600, 1500, 3)


def test_a_run_without_covariances_is_evaluated_without_them(tmp_path: Path):
    (tmp_path / "covariance.png").write_bytes(b"of an earlier run")
    result = evaluate(run({}))
    assert result.consistency is None
    assert "ANEES" not in write_report(result, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["covariance"] is None
    assert not (tmp_path / "covariance.png").exists()
