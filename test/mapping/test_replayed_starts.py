# SPDX-License-Identifier: Apache-2.0
"""`mvloc replay` tells from which start each refined pose came."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from mvloc_ros.cli import main
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.recordings import open_folder
from mvloc_ros.recordings.from_folder import select_frames, write_bag


def test_each_frame_and_the_report_name_the_start(mapped: Bundle, folder: Path, tmp_path: Path, capsys):
    opened, bag, out = open_folder(folder), tmp_path / "bag", tmp_path / "out"
    write_bag(opened, select_frames(opened, "test")[:4], bag, progress=False)
    words = ["--refine", "required", "--refine-budget", "10000", "--threads", "1", "--out", str(out)]
    assert main(["replay", str(bag), "--model", str(mapped.path), *words]) == 0
    rows = list(csv.DictReader((out / "frames.csv").open()))
    report = json.loads((out / "report.json").read_text())["starts"]
    # The tiny network is lost here, so no accepted pose is from its start.
    accepted = [row for row in rows if row["outcome"] == "accepted"]
    assert accepted
    assert {row["start"].split()[0] for row in accepted} <= {"retrieval", "features", "tracker"}
    assert all(int(row["starts"]) >= 1 for row in rows)
    assert report["frames"] == len(rows)
    assert report["accepted"] == len(accepted)
    assert report["rescued"] == sum(int(row["starts"]) > 1 for row in accepted)
    assert sum(start["accepted"] for start in report["by_start"]) == len(accepted)
    assert all(start["milliseconds"] > 0.0 for start in report["by_start"])
    assert "accepted refined poses by start: " in capsys.readouterr().out
