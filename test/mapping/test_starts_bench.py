# SPDX-License-Identifier: Apache-2.0
"""The bench of starts runs on a small room; but for what follows from the room, its figures are for no test."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(ROOT))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "bench"]:
        del sys.modules[name]


def test_all_ways_are_measured(mapped, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from bench import starts

    out = tmp_path / "starts.json"
    words = [str(mapped.path), "--data", str(folder), "--every", "4", "--budget-ms", "5000", "--json", str(out)]
    assert starts.main(words) == 0
    found = json.loads(out.read_text())
    assert found["frames"] == 3
    ways = found["ways"]
    assert {"constant pose", "network", "retrieval", "retrieval, refined", "both, refined"} < set(ways)
    # The tiny network knows nothing of the room, its training frames do.
    assert ways["retrieval, refined"]["within_5cm_5deg"] == ways["both, refined"]["within_5cm_5deg"] == 1.0
    assert ways["retrieval"]["median_m"] < 0.4 < ways["network, refined"]["median_m"]
    assert sum(share["frames"] for share in found["start_shares"]["both, refined"]) == 3
    assert "both, refined" in capsys.readouterr().out


def test_a_bundle_without_keyframes_is_refused(plain_bundle: Path, folder: Path):
    from bench import starts

    with pytest.raises(starts.BenchError, match=r"mvloc map"):
        starts.main([str(plain_bundle), "--data", str(folder)])
