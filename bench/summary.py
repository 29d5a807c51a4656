# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks in a folder found, as Markdown, with the ratios that matter."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.latency.groups import groups_of
from bench.latency.tables import ratios

Rows = list[tuple[object, ...]]


def write_summary(folder: Path, failures: Mapping[str, str]) -> str:
    """Write summary.md of the parts that are there; the text."""
    lines = [
        "# Benchmarks",
        "",
        f"{_cpu()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} at the end.",
    ]
    for name, (title, describe) in SECTIONS.items():
        path = folder / name / "latency.json" if name.startswith("latency") else folder / f"{name}.json"
        if name in failures or not path.is_file():
            continue
        lines += ["", f"## {title}", "", *describe(json.loads(path.read_text()))]
    lines += ["", "## Left out", "", *(f"- {name}: {why}" for name, why in failures.items())] if failures else []
    text = "\n".join(lines) + "\n"
    (folder / "summary.md").write_text(text)
    return text


def _latency(found: dict[str, Any]) -> list[str]:
    rows: Rows = []
    for title, cases in groups_of(found["cases"]).items():
        for case in cases:
            age = case["stamp_to_publication"] or dict.fromkeys(("p50", "p95", "p99", "max"), "-")
            poses = f"{case['poses']} of {case['sent']}"
            rows.append((title, case["node"], poses, *age.values(), case["cpu_ms_per_pose"], case["peak_resident_mb"]))
        if of := ratios(cases):
            rows.append((title, "ratio", "", of["median_age"], "", of["p99_age"], "", of["cpu_per_pose"], ""))
    head = ("load", "node", "poses", "p50 ms", "p95 ms", "p99 ms", "max ms", "CPU ms/pose", "peak MB")
    lines = ["Age of the images when their poses are published.", "", *_table(head, rows)]
    steps = [case for case in found["cases"] if case["steps"]]
    overhead: Rows = [(_load(case), case["steps"]["overhead"]["p50"], _share(case, found["bare_ms"])) for case in steps]
    lines += ["", "From the last callback to publication: what the node adds to its backend, and all of it in times of"]
    lines += ["the backend alone.", "", *_table(("load", "added ms (median)", "times bare"), overhead)]
    return lines


def _share(case: Mapping[str, Any], bare: Mapping[str, Any]) -> float:
    alone = bare[f"{case['preset']} {case['width']}x{case['height']}"]["p50"]
    return float(round(case["steps"]["callback_to_publication"]["p50"] / alone, 2))


def _startup(found: dict[str, Any]) -> list[str]:
    rows: Rows = [
        (name, value["median_s"], max(run["peak_resident_mb"] for run in value["runs"]))
        for name, value in found.items()
    ]
    return _table(("model", "first pose after s (median)", "peak MB"), rows)


def _inference(found: dict[str, Any]) -> list[str]:
    rows: Rows = [
        (
            preset,
            row["name"],
            row["precision"],
            *(_round(row[f"{key}_ms"]) for key in ("min", "median", "p95", "floor")),
        )
        for preset, value in found["presets"].items()
        for row in value["rows"]
    ]
    return _table(("preset", "backend", "precision", "min ms", "median ms", "p95 ms", "floor ms"), rows)


def _callback(found: dict[str, Any]) -> list[str]:
    rows: Rows = [
        (part, name, value["median_ms"], value["p99_ms"]) for part in found for name, value in found[part].items()
    ]
    return _table(("thread", "image", "median ms", "p99 ms"), rows)


def _tf_lookups(found: dict[str, Any]) -> list[str]:
    return _table(tuple(found), [tuple(found.values())])


SECTIONS: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
    "latency_small": ("Latency, `small`", _latency),
    "latency_paper": ("Latency, `paper`", _latency),
    "startup": ("Start", _startup),
    "inference": ("The network alone", _inference),
    "callback": ("Callbacks and decoding", _callback),
    "tf_lookups": ("TF at now", _tf_lookups),
}


def _table(head: tuple[str, ...], rows: Rows) -> list[str]:
    lines = [head, ("---",) * len(head), *rows]
    return ["| " + " | ".join("" if cell is None else str(cell) for cell in line) + " |" for line in lines]


def _load(case: Mapping[str, Any]) -> str:
    return f"{case['preset']} {case['width']}x{case['height']} {case['load']}"


def _round(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _cpu() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.machine()
