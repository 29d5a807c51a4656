# SPDX-License-Identifier: Apache-2.0
"""Train steps: forward, backward, gradient clipping, optimiser, schedule, average of the weights.

In mixed precision the image encoders compute in half precision, and attention, regressor and loss in float32, as in an
exported network (`networks.mixed_precision`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mvloc_ros.training.batches import MicroBatch
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.ema import WeightAverage
from mvloc_ros.training.networks.pose_network import PoseNetwork
from mvloc_ros.training.objective import Batch, Objective, SampleLoss
from mvloc_ros.training.optimisation import make_optimiser, make_schedule, reduced_precision
from mvloc_ros.training.processes import SINGLE_PROCESS, Processes
from mvloc_ros.training.state_check import (
    fitted_numbers,
    fitted_optimiser,
    fitted_schedule,
    require_tensors,
    required_value,
)
from mvloc_ros.training.systems import build_objective


class LossOfBatch(nn.Module):
    """Network and objective as one module: DistributedDataParallel shares gradients of one `forward` only.

    The objective gets the plain network and may call any part of it.
    """

    def __init__(self, network: PoseNetwork, objective: Objective) -> None:
        super().__init__()
        self.network, self.objective = network, objective

    def forward(self, batch: Batch) -> SampleLoss:
        """Loss of every frame of the batch."""
        loss: SampleLoss = self.objective(self.network, batch)
        return loss


class Minimiser:
    """Minimises the loss of one network, in the precision that device and configuration determine."""

    def __init__(
        self,
        config: TrainingConfig,
        network: PoseNetwork,
        steps: int,
        device: torch.device,
        scales: tuple[float, ...] | None = None,
        processes: Processes = SINGLE_PROCESS,
    ) -> None:
        """For a run of `steps` train steps; `scales` are beta and gamma of an earlier stage."""
        options = config.stage_optimiser()
        self.network, self.device, self.processes = network, device, processes
        self.objective = build_objective(config, steps, scales).to(device)
        self.optimiser = make_optimiser(options, network, self.objective)
        self.schedule = make_schedule(options, self.optimiser, steps)
        self.dtype = network.encoder_dtype = reduced_precision(options.precision, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype is torch.float16)
        self.average = WeightAverage(network, options.ema) if options.ema > 0.0 else None
        self.skipped = 0  # train steps of the present epoch without a step of the optimiser (float16 only)
        self._gradient_limit = options.gradient_limit
        self._own = LossOfBatch(network, self.objective)
        self._shared: nn.Module = self._own

    @property
    def validated_network(self) -> PoseNetwork:
        """The network that is validated and saved: the average of the weights, if there is one."""
        return self.network if self.average is None else self.average.network

    def begin_epoch(self) -> None:
        """Called before the first micro-batch of an epoch."""
        self.network.train()
        self.skipped = 0
        self._shared = self.processes.share_gradients(self._own)

    def end_epoch(self) -> None:
        """Called after the last micro-batch of an epoch: makes the state of all processes equal."""
        self._shared = self._own
        self.processes.average_buffers(self.network)
        if self.average is not None:
            self.processes.average_buffers(self.average.network)

    def add(self, part: MicroBatch) -> Tensor:
        """Accumulate the gradient of a micro-batch; after the last one of a train step, update the weights.

        Returns:
            Loss, position and rotation distance, `[3]`: its contribution to the means of the train step.
        """
        if part.last:
            loss = self._backward(part)
            self._step()
        else:
            with self.processes.keep_gradients(self._shared):
                loss = self._backward(part)
        return part.share * torch.stack([values.detach().mean() for values in loss])

    def _backward(self, part: MicroBatch) -> SampleLoss:
        loss: SampleLoss = self._shared(part.batch)
        # Shared gradients are means over the processes; the factor makes them sums.
        self.scaler.scale(loss.total.mean() * (part.share * self.processes.count)).backward()
        return loss

    def _step(self) -> None:
        if self._gradient_limit > 0.0:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.network.parameters(), self._gradient_limit)
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        # The scaler leaves out a step whose gradient overflowed, and lowers its scale then, and only then.
        changed = self.scaler.get_scale() >= scale
        self.objective.end_step(self.processes.total, changed)
        if not changed:
            self.skipped += 1
            return
        self.schedule.step()
        if self.average is not None:
            self.average.update(self.network)

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint, without the validated network."""
        state: dict[str, Any] = {
            "objective": self.objective.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        if self.average is not None:
            state |= {"trained_network": self.network.state_dict(), "averaged_steps": self.average.steps}
        return state

    def restore(self, validated: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint, as returned by `state`.

        Raises:
            ValueError: it does not fit; nothing is changed then.
        """
        if self.average is not None:
            trained = require_tensors(self.network.state_dict(), values.get("trained_network"), "trained_network")
            steps = required_value(values, "averaged_steps", int)
        objective = require_tensors(self.objective.state_dict(), values.get("objective"), "objective")
        parameters = [parameter for group in self.optimiser.param_groups for parameter in group["params"]]
        optimiser = fitted_optimiser(self.optimiser.state_dict(), values.get("optimiser"), parameters)
        schedule = fitted_schedule(self.schedule.state_dict(), values.get("schedule"))
        scaler = fitted_numbers(self.scaler.state_dict(), values.get("scaler"), "scaler")
        self.validated_network.load_state_dict(validated)
        if self.average is not None:
            self.network.load_state_dict(trained)
            self.average.steps = steps
        self.objective.load_state_dict(objective)
        self.optimiser.load_state_dict(optimiser)
        self.schedule.load_state_dict(schedule)
        self.scaler.load_state_dict(scaler)
