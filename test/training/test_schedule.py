# SPDX-License-Identifier: Apache-2.0
"""The course of the learning rate, for long runs and for the shortest."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mvloc_ros.training.optimisation import make_schedule
from mvloc_ros.training.options import OptimiserConfig

PEAK = 2e-3


def rates(steps: int) -> list[float]:
    """The learning rate of every step of a run; the schedule is advanced after each of them, the last too."""
    optimiser = torch.optim.AdamW(nn.Linear(2, 2).parameters(), lr=PEAK)
    schedule = make_schedule(OptimiserConfig(learning_rate=PEAK), optimiser, steps)
    found = []
    for _ in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return found


@pytest.mark.parametrize("steps", range(3, 30))
def test_one_cycle_rises_to_its_peak_and_falls(steps: int) -> None:
    found = rates(steps)
    top = found.index(max(found))
    assert 1 <= top <= max(1.0, 0.2 * steps)
    assert max(found) > 0.9 * PEAK
    assert found == [*sorted(found[:top]), *sorted(found[top:], reverse=True)]
    assert found[0] < 0.1 * PEAK
    assert found[-1] < 1e-3 * PEAK


@pytest.mark.parametrize("steps", [1, 2])
def test_what_is_too_short_for_a_cycle_has_the_peak(steps: int) -> None:
    assert rates(steps) == [PEAK] * steps
