# SPDX-License-Identifier: Apache-2.0
"""Scale and floor of refined covariances, recovered from errors that were drawn with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvloc_ros.localization.inlier_residuals import fused
from mvloc_ros.localization.uncertainty import with_floor
from mvloc_ros.mapping.refined_covariance import calibrate_refined
from mvloc_ros.mapping.refined_trials import Trials
from mvloc_ros.model.calibration_spec import RefinedCalibration

PRIOR = np.diag([0.01] * 3 + [0.004] * 3)


def information(rng: np.random.Generator) -> np.ndarray:
    """Of a registration that knows millimetres in some directions and a centimetre in others."""
    turned, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    return (turned / np.array([0.002, 0.002, 0.003, 0.004, 0.006, 0.01]) ** 2) @ turned.T


def trials(scale: float, floor_m: float, floor_rad: float, frames: int = 200, blocks: int = 5) -> Trials:
    rng = np.random.default_rng(0)
    known = [information(rng) for _ in range(frames)]
    stated = np.array([np.linalg.inv(i + np.linalg.inv(PRIOR)) for i in known])
    true = np.array([np.linalg.inv(i / scale + np.linalg.inv(PRIOR)) for i in known])
    true += np.diag([floor_m**2] * 3 + [floor_rad**2] * 3)
    errors = np.einsum("nij,nj->ni", np.linalg.cholesky(true), rng.standard_normal((frames, 6)))
    names = tuple(f"{i * blocks // frames} of seq-01" for i in range(frames))
    return Trials(errors, stated, names, frames, 0, 0)


@pytest.mark.parametrize(("scale", "floor_m", "floor_rad"), [(1.0, 0.0, 0.0), (0.3, 0.006, 0.0), (4.0, 0.01, 0.02)])
def test_scale_and_floors_are_found(scale: float, floor_m: float, floor_rad: float):
    found = calibrate_refined(trials(scale, floor_m, floor_rad), PRIOR)
    assert found.scale == pytest.approx(scale, rel=0.35)
    assert found.floor_m == pytest.approx(floor_m, rel=0.2, abs=0.002)
    assert found.floor_rad == pytest.approx(floor_rad, rel=0.2, abs=0.002)
    after, validated = found.record["after"], found.record["cross_validated"]
    assert after["anees"] == pytest.approx(1.0, abs=0.1)
    assert after["coverage_95"] == pytest.approx(0.95, abs=0.04)
    assert validated["anees"] == pytest.approx(1.0, abs=0.15)
    assert after["log_likelihood"] >= found.record["before"]["log_likelihood"] - 0.01


def test_too_few_poses_calibrate_nothing():
    assert calibrate_refined(trials(1.0, 0.0, 0.0, frames=19, blocks=1), PRIOR) is None


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.01, 100.0), st.floats(0.0, 0.05), st.floats(1.0, 20.0))
def test_a_refined_covariance_is_positive_definite_and_grows_with_the_networks(
    seed: int, scale: float, floor: float, factor: float
):
    """With one modality the network's covariance is larger, and so is what a refinement makes of it."""
    rng = np.random.default_rng(seed)
    hessian = information(rng) * (0.0 if seed % 5 == 0 else 1.0)
    calibration = RefinedCalibration(scale, floor, floor, {})
    both, single = (
        with_floor(fused(np.zeros(6), hessian, prior, 2.0, 150.0 * scale)[1], calibration)
        for prior in (PRIOR, factor * PRIOR)
    )
    assert np.linalg.eigvalsh(both)[0] > 0
    assert np.linalg.eigvalsh(single - both)[0] > -1e-9 * np.trace(single)
    # What the geometry does not determine keeps the network's variance, and the floor comes on top.
    if not hessian.any():
        np.testing.assert_allclose(both, PRIOR + floor**2 * np.eye(6), rtol=1e-6)
