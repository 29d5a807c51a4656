# SPDX-License-Identifier: Apache-2.0
"""Which covariance a pose gets: the calibrated one, the measured one, or a cautious guess."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvloc_ros.localization.uncertainty import SINGLE_MODALITY_FACTOR, ResidualCovariance
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.bundle_writer import replace_manifest
from mvloc_ros.model.calibration_spec import NetworkCalibration
from mvloc_ros.model.manifest import Manifest, manifest_from_json, manifest_to_json


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    return read_bundle(tiny_bundle).manifest


def numbers(matrix: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in matrix.ravel())


def correlated(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    root = np.diag([0.1, 0.1, 0.2, 0.03, 0.05, 0.02]) @ rng.standard_normal((6, 6))
    return root @ root.T + 1e-6 * np.eye(6)


@given(st.integers(0, 10_000))
def test_no_covariance_of_one_modality_is_smaller_in_any_direction(manifest: Manifest, seed: int):
    both, color, depth = (correlated(3 * seed + i) for i in range(3))
    covariance = ResidualCovariance(
        replace(manifest, calibration=NetworkCalibration(numbers(both), numbers(color), numbers(depth), {}))
    )
    np.testing.assert_allclose(covariance.of(True, True), both)
    for used, measured in (((True, False), color), ((False, True), depth)):
        single = covariance.of(*used)
        slack = 1e-8 * np.trace(single)
        assert np.linalg.eigvalsh(single)[0] > 0
        assert np.linalg.eigvalsh(single - both)[0] > -slack
        assert np.linalg.eigvalsh(single - measured)[0] > -slack


def test_a_modality_that_was_not_measured_gets_the_factor(manifest: Manifest):
    both = correlated(1)
    covariance = ResidualCovariance(replace(manifest, calibration=NetworkCalibration(numbers(both), None, None, {})))
    np.testing.assert_allclose(covariance.of(True, False), SINGLE_MODALITY_FACTOR * both)


def test_a_bundle_without_calibration_states_its_variances(manifest: Manifest):
    measured = replace(manifest, residual_variance_depth_only=(0.001, 0.5, 0.5, 0.5, 0.5, 0.5))
    covariance = ResidualCovariance(measured)
    np.testing.assert_array_equal(covariance.of(True, True), np.diag(manifest.residual_variance))
    expected = np.maximum(manifest.residual_variance, measured.residual_variance_depth_only)
    np.testing.assert_allclose(covariance.of(False, True), np.diag(expected))


def test_the_manifest_keeps_a_calibration_and_refuses_what_is_no_covariance(manifest: Manifest, tmp_path: Path):
    calibration = NetworkCalibration(numbers(correlated(2)), None, numbers(correlated(3)), {"frames": 40})
    values = manifest_to_json(replace(manifest, calibration=calibration), manifest.files)
    assert manifest_from_json(values).calibration == calibration
    assert manifest_from_json(values | {"calibration": None}).calibration is None
    for wrong in (np.zeros((6, 6)), np.eye(6) + np.triu(np.ones((6, 6)), 1), np.full((6, 6), np.nan), np.eye(5)):
        values["calibration"]["both"] = list(numbers(wrong))
        with pytest.raises(ValueError, match=r"calibration\.both"):
            manifest_from_json(values)


def test_a_manifest_is_replaced_whole(tiny_bundle: Path, tmp_path: Path):
    import shutil

    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    bundle = read_bundle(tmp_path / "bundle")
    after = replace_manifest(bundle, replace(bundle.manifest, licence="CC0-1.0"))
    assert after.manifest.licence == "CC0-1.0"
    assert after.manifest.files == bundle.manifest.files
    assert not list(after.path.glob(".*"))
