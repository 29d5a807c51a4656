# SPDX-License-Identifier: Apache-2.0
"""From what was heard to figures: percentiles, what became of the images, and whether ages grow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.latency.listener import STEPS, Heard


def percentiles(values: Iterable[float]) -> dict[str, float] | None:
    """Median, 95th and 99th percentile and the largest, to the microsecond; None of nothing."""
    array = np.fromiter(values, np.float64)
    if not len(array):
        return None
    found = np.percentile(array, [50, 95, 99, 100])
    return dict(zip(("p50", "p95", "p99", "max"), (round(float(value), 3) for value in found), strict=True))


def ages_ms(poses: list[Heard]) -> NDArray[np.float64]:
    """Age of each image when its pose was published."""
    return np.array([1e-6 * (pose.published_ns - pose.stamp_ns) for pose in poses])


def outside(poses: list[Heard]) -> dict[str, Any]:
    """What any node can be judged by: when its poses were published and when they were here."""
    ages = ages_ms(poses)
    published = np.array([pose.published_ns for pose in poses])
    return {
        "stamp_to_publication": percentiles(ages),
        "age_on_arrival": percentiles(1e-6 * (pose.arrived_ns - pose.stamp_ns) for pose in poses),
        # The age that the newest pose reaches before a newer one takes its place.
        "age_when_replaced": percentiles(ages[1:] + 1e-6 * np.diff(published) if len(poses) else ()),
        "growth_ms": growth(ages),
        "series_s_ms": [
            [round(1e-9 * (pose.stamp_ns - poses[0].stamp_ns), 3), round(float(age), 2)]
            for pose, age in zip(poses, ages, strict=True)
        ],
    }


def growth(ages: NDArray[np.float64]) -> float | None:
    """Median of the last quarter minus that of the first: how much later poses come at the end."""
    quarter = len(ages) // 4
    return round(float(np.median(ages[-quarter:]) - np.median(ages[:quarter])), 3) if quarter else None


def inside(steps: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """The node's own steps, what lies between them, and the way from the stamp to the callback."""
    if not steps:
        return {}
    columns = {name: np.array([row[name] for row in steps]) for name in STEPS}
    whole, stamped = columns.pop("callback_to_publication_ms"), columns.pop("stamp_to_publication_ms")
    parts = {name.removesuffix("_ms"): values for name, values in columns.items()}
    parts["between"] = whole - sum(parts.values())
    parts = {"transport": stamped - whole, **parts, "callback_to_publication": whole}
    parts["overhead"] = whole - parts["inference"]
    return {name: percentiles(values) for name, values in parts.items()}


def uncounted_images(counters: Mapping[str, int]) -> int:
    """Images that came and of which the counters do not say what became; negative if some were counted twice."""
    both = ("published", "rejected", "dropped_busy", "dropped_failed")
    one = ("single_modality", "dropped_unpaired", "dropped_invalid")
    received = counters["color_received"] + counters["depth_received"]
    return received - 2 * sum(counters[name] for name in both) - sum(counters[name] for name in one)
