# SPDX-License-Identifier: Apache-2.0
"""Some hostile inputs of each kind, always the same, in a worker process; `python -m bench.fuzz` tries thousands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# How many inputs are tried: fewer where one takes long.
INPUTS = {
    "bundles": 60,
    "graphs": 40,
    "messages": 80,
    "clouds": 60,
    "codecs": 60,
    "bags": 15,
    "folders": 30,
    "checkpoints": 12,
    "presets": 60,
    "trajectories": 60,
}
FIRST_SEED = 0


@pytest.fixture(scope="module")
def pool(from_the_root: None) -> Iterator[Any]:
    from bench.fuzzing.pool import Pool

    with Pool(1) as pool:
        yield pool


@pytest.mark.dds
@pytest.mark.parametrize("name", list(INPUTS))
def test_hostile_inputs_are_accepted_or_refused(name: str, pool: Any):
    from bench.fuzzing import outcome

    found = list(pool.run((name, FIRST_SEED + n) for n in range(INPUTS[name])))
    assert len(found) == INPUTS[name]
    faults = [f for f in found if f.result in outcome.FAULTS]
    assert not faults, "\n".join(f"{f.group} (--only {f.kind} --seed {f.seed} --inputs 1: {f.what})" for f in faults)
    # Neither all nor none: an instrument whose inputs never get past the first check proves nothing.
    results = {f.result for f in found}
    assert outcome.ACCEPTED in results
    assert outcome.REFUSED in results


@pytest.mark.dds
def test_every_kind_is_tried():
    from bench.fuzzing import kinds

    assert set(INPUTS) == set(kinds.NAMES)


@pytest.mark.dds
@pytest.mark.parametrize("name", list(INPUTS))
def test_what_is_mutated_is_valid(name: str, tmp_path: Path):
    from bench.fuzzing import kinds

    for valid in kinds.create(name).plain(tmp_path):
        valid.feed()


def test_the_same_seed_gives_the_same_input(tmp_path: Path):
    from random import Random

    from bench.fuzzing import kinds

    kind = kinds.create("trajectories")
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        what = kind.make(Random("trajectories:1"), tmp_path / name).what
        made.append((what, [path.read_bytes() for path in sorted((tmp_path / name).iterdir())]))
    assert made[0] == made[1]


def test_the_instrument_sees_every_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any):
    """A reader that lets an exception out, answers senselessly, hangs, takes much memory, or kills its process."""
    from bench import fuzz
    from bench.fuzzing import outcome, pool
    from bench.fuzzing.kinds.self_test import ENDS

    monkeypatch.setattr(pool, "_PATIENCE", 1.0)
    monkeypatch.setattr(outcome, "HANG_S", 2.5)
    code = fuzz.main(["--only", "self_test", "--inputs", "7", "--workers", "2", "--out", str(tmp_path)])
    assert code == 1
    rows = [json.loads(line) for line in (tmp_path / "findings.jsonl").read_text().splitlines()]
    assert {ENDS[row["seed"]]: row["result"] for row in rows} == {name: name for name in ENDS[2:]}
    assert [row["exception"] for row in rows if row["result"] == "exception"] == ["IndexError: list index out of range"]
    assert (tmp_path / "inputs" / "self_test-3" / "input").read_text() == "altered"
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["kinds"]["self_test"]["results"] == dict.fromkeys(ENDS, 1)
    assert "5 inputs miss a bar" in capsys.readouterr().out
    # Everything is done: nothing is tried again.
    assert fuzz.main(["--only", "self_test", "--inputs", "7", "--out", str(tmp_path), "--resume"]) == 1
    assert json.loads((tmp_path / "summary.json").read_text()) == summary


def test_each_rule_of_sense_has_a_place_in_a_manifest():
    from bench.fuzzing import sense
    from bench.fuzzing.kinds import create

    manifest = create("bundles").manifest
    broken = {breach.place for breach in sense.breaches(manifest)}
    for rule in sense.RULES:
        assert any(sense._fits(rule.place, place) for place in broken), rule


def test_a_flood_that_silences_the_node_and_memory_that_grows_are_seen():
    from bench.fuzz_node import memory_growth, recovery

    assert recovery([1.0, 2.0, 5.0], [1.1, 2.5, 2.6, 6.2], 10.0) == (pytest.approx(1.2), 2)
    assert recovery([1.0, 9.0], [1.1], 12.0) == (3.0, 1)
    rows = [{"seconds": float(s), "rss": 200.0 + (s > 300) * 10.0} for s in range(660)]
    assert memory_growth(rows, 60.0) == pytest.approx(0.05)
    assert memory_growth(rows[:300], 60.0) == 0.0
