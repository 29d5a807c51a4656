# SPDX-License-Identifier: Apache-2.0
"""What the soak and the cycles call flat, on series whose answer is known; the benchmarks themselves take minutes."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


def rows(leak_mib_a_minute: float) -> list[dict[str, float]]:
    """35 minutes, the first five of which fill the caches."""
    rng = np.random.default_rng(0)
    found = []
    for minute in np.arange(0.0, 35.0, 0.1):
        memory = 200.0 + 20.0 * min(minute / 5.0, 1.0) + leak_mib_a_minute * minute + rng.normal(0.0, 0.3)
        values = dict.fromkeys(("rss", "pss", "uss", "anonymous"), memory)
        found.append({"minutes": float(minute), **values, "threads": 19, "files": 26, "segments": 9})
    return found


@pytest.mark.dds
@pytest.mark.parametrize(("leak", "is_flat"), [(0.0, True), (0.1, True), (0.4, False), (-0.4, False)])
def test_the_soak_knows_a_leak_from_a_warm_up(leak: float, is_flat: bool, tmp_path: Path):
    from bench.soak import draw, judge

    series = rows(leak)
    verdict = judge(series, 5.0)
    assert verdict["flat_within_2_percent"] is is_flat
    # Medians of the first and the last third of 30 minutes are 20 minutes apart.
    assert verdict["growth_of_medians"]["rss"] == pytest.approx(leak * 20 / (220 + leak * 10), abs=0.003)
    assert verdict["growth_of_counts"] == {"threads": 0, "files": 0, "segments": 0}
    if leak == 0.0:
        draw(series, 5.0, tmp_path / "soak.png")
        assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")


def test_a_floor_that_rises_is_a_leak_and_pages_that_are_kept_for_a_while_are_none():
    from bench.resources import growth_of_floor

    kept = np.random.default_rng(1).choice([0.0, 15.0], 90)
    assert growth_of_floor(list(100.0 + kept)) == 0.0
    assert growth_of_floor(list(100.0 + kept + 0.1 * np.arange(90))) == pytest.approx(0.06, abs=0.01)


def test_a_look_at_this_process_sees_what_it_holds(tmp_path: Path):
    from bench.resources import look

    before = look(os.getpid())
    # Not an array: its memory could be pages that the C library kept of something that was freed.
    size = 40 * 2**20
    with mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held, (tmp_path / "open").open("w"):
        held.write(b"\1" * size)
        after = look(os.getpid())
    assert after.files == before.files + 1
    assert after.anonymous - before.anonymous == pytest.approx(size, rel=0.2)
    assert after.rss >= after.pss >= after.uss > 0
    assert after.threads >= 1


@pytest.mark.dds
def test_the_books_tell_what_is_missing():
    from mvloc_ros.msg import LocalizationStatus

    from bench.accounts import account

    status = LocalizationStatus(color_received=10, depth_received=8, pairs=6, single_modality=2, published=5)
    status.dropped_busy, status.rejected, status.dropped_unpaired, status.dropped_invalid = 1, 1, 2, 1
    books = account(status, {"color": 10, "depth": 9})
    assert books["never_arrived"] == 1
    assert books["waiting"] == 18 - 12 - 2 - 2 - 1
    assert books["unaccounted"] == 1
