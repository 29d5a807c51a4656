# SPDX-License-Identifier: Apache-2.0
"""Eq. 11 by hand, the parameter groups, and the normalisation of poses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.networks.concatenation import Concatenation
from mvloc_ros.training.networks.mvloc import MVLoc
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.objective import Batch, GeometricLoss, MeanObjective
from mvloc_ros.training.optimisation import make_optimiser
from mvloc_ros.training.options import InputConfig
from mvloc_ros.training.presets import PRESETS
from mvloc_ros.training.systems import build_objective


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


def frames(size: int = 5) -> Batch:
    """Both modalities in all but the first two frames, which have one each."""
    generator = torch.Generator().manual_seed(1)
    color = torch.randint(0, 256, (size, 32, 40, 3), dtype=torch.uint8, generator=generator)
    depth = 0.2 + 5.0 * torch.rand(size, 32, 40, generator=generator)
    present = torch.ones(size, 2)
    present[0, 0] = present[1, 1] = 0.0
    return Batch(color, depth, present, torch.randn(size, 6, generator=generator))


def test_each_expert_alone_is_a_task_of_stage_1(tiny_config: TrainingConfig) -> None:
    """Frames with both modalities: the sum of three losses, each of a pose that the network itself gives."""
    torch.manual_seed(0)
    config = tiny_config.with_options({"single_experts": 0.25, "single_experts_in": "both"})
    network, batch = MVLoc(config.network, config.input).eval(), frames()
    objective = build_objective(config, steps=10)
    calls = []
    network.color.register_forward_hook(lambda *_: calls.append("color"))
    found = objective(network, batch)
    assert calls == ["color"], "the encoders are evaluated once"

    beta, gamma = objective.geometric.beta.exp(), objective.geometric.gamma.exp()

    def loss(color: float, depth: float) -> torch.Tensor:
        """L_p of the expert alone, and how well its deviation, in units of a quarter, is that of the error."""
        pose = network(batch.color, batch.depth, torch.tensor([color, depth]).expand(5, 2)).pose
        alone = objective.geometric(pose, batch.target)
        log_variance = (network.color if color else network.depth)(images[0 if color else 1])[1]
        deviation = 4.0 * torch.exp(0.5 * log_variance.mean(dim=1))
        error = 0.5 * (alone.position / beta + alone.rotation / gamma)
        return alone.total + error / deviation + deviation.log()

    images = network.normalise_color(batch.color), network.normalise_depth(batch.depth)
    joint = MeanObjective(objective.geometric)(network, batch)
    singles = torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0]) * (loss(1.0, 0.0) + loss(0.0, 1.0))
    torch.testing.assert_close(found.total, joint.total + 0.25 * singles)
    torch.testing.assert_close(found.position, joint.position)
    assert not torch.allclose(loss(1.0, 0.0), loss(0.0, 1.0))


def test_the_variance_of_an_expert_fits_the_error_of_its_pose(tiny_config: TrainingConfig) -> None:
    """It increases where it is too small for the error, and decreases where it is too large; only its layer moves."""
    config = tiny_config.with_options({"single_experts": 1.0, "single_experts_in": "both"})
    for log_variance, sign in ((-9.0, -1.0), (9.0, 1.0)):
        torch.manual_seed(0)
        network, batch = MVLoc(config.network, config.input).eval(), frames()
        with torch.no_grad():
            network.color.log_variance.bias.fill_(log_variance)
        build_objective(config, steps=10)(network, batch).total.mean().backward()
        gradient = network.color.log_variance.bias.grad
        assert gradient is not None
        assert sign * gradient.mean() > 0.0
    network.zero_grad(set_to_none=True)
    network.depth(network.normalise_depth(batch.depth))[1].sum().backward()
    moved = {name for name, p in network.named_parameters() if p.grad is not None}
    assert moved == {"depth.log_variance.weight", "depth.log_variance.bias"}


def test_without_a_weight_stage_1_is_as_it_was(tiny_config: TrainingConfig) -> None:
    """Also in a run of an earlier version, whose weight acted in stage 2 only."""
    old = tiny_config.with_options({"single_experts": 0.25, "single_experts_in": "2"})
    torch.manual_seed(0)
    network, batch = MVLoc(old.network, old.input).eval(), frames()
    pose = network(batch.color, batch.depth, batch.present).pose
    for config in (old, tiny_config.with_options({"single_experts": 0.0})):
        objective = build_objective(config, steps=10)
        assert torch.equal(objective(network, batch).total, objective.geometric(pose, batch.target).total)


def test_a_network_without_experts_has_no_such_terms(tiny_config: TrainingConfig) -> None:
    network = Concatenation(tiny_config.network, InputConfig())
    with pytest.raises(TypeError, match="Concatenation has no experts of single modalities"):
        MeanObjective(GeometricLoss(0.0, -3.0), 0.5)(network, frames())
