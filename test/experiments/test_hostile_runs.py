# SPDX-License-Identifier: Apache-2.0
"""Folders of runs from elsewhere: what is no run of this version is passed over, whatever its files are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mvloc_ros.experiments.runs import _last_row, _read


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[" * 5000,
        "[]",
        "5",
        '{"config": 5}',
        '{"config": {}, "data": []}',
        '{"config": {"epochs": NaN}}',
        json.dumps({"config": {"system": ["x"]}, "data": {}}),
        json.dumps({"config": {"optimiser": 5}, "data": {"digest": 1, "frames": 1}, "weights": "", "test_fraction": 0}),
        " " * (5 << 20),
    ],
)
def test_an_odd_configuration_is_no_run(tmp_path: Path, content: str):
    (tmp_path / "config.json").write_text(content)
    assert _read(tmp_path / "config.json") is None


def test_a_pipe_is_no_run(tmp_path: Path):
    os.mkfifo(tmp_path / "config.json")
    assert _read(tmp_path / "config.json") is None


def test_the_last_row_of_a_table(tmp_path: Path):
    path = tmp_path / "metrics.csv"
    assert _last_row(path) == {}
    path.write_text("epoch,loss\n1,0.5\n2,nan\n")
    assert _last_row(path)["epoch"] == 2.0


@pytest.mark.parametrize(
    "content", ["epoch\nnan\n", "epoch\n1e999\n", "epoch\nx\n", "epoch\n1,2,3\n", "epoch\n" + "1" * 200_000]
)
def test_a_table_of_no_numbers_is_refused(tmp_path: Path, content: str):
    (tmp_path / "metrics.csv").write_text(content)
    with pytest.raises((ValueError, TypeError)):
        _last_row(tmp_path / "metrics.csv")
