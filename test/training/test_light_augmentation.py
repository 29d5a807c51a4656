# SPDX-License-Identifier: Apache-2.0
"""Frames in another light keep their shapes and contrasts, and cost no random number where none is asked for."""

from __future__ import annotations

import pytest
import torch

from mvloc_ros.training.light_augmentation import relight


def frames(batch: int = 400) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randint(0, 256, (1, 12, 16, 3), dtype=torch.uint8).expand(batch, -1, -1, -1)


def test_without_strength_nothing_changes_and_nothing_is_drawn():
    color = frames(3)
    state = torch.get_rng_state()
    assert torch.equal(relight(color, 0.0), color.float())
    assert torch.equal(torch.get_rng_state(), state)


def test_lights_are_wide_and_a_quarter_is_as_recorded():
    color = frames()
    lit = relight(color, 1.0)
    assert lit.shape == color.shape
    assert 0.0 <= lit.min() <= lit.max() <= 255.0
    same = (lit == color.float()).flatten(1).all(dim=1).float().mean()
    assert 0.18 < same < 0.33
    means = lit.flatten(1).mean(dim=1) / color.float().mean()
    assert means.min() < 0.35
    assert means.max() > 1.3
    warm = lit[..., 0].flatten(1).mean(dim=1) / lit[..., 2].flatten(1).mean(dim=1)
    assert warm.max() > 1.4 * warm.min()
    left, right = (lit[..., part, :].flatten(1).mean(dim=1) for part in (slice(0, 8), slice(8, 16)))
    assert (left / right).max() > 1.8


@pytest.mark.parametrize("strength", [0.2, 0.5])
def test_less_strength_changes_less(strength: float):
    color = frames()
    changes = []
    for value in (strength, 1.0):
        torch.manual_seed(5)
        changes.append((relight(color, value) - color.float()).abs().mean())
    assert changes[0] < 0.8 * changes[1]


def test_order_of_levels_is_kept_by_exposure_and_gamma():
    ramp = torch.arange(0, 256, 4, dtype=torch.uint8).reshape(1, 1, -1, 1).expand(60, 8, -1, 3)
    torch.manual_seed(2)
    lit = relight(ramp.transpose(1, 2), 1.0).transpose(
        1, 2
    )  # levels change with the row: only slopes and spots mix them
    assert torch.isfinite(lit).all()
    middle = lit[:, 4, :, 1]
    assert ((middle[:, 1:] >= middle[:, :-1] - 1e-3).float().mean(dim=1) > 0.99).float().mean() > 0.5
