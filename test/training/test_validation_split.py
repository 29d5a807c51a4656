# SPDX-License-Identifier: Apache-2.0
"""Validation frames as stretches that the rest shows, with gaps in meters and degrees."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from box_room import looking

from mvloc_ros.geometry import se3
from mvloc_ros.recordings import open_folder
from mvloc_ros.recordings.frames import FrameRecord
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.frame_selection import hold_out_stretches, split_records
from mvloc_ros.training.presets import preset

STEP_M = 0.05


def laps(count: int, laps: int = 2) -> list[FrameRecord]:
    """Two sequences of a camera that looks the way it goes, round a circle."""
    radius = count * STEP_M / (2 * np.pi)
    records = []
    for number in range(laps):
        for i in range(count):
            a = 2 * np.pi * i / count
            T = looking(radius * np.cos(a), radius * np.sin(a), 1.0, a + np.pi / 2, 0.0)
            stamp = (number * count + i) * 100_000_000
            records.append(FrameRecord(f"seq-{number}", i, stamp, Path("c"), Path("d"), T))
    return records


def test_stretches_are_shown_by_the_rest_and_apart_from_it_in_their_own_sequence():
    records = laps(240)
    training, validation = hold_out_stretches(records, 0.2)
    assert len(validation) == pytest.approx(0.2 * len(records), rel=0.15)
    kept, held = ({(r.sequence, r.index) for r in part} for part in (training, validation))
    assert not kept & held
    runs = [pair for pair in pairwise(sorted(held)) if pair[1] != (pair[0][0], pair[0][1] + 1)]
    assert len(runs) + 1 >= 4, "several stretches, not one end"
    for one in validation:
        same = [o for o in training if o.sequence == one.sequence and abs(o.index - one.index) < 120]
        near = [o for o in same if np.linalg.norm(o.T_map_camera[:3, 3] - one.T_map_camera[:3, 3]) < 0.2]
        assert not near
        rest = [o for o in training if np.linalg.norm(o.T_map_camera[:3, 3] - one.T_map_camera[:3, 3]) < 0.75]
        assert any(se3.rotation_error(o.T_map_camera, one.T_map_camera) < np.deg2rad(30.0) for o in rest)


def test_the_option_chooses_them(tiny_folder: Path):
    folder = open_folder(tiny_folder, 0.2)
    ends = preset("mvloc", "small").with_options({"validation_fraction": 0.3})
    blocks = ends.with_options({"validation_split": "blocks"})
    assert split_records(ends, folder)[1] != split_records(blocks, folder)[1]
    assert split_records(blocks, folder) == hold_out_stretches(folder.train, 0.3)


def test_sequences_that_are_too_short_are_said():
    with pytest.raises(TrainingError, match="long enough to hold out stretches"):
        hold_out_stretches(laps(30), 0.2)
