# SPDX-License-Identifier: Apache-2.0
"""Optimiser, learning rate schedule, and precision of a run."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from mvloc_ros.training.options import OptimiserConfig

RISE = 0.2  # share of a cycle's steps in which the learning rate rises
LEAST_CYCLE = 3  # steps: one rising, the peak, one falling


def parameter_groups(config: OptimiserConfig, network: nn.Module, objective: nn.Module) -> list[dict[str, object]]:
    """Weights with decay; norms and biases without; beta and gamma, without, in a group of their own.

    Decay would pull beta and gamma towards 0, which means errors of one unit, and the scale of a norm towards 0. Beta
    and gamma may have a higher learning rate than the network: Adam changes each by about the learning rate per step,
    and in a short run they would lag behind the errors that they model.
    """
    decayed = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    plain = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    rate = config.learning_rate
    return [
        {"params": decayed, "weight_decay": config.weight_decay, "lr": rate},
        {"params": plain, "weight_decay": 0.0, "lr": rate},
        {"params": list(objective.parameters()), "weight_decay": 0.0, "lr": rate * config.scale_rate},
    ]


def make_optimiser(config: OptimiserConfig, network: nn.Module, objective: nn.Module) -> Optimizer:
    """Adam or AdamW with these groups."""
    kind = torch.optim.Adam if config.optimiser == "adam" else torch.optim.AdamW
    return kind(parameter_groups(config, network, objective))


def make_schedule(config: OptimiserConfig, optimiser: Optimizer, steps: int) -> LRScheduler:
    """Learning rate over all `steps` of the run; advanced once a step.

    One cycle rises for a fifth of the steps, and for at least one step; with fewer than three steps, all have the peak.
    """
    if config.schedule == "onecycle" and steps >= LEAST_CYCLE:
        # The first moment of Adam is not cycled as OneCycle does for SGD: it makes no difference here.
        peaks = [group["lr"] for group in optimiser.param_groups]
        rise = max(RISE, 2.0 / steps)  # PyTorch's peak is at step rise * steps - 1, counted from 0
        return OneCycleLR(optimiser, peaks, total_steps=steps, pct_start=rise, cycle_momentum=False)
    if config.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=steps)
    return LambdaLR(optimiser, lambda _step: 1.0)


def reduced_precision(precision: str, device: torch.device) -> torch.dtype | None:
    """The autocast type, or None for float32; always None on a CPU, where half precision is slower."""
    if device.type != "cuda" or precision == "fp32":
        return None
    if precision == "fp16" or (precision == "auto" and not torch.cuda.is_bf16_supported()):
        return torch.float16
    return torch.bfloat16
