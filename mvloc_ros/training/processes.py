# SPDX-License-Identifier: Apache-2.0
"""The processes of a distributed training, and their communication.

Each takes its share of the frames of every train step and computes the same update from the mean of all gradients
(DistributedDataParallel of torch). Only the main process, rank 0, writes, validates and prints. `torchrun` starts the
processes and `launched` connects them. With a single process all of this has no effect.

Communication uses gloo on the CPU and NCCL on GPUs; both sum in an order that only depends on the number of processes,
so a run is reproducible.
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
    """Process number `rank` of `count`, and its communication with the others."""

    def __init__(self, rank: int = 0, count: int = 1, local_rank: int = 0, store: dist.Store | None = None) -> None:
        """`local_rank`: number on this machine; `store`: of the launcher, which outlives its processes."""
        self.rank, self.count, self.local_rank = rank, count, local_rank
        self._store = store
        self._barriers = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes, validates and prints."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes, with the same bits in each."""
        if self.count == 1:
            return values
        values = values.clone()
        dist.all_reduce(values)
        return values

    def from_main(self, values: Tensor) -> Tensor:
        """The values of the main process; in the others `values` only gives shape and type."""
        if self.count == 1:
            return values
        values = values.clone()
        dist.broadcast(values, src=0)
        return values

    def gather(self, value: T) -> list[T]:
        """The values of all processes in the order of the ranks, in the main process; empty in the others."""
        if self.count == 1:
            return [value]
        found: list[Any] | None = [None] * self.count if self.is_main else None
        dist.gather_object(value, found, dst=0)
        return found or []

    def wait_for_main(self) -> None:
        """Called by all processes: wait until the main process has called it, too.

        Without a timeout, since the main process may read a data set or validate. If it ends, the launcher ends the
        others.
        """
        if self._store is None:
            return
        self._barriers += 1
        if self.is_main:
            self._store.add("barriers", 1)
        while self._store.add("barriers", 0) < self._barriers:
            time.sleep(POLL_SECONDS)

    def after_main(self, work: Callable[[], T]) -> T:
        """The result of `work`, which the main process does first, so that the others can use its cache."""
        if not self.is_main:
            self.wait_for_main()
        result = work()
        if self.is_main:
            self.wait_for_main()
        return result

    def is_first(self, key: str) -> bool:
        """Whether no other process has called this with the same key before."""
        return self._store is None or self._store.add(key, 1) == 1

    def share_gradients(self, module: nn.Module) -> nn.Module:
        """A wrapper of the module, with which a backward pass gives the mean gradient of all processes.

        All processes first get the weights of the main process. After its first step DDP sums the gradients in other
        groups than in that step. It is wrapped again in each epoch, so that a resumed run has the same sums.
        """
        if self.count == 1:
            return module
        with warnings.catch_warnings():
            # torch 2.13 warns of a new name of the option, which older versions lack.
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(module, broadcast_buffers=False)

    def keep_gradients(self, module: nn.Module) -> AbstractContextManager[None]:
        """Context in which gradients accumulate in this process, until a backward pass outside shares them."""
        return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()

    @torch.no_grad()
    def average_buffers(self, module: nn.Module) -> None:
        """Set the batch norm statistics of all processes, each of other frames, to their mean."""
        buffers = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
        if self.count == 1 or not buffers:
            return
        mean = self.total(torch.cat([buffer.flatten() for buffer in buffers])) / self.count
        for buffer, part in zip(buffers, mean.split([buffer.numel() for buffer in buffers]), strict=True):
            buffer.copy_(part.view_as(buffer))


SINGLE_PROCESS = Processes()
