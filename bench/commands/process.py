# SPDX-License-Identifier: Apache-2.0
"""A forked process with its calls in the hands of this one."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.commands import system_calls
from bench.commands.system_calls import Call


class HangError(RuntimeError):
    """A process has not ended in time."""


class Process:
    """Runs a function in a fork of this process; `next_call` says what it is about to do within a folder.

    Its standard output and error go to one file.
    """

    def __init__(self, work: Callable[[], int], within: Path, output: Path, *, watched: str = "changes") -> None:
        """Start it.

        Args:
            work: what it does; its result is the exit code.
            within: calls about what lies elsewhere are not reported.
            output: of its standard output and error.
            watched: "changes" to files, or "calls", which are the opening of files to read them too; "" for nothing.
        """
        self._within, self._output = f"{within.resolve()}/", output
        self.code: int | None = None
        self._listener = -1
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        self.number = os.fork()
        if self.number == 0:
            ours.close()
            _be_child(work, output, theirs if watched else None, reads=watched == "calls")
        theirs.close()
        with ours:
            if watched:
                _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
                if not descriptors:
                    raise OSError(0, f"this system does not hand over calls: {self.text()}")
                self._listener = descriptors[0]
                system_calls.hurry(self._listener)

    @property
    def listener(self) -> int:
        """What becomes readable when a call waits."""
        return self._listener

    def text(self) -> str:
        """What it has written so far."""
        return self._output.read_text(errors="replace")

    def next_call(self, seconds: float = 120.0) -> Call | None:
        """The next call within the folder, which waits for `go`, `refuse` or `kill`; None: the process has ended.

        Raises:
            HangError: neither came in this time.
        """
        end = time.monotonic() + seconds
        watch = select.poll()
        watch.register(self._listener, select.POLLIN)
        while time.monotonic() < end:
            events = dict(watch.poll(1000.0)).get(self._listener, 0)
            if events & select.POLLIN:
                call = self.pick_up()
                if call is not None:
                    return call
            elif events & select.POLLHUP:
                self.wait()
                return None
        self.kill()
        raise HangError(f"after {seconds:g} s the process has not ended: {self.text()[-500:]}")

    def pick_up(self) -> Call | None:
        """The call that waits now, if it is within the folder; another one goes on."""
        call = system_calls.receive(self._listener)
        if call is None:
            return None
        if f"{call.path}/".startswith(self._within):
            return call
        system_calls.allow(self._listener, call)
        return None

    def go(self, call: Call) -> None:
        """Let a call happen."""
        system_calls.allow(self._listener, call)

    def refuse(self, call: Call, number: int) -> None:
        """Let a call fail with this errno."""
        system_calls.refuse(self._listener, call, number)

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self.code is None:
            os.kill(self.number, signal.SIGKILL)
            self.wait()

    def wait(self) -> int:
        """Its exit code, negative for a signal."""
        if self.code is None:
            _, status = os.waitpid(self.number, 0)
            self.code = os.waitstatus_to_exitcode(status)
            if self._listener >= 0:
                os.close(self._listener)
                self._listener = -1
        return self.code


@contextmanager
def started(work: Callable[[], int], within: Path, output: Path) -> Iterator[Process]:
    """A watched process that is over when the block is."""
    process = Process(work, within, output)
    try:
        yield process
    finally:
        process.kill()


def run(work: Callable[[], int], within: Path, output: Path) -> int:
    """The exit code of a process that nobody watches."""
    return Process(work, within, output, watched="").wait()


def _be_child(work: Callable[[], int], output: Path, parent: socket.socket | None, *, reads: bool) -> None:
    """The whole life of the forked process."""
    code = 99
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(written, 1)
        os.dup2(written, 2)
        sys.stdout, sys.stderr = (open(n, "w", buffering=1, closefd=False) for n in (1, 2))  # noqa: SIM115
        if parent is not None:
            listener = system_calls.wait_at_calls(reads=reads)
            socket.send_fds(parent, [b"x"], [listener])
            os.close(listener)  # else nobody would see the end
        code = work()
    except BaseException:
        with contextlib.suppress(BaseException):
            traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
