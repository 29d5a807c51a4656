# SPDX-License-Identifier: Apache-2.0
"""Bare backends: PyTorch, ONNX Runtime, TensorRT, one frame at a time, beside the least time possible.

python -m bench.inference
python -m bench.inference --presets small --out out/inference.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

import onnxruntime
import torch

from bench.candidates import Field, add_cpu, add_gpu
from bench.floor import Peak, Work, count_work, measure_peak
from bench.random_bundle import make_random_model
from bench.timing import Times, print_table, time_in_turns

ROUNDS = 5


def main(arguments: list[str] | None = None) -> None:
    """Time both presets and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["small", "paper"], choices=["small", "paper"])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of the CPU")
    parser.add_argument("--runs", type=int, default=10, help=f"of each candidate in each of {ROUNDS} rounds")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all figures as JSON")
    parser.add_argument("--smoke", action="store_true", help="tiny networks and few runs: does it work?")
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    machine = describe_machine(args.threads)
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    results: dict[str, Any] = {"machine": machine, "presets": {}}
    with tempfile.TemporaryDirectory() as scratch:
        for preset in args.presets:
            results["presets"][preset] = bench_preset(preset, Path(scratch), args)
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(results, indent=2) + "\n")
        print(f"wrote {args.out}")


def bench_preset(preset: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Time all that runs a preset here."""
    on_gpu = torch.cuda.is_available()
    precisions = ("fp16", "bf16", "int8") if on_gpu else ("int8",)
    model = make_random_model(preset, folder, precisions, smoke=args.smoke)
    field = Field(model)
    add_cpu(field, args.threads, ("fp32", "int8"), compiled=not args.smoke)
    if on_gpu:
        add_gpu(field, ("fp32", "fp16", "bf16"), str(folder / "engines"))
    runs = (1, 2) if args.smoke else (ROUNDS, args.runs)
    times = time_in_turns(field.candidates, *runs)
    peaks = {("cpu", "fp32"): measure_peak(torch.device("cpu"), "fp32", small=args.smoke)}
    if on_gpu:
        peaks |= {("cuda", name): measure_peak(torch.device("cuda"), name) for name in ("fp32", "fp16", "bf16")}
    height, width = model.size
    print(f"\n{preset}: 2 x {model.config.network.backbone}, {width}x{height}, D = {model.config.network.latent_size}")
    rows = report(times, peaks, {name: count_work(model.bundle.network_path(name)) for name in ("fp32", *precisions)})
    for line in field.missing:
        print(f"left out: {line}")
    for candidate in field.candidates:
        candidate.close()
    return {"rows": rows, "left_out": field.missing}


def report(times: list[Times], peaks: dict[tuple[str, str], Peak], work: dict[str, Work]) -> list[dict[str, Any]]:
    """Print a table and give its rows; there is a floor where the device's peak was measured in that precision."""
    rows = []
    for item in times:
        device = "cpu" if "cpu" in item.name.lower() else "cuda"
        peak = peaks.get((device, item.precision))
        floor = None if peak is None else peak.floor_ms(work[item.precision])
        rows.append({"name": item.name, "precision": item.precision, **item.summary(), "floor_ms": floor})
    print_table(
        ("backend", "precision", "min ms", "median ms", "p95 ms", "floor ms", "median / floor"),
        [
            (
                row["name"], row["precision"], row["min_ms"], row["median_ms"], row["p95_ms"],
                "-" if row["floor_ms"] is None else row["floor_ms"],
                "-" if row["floor_ms"] is None else row["median_ms"] / row["floor_ms"],
            )
            for row in rows
        ],
    )  # fmt: skip
    return rows


def describe_machine(threads: int) -> dict[str, str]:
    """What the figures were measured on."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    machine = {
        "CPU": names[0].partition(":")[2].strip() if names else platform.machine(),
        "threads": str(threads),
        "load": f"{os.getloadavg()[0]:.1f}",
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
    }
    if torch.cuda.is_available():
        machine["GPU"] = torch.cuda.get_device_name()
    return machine


if __name__ == "__main__":
    main()
