# SPDX-License-Identifier: Apache-2.0
"""Training under `torchrun`: connect the processes, and let all of them end when one does.

A process that dies closes its connections, so that the others' next exchange fails at once; one that
hangs is given up after a limit of time. Either way `torchrun` ends those that are left, and one of
them says in one sentence what happened.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from datetime import timedelta
from types import FrameType

import torch
from torch import distributed as dist

from mvloc_ros import interrupts
from mvloc_ros.errors import MvlocError
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.processes import ALONE, Processes

FAILED, INTERRUPTED = 2, 130


@contextmanager
def launched(limit_s: float) -> Iterator[Processes]:
    """The processes of this training while the body runs: those that `torchrun` started, or this one alone.

    Prints, progress bars and warnings of all but the main process vanish, its errors do not.

    Args:
        limit_s: how long to wait for another process within a step, seconds.

    Raises:
        TrainingError: another process ended or hung; only in the first process that notices.
        SystemExit: in the others.
    """
    if not dist.is_available() or not dist.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        yield ALONE
        return
    processes = _connect(limit_s)
    asked = _Asked()
    try:
        with ExitStack() as stack:
            if not processes.is_main:
                logging.disable(logging.WARNING)
                nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
                stack.enter_context(redirect_stdout(nowhere))
                stack.enter_context(redirect_stderr(nowhere))
            yield processes
    except (MvlocError, RuntimeError, KeyboardInterrupt) as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends by itself now, and says why
        if isinstance(error, KeyboardInterrupt) and not asked.to_end:
            if processes.is_main:
                raise
            raise SystemExit(INTERRUPTED) from None
        if isinstance(error, RuntimeError) and not _is_connection(error):
            raise
        if not _is_to_say_it(processes):
            raise SystemExit(FAILED) from None
        if isinstance(error, MvlocError):
            raise
        raise TrainingError(
            f"One of the {processes.count} processes of this training ended or no longer answers; repeat the same "
            "command to go on from the last whole epoch."
        ) from error
    dist.destroy_process_group()


class _Asked:
    """Whether SIGTERM came, by which `torchrun` ends the others when one process has ended.

    It unwinds like Ctrl-C, which does not tell the two apart.
    """

    def __init__(self) -> None:
        self.to_end = False
        signal.signal(signal.SIGTERM, self._unwind)

    def _unwind(self, number: int, frame: FrameType | None) -> None:
        if interrupts.is_repeated():  # `torchrun` passes on the Ctrl-C that this process has had from the terminal
            return
        self.to_end = True
        raise KeyboardInterrupt


def _connect(limit_s: float) -> Processes:
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    try:
        store, rank, count = next(iter(dist.rendezvous("env://")))
        dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=timedelta(seconds=limit_s))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"The processes of this training cannot reach each other ({reason}); check torchrun's --master-addr, and "
            "on several machines GLOO_SOCKET_IFNAME, the network interface between them."
        ) from error
    return Processes(rank, count, int(os.environ["LOCAL_RANK"]), store)


def _is_connection(error: RuntimeError) -> bool:
    """Whether another process is the cause: gloo raises plain RuntimeErrors that name its source file."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def _is_to_say_it(processes: Processes) -> bool:
    try:
        return processes.is_first_to("say why it ends")
    except RuntimeError:  # the launcher is gone as well
        return processes.is_main
