# SPDX-License-Identifier: Apache-2.0
"""The network's covariances from its poses of held-out frames, and the file that these are in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.localization.motion import moved
from mvloc_ros.mapping.errors import CalibrationError
from mvloc_ros.mapping.network_covariance import calibrate_network
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.manifest import Manifest
from mvloc_ros.model.validation_file import ValidationFileError, ValidationPoses, read_validation

FRAMES = 60
SIGMAS = np.array([0.1, 0.1, 0.1, 0.04, 0.04, 0.04])


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    return read_bundle(tiny_bundle).manifest


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    rng = np.random.default_rng(5)
    return se3.from_parts(rng.standard_normal((FRAMES, 3)), quaternion.exp(rng.standard_normal((FRAMES, 3))))


def poses_of(truth: np.ndarray, sizes: dict[str, float]) -> ValidationPoses:
    rng = np.random.default_rng(6)
    return ValidationPoses(
        sequences=tuple(f"seq-{i // 10:02d}" for i in range(FRAMES)),
        stamps_ns=10**9 + np.arange(FRAMES, dtype=np.int64),
        poses={
            name: np.array([moved(T, size * SIGMAS * rng.standard_normal(6)) for T in truth])
            for name, size in sizes.items()
        },
    )


def test_the_covariances_are_those_of_the_errors(manifest: Manifest, truth: np.ndarray):
    found = calibrate_network(manifest, poses_of(truth, {"both": 1.0, "color": 2.0, "depth": 3.0}), truth)
    for values, size in ((found.both, 1.0), (found.color_only, 2.0), (found.depth_only, 3.0)):
        covariance = np.reshape(values, (6, 6))
        np.testing.assert_allclose(np.sqrt(np.diag(covariance)), size * SIGMAS, rtol=0.2)
    record = found.record
    assert (record["frames"], record["blocks"], record["of"]) == (FRAMES, 6, "the network")
    assert record["after"]["anees"] == pytest.approx(1.0, abs=0.05)
    assert record["cross_validated"]["anees"] == pytest.approx(1.0, abs=0.2)
    assert record["before"]["anees"] != record["after"]["anees"]


def test_a_modality_that_was_not_judged_has_none(manifest: Manifest, truth: np.ndarray):
    found = calibrate_network(manifest, poses_of(truth, {"both": 1.0, "depth": 1.0}), truth)
    assert found.color_only is None
    assert found.depth_only is not None


def test_of_a_refitted_network_it_is_said_which_one_was_judged(manifest: Manifest, truth: np.ndarray):
    refitted = replace(manifest, training={"refitted_to_validation_frames": True})
    record = calibrate_network(refitted, poses_of(truth, {"both": 1.0}), truth).record
    assert record["of"] == "the network before it was refitted to all frames"


def test_too_few_frames_are_refused(manifest: Manifest, truth: np.ndarray):
    poses = poses_of(truth, {"both": 1.0})
    lacking = poses.poses["both"].copy()
    lacking[19:] = np.nan
    with pytest.raises(CalibrationError, match=r"has 19 validation frames .* --validation-fraction"):
        calibrate_network(manifest, replace(poses, poses={"both": lacking}), truth)


def test_the_file_keeps_the_poses(truth: np.ndarray, tmp_path: Path):
    poses = poses_of(truth, {"both": 1.0, "color": 2.0})
    poses.poses["color"][7] = np.nan
    (tmp_path / "validation.csv").write_text(poses.to_text())
    again = read_validation(tmp_path / "validation.csv")
    assert again.sequences == poses.sequences
    np.testing.assert_array_equal(again.stamps_ns, poses.stamps_ns)
    assert set(again.poses) == {"both", "color"}
    for name, values in poses.poses.items():
        np.testing.assert_allclose(again.poses[name], values, atol=2e-6)
    assert np.isnan(again.poses["color"][7]).all()


@pytest.mark.parametrize(
    "content", ["", "a,b\n", "modalities,sequence,stamp_ns,x,y,z,qx,qy,qz,qw\nboth,s,1,2\n",
                "modalities,sequence,stamp_ns,x,y,z,qx,qy,qz,qw\nsonar,s,1,0,0,0,0,0,0,1\n"],
)  # fmt: skip
def test_a_damaged_file_is_refused(tmp_path: Path, content: str):
    (tmp_path / "validation.csv").write_text(content)
    with pytest.raises(ValidationFileError, match="export the bundle again"):
        read_validation(tmp_path / "validation.csv")
