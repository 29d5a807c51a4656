# SPDX-License-Identifier: Apache-2.0
"""Where ONNX Runtime's threads should run when a frame comes every 40 ms and the cores have other work, or none.

    python -m bench.threads

Ways to place the threads of one network, timed in turns: left to the system; a core for each thread of the pool (what
the backend does, which also starts the caller elsewhere); the caller bound to the core that is left as well; and
threads that wait for work in a loop. Beside them 0, 1 and 2 processes that are always busy. Linux, two cores or more.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bench.load import busy
from bench.random_bundle import make_random_model
from bench.timing import print_table

PERIOD_S = 0.04
ROUNDS = 4


@dataclass(frozen=True)
class Placement:
    """Pool threads on cores of their own; caller bound to the first core; microseconds of spinning, None: no end."""

    name: str
    own_cores: bool
    caller_bound: bool
    spin_us: int | None


PLACEMENTS = (
    Placement("left to the system", False, False, 0),
    Placement("cores for the pool", True, False, 0),
    Placement("cores for the pool, caller bound", True, True, 0),
    Placement("cores for the pool, spinning 0.3 ms", True, False, 300),
    Placement("left to the system, spinning", False, False, None),
)


class Network:
    """A session with one placement."""

    def __init__(self, path: Path, placement: Placement, cores: Sequence[int]) -> None:
        self.placement, self._cores = placement, cores
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = len(cores), 1
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(placement.spin_us != 0)))
        if placement.spin_us:
            options.add_session_config_entry("session.intra_op.spin_duration_us", str(placement.spin_us))
        if placement.own_cores:
            own = ";".join(str(core + 1) for core in cores[1:])  # counted from 1, the caller is none of them
            options.add_session_config_entry("session.intra_op_thread_affinities", own)
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        _, height, width, _ = self._session.get_inputs()[0].shape
        rng = np.random.default_rng(0)
        self._inputs: dict[str, NDArray[np.generic]] = {
            "color": rng.integers(0, 256, (1, height, width, 3), dtype=np.uint8),
            "depth": rng.uniform(0.5, 4.0, (1, height, width)).astype(np.float32),
            "present": np.ones((1, 2), np.float32),
        }

    def times_ms(self, frames: int) -> list[float]:
        """Wall times of single runs, a frame every `PERIOD_S`."""
        os.sched_setaffinity(0, self._cores[:1] if self.placement.caller_bound else self._cores)
        found = []
        for _ in range(frames):
            time.sleep(PERIOD_S)
            start = time.perf_counter()
            self._session.run(None, self._inputs)
            found.append(1e3 * (time.perf_counter() - start))
        os.sched_setaffinity(0, self._cores)
        return found


def measure(networks: Sequence[Network], busy_processes: int, rounds: int, frames: int) -> list[dict[str, object]]:
    """Median and 95th percentile in ms, and CPU time a frame, of each placement."""
    times: dict[str, list[float]] = {network.placement.name: [] for network in networks}
    cpu_s = dict.fromkeys(times, 0.0)
    with busy(busy_processes):
        for _ in range(rounds):
            for network in networks:
                started = time.process_time()
                times[network.placement.name] += network.times_ms(frames)
                cpu_s[network.placement.name] += time.process_time() - started
    return [
        {
            "busy": busy_processes,
            "placement": name,
            "median_ms": float(np.median(found)),
            "p95_ms": float(np.percentile(found, 95)),
            "cpu_ms": 1e3 * cpu_s[name] / len(found),
        }
        for name, found in times.items()
    ]


def main(arguments: list[str] | None = None) -> None:
    """Measure and print; SystemExit where there is but one core."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=25, help=f"in each of {ROUNDS} rounds (default: %(default)s)")
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2], help="busy processes (default: 0 1 2)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--smoke", action="store_true", help="a tiny network and few frames: does it work?")
    args = parser.parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("bench.threads: one core leaves nothing to choose")
    with tempfile.TemporaryDirectory() as scratch:
        path = make_random_model("small", Path(scratch), (), smoke=args.smoke).bundle.network_path("fp32")
        networks = [Network(path, placement, cores) for placement in PLACEMENTS]
        rounds, frames = (1, 2) if args.smoke else (ROUNDS, args.frames)
        rows = [row for count in args.busy for row in measure(networks, count, rounds, frames)]
    head = ("placement", "busy processes", "median ms", "p95 ms", "CPU ms/frame")
    print_table(head, [(r["placement"], r["busy"], r["median_ms"], r["p95_ms"], r["cpu_ms"]) for r in rows])
    if args.out is not None:
        args.out.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
