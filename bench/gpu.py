# SPDX-License-Identifier: Apache-2.0
"""Everything that a GPU can tell of this project, in one command and under eight minutes.

    python -m bench.gpu --out out/gpu.json
    python -m bench.gpu --run runs/kitchen --data kitchen --out out/gpu.json

Inference of both presets in fp32, fp16 and bf16 by all that is installed, with and without CUDA graph;
training throughput; and, given a run of `mvloc train`, what the precisions cost on its data's test
frames. Parts that would begin after --minutes are left out, and named.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bench import accuracy
from bench.candidates import Field, add_cpu, add_gpu
from bench.floor import Peak, count_work, measure_peak
from bench.inference import describe_machine, report
from bench.random_bundle import make_random_model
from bench.throughput import training_throughput
from bench.timing import print_table, time_in_turns
from mvloc_ros.backends.backend import Backend, BackendOptions
from mvloc_ros.backends.tensorrt.tensorrt_backend import TensorRTBackend
from mvloc_ros.backends.torch_backend.pytorch_backend import TorchBackend
from mvloc_ros.model.bundle import Bundle

PRECISIONS = ("fp32", "fp16", "bf16")
ACCURACY_FRAMES = 100


class Session:
    """The parts of a session, its results so far, and the time it has."""

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.args, self.folder = args, folder
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.started = time.monotonic()
        self.results: dict[str, Any] = {"machine": describe_machine(torch.get_num_threads()), "seconds": {}}
        self.results["left_out"] = []

    def part(self, name: str, work: Callable[[], Any]) -> None:
        """Do a part if there is time, keep what it gives, and write what there is: a lost session loses one part."""
        begun = time.monotonic() - self.started
        if begun > 60.0 * self.args.minutes:
            self.leave_out(name, f"{begun:.0f} s were up")
            return
        print(f"\n== {name} (after {begun:.0f} s)", flush=True)
        self.results[name] = work()
        self.results["seconds"][name] = round(time.monotonic() - self.started - begun, 1)
        self.write()

    def leave_out(self, name: str, reason: str) -> None:
        """Name what is not measured."""
        print(f"left out: {name}: {reason}", flush=True)
        self.results["left_out"].append(f"{name}: {reason}")

    def write(self) -> None:
        """Write the results as JSON, if asked for."""
        if self.args.out is not None:
            self.args.out.parent.mkdir(parents=True, exist_ok=True)
            self.args.out.write_text(json.dumps(self.results, indent=2) + "\n")

    # The parts ----------------------------------------------------------------------------------------

    def measure_peaks(self) -> dict[str, Any]:
        """What the device does in a second, in each precision."""
        names = PRECISIONS if self.device.type == "cuda" else ("fp32",)
        self.peaks: dict[tuple[str, str], Peak] = {
            (self.device.type, name): measure_peak(self.device, name, small=self.args.smoke) for name in names
        }
        rows = {name: (peak.operations / 1e12, peak.bytes / 1e9) for (_, name), peak in self.peaks.items()}
        print_table(("precision", "", "TFLOP/s", "GB/s"), [(name, "", *row) for name, row in rows.items()])
        return {name: {"tflop_per_s": row[0], "gb_per_s": row[1]} for name, row in rows.items()}

    def time_inference(self, preset: str) -> dict[str, Any]:
        """One frame at a time, by all that runs here."""
        precisions = PRECISIONS if self.device.type == "cuda" else ("fp32",)
        model = make_random_model(preset, self.folder, precisions[1:], smoke=self.args.smoke)
        field = Field(model)
        if self.device.type == "cpu":
            add_cpu(field, torch.get_num_threads(), precisions, compiled=False)
        add_gpu(field, precisions, str(self.folder / "engines"))
        times = time_in_turns(field.candidates, *((1, 2) if self.args.smoke else (5, 40)))
        work = {name: count_work(model.bundle.network_path(name)) for name in precisions}
        weights = ", ".join(f"{item.weight_bytes / 1e6:.1f} MB in {name}" for name, item in work.items())
        print(f"{work['fp32'].operations / 1e9:.2f} GFLOP a frame; {weights}")
        rows = report(times, self.peaks, work)
        for line in field.missing:
            self.leave_out(preset, line)
        for candidate in field.candidates:
            candidate.close()
        return {"rows": rows}

    def time_training(self) -> list[dict[str, Any]]:
        """Frames per second of both presets and stages."""
        rows = []
        for preset, stage in (("small", "1"), ("paper", "1"), ("paper", "2")):
            steps = 2 if self.args.smoke else 10
            found = training_throughput(preset, stage, self.device, steps, smoke=self.args.smoke)
            rows.append({"preset": preset, "stage": stage, **found})
        print_table(
            ("preset", "stage", "frames/s", "batch", "GiB"),
            [(r["preset"], r["stage"], r["frames_per_s"], r["batch"], r["memory_gib"]) for r in rows],
        )
        return rows

    def measure_accuracy(self, bundle: Bundle) -> list[dict[str, Any]]:
        """What the precisions cost on the test frames."""
        frames = accuracy.spread_test_frames(bundle, self.args.data, ACCURACY_FRAMES)
        made: list[tuple[str, str, Callable[[], Backend]]] = []
        for precision in (name for name in PRECISIONS if name == "fp32" or name in bundle.manifest.precisions):
            options = BackendOptions(0, precision, str(self.folder / "engines"))
            made.append(("torch", precision, lambda o=options: TorchBackend(bundle, o)))
            made.append(("TensorRT", precision, lambda o=options: TensorRTBackend(bundle, o)))
        rows = accuracy.compare(bundle, frames, made)
        print_table(
            ("backend", "precision", "difference mm", "deg", "largest mm", "deg", "error m", "deg"),
            [tuple(row.values()) for row in rows],
        )
        return rows


def export_run(args: argparse.Namespace, folder: Path) -> Bundle:
    """The bundle of a run with its other precisions, at whatever cost: that is what is measured here."""
    from mvloc_ros.training.export import export

    return export(args.run, folder / "real", data=args.data, precisions=("fp16", "bf16"), precision_share=float("inf"))


def main(arguments: list[str] | None = None) -> None:
    """Run all parts and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="run folder of `mvloc train`, for the accuracy on real frames")
    parser.add_argument("--data", type=Path, help="the folder it was trained on")
    parser.add_argument("--presets", nargs="+", default=["paper", "small"], choices=["small", "paper"])
    parser.add_argument("--minutes", type=float, default=6.5, help="begin no part after these (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all figures as JSON")
    parser.add_argument("--smoke", action="store_true", help="tiny networks and few runs, also on a CPU: does it work?")
    args = parser.parse_args(arguments)
    if args.run is not None and args.data is None:
        parser.error("--run needs --data, the folder that it was trained on")
    if not torch.cuda.is_available() and not args.smoke:
        parser.error("PyTorch sees no GPU here; --smoke tries the script on a CPU")
    with tempfile.TemporaryDirectory() as scratch:
        session = Session(args, Path(scratch))
        print(", ".join(f"{name} {value}" for name, value in session.results["machine"].items()))
        session.part("peaks", session.measure_peaks)
        for preset in args.presets:
            session.part(f"inference {preset}", lambda p=preset: session.time_inference(p))
        session.part("training", session.time_training)
        if args.run is None:
            session.leave_out("accuracy", "no --run was given")
        else:
            session.part("accuracy", lambda: session.measure_accuracy(export_run(args, Path(scratch))))
        session.write()
    print(f"\n{time.monotonic() - session.started:.0f} s")


if __name__ == "__main__":
    main()
