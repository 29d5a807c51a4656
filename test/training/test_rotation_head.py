# SPDX-License-Identifier: Apache-2.0
"""Rotations as two columns of a matrix: always a rotation, no seam at 180 degrees, the same outputs of a bundle."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from mvloc_ros.backends.network_file import require_network_file
from mvloc_ros.backends.torch_backend.graph import OnnxGraph
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.training import torch_quaternion
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.export import export, parity, pose_difference
from mvloc_ros.training.networks.deployed import Deployed
from mvloc_ros.training.networks.pose_network import PoseNetwork, PoseOutput, deterministic_output, presence_shares
from mvloc_ros.training.networks.regressor import PoseRegressor
from mvloc_ros.training.networks.rotation_head import gram_schmidt, log_of
from mvloc_ros.training.objective import GeometricLoss
from mvloc_ros.training.onnx_file import run_by_onnxruntime, write_onnx
from mvloc_ros.training.options import InputConfig
from mvloc_ros.training.presets import preset
from mvloc_ros.training.systems import build_network, build_objective
from mvloc_ros.training.train import read_data, train
from mvloc_ros.training.trained_network import read_selected

TINY = {"short_side": 32, "width": 0.125, "latent_size": 32, "dropout": 0.0}


def rotations(count: int) -> NDArray[np.float64]:
    """Random rotation matrices, and all turns by 90 and 180 degrees about the axes."""
    rng = np.random.default_rng(4)
    q = rng.normal(size=(count, 4))
    turns = [quaternion.exp(np.radians(angle) / 2 * axis) for angle in (90, 180, 270) for axis in np.eye(3)]
    q = np.concatenate([q / np.linalg.norm(q, axis=1, keepdims=True), np.array(turns), [[0.0, 0.0, 0.0, 1.0]]])
    return se3.from_parts(np.zeros((len(q), 3)), q)[:, :3, :3]


def test_every_output_is_a_rotation() -> None:
    torch.manual_seed(0)
    values = torch.cat([torch.randn(2000, 6), 1e-3 * torch.randn(50, 6), 1e3 * torch.randn(50, 6)])
    matrices = gram_schmidt(values)
    eye = torch.eye(3).expand_as(matrices)
    assert float((matrices.transpose(1, 2) @ matrices - eye).abs().max()) < 1e-6
    assert float((torch.linalg.det(matrices.double()) - 1.0).abs().max()) < 1e-6
    q = torch_quaternion.exp(log_of(values))
    assert float((torch.linalg.vector_norm(q, dim=1) - 1.0).abs().max()) < 1e-6
    assert float((torch_quaternion.rotation_matrix(q) - matrices).abs().max()) < 2e-6


def test_two_columns_of_a_rotation_are_that_rotation() -> None:
    """For every largest component of the quaternion; the remaining column and any scale do not matter."""
    expected = rotations(500)
    values = torch.tensor(np.concatenate([3.0 * expected[:, :, 0], 0.5 * expected[:, :, 1]], axis=1)).float()
    found = torch_quaternion.from_matrix(gram_schmidt(values)).double().numpy()
    matrices = se3.from_parts(np.zeros((len(found), 3)), found)[:, :3, :3]
    np.testing.assert_allclose(matrices, expected, atol=1e-6)


def test_what_no_rotation_is_nearest_to_stays_finite() -> None:
    values = torch.tensor([[0.0] * 6, [1.0, 0, 0, 2.0, 0, 0], [1.0, 0, 0, 0, 1.0, 0]], requires_grad=True)
    log = log_of(values)
    loss = GeometricLoss(0.0, 0.0, "6d")(torch.cat([torch.zeros(3, 3), log], dim=1), torch.zeros(3, 6)).total.sum()
    loss.backward()
    assert torch.isfinite(log).all()
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()


def test_the_angle_is_that_of_the_two_rotations() -> None:
    """On both sides of the seam; and its slope is that of the angle, up to the scale."""
    degrees = torch.tensor([0.0, 1.0, 90.0, 179.0, 181.0, 359.0])
    logs = torch.zeros(6, 3)
    logs[:, 2] = torch.deg2rad(torch.where(degrees > 180.0, degrees - 360.0, degrees)) / 2
    seam = torch_quaternion.half_angle(logs[3:4], logs[4:5])
    assert float(torch.rad2deg(2 * seam)) == pytest.approx(2.0, abs=1e-3)
    found = torch.rad2deg(2 * torch_quaternion.half_angle(logs, torch.zeros(6, 3)))
    assert found.tolist() == pytest.approx([0.0, 1.0, 90.0, 179.0, 179.0, 1.0], abs=1e-3)
    for kind, expected in (("6d", math.radians(1.0) / 3), ("logq", (logs[3:4] - logs[4:5]).abs().mean().item())):
        poses = [torch.cat([torch.zeros(1, 3), log], dim=1) for log in (logs[3:4], logs[4:5])]
        assert GeometricLoss(0.0, 0.0, kind)(*poses).rotation.item() == pytest.approx(expected, rel=1e-3)


def test_the_density_of_the_angle_integrates_to_one() -> None:
    """Over the three dimensions of the logarithm, in shells."""
    gamma = math.log(0.02)
    geometric = GeometricLoss(0.0, gamma, "6d").requires_grad_(False)
    radius = torch.linspace(1e-4, 1.5, 20_001)
    pose = torch.zeros(len(radius), 6)
    pose[:, 3] = radius
    total = geometric(pose, torch.zeros_like(pose)).total
    log_p = -geometric.negative_log_likelihood(total, "sum") + 3 * math.log(2.0)  # without the density of the position
    area = torch.trapezoid(4 * math.pi * radius**2 * torch.exp(log_p), radius)
    assert float(area) == pytest.approx(1.0, abs=1e-3)


def worst_near_the_seam(representation: str) -> tuple[float, float]:
    """Largest errors in degrees, within 20 degrees of the seam and elsewhere, after 100 steps on a circle."""
    torch.manual_seed(0)
    headings = torch.deg2rad(torch.arange(1.0, 360.0, 2.0))
    waves = torch.arange(1.0, 9.0)
    latent = torch.cat(
        [torch.cos(headings[:, None] * waves), torch.sin(headings[:, None] * waves)], dim=1
    ) / waves.repeat(2)
    q = torch.zeros(len(headings), 4)
    q[:, 2], q[:, 3] = torch.sin(headings / 2), torch.cos(headings / 2)
    target = torch.cat([torch.zeros(len(headings), 3), torch_quaternion.log(q)], dim=1)
    regressor = PoseRegressor(16, 0.0, representation)
    regressor.rotation[0] = torch.nn.Linear(16, 64)
    regressor.rotation[3] = torch.nn.Linear(64, 6 if representation == "6d" else 3)
    geometric = GeometricLoss(0.0, -1.0, representation).requires_grad_(False)
    optimiser = torch.optim.Adam(regressor.parameters(), lr=1e-2)
    for _ in range(100):
        optimiser.zero_grad()
        geometric(regressor(latent), target).total.mean().backward()
        optimiser.step()
    with torch.no_grad():
        errors = torch.rad2deg(2 * torch_quaternion.half_angle(regressor(latent)[:, 3:], target[:, 3:]))
    near = (torch.rad2deg(headings) - 180.0).abs() < 20.0
    return float(errors[near].max()), float(errors[~near].max())


def test_a_circle_of_headings_has_no_seam() -> None:
    plain, columns = worst_near_the_seam("logq"), worst_near_the_seam("6d")
    print(plain, columns)
    assert columns[0] < 10.0
    assert plain[0] > 60.0, "between 179 and 181 degrees a continuous function passes through all headings"


class Turned(PoseNetwork):
    """The rotation is what six depth pixels say: a graph that is asked for any rotation."""

    def forward(self, color: Tensor, depth: Tensor, present: Tensor) -> PoseOutput:
        seen = color.float().mean(dim=(1, 2))  # every input of a bundle is used
        pose = torch.cat([seen, log_of(depth[:, 0, :6] - 5.0)], dim=1)
        return deterministic_output(pose, seen, presence_shares(present))


def test_the_graph_is_right_at_every_rotation(tmp_path: Path) -> None:
    """Turns by 90 and 180 degrees about all axes among them, where the largest component changes."""
    deployed = Deployed(Turned(InputConfig()), (0.0, 0.0, 0.0, 1.0)).eval()
    write_onnx(deployed, (2, 8), tmp_path / "turned.onnx")
    images, expected = [], rotations(60)
    for matrix in expected:
        depth = np.full((1, 2, 8), 5.0, np.float32)
        depth[0, 0, :6] += matrix[:, :2].T.ravel()
        images.append((np.zeros((1, 2, 8, 3), np.uint8), depth))
    found = require_same_poses(tmp_path / "turned.onnx", deployed, images)
    np.testing.assert_allclose(se3.from_parts(np.zeros((len(found), 3)), found)[:, :3, :3], expected, atol=1e-5)


def require_same_poses(
    path: Path, deployed: Deployed, images: list[tuple[NDArray[np.uint8], NDArray[np.float32]]]
) -> NDArray[np.float64]:
    """The quaternions of a graph, within 1e-5 of PyTorch's by both runtimes."""
    run, graph, found = run_by_onnxruntime(path), OnnxGraph(path), []
    for color, depth in images:
        inputs = color, depth, np.ones((1, 2), np.float32)
        with torch.inference_mode():
            tensors = [torch.from_numpy(value) for value in inputs]
            expected = deployed(*tensors).pose.numpy()
            by_torch = graph(*tensors)[graph.outputs.index("pose")].numpy()
        assert expected.shape == (1, 6)
        assert pose_difference(expected, run(*inputs)) < 1e-5
        assert pose_difference(expected, by_torch) < 1e-5
        found.append(quaternion.exp(run(*inputs)[0, 3:].astype(np.float64)))
    return np.array(found)


def test_a_run_becomes_a_bundle_with_the_outputs_and_the_covariance_of_any_other(
    tiny_folder: Path, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    config = tiny_config.with_options({"epochs": 1, "latent_size": 16, "rotation": "6d"})
    train(config, tiny_folder, tmp_path / "run", "cpu", None, 0.2)
    bundle = export(tmp_path / "run", tmp_path / "bundle")
    manifest = bundle.manifest
    assert len(manifest.residual_variance) == 6
    assert min(manifest.residual_variance) > 0.0
    assert "--rotation 6d" in manifest.training["command"]
    require_network_file(bundle.model_path, manifest.input.height, manifest.input.width, 16)
    outputs = onnx.load(str(bundle.model_path)).graph.output
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in outputs}
    assert shapes == {"pose": [1, 6], "latent_mean": [1, 16], "latent_log_variance": [1, 16], "expert_share": [1, 3]}
    trained = read_selected(tmp_path / "run", half_weights=False)
    deployed = Deployed(trained.network, trained.normalisation.reference).eval()
    assert trained.network.regressor.rotation[3].out_features == 6
    data = read_data(config, tiny_folder, 0.2)
    assert data.validation is not None
    assert parity(deployed, bundle.model_path, data.validation) < 1e-5


def test_differences_of_logarithms_keep_their_logarithms() -> None:
    with pytest.raises(TrainingError, match="The loss of mapnet has differences of log quaternions; remove --rotation"):
        preset("mapnet", "small").with_options({"rotation": "6d"})
    config = preset("vidloc", "small").with_options({"rotation": "6d", **TINY, "clip_length": 3})
    network, objective = build_network(config), build_objective(config, 10)
    assert objective.geometric.by_angle
    poses, _ = network.poses(torch.randn(2, 3, network.encoder.feature_size))
    assert poses.shape == (2, 3, 6)
