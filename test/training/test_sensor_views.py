# SPDX-License-Identifier: Apache-2.0
"""New views of further sensors: all of a rig move as one rigid body, and what cannot move is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rig_folder import HERE, REAR, add_sensors, declare

from mvloc_ros.cli import main
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.model.modalities import Sensor
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.views import NovelViews, RgbdCameras
from mvloc_ros.training.views.camera_motion import Motion
from mvloc_ros.training.views.sensor_views import motion_of, move_sensors, plan_views

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
WALL_M, GRAY, SLOPE = 2.0, 120.0, 40.0
TILTED = se3.from_parts([0.2, -0.1, 0.3], quaternion.normalise(np.array([0.1, 0.9, -0.2, 0.3])))


def sensor(name: str, kind: str, pose: np.ndarray) -> Sensor:
    limits = (0.1, 8.0) if kind == "depth" else (None, None)
    return Sensor(name, kind, CAMERA, tuple(pose.ravel().tolist()), *limits)


def motion(turn_deg: float, shift: tuple[float, float, float]) -> tuple[Motion, np.ndarray]:
    q = quaternion.exp(0.5 * np.radians(turn_deg) * quaternion.normalise(np.array([0.3, 1.0, 0.2]))[None])[0]
    values = torch.tensor(q, dtype=torch.float32)[None], torch.tensor([shift], dtype=torch.float32)
    return Motion(*values), se3.from_parts(shift, q)


def wall_seen(T_old_new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth and gray value of a wall at z = 2 m in the old camera, which brightens to the right, in the moved one."""
    u, v = np.meshgrid(np.arange(CAMERA.width), np.arange(CAMERA.height))
    rays = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones(u.shape)], axis=-1)
    turned = rays @ T_old_new[:3, :3].T
    depth = (WALL_M - T_old_new[2, 3]) / turned[..., 2]
    return depth, GRAY + SLOPE * (turned[..., 0] * depth + T_old_new[0, 3])


@pytest.mark.parametrize("pose", [HERE, REAR, TILTED])
def test_a_sensor_moves_with_the_camera_that_it_is_fixed_to(pose: np.ndarray) -> None:
    moved, T_old_new = motion(20.0, (0.1, -0.2, 0.3))
    found = motion_of(moved, pose)
    expected = se3.inverse(pose) @ T_old_new @ pose
    np.testing.assert_allclose(found.rotation()[0], expected[:3, :3], atol=1e-6)
    np.testing.assert_allclose(found.translation[0], expected[:3, 3], atol=1e-6)


@pytest.mark.parametrize("pose", [HERE, REAR, TILTED])
@pytest.mark.parametrize("kind", ["color", "gray"])
def test_image_and_depth_are_those_of_the_moved_sensor(pose: np.ndarray, kind: str) -> None:
    sensors = (sensor("back", kind, pose), sensor("back_depth", "depth", pose))
    views = plan_views(sensors, 48, CAMERA, shifts=True)
    moved, T_old_new = motion(6.0, (0.08, -0.05, 0.1))
    _, gray = wall_seen(np.eye(4))
    image = torch.from_numpy(np.rint(gray).astype(np.uint8))[None]
    image = image.unsqueeze(3).expand(1, 48, 64, 3) if kind == "color" else image
    wall = torch.full((1, 48, 64), WALL_M)
    # The pair's depth is of another wall, unless the sensor sits where it does.
    pair = wall if pose is HERE else torch.full((1, 48, 64), 5.0)
    found, depth = move_sensors(views, torch.tensor([0]), moved, pair, (image.contiguous(), wall))
    assert (found.shape, found.dtype) == (image.shape, torch.uint8)
    expected_depth, expected = wall_seen(se3.inverse(pose) @ T_old_new @ pose)
    inside = np.zeros((48, 64), bool)
    inside[10:-10, 14:-14] = True
    values = found[0].numpy().astype(float)
    values = values[..., 0] if kind == "color" else values
    assert np.abs(values - expected)[inside].max() < 1.6
    assert np.abs(depth[0].numpy() - expected_depth)[inside].max() < 0.02


def test_where_nothing_shifts_a_sensor_beside_the_camera_needs_no_depth() -> None:
    beside = HERE.copy()
    beside[0, 3] = 0.04
    moved, T_old_new = motion(6.0, (0.0, 0.0, 0.0))
    views = plan_views((sensor("infrared", "gray", beside),), 48, CAMERA, shifts=False)
    _, gray = wall_seen(np.eye(4))
    image = torch.from_numpy(np.rint(gray).astype(np.uint8))[None]
    found = move_sensors(views, torch.tensor([0]), moved, torch.zeros(1, 48, 64), (image,))[0]
    _, expected = wall_seen(T_old_new)
    assert np.abs(found[0].numpy() - expected)[10:-10, 14:-14].max() < 1.6
    assert plan_views((sensor("infrared", "gray", beside),), 48, CAMERA, shifts=True)[0].depth_of == "depth"


def test_what_cannot_move_is_said(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rear = sensor("rear", "color", REAR)
    for shifts in (False, True):
        with pytest.raises(
            TrainingError, match=r"cannot move the images of the sensor rear \(color, 0.3 m and 180 deg"
        ):
            plan_views((rear,), 48, CAMERA, shifts)
    root = add_sensors(tiny_folder, tmp_path / "wall")
    declare(root, {"rear": {"kind": "color", "camera": CAMERA.to_dict(), "T_reference_sensor": REAR.tolist()}})
    command = ["train", "--data", str(root), "--out", str(tmp_path / "run"), "--device", "cpu", "--epochs", "1"]
    assert main([*command, "--turn", "5"]) == 2
    error = capsys.readouterr().err
    assert "--turn and --shift cannot move the images of the sensor rear" in error
    assert "(--sensors)" in error


def test_only_frames_that_move_change_and_those_without_the_depth_stay() -> None:
    pose = tuple(REAR.ravel().tolist())
    sensors = (sensor("rear", "color", REAR), replace(sensor("rear_depth", "depth", REAR), T_reference_sensor=pose))
    options = TrainingConfig().with_options({"turn": 10.0, "shift": 0.2, "unmoved": 0.0}).augmentation
    normalisation = PoseNormalisation((0.0, 0.0, 0.0), 1.0, (0.0, 0.0, 0.0, 1.0))
    views = NovelViews(
        options, RgbdCameras(CAMERA, CAMERA), normalisation, 1, tuple(plan_views(sensors, 48, CAMERA, True))
    )
    torch.manual_seed(3)
    color = torch.randint(0, 256, (4, 48, 64, 3), dtype=torch.uint8)
    depth, rear_depth = torch.full((4, 48, 64), 2.0), torch.full((4, 48, 64), 3.0)
    rear_depth[2] = 0.0
    data = (color, depth, torch.ones(4, 4), torch.zeros(4, 6), color.flip(0), rear_depth)
    moved = views(*data)
    assert len(moved) == 6
    for old, new in zip(data, moved, strict=True):
        assert torch.equal(old[2], new[2]), "the rear image cannot be moved without its depth, so nothing is"
    for i in (0, 1, 3):
        assert not any(
            torch.equal(old[i], new[i])
            for old, new in zip((*data[:2], *data[3:]), (*moved[:2], *moved[3:]), strict=True)
        )
    assert torch.equal(moved[2], data[2])
