# SPDX-License-Identifier: Apache-2.0
"""Whether depth is what the model takes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mvloc_ros.frontend.decode import decode_depth
from mvloc_ros.frontend.depth_check import depth_notes, depth_problem, statistics_of, unit_text
from mvloc_ros.model.frame import DepthImage
from mvloc_ros.model.manifest import InputSpec
from mvloc_ros.model.preprocessing import prepare_depth

NETWORK = InputSpec(12, 16, 0.1, 6.0)


def problem(value: float, kind: type, unit_m: float) -> str:
    image = DepthImage(np.full((48, 64), value, kind), unit_m)
    return depth_problem(statistics_of([image], NETWORK), unit_m, NETWORK, "depth_unit_m")


def test_depth_in_range_is_no_problem():
    assert problem(1500, np.uint16, 0.001) == ""
    assert problem(0, np.uint16, 0.001) == ""  # a covered lens is no wrong unit


@pytest.mark.parametrize(
    ("value", "kind", "unit_m", "said"),
    [
        (15_000, np.uint16, 0.001, "median 15 m, read as 0.001 m a unit); the values look like tenths of a millimetre"),
        (
            1500,
            np.float32,
            1.0,
            "look like millimetres (0.001 m), in which the median would be 1.5 m: set depth_unit_m",
        ),
        (9000, np.uint16, 0.001, "lies outside of the 0.1 to 6 m that the model takes"),
    ],
)
def test_depth_out_of_range_is_told_with_the_likely_unit(value: float, kind: type, unit_m: float, said: str):
    assert said in problem(value, kind, unit_m)


def test_a_report_tells_unit_source_and_median():
    found = statistics_of([DepthImage(np.full((48, 64), 1500, np.uint16), 0.001)], NETWORK)
    expected = "depth: 0.001 m a unit (REP 118), median 1.5 m, 100% of the pixels measured"
    assert depth_notes(found, 0.001, 0.0, NETWORK, "depth_unit_m") == [expected]
    assert unit_text(1e-4, 1e-4, "depth_unit_m") == "0.0001 m a unit (by depth_unit_m)"


def test_65535_is_no_measurement_in_any_unit():
    values = np.full((12, 16), 65535, np.uint16)
    values[0] = 15_000
    prepared = prepare_depth(DepthImage(values, 1e-4), 12, 16)
    assert prepared[0, 0] == np.float32(1.5)
    assert not prepared[1:].any()
    assert statistics_of([DepthImage(values, 1e-4)], NETWORK).measured == 16


def test_a_stated_unit_replaces_that_of_the_encoding():
    values = np.full((2, 3), 1500, np.float32)
    message = SimpleNamespace(height=2, width=3, encoding="32FC1", step=12, is_bigendian=0, data=values.tobytes())
    assert decode_depth(message).metres_per_unit == 1.0
    assert decode_depth(message, 0.001).metres_per_unit == 0.001
