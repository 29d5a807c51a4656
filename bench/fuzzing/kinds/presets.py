# SPDX-License-Identifier: Apache-2.0
"""Recipes of training in YAML: names, values, and what YAML can do to its reader."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from random import Random

from bench.fuzzing.kind import Input
from bench.fuzzing.mutators import WORDS, damaged_text, odd_file, replace_bytes
from mvloc_ros.training.options import all_options
from mvloc_ros.training.presets import read_file

VALID = """# a recipe
base: small
epochs: 3
batch_size: 8
learning_rate: 1e-3
max_depth: 5.0
depth_of_points: false
stage: 1
optimiser: adamw
"""
_TEXTS = (
    "!!python/object/apply:os.system ['true']", "!!python/name:os.system", "&a [*a, *a]", "[" * 30000, "{a: " * 5000,
    "!!binary aGVsbG8=", "2001-01-01", "0o7", "1:30", ".inf", ".nan", "-.inf", "'1e-3'", "~", "yes", "<<", "? a", "- 1",
    "!!float nan", "!!set {a}", "9" * 5000, "9" * 200_000, "|\n  text", "*undefined", "\t", "%YAML 9.9", "--- \n---",
)  # fmt: skip


class Presets:
    """See the module."""

    def __init__(self) -> None:
        self._numbers = [item.name for _, item in all_options() if type(item.default) in (int, float)]

    def plain(self, folder: Path) -> list[Input]:
        """A recipe."""
        (folder / "recipe.yaml").write_text(VALID)
        return [Input("recipe", partial(_feed, folder / "recipe.yaml", None))]

    def make(self, random: Random, folder: Path) -> Input:
        """One with a value or its text changed."""
        path, must_refuse = folder / "recipe.yaml", ""
        path.write_text(VALID)
        change = random.randrange(10)
        if change == 0:
            what = odd_file(path, random)
        elif change < 4:
            data, what = damaged_text(VALID, random)
            replace_bytes(path, data)
        elif change < 7:
            name, text = random.choice(("base", "system", *self._numbers)), random.choice((*_TEXTS, *WORDS))
            path.write_text(_with(name, text), encoding="utf-8", errors="surrogatepass")
            what = f"{name} is {text[:40]!r}"
        elif change == 7:
            path.write_text(_laughs(random.choice((9, 40, 400))))
            what = "a list of lists of lists"
        else:
            name = random.choice(self._numbers)
            value = random.choice((math.nan, math.inf, -math.inf))
            path.write_text(_with(name, f"{'-' if value < 0 else ''}.{'nan' if math.isnan(value) else 'inf'}"))
            what, must_refuse = f"{name} is {value}", f"{name} must be finite"
        system = random.choice((None, None, "mvloc", "atloc"))
        return Input(what, partial(_feed, path, system), must_refuse)


def create() -> Presets:
    """The kind."""
    return Presets()


def _with(name: str, text: str) -> str:
    lines = [line for line in VALID.splitlines() if not line.startswith(f"{name}:")]
    return "\n".join([*lines, f"{name}: {text}", ""])


def _laughs(levels: int) -> str:
    """Each level holds the one before nine times."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join([*lines, f"epochs: *a{levels - 1}", ""])


def _feed(path: Path, system: str | None) -> None:
    read_file(path, system)
