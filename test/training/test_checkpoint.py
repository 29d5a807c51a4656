# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint keeps of the random generators, and which of it fits the device that goes on."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from mvloc_ros.training import checkpoint

CPU = torch.device("cpu")
STATES = [torch.full((16,), number, dtype=torch.uint8) for number in range(3)]


def test_the_state_is_that_of_the_device_whatever_else_the_machine_has() -> None:
    assert checkpoint.gpu_state(STATES[2], 0) is STATES[2]
    assert checkpoint.gpu_state(None, 0) is None, "it was begun without a GPU"


@pytest.mark.parametrize(("count", "index", "chosen"), [(3, 1, 1), (3, 2, 2), (2, 2, 0), (1, 7, 0), (0, 0, None)])
def test_older_checkpoints_have_every_gpu_that_was_visible(count: int, index: int, chosen: int | None) -> None:
    found = checkpoint.gpu_state(STATES[:count], index)
    assert found is (None if chosen is None else STATES[chosen])


def test_a_run_without_a_gpu_keeps_the_other_generators() -> None:
    checkpoint.seed_everything(3)
    state = checkpoint.random_state(CPU)
    assert state["cuda"] is None
    drawn = random.random(), np.random.rand(), torch.rand(1).item()
    checkpoint.restore_random_state(state, CPU)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == drawn
    # Of a machine with GPUs, which this one need not have.
    checkpoint.restore_random_state(state | {"cuda": STATES}, CPU)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == drawn


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_a_gpu_draws_again_what_it_drew(name: str) -> None:
    device = torch.device(name)
    checkpoint.seed_everything(3)
    state = checkpoint.random_state(device)
    drawn = torch.rand(4, device=device)
    # With more GPUs then than now, as an older checkpoint has them.
    for saved in (state, state | {"cuda": [state["cuda"]] * (torch.cuda.device_count() + 1)}):
        checkpoint.restore_random_state(saved, device)
        torch.testing.assert_close(torch.rand(4, device=device), drawn, rtol=0, atol=0)
