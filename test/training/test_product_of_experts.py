# SPDX-License-Identifier: Apache-2.0
"""The product of Gaussian experts against the product of their densities."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor, nn

from mvloc_ros.training.networks.product_of_experts import product_of_experts
from mvloc_ros.training.onnx_file import lower_opset

MEANS = arrays(np.float64, (2, 2, 3), elements=st.floats(-5, 5))
LOG_VARIANCES = arrays(np.float64, (2, 2, 3), elements=st.floats(-3, 3))
PRESENT = arrays(np.float64, (2, 2), elements=st.sampled_from([0.0, 1.0]))


def fuse(means: np.ndarray, log_variances: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, ...]:
    tensors = (torch.tensor(value, dtype=torch.float32) for value in (means, log_variances, present))
    return tuple(value.numpy().astype(np.float64) for value in product_of_experts(*tensors))


@settings(max_examples=60, deadline=None)
@given(MEANS, LOG_VARIANCES, PRESENT)
def test_equals_the_closed_form(means: np.ndarray, log_variances: np.ndarray, present: np.ndarray) -> None:
    joint_mean, joint_log_variance, shares = fuse(means, log_variances, present)
    precision = np.exp(-log_variances) * present[:, :, None]
    total = 1.0 + precision.sum(axis=1)
    np.testing.assert_allclose(joint_mean, (precision * means).sum(axis=1) / total, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(joint_log_variance, -np.log(total), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(shares[:, 0], 1.0 / total, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-5)


def test_equals_the_normalised_product_of_densities() -> None:
    """Independent of any formula: multiply the densities on a grid and take the moments."""
    means, variances = np.array([1.3, -0.4]), np.array([0.5, 2.0])
    x = np.linspace(-8, 8, 4001)
    density = np.exp(-0.5 * x**2)
    for mean, variance in zip(means, variances, strict=True):
        density *= np.exp(-0.5 * (x - mean) ** 2 / variance)
    density /= density.sum()
    mean = (density * x).sum()
    variance = (density * (x - mean) ** 2).sum()
    joint_mean, joint_log_variance, _ = fuse(
        means.reshape(1, 2, 1), np.log(variances).reshape(1, 2, 1), np.ones((1, 2))
    )
    np.testing.assert_allclose([joint_mean.item(), np.exp(joint_log_variance.item())], [mean, variance], rtol=1e-5)


@settings(max_examples=40, deadline=None)
@given(MEANS, LOG_VARIANCES, st.sampled_from([0, 1]))
def test_a_masked_expert_is_an_omitted_expert(means: np.ndarray, log_variances: np.ndarray, missing: int) -> None:
    present = np.ones((2, 2))
    present[:, missing] = 0.0
    kept = [1 - missing]
    masked = fuse(means, log_variances, present)
    omitted = fuse(means[:, kept], log_variances[:, kept], np.ones((2, 1)))
    np.testing.assert_allclose(masked[0], omitted[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(masked[1], omitted[1], rtol=1e-6, atol=1e-6)
    assert np.all(masked[2][:, 1 + missing] == 0.0)


def test_without_any_modality_the_prior_remains() -> None:
    mean, log_variance, shares = fuse(np.full((1, 2, 3), 7.0), np.full((1, 2, 3), -9.0), np.zeros((1, 2)))
    assert np.all(mean == 0.0)
    assert np.all(log_variance == 0.0)
    np.testing.assert_array_equal(shares[0, :, 0], [1.0, 0.0, 0.0])


def test_extreme_variances_stay_finite() -> None:
    means = np.array([1.0, -1.0]).reshape(1, 2, 1)
    for certain in (-80.0, -200.0):
        mean, log_variance, shares = fuse(means, np.array([certain, 200.0]).reshape(1, 2, 1), np.ones((1, 2)))
        assert mean.item() == 1.0
        assert log_variance.item() == certain
        assert shares[0, 1, 0] == 1.0


class Product(nn.Module):
    """The product as a network of its own, to be exported."""

    def forward(self, means: Tensor, log_variances: Tensor, present: Tensor) -> tuple[Tensor, ...]:
        return tuple(product_of_experts(means, log_variances, present))


@pytest.mark.filterwarnings("ignore")  # the exporter warns of its own deprecated internals
@pytest.mark.parametrize("experts", [1, 2, 3, 4, 5])
def test_any_number_of_experts_with_any_mask_is_the_closed_form(experts: int, tmp_path: Path) -> None:
    """In torch and in the exported graph, run by ONNX Runtime, to 1e-6."""
    masks = np.array(list(product((0.0, 1.0), repeat=experts)))
    rng = np.random.default_rng(experts)
    means, log_variances = rng.normal(size=(len(masks), experts, 16)), rng.uniform(-3, 3, (len(masks), experts, 16))
    # What the network sees is float32, and so is what the closed form is of.
    inputs = [value.astype(np.float32) for value in (means, log_variances, masks)]
    precision = np.exp(-inputs[1].astype(np.float64)) * masks[:, :, None]
    total = 1.0 + precision.sum(axis=1)
    shares = np.concatenate([np.ones_like(total)[:, None], precision], axis=1) / total[:, None]
    expected = (precision * inputs[0]).sum(axis=1) / total, -np.log(total), shares

    path = tmp_path / "product.onnx"
    example = tuple(torch.from_numpy(value[:1]) for value in inputs)
    names = ("means", "log_variances", "present")
    torch.onnx.export(
        Product(), example, str(path), input_names=list(names), dynamo=True, verbose=False,
        dynamic_shapes=tuple({0: torch.export.Dim("batch")} for _ in names), external_data=False,
    )  # fmt: skip
    model = onnx.load(str(path))
    lower_opset(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for found in (
        [value.numpy() for value in product_of_experts(*map(torch.from_numpy, inputs))],
        session.run(None, dict(zip(names, inputs, strict=True))),
    ):
        for value, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(value, wanted, rtol=1e-6, atol=1e-6)
