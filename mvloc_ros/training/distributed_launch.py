# SPDX-License-Identifier: Apache-2.0
"""Training under `torchrun`: connect the processes, and end all of them when one ends.

A process that dies closes its connections, so that the next communication of the others fails at once; one that hangs
is detected by a timeout. In both cases `torchrun` ends the remaining processes, and one of them reports the error.
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
from mvloc_ros.training.processes import SINGLE_PROCESS, Processes

FAILED = 2


@contextmanager
def launched(limit_s: float) -> Iterator[Processes]:
    """Context with the processes of this training: those that `torchrun` started, or a single one.

    Output and warnings of all processes but the main one are suppressed, errors are not.

    Args:
        limit_s: timeout for another process within a train step, seconds.

    Raises:
        TrainingError: another process ended or hangs; only in the first process that detects it.
        SystemExit: in the others.
    """
    if not dist.is_available() or not dist.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        yield SINGLE_PROCESS
        return
    processes = _connect(limit_s)
    request = _StopRequest()
    try:
        with ExitStack() as stack:
            if not processes.is_main:
                logging.disable(logging.WARNING)
                nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
                stack.enter_context(redirect_stdout(nowhere))
                stack.enter_context(redirect_stderr(nowhere))
            yield processes
    except (MvlocError, RuntimeError, KeyboardInterrupt) as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # this process now ends with its own message
        if isinstance(error, KeyboardInterrupt) and not request.is_made:
            if processes.is_main:
                raise
            raise SystemExit(interrupts.EXIT_CODE) from None
        if isinstance(error, RuntimeError) and not _is_connection(error):
            raise
        if not _reports_the_error(processes):
            raise SystemExit(FAILED) from None
        if isinstance(error, MvlocError):
            raise
        raise TrainingError(
            f"One of the {processes.count} processes of this training ended or does not respond; run the same command "
            "again to resume from the last complete epoch."
        ) from error
    dist.destroy_process_group()


class _StopRequest:
    """Whether SIGTERM was received, with which `torchrun` ends the others when one process has ended.

    It raises KeyboardInterrupt like Ctrl-C; this flag distinguishes the two.
    """

    def __init__(self) -> None:
        self.is_made = False
        signal.signal(signal.SIGTERM, self._unwind)

    def _unwind(self, number: int, frame: FrameType | None) -> None:
        if interrupts.is_repeated():  # `torchrun` forwards the Ctrl-C that the terminal has sent to this process, too
            return
        self.is_made = True
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
    """Whether a lost connection is the cause: gloo raises plain RuntimeErrors that name its source file."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def _reports_the_error(processes: Processes) -> bool:
    try:
        return processes.is_first("error report")
    except RuntimeError:  # the launcher has ended, too
        return processes.is_main
