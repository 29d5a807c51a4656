# SPDX-License-Identifier: Apache-2.0
"""A frame's depth points at its pose, and how far they are from the scene map."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from wall_map import T_MAP_CAMERA, WALL_Z, textured, with_wall

from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.geometry import se3
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.pose import Pose
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame
from mvloc_ros.pipeline.scan import MOST_POINTS, scan_of, thinned_points

DEPTH = DepthImage(np.full((48, 64), 1500, np.uint16), 0.001)
FRAME = Frame(1, "camera", ColorImage(textured(), "rgb"), DEPTH)


def localizer_of(path: Path, mode: str = "auto") -> Localizer:
    bundle = read_bundle(path)
    return Localizer(bundle, create_backend("onnxruntime", bundle, 1), RefinementOptions(mode=mode, budget_ms=1e6))


@pytest.fixture(scope="module")
def localizer(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Localizer:
    path = shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("scan") / "wall")
    return localizer_of(with_wall(path))


def at(localizer: Localizer, T: np.ndarray):
    estimate = localizer.process(FRAME)
    assert estimate.details is not None
    return replace(estimate, pose=Pose(1, T, np.eye(6)))


def test_points_lie_on_the_wall_at_the_right_pose_and_beside_it_at_a_wrong_one(localizer: Localizer):
    found = scan_of(DEPTH, at(localizer, T_MAP_CAMERA), localizer)
    assert len(found.points) == 48 * 64
    np.testing.assert_allclose(found.points[:, 2], 1.5)
    np.testing.assert_allclose(found.placed[:, 2], WALL_Z, atol=1e-9)
    assert found.residuals.max() < 1e-3
    for wrong_m in (-0.05, 0.05):
        T = T_MAP_CAMERA.copy()
        T[2, 3] += wrong_m
        residuals = scan_of(DEPTH, at(localizer, T), localizer).residuals
        np.testing.assert_allclose(residuals, 0.05, atol=1e-3)


def test_the_extrinsic_between_the_cameras_is_applied(localizer: Localizer, monkeypatch: pytest.MonkeyPatch):
    T_color_depth = se3.from_parts([0.02, 0.0, 0.03], [0.0, 0.0, 0.0, 1.0])
    monkeypatch.setattr(localizer, "rig", replace(localizer.rig, T_camera_depth=T_color_depth))
    found = scan_of(DEPTH, at(localizer, T_MAP_CAMERA), localizer)
    np.testing.assert_allclose(found.placed[:, 2], WALL_Z + 0.03, atol=1e-9)
    np.testing.assert_allclose(found.placed[:, 0], T_MAP_CAMERA[0, 3] + found.points[:, 0] + 0.02, atol=1e-9)
    np.testing.assert_allclose(found.residuals, 0.03, atol=1e-3)


def test_without_a_map_points_are_plain_and_without_a_comparison_there_is_no_number(
    localizer: Localizer, tiny_bundle: Path
):
    without = localizer_of(tiny_bundle)
    estimate = without.process(FRAME)
    found = scan_of(DEPTH, estimate, without)
    assert found.residuals is None
    np.testing.assert_allclose(found.placed[:, 2], estimate.pose.T[2, 3] + 1.5, atol=1e-6)
    uncompared = scan_of(DEPTH, replace(at(localizer, T_MAP_CAMERA), details=None), localizer)
    assert np.isnan(uncompared.residuals).all()
    no_pose = scan_of(DEPTH, None, localizer)
    assert no_pose.placed is None
    assert np.isnan(no_pose.residuals).all()


def test_a_map_that_is_not_used_is_not_compared_with(localizer: Localizer, tiny_bundle: Path, tmp_path: Path):
    off = localizer_of(with_wall(shutil.copytree(tiny_bundle, tmp_path / "wall")), mode="off")
    assert scan_of(DEPTH, off.process(FRAME), off).residuals is None


@pytest.mark.parametrize("shape", [(48, 64), (480, 640), (1080, 1920), (64, 4), (5000, 72), (1, 1)])
def test_scans_are_thinned(localizer: Localizer, shape: tuple[int, int]):
    points = thinned_points(DepthImage(np.full(shape, 1500, np.uint16), 0.001), localizer.rig)
    assert 0 < len(points) <= MOST_POINTS


def test_a_depth_image_without_measurements_has_no_points(localizer: Localizer):
    nothing = DepthImage(np.zeros((48, 64), np.uint16), 0.001)
    found = scan_of(nothing, at(localizer, T_MAP_CAMERA), localizer)
    assert found.points.shape == found.placed.shape == (0, 3)
    assert found.residuals.shape == (0,)
