# SPDX-License-Identifier: Apache-2.0
"""The latency bench runs from end to end, and its figures follow from what was heard."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MS = 1_000_000


@pytest.mark.dds
@pytest.mark.timeout(240)
def test_both_nodes_give_poses_of_the_same_images(tmp_path: Path):
    command = [sys.executable, "-m", "bench.latency", "--smoke", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=230)
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads((tmp_path / "out" / "latency.json").read_text())
    mine, theirs = results["cases"]
    assert (mine["node"], theirs["node"]) == ("mvloc", "ordinary")
    for case in (mine, theirs):
        assert 0 < case["poses"] <= case["sent"]
        ages = case["stamp_to_publication"]
        assert 0.0 < ages["p50"] <= ages["p95"] <= ages["p99"] <= ages["max"]
        assert case["age_on_arrival"]["max"] >= ages["p50"]
        assert case["resident_mb"] > 50.0
        assert case["cpu_ms_per_pose"] > 0.0
    assert mine["uncounted_images"] == 0
    steps = mine["steps"]
    assert steps["callback_to_publication"]["p50"] >= steps["inference"]["p50"] > 0.0
    assert steps["transport"]["p50"] > 0.0
    assert (tmp_path / "out" / "latency.png").stat().st_size > 10_000
    assert "The ordinary node's value divided by this node's" in done.stdout


def test_figures_follow_from_what_was_heard():
    from bench.latency.figures import outside, uncounted_images
    from bench.latency.listener import Heard

    poses = [Heard(100 * MS * n, (100 * n + 10 + n) * MS, (100 * n + 20) * MS) for n in range(8)]
    found = outside(poses)
    assert found["stamp_to_publication"] == {"p50": 13.5, "p95": 16.65, "p99": 16.93, "max": 17.0}
    assert found["age_on_arrival"]["p50"] == 20.0
    assert found["age_when_replaced"]["max"] == 17.0 + 101.0  # as old as the last is new, and the time between them
    assert found["growth_ms"] == 6.0  # 16.5 at the end, 10.5 at the beginning
    assert found["series_s_ms"][1] == [0.1, 11.0]
    assert outside([])["stamp_to_publication"] is None
    counters = dict.fromkeys(
        ("published", "rejected", "dropped_busy", "dropped_failed", "single_modality", "dropped_unpaired"), 1
    )
    counters |= {"dropped_invalid": 2, "color_received": 7, "depth_received": 6}
    assert uncounted_images(counters) == 13 - 8 - 4


def test_the_comparison_pairs_the_nearest_within_the_slop():
    from bench.peers.approximate_time import ApproximateTime

    def message(milliseconds: int) -> Any:
        return SimpleNamespace(header=SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=milliseconds * MS)))

    pairs: list[tuple[int, int]] = []
    both = ApproximateTime(lambda *two: pairs.append(tuple(m.header.stamp.nanosec // MS for m in two)), 2, 0.02)
    for milliseconds in (0, 33, 66):  # the third pushes out the first
        both.add_first(message(milliseconds))
    for milliseconds in (1, 70, 71, 40):
        both.add_second(message(milliseconds))
    assert pairs == [(66, 70), (33, 40)]


def test_the_summary_has_the_ratios(tmp_path: Path):
    from bench.summary import write_summary

    def case(node: str, age: float) -> dict[str, Any]:
        ages = dict.fromkeys(("p50", "p95", "p99", "max"), age)
        steps = {"overhead": {"p50": 2.5}, "callback_to_publication": {"p50": 12.0}} if node == "mvloc" else {}
        where = {"preset": "small", "width": 640, "height": 480, "load": "15", "rate_hz": 15.0, "node": node}
        cost = {"cpu_ms_per_pose": 20.0, "resident_mb": 200.0, "peak_resident_mb": 210.0}
        return {**where, **cost, "poses": 9, "sent": 10, "stamp_to_publication": ages, "steps": steps}

    results = {
        "cases": [case("mvloc", 16.0), case("ordinary", 40.0)],
        "bare_ms": {"small 640x480": {"p50": 10.0}},
    }
    (tmp_path / "latency_small").mkdir()
    (tmp_path / "latency_small" / "latency.json").write_text(json.dumps(results))
    text = write_summary(tmp_path, {"startup": "no pose within 120 s"})
    assert "| small 640x480 15 Hz | ratio |  | 2.5 |  | 2.5 |  | 1.0 |  |" in text
    assert "| small 640x480 15 | 2.5 | 1.2 |" in text
    assert "- startup: no pose within 120 s" in text
    assert text == (tmp_path / "summary.md").read_text()
