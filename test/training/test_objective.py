# SPDX-License-Identifier: Apache-2.0
"""Eq. 11 by hand, the parameter groups, and the normalisation of poses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.networks.mvloc import MVLoc
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.objective import GeometricLoss, MeanObjective
from mvloc_ros.training.optimisation import make_optimiser
from mvloc_ros.training.presets import PRESETS


def test_equation_11_by_hand() -> None:
    loss = GeometricLoss(beta=0.5, gamma=-3.0)
    pose = torch.tensor([[1.0, 2.0, 3.0, 0.1, 0.2, 0.3], [0.0] * 6])
    target = torch.tensor([[0.0, 2.0, 5.0, 0.1, -0.1, 0.3], [0.0] * 6])
    value = loss(pose, target)
    # Mean absolute differences: (1 + 0 + 2) / 3 = 1 and (0 + 0.3 + 0) / 3 = 0.1.
    first = 1.0 * math.exp(-0.5) + 0.5 + 0.1 * math.exp(3.0) - 3.0
    assert value.total.tolist() == pytest.approx([first, 0.5 - 3.0], abs=1e-6)
    assert value.position.tolist() == pytest.approx([1.0, 0.0])
    assert value.rotation.tolist() == pytest.approx([0.1, 0.0])


def test_beta_settles_at_the_log_of_the_error() -> None:
    """d/dbeta (e exp(-beta) + beta) = 0 at beta = log e."""
    loss = GeometricLoss(beta=math.log(0.2), gamma=math.log(0.05))
    pose = torch.tensor([[0.2, 0.2, 0.2, 0.05, 0.05, 0.05]])
    loss(pose, torch.zeros(1, 6)).total.mean().backward()
    assert loss.beta.grad.item() == pytest.approx(0.0, abs=1e-6)
    assert loss.gamma.grad.item() == pytest.approx(0.0, abs=1e-6)


def test_only_weights_decay(tiny_config: TrainingConfig) -> None:
    network = MVLoc(tiny_config.network, tiny_config.input)
    objective = MeanObjective(GeometricLoss(0.0, -3.0))
    optimiser = make_optimiser(tiny_config.optimiser, network, objective)
    decay = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert decay[id(objective.geometric.beta)] == decay[id(objective.geometric.gamma)] == 0.0
    for name, parameter in network.named_parameters():
        expected = tiny_config.optimiser.weight_decay if parameter.ndim > 1 else 0.0
        assert decay[id(parameter)] == expected, name
    assert len(decay) == len(list(network.parameters())) + 2


def test_presets_follow_the_paper() -> None:
    paper = PRESETS["paper"]
    assert (paper.network.backbone, paper.network.latent_size, paper.network.dropout) == ("resnet34", 2048, 0.5)
    assert (paper.optimiser.learning_rate, paper.optimiser.weight_decay) == (5e-5, 5e-5)
    assert (paper.optimiser.batch_size, paper.optimiser.optimiser, paper.input.short_side) == (64, "adam", 256)
    # As printed in section 4.2; the sources of the other systems start the rotation at -3.
    assert (paper.optimiser.initial_beta, paper.optimiser.initial_gamma) == (-3.0, 0.0)
    assert (paper.stages.likelihood, PRESETS["small"].stages.likelihood) == ("mean", "sum")
    assert (paper.stages.samples, paper.stages.stage2_learning_rate) == (20, 5e-5)


def random_poses(count: int, spread: float) -> np.ndarray:
    """Poses whose rotations lie about 180 degrees from the map's axes, on both sides."""
    rng = np.random.default_rng(5)
    centre = quaternion.normalise([0.6, 0.6, -0.5, 0.0])
    orientation = quaternion.multiply(centre, quaternion.exp(rng.normal(size=(count, 3)) * spread))
    return se3.from_parts(rng.normal(size=(count, 3)) * [3.0, 1.0, 0.2] + [5e5, -2.0, 1.0], orientation)


def test_normalisation_round_trip_and_units() -> None:
    poses = random_poses(50, spread=0.3)
    normalisation = PoseNormalisation.fit(poses)
    values = normalisation.encode(poses)
    assert values.shape == (50, 6)
    assert np.sqrt(np.mean(values[:, :3].var(axis=0))) == pytest.approx(1.0, rel=1e-4)
    assert se3.translation_error(normalisation.decode(values), poses).max() < 1e-5
    assert se3.rotation_error(normalisation.decode(values), poses).max() < 1e-5
    assert PoseNormalisation.from_dict(normalisation.to_dict()) == normalisation


def test_targets_do_not_jump_at_180_degrees() -> None:
    poses = random_poses(200, spread=0.05)
    logarithms = quaternion.log(se3.to_parts(poses)[1])
    assert np.ptp(logarithms, axis=0).max() > 1.5, "the test must straddle the jump"
    targets = PoseNormalisation.fit(poses).encode(poses)[:, 3:]
    assert np.abs(targets).max() < 0.3


def test_a_camera_that_only_turns_keeps_metres() -> None:
    poses = random_poses(10, spread=0.2)
    poses[:, :3, 3] = (1.0, 2.0, 3.0)
    assert PoseNormalisation.fit(poses).scale_m == 1.0
