# SPDX-License-Identifier: Apache-2.0
"""Gradient estimators on a linear-Gaussian model, whose likelihood and posterior are known.

z ~ N(0, 1), y | z ~ N(theta z, s^2), so y ~ N(0, theta^2 + s^2) and z | y is Gaussian. The encoder is
q(z) = N(mu, exp(2 rho)). Every column of a batch is an independent draw of the same estimator.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mvloc_ros.training.estimators import ESTIMATORS, Gaussian, effective_sample_size
from mvloc_ros.training.objective import GeometricLoss

Y, THETA, S = 1.3, 0.8, 0.5
OFF = (0.3, math.log(0.7))  # mu, rho of an encoder that is not the posterior
VARIANCE = 1.0 / (1.0 + THETA**2 / S**2)
EXACT = (VARIANCE * THETA * Y / S**2, 0.5 * math.log(VARIANCE))  # the posterior's
LOG_LIKELIHOOD = -0.5 * (Y**2 / (THETA**2 + S**2) + math.log(2 * math.pi * (THETA**2 + S**2)))
LIKELIHOOD_SLOPE = THETA / (THETA**2 + S**2) * (Y**2 / (THETA**2 + S**2) - 1.0)  # d log p(y) / d theta


def draws(
    name: str, encoder: tuple[float, float], k: int, count: int, weight: float = 1.0, seed: int = 0
) -> dict[str, np.ndarray]:
    """Value, effective sample size, and gradients of the bound in mu, rho and theta of every draw."""
    torch.manual_seed(seed)
    mu, rho = (torch.full((count, 1), value, dtype=torch.float64, requires_grad=True) for value in encoder)
    theta = torch.full((count,), THETA, dtype=torch.float64, requires_grad=True)
    posterior = Gaussian(mu, 2.0 * rho)
    z = posterior.sample(k)
    loss = 0.5 * ((Y - theta * z[..., 0]) / S) ** 2 + math.log(S) + 0.5 * math.log(2 * math.pi)
    estimate = ESTIMATORS[name](loss, z, posterior, torch.tensor(weight, dtype=torch.float64))
    estimate.total.sum().backward()
    gradients = {"mu": -mu.grad[:, 0], "rho": -rho.grad[:, 0], "theta": -theta.grad}
    found = {"bound": -estimate.total, "ess": effective_sample_size(estimate.weights)} | gradients
    return {key: value.detach().numpy() for key, value in found.items()}


def exact_bound(mu: float, rho: float, theta: float, k: int, weight: float) -> float:
    """E log (1/k) sum_i w_i by Gauss-Hermite quadrature over the k noises: no sampling, no autograd."""
    nodes, masses = np.polynomial.hermite_e.hermegauss(48)
    masses = masses / masses.sum()
    z = mu + np.exp(rho) * nodes
    log_p, log_q = -0.5 * z**2, -0.5 * nodes**2 - rho
    log_likelihood = -0.5 * ((Y - theta * z) / S) ** 2 - math.log(S) - 0.5 * math.log(2 * math.pi)
    w = np.exp(log_likelihood + weight * (log_p - log_q))
    total, mass = w, masses
    for _ in range(k - 1):
        total, mass = total[..., None] + w, mass[..., None] * masses
    return float((mass * np.log(total / k)).sum())


def exact_gradient(k: int, weight: float) -> dict[str, float]:
    """Central differences of the exact bound."""
    at = {"mu": OFF[0], "rho": OFF[1], "theta": THETA}
    step = 1e-4
    return {
        name: (
            exact_bound(**(at | {name: value + step}), k=k, weight=weight)
            - exact_bound(**(at | {name: value - step}), k=k, weight=weight)
        )
        / (2 * step)
        for name, value in at.items()
    }


def close(samples: np.ndarray, expected: float, errors: float = 4.0) -> bool:
    """Whether the mean is the expected one within that many of its standard errors."""
    return abs(samples.mean() - expected) <= errors * samples.std() / math.sqrt(len(samples)) + 1e-9


def laplace_loss(theta: torch.Tensor, z: torch.Tensor, likelihood: str) -> torch.Tensor:
    """-log p(y | z) of the objective for a pose that moves with z: positions theta z, rotations -0.3 theta z."""
    geometric = GeometricLoss(BETA, GAMMA).double()
    direction = torch.tensor([1.0, 0.8, -0.6, -0.3, 0.1, 0.2], dtype=torch.float64)
    pose = (theta * z[..., 0]).unsqueeze(-1) * direction
    # The network's poses are float32; the differences here are not.
    difference = (pose - torch.tensor(TARGET, dtype=torch.float64)).abs()
    position, rotation = difference[..., :3].mean(dim=-1), difference[..., 3:].mean(dim=-1)
    total = position * math.exp(-BETA) + BETA + rotation * math.exp(-GAMMA) + GAMMA
    flat = geometric(pose.flatten(0, -2).float(), torch.tensor(TARGET).expand(pose[..., 0].numel(), 6)).total
    torch.testing.assert_close(flat.double().reshape(total.shape), total, rtol=1e-4, atol=1e-4)
    return geometric.negative_log_likelihood(total, likelihood)


BETA, GAMMA = math.log(0.6), math.log(0.3)
TARGET = (0.7, 0.5, -0.2, -0.1, 0.1, 0.0)


def test_the_likelihood_is_a_density_for_the_sum_alone() -> None:
    """Six Laplace densities: the value of torch's, and an integral of one over each axis; the mean is its cube root."""
    torch.manual_seed(2)
    pose, target = torch.randn(50, 6), torch.randn(50, 6)
    geometric = GeometricLoss(BETA, GAMMA).requires_grad_(False)
    total = geometric(pose, target).total
    scale = torch.tensor([math.exp(BETA)] * 3 + [math.exp(GAMMA)] * 3)
    expected = torch.distributions.Laplace(pose, scale).log_prob(target).sum(dim=1)
    torch.testing.assert_close(-geometric.negative_log_likelihood(total, "sum"), expected)
    torch.testing.assert_close(geometric.negative_log_likelihood(total, "mean"), total)
    # Along one axis, the other five at their peaks of 1 / 2b each.
    y = torch.zeros(200_001, 6)
    y[:, 1] = torch.linspace(-20.0, 20.0, len(y))
    for likelihood, integral in (("sum", 1.0), ("mean", None)):
        log_p = -geometric.negative_log_likelihood(geometric(torch.zeros_like(y), y).total, likelihood)
        peaks = (2.0 * scale).log().sum() - math.log(2.0 * math.exp(BETA))
        area = float(torch.trapezoid(torch.exp(log_p + peaks), y[:, 1]))
        assert (abs(area - 1.0) < 1e-3) == (integral == 1.0)


def test_weights_of_the_sum_are_the_posteriors_and_those_of_the_mean_are_not() -> None:
    """Self-normalised weights of many samples give E[z | y]: against quadrature over prior and Laplace densities."""
    nodes = np.linspace(-8.0, 8.0, 40_001)[:, None]
    direction, scale = np.array([1.0, 0.8, -0.6, -0.3, 0.1, 0.2]), np.array([0.6] * 3 + [0.3] * 3)
    log_p = -(np.abs(THETA * nodes * direction - np.array(TARGET)) / scale).sum(axis=1) - 0.5 * nodes[:, 0] ** 2
    mass = np.exp(log_p - log_p.max())
    exact = float((mass * nodes[:, 0]).sum() / mass.sum())
    torch.manual_seed(0)
    posterior = Gaussian(torch.full((20, 1), 0.3, dtype=torch.float64), torch.zeros(20, 1, dtype=torch.float64))
    z = posterior.sample(20_000)
    found = {}
    for likelihood in ("sum", "mean"):
        loss = laplace_loss(torch.tensor(THETA, dtype=torch.float64), z, likelihood)
        weights = ESTIMATORS["dreg"](loss, z, posterior, torch.tensor(1.0, dtype=torch.float64)).weights
        found[likelihood] = (weights * z[..., 0]).sum(dim=0).numpy()
    assert close(found["sum"], exact)
    assert found["sum"].std() < 0.02
    assert abs(found["mean"].mean() - exact) > 0.1


@pytest.mark.parametrize("likelihood", ["sum", "mean"])
@pytest.mark.parametrize("name", ["iwae", "dreg"])
def test_the_laplace_bound_is_unbiased(name: str, likelihood: str) -> None:
    """Value and the decoder's gradient at k = 2, against a grid over both noises and central differences."""
    nodes = np.linspace(-7.0, 7.0, 1401)
    density = np.exp(-0.5 * nodes**2)
    density /= density.sum()

    def exact(theta: float) -> float:
        z = torch.tensor(OFF[0] + math.exp(OFF[1]) * nodes)[:, None]
        loss = laplace_loss(torch.tensor(theta, dtype=torch.float64), z, likelihood).numpy()
        w = np.exp(-loss + 0.5 * (-0.5 * z[:, 0].numpy() ** 2 + 0.5 * nodes**2 + OFF[1]))
        return float((density[:, None] * density * np.log(0.5 * (w[:, None] + w))).sum())

    torch.manual_seed(5)
    count = 200_000
    mu, rho = (torch.full((count, 1), value, dtype=torch.float64) for value in OFF)
    theta = torch.full((count,), THETA, dtype=torch.float64, requires_grad=True)
    posterior = Gaussian(mu, 2.0 * rho)
    z = posterior.sample(2)
    estimate = ESTIMATORS[name](laplace_loss(theta, z, likelihood), z, posterior, torch.tensor(0.5).double())
    estimate.total.sum().backward()
    assert close(-estimate.total.detach().numpy(), exact(THETA))
    slope = (exact(THETA + 1e-3) - exact(THETA - 1e-3)) / 2e-3
    assert close(-theta.grad.numpy(), slope, errors=5.0)
    assert abs(slope) > 0.02


def test_the_quadrature_is_right() -> None:
    """With the exact posterior every weight is p(y), and the bound the log likelihood."""
    assert exact_bound(*EXACT, THETA, k=1, weight=1.0) == pytest.approx(LOG_LIKELIHOOD, abs=1e-9)
    assert exact_bound(*EXACT, THETA, k=3, weight=1.0) == pytest.approx(LOG_LIKELIHOOD, abs=1e-9)
    one, three = (exact_bound(*OFF, THETA, k=k, weight=1.0) for k in (1, 3))
    assert one < three < LOG_LIKELIHOOD, "Eq. 6: more samples, a tighter bound"


@pytest.mark.parametrize("weight", [1.0, 0.3])
@pytest.mark.parametrize("name", ["iwae", "dreg"])
def test_iwae_and_dreg_are_unbiased(name: str, weight: float) -> None:
    found = draws(name, OFF, k=3, count=400_000, weight=weight)
    assert close(found["bound"], exact_bound(*OFF, THETA, k=3, weight=weight))
    for parameter, value in exact_gradient(3, weight).items():
        assert close(found[parameter], value), parameter
        assert found[parameter].std() / math.sqrt(400_000) < 0.03 * abs(value), "the test tells values apart"


@pytest.mark.parametrize(("weight", "parameters"), [(1.0, {"theta"}), (0.3, {"theta", "mu", "rho"})])
def test_the_papers_equation_13_is_biased(weight: float, parameters: set[str]) -> None:
    """In the decoder always, in the encoder where lambda is not 1."""
    found = draws("paper", OFF, k=3, count=400_000, weight=weight)
    wrong = {name for name, value in exact_gradient(3, weight).items() if not close(found[name], value, errors=8.0)}
    assert wrong == parameters


def test_twenty_samples() -> None:
    """The two agree, DReG with a fraction of the spread in the encoder and the same in the decoder."""
    iwae, dreg = (draws(name, OFF, k=20, count=100_000) for name in ("iwae", "dreg"))
    for name in ("mu", "rho", "theta"):
        difference = iwae[name] - dreg[name]
        assert close(difference, 0.0), name
    assert dreg["mu"].std() < 0.25 * iwae["mu"].std()
    assert dreg["rho"].std() < 0.25 * iwae["rho"].std()
    np.testing.assert_allclose(dreg["theta"], iwae["theta"], rtol=1e-9)
    np.testing.assert_allclose(dreg["bound"], iwae["bound"], rtol=1e-12)


def test_with_the_exact_posterior_everything_is_known() -> None:
    k = 20
    iwae, dreg, paper = (draws(name, EXACT, k, count=50_000) for name in ("iwae", "dreg", "paper"))
    for found in (iwae, dreg, paper):
        np.testing.assert_allclose(found["bound"], LOG_LIKELIHOOD, atol=1e-9)
        np.testing.assert_allclose(found["ess"], k, rtol=1e-9)
    # At the optimum DReG's encoder gradient is zero in every draw, IWAE's only on average.
    for name in ("mu", "rho"):
        assert np.abs(dreg[name]).max() < 1e-9
        assert iwae[name].std() > 0.1
        assert close(iwae[name], 0.0)
    assert close(dreg["theta"], LIKELIHOOD_SLOPE)
    # All weights are 1/k, and so Eq. 13's decoder gradient is too small by 1 / ESS = 1/k, draw by draw.
    np.testing.assert_allclose(paper["theta"], dreg["theta"] / k, rtol=1e-6, atol=1e-12)


def test_the_papers_factor_is_one_over_the_effective_sample_size() -> None:
    """For a decoder parameter that moves the loss of every sample alike, in every draw, at any weights."""
    slopes = {}
    for name in ("dreg", "paper"):
        torch.manual_seed(1)
        z, shift = torch.randn(20, 500, 4), torch.zeros(500, requires_grad=True)
        posterior = Gaussian(torch.zeros(500, 4), torch.zeros(500, 4))
        estimate = ESTIMATORS[name]((z**2).sum(dim=2) + shift, z, posterior, torch.tensor(1.0))
        estimate.total.sum().backward()
        slopes[name] = shift.grad
    ess = effective_sample_size(estimate.weights)
    assert 1.5 < ess.mean() < 10.0
    torch.testing.assert_close(slopes["dreg"], torch.ones(500))
    torch.testing.assert_close(slopes["paper"], 1.0 / ess)


def test_elbo_in_closed_form() -> None:
    """E[L] + lambda KL of two Gaussians, and its derivatives, by hand."""
    mu, rho = OFF
    weight, variance = 0.4, math.exp(2 * OFF[1])
    expected_loss = 0.5 * ((Y - THETA * mu) ** 2 + THETA**2 * variance) / S**2 + math.log(S * math.sqrt(2 * math.pi))
    divergence = 0.5 * (mu**2 + variance - 1.0 - 2 * rho)
    found = draws("elbo", OFF, k=1, count=400_000, weight=weight)
    assert close(found["bound"], -expected_loss - weight * divergence)
    assert close(found["mu"], THETA * (Y - THETA * mu) / S**2 - weight * mu)
    assert close(found["rho"], -(THETA**2) * variance / S**2 - weight * (variance - 1.0))
    assert close(found["theta"], (mu * (Y - THETA * mu) - THETA * variance) / S**2)
    assert np.all(found["ess"] == 1.0)


def test_one_importance_sample_is_the_elbo() -> None:
    for name in ("iwae", "dreg"):
        single = draws(name, OFF, k=1, count=400_000, seed=3)
        plain = draws("elbo", OFF, k=1, count=400_000, seed=3)
        for parameter in ("bound", "mu", "rho", "theta"):
            assert close(single[parameter] - plain[parameter], 0.0), (name, parameter)


def test_density_and_divergence_against_torch() -> None:
    torch.manual_seed(0)
    q = Gaussian(torch.randn(3, 5), torch.randn(3, 5))
    reference = torch.distributions.Normal(q.mean, torch.exp(0.5 * q.log_variance))
    z = q.sample(4)
    assert z.shape == (4, 3, 5)
    torch.testing.assert_close(q.log_density(z), reference.log_prob(z).sum(dim=2))
    prior = torch.distributions.Normal(torch.zeros(3, 5), torch.ones(3, 5))
    expected = torch.distributions.kl_divergence(reference, prior).sum(dim=1)
    torch.testing.assert_close(q.divergence(), expected)
