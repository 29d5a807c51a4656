# SPDX-License-Identifier: Apache-2.0
"""What is said of a folder's depth before it is used."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np

from mvloc_ros.recordings import open_folder
from mvloc_ros.recordings.depth_summary import depth_summary


def fill(tum: Path, value: int) -> None:
    """Every depth image of a folder gets one value."""
    for path in (tum / "depth").glob("*.png"):
        cv2.imwrite(str(path), np.full_like(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), value))


def test_unit_source_and_median_are_told(tum: Path):
    fill(tum, 7500)
    summary = depth_summary(open_folder(tum), 0.1, math.inf, "training")
    assert "training frames: 5000 values a metre (default of the tum layout), median 1.5 m, 100% of" in summary.text
    assert summary.problem == ""


def test_millimetres_in_a_tum_folder_are_noticed(tum: Path):
    fill(tum, 1500)
    summary = depth_summary(open_folder(tum), 0.1, math.inf, "training")
    assert summary.statistics.median_m == np.float32(0.3)
    assert "median depth of 0.3 m is unusual" in summary.problem
    assert "look like millimetres (0.001 m), in which the median would be 1.5 m" in summary.problem
    near = depth_summary(open_folder(tum), 0.4, 4.5, "mvloc map")
    assert "100% of the measured depth of" in near.problem
    assert "is outside of the 0.4 to 4.5 m that mvloc map uses; the values look like millimetres" in near.problem
    (tum / "camera.json").write_text(json.dumps({"depth_units_per_metre": 1000}))
    right = depth_summary(open_folder(tum), 0.4, 4.5, "mvloc map")
    assert "1000 values a metre (camera.json), median 1.5 m" in right.text
    assert right.problem == ""


def test_depth_without_a_measurement_is_no_depth(tum: Path):
    fill(tum, 0)
    summary = depth_summary(open_folder(tum), 0.1, math.inf, "training")
    assert summary.problem.endswith("has no usable depth: no pixel is measured")
