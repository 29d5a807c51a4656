# SPDX-License-Identifier: Apache-2.0
"""Latency of the node and of a comparison node with the same weights, over DDS, in turns.

python -m bench.latency --out out/latency
python -m bench.latency --presets paper --sizes vga --rates 2 double --nodes mvloc --seconds 60 --out out/paper

A camera process sends pairs of images with the stamp of the moment; a node's poses carry the time at which the
middleware published them. Both nodes get the same images at the same rates, one after the other. `double` is twice
as many pairs a second as the node of this project gives poses where it gets more than it can take. `events` is the node
of this project with rclpy's EventsExecutor. The backend is timed alone as well, in this process, before and after.
Writes latency.json and latency.png to the folder --out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bench.domain import isolate
from bench.inference import describe_machine
from bench.latency.bare import bare_ms
from bench.latency.case import View, ros, run_case
from bench.latency.figures import percentiles
from bench.latency.groups import DOUBLE, groups_of
from bench.latency.plot import plot
from bench.latency.processes import Contestant, mvloc_node, ordinary_node
from bench.latency.tables import print_cases, print_ratios
from bench.random_bundle import RandomModel, make_random_model, save_weights
from mvloc_ros.geometry.camera import PinholeCamera

SIZES = {"vga": (640, 480), "720p": (1280, 720), "tiny": (160, 120)}
NODES = ("mvloc", "ordinary", "events")
PROBE_S = 5.0
BARE_S = 4.0


def main(arguments: list[str] | None = None) -> None:
    """Measure what is asked for, print tables, write figures and a picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["small"], choices=["small", "paper"])
    parser.add_argument("--sizes", nargs="+", default=["vga", "720p"], choices=list(SIZES))
    parser.add_argument("--rates", nargs="+", default=["5", "15", "30", DOUBLE], help=f"Hz, or {DOUBLE}")
    parser.add_argument("--nodes", nargs="+", default=list(NODES[:2]), choices=NODES)
    parser.add_argument("--seconds", type=float, default=12.0, help="of each case (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="of all cases (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write latency.json and latency.png here")
    parser.add_argument("--smoke", action="store_true", help="tiny network, tiny images, one second: does it work?")
    args = parser.parse_args(arguments)
    if args.smoke:
        args.presets, args.sizes, args.rates, args.seconds = ["small"], ["tiny"], ["15"], 1.0
    isolate()
    with tempfile.TemporaryDirectory() as scratch, ros():
        results = Bench(args, Path(scratch)).run()
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "latency.json").write_text(json.dumps(results, indent=1) + "\n")
        plot(groups_of(results["cases"]), args.out / "latency.png")
        print(f"wrote {args.out}/latency.json and latency.png")


class Bench:
    """One run of all cases."""

    def __init__(self, args: argparse.Namespace, scratch: Path) -> None:
        self._args, self._scratch = args, scratch
        cases = len(args.presets) * len(args.sizes) * len(args.rates) * len(args.nodes) * args.rounds
        self._bar = tqdm(total=cases, unit="case")
        self._results: dict[str, Any] = {
            "machine": describe_machine(len(os.sched_getaffinity(0))),
            "bare_ms": {},
            "cases": [],
        }

    def run(self) -> dict[str, Any]:
        """All presets and sizes."""
        for preset in self._args.presets:
            for size in self._args.sizes:
                self._measure(preset, size)
        self._bar.close()
        print_cases(self._results["cases"])
        print_ratios(groups_of(self._results["cases"]), self._results["bare_ms"])
        return self._results

    def _measure(self, preset: str, size: str) -> None:
        args, (width, height) = self._args, SIZES[size]
        folder = self._scratch / f"{preset}-{size}"
        folder.mkdir()
        camera = PinholeCamera(width, height, 0.82 * width, 0.82 * width, width / 2, height / 2)
        model = make_random_model(preset, folder, (), smoke=args.smoke, camera=camera)
        contestants = self._contestants(model, preset, folder)
        bare = bare_ms(model.bundle, min(args.seconds / 4, BARE_S))
        rates = [self._rate(text, contestants[0], size, statistics.median(bare)) for text in args.rates]
        for number in range(args.rounds):
            for text, rate in zip(args.rates, rates, strict=True):
                for contestant in contestants:
                    self._bar.set_description(f"{preset} {size} {text} {contestant.name}")
                    view = View(width, height, rate, args.seconds, lead_s=2.0)
                    case = run_case(contestant, view, folder)
                    self._results["cases"].append({"preset": preset, "load": text, "round": number, **case})
                    self._bar.update()
        bare += bare_ms(model.bundle, min(args.seconds / 4, BARE_S))
        self._results["bare_ms"][f"{preset} {width}x{height}"] = percentiles(bare)

    def _contestants(self, model: RandomModel, preset: str, folder: Path) -> list[Contestant]:
        weights = folder / "weights.pt"
        save_weights(model, preset, weights, smoke=self._args.smoke)
        every = {
            "mvloc": mvloc_node(model.bundle.path),
            "ordinary": ordinary_node(model.bundle.path, weights),
            "events": replace(mvloc_node(model.bundle.path, "executor:=events"), name="events"),
        }
        return [every[name] for name in self._args.nodes]

    def _rate(self, text: str, contestant: Contestant, size: str, bare: float) -> float:
        """Pairs a second; for `double`, probed: more than the node can take, and then twice what it took."""
        if text != DOUBLE:
            return float(text)
        rate = 2000.0 / bare
        for _ in range(2):
            self._bar.set_description(f"how many poses at {rate:.0f} Hz?")
            rate = 2.0 * run_case(contestant, View(*SIZES[size], rate, PROBE_S, 1.0), self._scratch)["poses_hz"]
        return round(rate, 1)


if __name__ == "__main__":
    main()
