# SPDX-License-Identifier: Apache-2.0
"""The nodes that are compared, as processes, and what they cost the machine."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.harness.child_process import NODE, ChildProcess, parameter_words

ROOT = Path(__file__).resolve().parents[2]
END_S = 20.0


@dataclass(frozen=True)
class Contestant:
    """A node: its name in tables, the topic of its poses, and how it is started."""

    name: str
    pose_topic: str
    command: tuple[str, ...]


def mvloc_node(bundle: Path, *parameters: str) -> Contestant:
    """The node of this project with its defaults, but for TF, of which there is none here.

    The gate works, and accepts everything: poses of random weights jump. Nothing is refined: images of no place.
    """
    accepting = ("gate_max_jump:=1000.0", "gate_max_turn:=180.0", "gate_max_mahalanobis:=1000.0")
    chosen = (f"model:={bundle}", "publish_frame:=camera", "refine:=off", *accepting, *parameters)
    return Contestant("mvloc", "mvloc/pose", (*NODE, "--ros-args", *parameter_words(*chosen)))


def ordinary_node(bundle: Path, weights: Path) -> Contestant:
    """The comparison node with the same weights."""
    arguments = ("--bundle", str(bundle), "--weights", str(weights))
    return Contestant("ordinary", "ordinary/pose", ("-m", "bench.peers.ordinary_node", *arguments))


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this Python in the repository's root, ended with SIGTERM; its output is shown if it failed."""
    with tempfile.TemporaryDirectory(prefix="mvloc-bench-") as folder:
        child = ChildProcess(Path(folder) / "log", *arguments, folder=ROOT)
        try:
            yield child.process
        finally:
            with suppress(subprocess.TimeoutExpired):  # it was killed, and so failed
                child.end(signal.SIGTERM, END_S)
            if child.process.returncode != 0:
                sys.stderr.write(child.text())


@dataclass(frozen=True)
class Cost:
    """Of a process so far.

    Attributes:
        cpu_s: of all its threads.
        resident_mb: now, shared memory of the middleware included.
        shared_mb: of that, memory shared with other processes (`/dev/shm`), without files.
        peak_mb: the most that was ever resident.
    """

    cpu_s: float
    resident_mb: float
    shared_mb: float
    peak_mb: float


def cost_of(pid: int) -> Cost:
    """What a process has cost."""
    times = psutil.Process(pid).cpu_times()
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    resident, shared, peak = (int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "RssShmem", "VmHWM"))
    return Cost(times.user + times.system, resident, shared, peak)
