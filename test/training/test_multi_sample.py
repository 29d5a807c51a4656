# SPDX-License-Identifier: Apache-2.0
"""The second stage's objective: Eq. 13 by hand, chunks of samples, lambda, single experts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mvloc_ros.training.estimators import effective_sample_size
from mvloc_ros.training.multi_sample import MultiSample, Term, effective_samples
from mvloc_ros.training.networks.color_only import ColorOnly
from mvloc_ros.training.networks.mvloc import MVLoc
from mvloc_ros.training.objective import Batch, GeometricLoss
from mvloc_ros.training.options import InputConfig, NetworkConfig, StageConfig

NETWORK = NetworkConfig(width=0.125, latent_size=16, dropout=0.0)
STAGE = StageConfig(stage="2", samples=6, samples_at_once=6, latent_weight=0.5, latent_warmup=0.0, target_ess=0.0)


@pytest.fixture
def network() -> MVLoc:
    """In eval mode, so that batch norms stay as they are between two calls."""
    torch.manual_seed(0)
    return MVLoc(NETWORK, InputConfig(short_side=32)).eval()


def batch(size: int = 5) -> Batch:
    generator = torch.Generator().manual_seed(1)
    color = torch.randint(0, 256, (size, 32, 40, 3), dtype=torch.uint8, generator=generator)
    depth = 0.2 + 5.0 * torch.rand(size, 32, 40, generator=generator)
    return Batch(color, depth, torch.ones(size, 2), torch.randn(size, 6, generator=generator))


def objective(stage: StageConfig, steps: int = 10) -> MultiSample:
    return MultiSample(GeometricLoss(-0.5, -1.0), stage, steps)


def step(stage: MultiSample, network: MVLoc, *batches: Batch) -> None:
    """An optimiser's step, as the objective sees it."""
    for data in batches:
        stage(network, data)
    stage.end_step(lambda sums: sums, True)


def gradients(network: MVLoc, stage: StageConfig, data: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    torch.manual_seed(7)
    network.zero_grad()
    loss = objective(stage)(network, data).total
    loss.mean().backward()
    return loss.detach(), {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def test_the_bound_by_hand(network: MVLoc) -> None:
    """Value and weighted distances from densities of torch.distributions and a plain loop."""
    data = batch()
    torch.manual_seed(7)
    found = objective(STAGE)(network, data)
    torch.manual_seed(7)
    joint = network.encode(data.color, data.depth, data.present)
    deviation = torch.exp(0.5 * joint.log_variance)
    q, p = torch.distributions.Normal(joint.mean, deviation), torch.distributions.Normal(0.0, 1.0)
    log_w, position = [], []
    for noise in torch.randn(6, *joint.mean.shape):
        z = joint.mean + deviation * noise
        difference = (network.decode(z) - data.target).abs()
        e, r = difference[:, :3].mean(dim=1), difference[:, 3:].mean(dim=1)
        loss = e * torch.e**0.5 - 0.5 + r * torch.e - 1.0
        log_w.append(0.5 * (p.log_prob(z) - q.log_prob(z)).sum(dim=1) - loss)
        position.append(e)
    w = torch.exp(torch.stack(log_w))
    torch.testing.assert_close(found.total, -torch.log(w.mean(dim=0)), rtol=1e-4, atol=1e-4)
    expected = (w * torch.stack(position)).sum(dim=0) / w.sum(dim=0)
    torch.testing.assert_close(found.position, expected, rtol=1e-4, atol=1e-5)


def test_the_likelihood_by_hand(network: MVLoc) -> None:
    """`sum`: the weights are those of the Laplace densities of all six axes; `mean`: of their cube root."""
    data = batch()
    for likelihood, power in (("sum", 1.0), ("mean", 1.0 / 3.0)):
        stage = replace(STAGE, likelihood=likelihood, estimator="iwae")
        torch.manual_seed(7)
        found = objective(stage)(network, data)
        torch.manual_seed(7)
        joint = network.encode(data.color, data.depth, data.present)
        deviation = torch.exp(0.5 * joint.log_variance)
        q, p = torch.distributions.Normal(joint.mean, deviation), torch.distributions.Normal(0.0, 1.0)
        scale = torch.tensor([-0.5] * 3 + [-1.0] * 3).exp()
        log_w, position = [], []
        for noise in torch.randn(6, *joint.mean.shape):
            z = joint.mean + deviation * noise
            pose = network.decode(z)
            density = torch.distributions.Laplace(pose, scale).log_prob(data.target).sum(dim=1)
            log_w.append(power * density + 0.5 * (p.log_prob(z) - q.log_prob(z)).sum(dim=1))
            position.append((pose - data.target)[:, :3].abs().mean(dim=1))
        w = torch.softmax(torch.stack(log_w), dim=0)
        expected = (w * torch.stack(position)).sum(dim=0)
        torch.testing.assert_close(found.position, expected, rtol=1e-4, atol=1e-5)
        if likelihood == "sum":
            bound = torch.logsumexp(torch.stack(log_w), dim=0) - torch.log(torch.tensor(6.0))
            torch.testing.assert_close(found.total, -bound, rtol=1e-4, atol=1e-4)


def test_lambda_does_not_follow_the_likelihood(network: MVLoc, caplog: pytest.LogCaptureFixture) -> None:
    """A likelihood that gives one sample all the weight is no reason to lower lambda, and is said to be the cause."""
    config = replace(STAGE, samples=20, likelihood="sum", latent_weight=1e-4, target_ess=5.0)
    stage = MultiSample(GeometricLoss(-9.0, -9.0), config, 10)
    with torch.no_grad():
        for _ in range(30):
            step(stage, network, batch())
    row = stage.end_epoch()
    assert row["train/ess"] < 2.0
    assert row["train/lambda"] == pytest.approx(1e-4)
    assert "lower --latent-noise or raise --samples" in caplog.text


def test_the_effective_sample_size_of_an_epoch(network: MVLoc) -> None:
    """Mean and 5th percentile are those of all frames of all steps, and smaller with the whole likelihood."""
    rows = {}
    for likelihood in ("sum", "mean"):
        stage = objective(replace(STAGE, samples=20, likelihood=likelihood, latent_weight=0.0))
        seen: list[float] = []
        observe = stage._observe

        def watched(joint: Term, observe: Any = observe, seen: list[float] = seen) -> None:
            seen.extend(effective_sample_size(joint.weights).tolist())
            observe(joint)

        stage._observe = watched  # type: ignore[method-assign]
        with torch.no_grad():
            torch.manual_seed(3)
            for _ in range(12):
                step(stage, network, batch(), batch())
        rows[likelihood] = row = stage.end_epoch()
        assert len(seen) == 120
        assert row["train/ess"] == pytest.approx(np.mean(seen), rel=1e-4)
        assert row["train/ess_5_percent"] == pytest.approx(np.percentile(seen, 5, method="lower"), abs=0.1)
        assert effective_samples(row, 20).startswith(f"ESS {np.mean(seen):.1f} of 20 (5 % of the frames below ")
    assert rows["sum"]["train/ess"] < rows["mean"]["train/ess"]


@pytest.mark.parametrize("estimator", ["elbo", "iwae", "dreg", "paper"])
@pytest.mark.parametrize("at_once", [1, 4])
def test_chunks_give_the_same_gradient(network: MVLoc, estimator: str, at_once: int) -> None:
    stage = replace(STAGE, estimator=estimator, single_experts=0.5)
    whole_loss, whole = gradients(network, stage, batch())
    loss, parts = gradients(network, replace(stage, samples_at_once=at_once), batch())
    torch.testing.assert_close(loss, whole_loss)
    assert whole.keys() == parts.keys() == {name for name, _ in network.named_parameters()}
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=1e-4, atol=1e-6, msg=name)
    assert whole["color.log_variance.weight"].abs().max() > 0.0


def test_chunks_bound_the_memory(network: MVLoc) -> None:
    """Of the decoder nothing is kept but its inputs; the samples themselves and their weights are."""

    def kept(stage: StageConfig) -> int:
        seen: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = objective(stage)(network, batch()).total.mean()
        assert loss.requires_grad
        return sum(seen.values())

    one = kept(replace(STAGE, samples=1, samples_at_once=1))
    whole = kept(replace(STAGE, samples=400, samples_at_once=400)) - one
    chunks = kept(replace(STAGE, samples=400, samples_at_once=10)) - one
    size = 5 * 16 * 4  # bytes of one sample of the batch's latents
    assert whole - chunks > 2 * 400 * size
    assert chunks < 4 * 400 * size


def test_dropout_is_the_same_on_the_way_back(network: MVLoc) -> None:
    """The recomputed decoder must drop what it dropped before: the loss's slope says so."""
    network.regressor.train()
    for branch in (network.regressor.position, network.regressor.rotation):
        branch[2].p = 0.5
    stage = replace(STAGE, samples_at_once=2, estimator="elbo", latent_weight=0.0)
    data = batch()
    bias = network.regressor.position[3].bias
    _, found = gradients(network, stage, data)
    step = 1e-2
    values = []
    for shift in (step, -step):
        with torch.no_grad():
            bias += shift
            torch.manual_seed(7)
            values.append(objective(stage)(network, data).total.mean().item())
            bias -= shift
    # Piecewise linear in the bias, so the difference quotient is the slope unless a kink lies between.
    slope = found["regressor.position.3.bias"].sum().item()
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(slope, rel=0.05)


def test_beta_and_gamma_are_frozen(network: MVLoc) -> None:
    stage = objective(STAGE)
    stage(network, batch()).total.mean().backward()
    assert stage.geometric.beta.grad is None
    assert stage.geometric.gamma.grad is None
    assert {name for name, _ in stage.named_parameters()} == {"geometric.beta", "geometric.gamma"}


def test_lambda_rises_and_then_follows_the_effective_sample_size(network: MVLoc) -> None:
    stage = objective(replace(STAGE, latent_warmup=0.5, target_ess=2.0), steps=8)
    data, course = batch(), []
    with torch.no_grad():
        network.color.log_variance.bias += 3.0
        stage.train()
        for _ in range(6):
            course.append(stage.latent_weight().item())
            step(stage, network, data)
    assert course == pytest.approx([0.0, 0.125, 0.25, 0.375, 0.5, 0.5])
    row = stage.end_epoch()
    assert 2.0 < row["train/ess"] <= 6.0
    assert row["train/lambda"] == pytest.approx(0.5)
    joint = network.encode(data.color, data.depth, data.present)
    q = torch.distributions.Normal(joint.mean, torch.exp(0.5 * joint.log_variance))
    divergence = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(dim=1).mean()
    assert row["train/kl"] == pytest.approx(divergence.item(), rel=1e-4)


def test_lambda_shrinks_below_the_target(network: MVLoc, caplog: pytest.LogCaptureFixture) -> None:
    """Experts so certain that log q differs much between samples: one takes nearly all the weight."""
    config = replace(STAGE, latent_weight=1.0, target_ess=3.0, samples=20)
    with torch.no_grad():
        network.color.mean.weight *= 30.0
        stage = objective(config)
        for _ in range(30):
            step(stage, network, batch())
        eager = stage.end_epoch()
        restored = objective(config)
        restored.load_state_dict(stage.state_dict())
        assert restored.latent_weight() == stage.latent_weight()
        never = objective(replace(config, target_ess=0.0))
        for _ in range(30):
            step(never, network, batch())
    assert eager["train/ess"] < 3.0
    assert 0.85 < eager["train/lambda"] < 0.95
    assert never.end_epoch()["train/lambda"] == 1.0
    assert ("lower --latent-weight" in caplog.text) == (eager["train/ess"] < 2.0)
    stage.eval()
    stage(network, batch())
    assert stage.step_sums[2] == 0.0
    assert stage.latent_weight() == restored.latent_weight(), "looking does not move it"


def test_a_step_of_two_batches_counts_once(network: MVLoc) -> None:
    """Lambda and its warm-up go by the optimiser's steps, and the means by frames."""
    whole, parts, data = objective(STAGE), objective(STAGE), batch(7)
    step(whole, network, data)
    step(parts, network, Batch(*(values[:5] for values in data)), Batch(*(values[5:] for values in data)))
    assert whole.step == parts.step == 1
    assert parts.end_epoch()["train/kl"] == pytest.approx(whole.end_epoch()["train/kl"], rel=1e-5)


def test_single_experts_add_their_own_terms(network: MVLoc) -> None:
    """A frame with both gets its joint term and one for each expert alone; a frame with one gets its own."""
    stage = replace(STAGE, samples=1, samples_at_once=1, estimator="elbo", latent_weight=0.0)
    with torch.no_grad():
        # Certain experts leave no noise, so that the terms can be computed one by one.
        for expert in (network.color, network.depth):
            expert.log_variance.weight.zero_()
            expert.log_variance.bias.fill_(-10.0)
        data = batch()
        data.present[0, 1] = 0.0
        terms = {}
        for name, mask in (("joint", data.present), ("color", [1.0, 0.0]), ("depth", [0.0, 1.0])):
            present = mask if isinstance(mask, torch.Tensor) else torch.tensor(mask).expand(5, 2)
            terms[name] = objective(stage)(network, data._replace(present=present)).total
        found = objective(replace(stage, single_experts=0.25))(network, data).total
    expected = terms["joint"] + 0.25 * (terms["color"] + terms["depth"]) * torch.tensor([0.0, 1.0, 1.0, 1.0, 1.0])
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)
    assert (terms["color"] - terms["depth"]).abs().min() > 0.1


def test_a_network_without_a_latent_distribution_is_refused() -> None:
    with pytest.raises(TypeError, match="ColorOnly has no latent distribution"):
        objective(STAGE)(ColorOnly(NETWORK, InputConfig()), batch())  # type: ignore[arg-type]
