# SPDX-License-Identifier: Apache-2.0
"""The bench of refinement tells its test sequences apart, which may be of several days."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest


def test_errors_and_acceptance_of_each_sequence() -> None:
    from bench.refinement import of_sequences

    def estimate(metres: float) -> SimpleNamespace:
        T = np.eye(4)
        T[0, 3] = metres
        return SimpleNamespace(pose=SimpleNamespace(T=T))

    bench = SimpleNamespace(sequences=["day"] * 3 + ["evening"] * 2 + ["night"], poses=np.tile(np.eye(4), (6, 1, 1)))
    estimates = [estimate(0.01), estimate(0.02), None, estimate(0.3), estimate(0.5), None]
    accepted = np.array([True, True, False, False, True, False])
    found = of_sequences(bench, estimates, accepted)
    assert found["day"] == pytest.approx({"median_m": 0.015, "median_deg": 0.0, "frames": 3, "accepted": 2 / 3})
    assert found["evening"] == pytest.approx({"median_m": 0.4, "median_deg": 0.0, "frames": 2, "accepted": 0.5})
    assert found["night"] == {"median_m": None, "median_deg": None, "frames": 1, "accepted": 0.0}
