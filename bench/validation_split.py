# SPDX-License-Identifier: Apache-2.0
"""What validation errors predict of test errors: ends of sequences against stretches that the rest shows.

    python -m bench.validation_split --data redkitchen --out runs/validation_split

Trains small networks by eight recipes, each twice, with validation frames of either kind, and compares the order of the
recipes by validation errors with that by test errors (Spearman's rank correlation of medians; with eight recipes one
below 0.64 may be chance at 10 %). A training that is there already is not repeated.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SPLITS = ("ends", "blocks")
COMMON = ("--preset", "small", "--short-side", "60", "--width", "0.25", "--device", "cpu", "--test")
VIEWS = ("--turn", "10", "--shift", "0.2", "--unmoved", "0.3")
WIDER = ("--turn", "15", "--shift", "0.3", "--unmoved", "0.2")
RECIPES: dict[str, tuple[str, ...]] = {
    "5 epochs": ("--epochs", "5"),
    "10 epochs": ("--epochs", "10"),
    "20 epochs": ("--epochs", "20"),
    "20 epochs, no dropout": ("--epochs", "20", "--dropout", "0"),
    "20 epochs, learning rate 5e-4": ("--epochs", "20", "--learning-rate", "5e-4"),
    "20 epochs, new views": ("--epochs", "20", *VIEWS),
    "20 epochs, wider views": ("--epochs", "20", *WIDER),
    "40 epochs, new views": ("--epochs", "40", *VIEWS),
}


@dataclass(frozen=True)
class Errors:
    """Medians of one training, in meters and degrees, on its validation frames and on the test frames."""

    validation: tuple[float, float]
    test: tuple[float, float]


def trained(data: Path, out: Path, split: str, recipe: tuple[str, ...], seed: int) -> Errors:
    """The errors of one training, at the epoch that its validation chose."""
    if not (out / "test.json").is_file():
        words = ["train", "--data", str(data), "--out", str(out), "--seed", str(seed), "--validation-split", split]
        subprocess.run([sys.executable, "-m", "mvloc_ros.cli", *words, *COMMON, *recipe], check=True)
    test = json.loads((out / "test.json").read_text())
    with (out / "metrics.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if int(row["epoch"]) == test["epoch"])
    all_frames = test["test frames"]["all"]
    return Errors(
        (float(row["validation/translation_m"]), float(row["validation/rotation_deg"])),
        (all_frames["median_m"], all_frames["median_deg"]),
    )


def rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Spearman's, of values of which no two are the same."""
    ranks = (np.argsort(np.argsort(values)) for values in (a, b))
    return float(np.corrcoef(*ranks)[0, 1])


def table(found: dict[str, dict[str, Errors]]) -> list[str]:
    """Rows of the errors, and of the rank correlations."""
    lines = [
        "| recipe | validation, ends | test | validation, blocks | test |",
        "|---|---|---|---|---|",
    ]
    for name, by_split in found.items():
        cells = [
            f"{metres:.3f} m, {degrees:.1f} deg"
            for split in SPLITS
            for metres, degrees in (by_split[split].validation, by_split[split].test)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for split in SPLITS:
        pairs = [(by_split[split].validation, by_split[split].test) for by_split in found.values()]
        validation, test = (np.array(values) for values in zip(*pairs, strict=True))
        metres, degrees = (rank_correlation(validation[:, k], test[:, k]) for k in (0, 1))
        factor = np.median(test / validation, axis=0)
        lines.append(
            f"{split}: rank correlation of position {metres:.2f}, of rotation {degrees:.2f}; test errors are "
            f"{factor[0]:.2f} and {factor[1]:.2f} times those of validation (median)"
        )
    return lines


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of posed frames with test frames")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    found: dict[str, dict[str, Errors]] = {}
    for number, (name, recipe) in enumerate(RECIPES.items(), 1):
        found[name] = {
            split: trained(args.data, args.out / f"{number}_{split}", split, recipe, args.seed) for split in SPLITS
        }
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
