# SPDX-License-Identifier: Apache-2.0
"""The backend alone, as the node runs it, without anything else of the node."""

from __future__ import annotations

import time

import numpy as np

from bench.timing import WARM_UPS
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.model.bundle import Bundle


def bare_ms(bundle: Bundle, seconds: float) -> list[float]:
    """Times of single runs, one after the other for about that long, at least ten."""
    spec, random = bundle.manifest.input, np.random.default_rng(1)
    color = random.integers(0, 256, (spec.height, spec.width, 3), dtype=np.uint8)
    depth = random.uniform(0.0, spec.depth_max_m, (spec.height, spec.width)).astype(np.float32)
    present = np.ones(2, np.float32)
    backend = create_backend("auto", bundle, report=lambda _: None)
    for _ in range(WARM_UPS):
        backend.run(color, depth, present)
    times: list[float] = []
    end = time.monotonic() + seconds
    while len(times) < 10 or time.monotonic() < end:
        start = time.perf_counter()
        backend.run(color, depth, present)
        times.append(1e3 * (time.perf_counter() - start))
    backend.close()
    return times
