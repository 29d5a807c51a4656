# SPDX-License-Identifier: Apache-2.0
"""Worker processes that try inputs, kept alive from input to input, and replaced when one hangs, dies or grows."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.fuzzing import outcome
from bench.fuzzing.outcome import Outcome, outcome_from

ROOT = Path(__file__).resolve().parents[2]
_PREPARE_S = 120.0
"""For starting, importing and making valid inputs, and for making the hostile one."""
_PATIENCE = 4.0
"""How many times as long an input gets that is tried again alone, since the machine may have been busy."""
_MOST_KEPT_MIB = 700.0
"""A worker whose last input had more resident memory than this is replaced before the next."""

_MOST_AGAIN = 10
"""How many inputs are tried again; where more hang, it is not the machine."""

Task = tuple[str, int]


class Worker:
    """One process, with a folder of its own for the input in work."""

    def __init__(self, scratch: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="worker-", dir=scratch))
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        environment["TMPDIR"] = str(self.folder)  # valid inputs are linked to, and go with the worker
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.fuzzing.worker", str(self.folder)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.task: Task | None = None
        self.deadline = 0.0
        self.limit_s = outcome.HANG_S
        self.is_started = False
        self._rest = b""

    def give(self, task: Task, limit_s: float) -> None:
        """Begin with an input."""
        assert self.process.stdin is not None
        self.task, self.limit_s, self.is_started = task, limit_s, False
        self.deadline = time.monotonic() + _PREPARE_S
        try:
            self.process.stdin.write(f"{task[0]} {task[1]}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died, which its end of file tells

    def read(self) -> Outcome | None:
        """What it has answered; None if it has only begun. Raises EOFError if it has died, and SystemExit if
        it could not make the input, which is a fault of this instrument or of a writer.
        """
        assert self.process.stdout is not None
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        if not data:
            raise EOFError
        *lines, self._rest = (self._rest + data).split(b"\n")
        found = None
        for line in lines:
            row = json.loads(line)
            if "broken" in row:
                raise SystemExit(row["broken"])
            if "started" in row:
                self.is_started, self.deadline = True, time.monotonic() + self.limit_s
            else:
                found = outcome_from(row)
        return found

    def end(self) -> None:
        """Kill it, and remove what it left."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Pool:
    """`run` gives the outcomes of inputs as they come; use it as a context."""

    def __init__(self, workers: int, keep: Callable[[Outcome, Path], None] = lambda *_: None) -> None:
        """Start nothing yet. `keep` is given each fault with the folder of its input, to copy it."""
        self._count, self._keep = workers, keep
        self._scratch = Path(tempfile.mkdtemp(prefix="mvloc-fuzz-", dir="/dev/shm" if _fits() else None))
        self._selector = selectors.DefaultSelector()
        self._workers: list[Worker] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in list(self._workers):
            self._end(worker)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def run(self, tasks: Iterator[Task]) -> Iterator[Outcome]:
        """Outcomes of all tasks, not in their order."""
        again: list[Task] = []
        while len(self._workers) < self._count:
            self._start()
        for worker in list(self._workers):
            self._next(worker, tasks)
        while any(worker.task for worker in self._workers):
            yield from self._look(tasks, again)
        # What took too long while others worked is tried alone, with more time.
        for task in again:
            worker = self._workers[0] if self._workers else self._start()
            worker.give(task, _PATIENCE * outcome.HANG_S)
            while worker.task:
                yield from self._look(iter(()), None)

    def _look(self, tasks: Iterator[Task], again: list[Task] | None) -> Iterator[Outcome]:
        for key, _ in self._selector.select(timeout=0.2):
            worker: Worker = key.data
            try:
                found = worker.read()
            except EOFError:
                found = self._dead(worker)
                yield found
                self._next(self._start(), tasks)
                continue
            if found is not None:
                worker.task = None
                self._report(found, worker)
                yield found
                if found.peak_mib > _MOST_KEPT_MIB:
                    self._end(worker)
                    worker = self._start()
                self._next(worker, tasks)
        for worker in [w for w in self._workers if w.task and time.monotonic() > w.deadline]:
            assert worker.task is not None
            if again is not None and worker.is_started and len(again) < _MOST_AGAIN:
                again.append(worker.task)
            else:
                what = "it is fed for" if worker.is_started else "it is being made for"
                seconds = worker.limit_s if worker.is_started else _PREPARE_S
                found = Outcome(*worker.task, "", outcome.HANG, f"{what} more than {seconds:g} s", (), seconds)
                self._report(found, worker)
                yield found
            self._end(worker)
            self._next(self._start(), tasks)

    def _dead(self, worker: Worker) -> Outcome:
        assert worker.task is not None
        code = worker.process.wait()
        said = (worker.folder / "stderr.txt").read_text(errors="replace").strip().splitlines()[-6:]
        found = Outcome(*worker.task, "", outcome.DIED, f"exit status {code}", tuple(line[:200] for line in said))
        self._report(found, worker)
        self._end(worker)
        return found

    def _report(self, found: Outcome, worker: Worker) -> None:
        if found.result not in (outcome.ACCEPTED, outcome.REFUSED):
            self._keep(found, worker.folder / "input")

    def _start(self) -> Worker:
        worker = Worker(self._scratch)
        self._workers.append(worker)
        assert worker.process.stdout is not None
        self._selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
        return worker

    def _end(self, worker: Worker) -> None:
        self._workers.remove(worker)
        worker.task = None
        assert worker.process.stdout is not None
        self._selector.unregister(worker.process.stdout)
        worker.end()

    def _next(self, worker: Worker, tasks: Iterator[Task]) -> None:
        task = next(tasks, None)
        if task is not None:
            worker.give(task, outcome.HANG_S)


def _fits() -> bool:
    """Whether the memory file system has room for inputs."""
    try:
        return shutil.disk_usage("/dev/shm").free > 1 << 30
    except OSError:
        return False
