# SPDX-License-Identifier: Apache-2.0
"""The processes that train one network together, and what passes between them.

Each takes its share of every step's frames and computes the same step from the mean of all gradients
(torch's DistributedDataParallel). The first one, the main process, alone writes, validates and prints.
`torchrun` starts them and `launched` connects them. For a process that is alone, everything here does
nothing.

What passes on the CPU goes through gloo, what passes on GPUs through NCCL; both sum in an order that
depends on nothing but the number of processes, so a run can be repeated.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")
POLL_SECONDS = 0.02


class Processes:
    """Process number `rank` of `count`: the running one, and its ways to the others."""

    def __init__(self, rank: int = 0, count: int = 1, local_rank: int = 0, store: dist.Store | None = None) -> None:
        """`local_rank`: number among the machine's; `store`: the launcher's, which outlives its processes."""
        self.rank, self.count, self.local_rank = rank, count, local_rank
        self._store = store
        self._meetings = 0

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes, validates and prints."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes, the same bits in each."""
        if self.count == 1:
            return values
        values = values.clone()
        dist.all_reduce(values)
        return values

    def from_main(self, values: Tensor) -> Tensor:
        """The main process's values; the others' only say how many and of which type."""
        if self.count == 1:
            return values
        values = values.clone()
        dist.broadcast(values, src=0)
        return values

    def gather(self, value: T) -> list[T]:
        """Everyone's value in the order of the ranks, in the main process; elsewhere nothing."""
        if self.count == 1:
            return [value]
        found: list[Any] | None = [None] * self.count if self.is_main else None
        dist.gather_object(value, found, dst=0)
        return found or []

    def wait_for_main(self) -> None:
        """Called by all: go on when the main process is here, too.

        Without a limit of time, as it may read a data set or validate meanwhile. A main process that
        ends is no danger: the launcher then ends the others.
        """
        if self._store is None:
            return
        self._meetings += 1
        if self.is_main:
            self._store.add("meetings", 1)
        while self._store.add("meetings", 0) < self._meetings:
            time.sleep(POLL_SECONDS)

    def after_main(self, work: Callable[[], T]) -> T:
        """What `work` returns, done first by the main process alone: a cache that it writes serves the others."""
        if not self.is_main:
            self.wait_for_main()
        result = work()
        if self.is_main:
            self.wait_for_main()
        return result

    def is_first_to(self, what: str) -> bool:
        """Whether no other process has asked this before."""
        return self._store is None or self._store.add(what, 1) == 1

    def share_gradients(self, module: nn.Module) -> nn.Module:
        """The module, called through this one: then a backward pass leaves the mean of everyone's gradients.

        All processes first take over the main process's weights. After its first step DDP sums the
        gradients in other groups than in that step. A run that is to be resumed exactly asks again each
        epoch, so that its sums do not depend on where it began.
        """
        if self.count == 1:
            return module
        with warnings.catch_warnings():
            # torch 2.13 warns of a new name for the option, which older versions do not have.
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(module, broadcast_buffers=False)

    def keep_gradients(self, module: nn.Module) -> AbstractContextManager[None]:
        """Within this, gradients add up in this process alone, until a backward pass outside shares them."""
        return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()

    @torch.no_grad()
    def average_buffers(self, module: nn.Module) -> None:
        """Give everyone the mean of all processes' batch norm statistics, each of which saw its own frames."""
        buffers = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
        if self.count == 1 or not buffers:
            return
        mean = self.total(torch.cat([buffer.flatten() for buffer in buffers])) / self.count
        for buffer, part in zip(buffers, mean.split([buffer.numel() for buffer in buffers]), strict=True):
            buffer.copy_(part.view_as(buffer))


ALONE = Processes()
