# SPDX-License-Identifier: Apache-2.0
"""The figures for people, and the ratios of the two nodes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from bench.timing import print_table

STEPS = ("transport", "decode", "between", "wait", "preprocess", "inference", "localization", "publish", "overhead")


def print_cases(cases: list[dict[str, Any]]) -> None:
    """Age at publication and cost of each case, then the node's own steps."""
    print_table(
        (
            "load", "node", "sent", "poses", "p50 ms", "p95 ms", "p99 ms", "max ms", "growth ms", "on arrival p50",
            "CPU ms/pose", "MB", "peak MB", "uncounted",
        ),
        [
            (
                _load(case), case["node"], case["sent"], case["poses"], *_values(case["stamp_to_publication"]),
                _or_dash(case["growth_ms"]), _values(case["age_on_arrival"])[0], _or_dash(case["cpu_ms_per_pose"]),
                case["resident_mb"], case["peak_resident_mb"], _or_dash(case["uncounted_images"]),
            )
            for case in cases
        ],
    )  # fmt: skip
    own = [case for case in cases if case["steps"]]
    print("\nSteps of the node, median / 99th percentile in ms")
    print_table(
        ("load", "", *STEPS),
        [
            (_load(case), "", *(f"{case['steps'][s]['p50']:.2f} / {case['steps'][s]['p99']:.2f}" for s in STEPS))
            for case in own
        ],
    )


def print_ratios(groups: Mapping[str, list[dict[str, Any]]], bare: Mapping[str, Any]) -> None:
    """What the comparison node takes divided by what this one takes; and the backend alone."""
    rows = [(title, "", *found.values()) for title, cases in groups.items() if (found := ratios(cases))]
    if rows:
        print("\nThe ordinary node's value divided by this node's, median of the rounds")
        print_table(("load", "", "median age", "p99 age", "CPU/pose", "resident"), rows)
    for name, found in bare.items():
        print(f"backend alone, {name}: {found['p50']:.2f} ms (median), {found['p99']:.2f} ms (p99)")


def ratios(cases: list[dict[str, Any]]) -> dict[str, float]:
    """Of the ordinary node to this one, of one load; empty where one gave no pose."""
    mine, theirs = (
        [case for case in cases if case["node"] == name and case["poses"]] for name in ("mvloc", "ordinary")
    )
    if not mine or not theirs:
        return {}
    of = {
        "median_age": lambda case: case["stamp_to_publication"]["p50"],
        "p99_age": lambda case: case["stamp_to_publication"]["p99"],
        "cpu_per_pose": lambda case: case["cpu_ms_per_pose"],
        "resident": lambda case: case["resident_mb"],
    }
    return {
        name: round(statistics.median(map(value, theirs)) / statistics.median(map(value, mine)), 2)
        for name, value in of.items()
    }


def _load(case: Mapping[str, Any]) -> str:
    return f"{case['preset']} {case['width']}x{case['height']} {case['load']}"


def _values(found: Mapping[str, float] | None) -> tuple[object, ...]:
    return ("-",) * 4 if found is None else tuple(found[name] for name in ("p50", "p95", "p99", "max"))


def _or_dash(value: object) -> object:
    return "-" if value is None else value
