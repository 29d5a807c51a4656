# SPDX-License-Identifier: Apache-2.0
"""All benchmarks of moderate length, one after the other: `make bench`.

python -m bench --out out/bench

Takes about twenty minutes; nothing else should run meanwhile. Writes the figures of each part as JSON, what it printed
as text, pictures, and summary.md. A part that fails is named, and the others go on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from bench.summary import write_summary

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Part:
    """A benchmark: its folder or file in the output, and how it is started.

    Attributes:
        out: what it writes by itself, given with --out; empty if its output is the JSON.
    """

    name: str
    arguments: tuple[str, ...]
    smoke: tuple[str, ...] = ("--smoke",)
    out: str = ""


SHORT = ("--seconds", "8")
PARTS = (
    Part("latency_small", ("-m", "bench.latency", *SHORT), out="latency_small"),
    Part(
        "latency_paper",
        ("-m", "bench.latency", "--presets", "paper", "--sizes", "vga", "--rates", "1", "double", "--seconds", "20"),
        out="latency_paper",
    ),
    Part("startup", ("-m", "bench.startup", "--runs", "3")),
    Part("inference", ("-m", "bench.inference", "--runs", "5"), out="inference.json"),
    Part("callback", ("-m", "bench.callback", "--frames", "200"), smoke=("--frames", "5")),
    Part("tf_lookups", ("-m", "bench.tf_lookups", "--seconds", "20"), smoke=("--seconds", "1")),
)


def run(part: Part, folder: Path, smoke: bool) -> str:
    """Run one part to its end; why it failed, or an empty text."""
    own = ("--out", str(folder / part.out)) if part.out else ()
    command = [sys.executable, *part.arguments, *(part.smoke if smoke else ()), *own]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    (folder / f"{part.name}.txt" if part.out else folder / f"{part.name}.json").write_text(found.stdout)
    if found.returncode == 0:
        return ""
    return (found.stderr.strip().splitlines() or [f"exit code {found.returncode}"])[-1]


def main() -> int:
    """0 when all parts ran, 1 when one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/bench"), metavar="FOLDER", help="default: %(default)s")
    parser.add_argument("--only", nargs="+", choices=[part.name for part in PARTS], help="these parts")
    parser.add_argument("--smoke", action="store_true", help="tiny networks and few runs: does it work?")
    args = parser.parse_args()
    folder = args.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    failures: dict[str, str] = {}
    chosen = [part for part in PARTS if args.only is None or part.name in args.only]
    for part in (bar := tqdm(chosen, unit="part")):
        bar.set_description(part.name)
        if reason := run(part, folder, args.smoke):
            failures[part.name] = reason
    print(write_summary(folder, failures))
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
