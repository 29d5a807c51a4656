# SPDX-License-Identifier: Apache-2.0
"""Refinement through the node: the same poses as offline, and a bundle without a usable map."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import read_tum
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.recordings import open_folder
from mvloc_ros.recordings.from_folder import select_frames, write_bag

pytestmark = [pytest.mark.dds, pytest.mark.timeout(240)]
# So large that it binds nowhere: where it does, the result depends on the machine.
BUDGET_MS = 10_000.0
# A third of the camera's speed, so that no frame is dropped on a busy machine.
RATE = 0.3


@pytest.fixture(scope="module")
def bag(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test walk, twelve frames."""
    opened, path = open_folder(folder), tmp_path_factory.mktemp("walk") / "bag"
    write_bag(opened, select_frames(opened, "test"), path, progress=False)
    return path


def mvloc(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mvloc_ros.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def live(bag: Path, model: Path, out: Path, *parameters: str) -> subprocess.CompletedProcess[str]:
    """Played at `RATE`."""
    words = [word for parameter in ("gate:=false", *parameters) for word in ("--parameter", parameter)]
    return mvloc("live", str(bag), "--model", str(model), "--out", str(out), "--rate", str(RATE), *words)


def test_the_node_refines_to_the_same_poses_as_replay(bag: Path, lookup_bundle: Bundle, tmp_path: Path):
    result = live(bag, lookup_bundle.path, tmp_path / "live", "refine:=required", f"refine_budget_ms:={BUDGET_MS}")
    assert result.returncode == 0, result.stderr
    printed = {}
    for name, mode in (("refined", "required"), ("network", "off")):
        words = ("--model", str(lookup_bundle.path), "--out", str(tmp_path / name))
        result = mvloc("replay", str(bag), *words, "--refine", mode, "--refine-budget", str(BUDGET_MS))
        assert result.returncode == 0, result.stderr
        printed[name] = result.stdout
    reports = {
        name: json.loads((tmp_path / name / "report.json").read_text()) for name in ("live", "refined", "network")
    }
    assert reports["live"]["poses"] >= 10
    median = {name: report["translation_m"]["median"] for name, report in reports.items()}
    assert median["refined"] < 0.5 * median["network"], "there was something to refine"
    # The status tells the network's own poses, and so both runs' reports do.
    assert reports["network"]["network_alone"] is None
    for name in ("live", "refined"):
        alone = reports[name]["network_alone"]["translation_m"]["median"]
        assert median[name] < 0.5 * alone
        assert alone == pytest.approx(median["network"], rel=0.5)
    assert "the network alone" in printed["refined"]
    runs = {name: read_tum(tmp_path / name / "estimate.tum") for name in ("live", "refined")}
    # The player moved the stamps by an offset, which both runs' ground truth tells, and stretched them by its rate.
    moved, original = (read_tum(tmp_path / name / "ground_truth.tum").stamps_ns[0] for name in ("live", "refined"))
    a, b = runs["live"], runs["refined"]
    apart_ns = np.abs((RATE * (a.stamps_ns - moved))[:, None] - (b.stamps_ns - original))
    in_b = apart_ns.argmin(axis=1)
    assert len(a) == reports["live"]["poses"]
    assert apart_ns.min(axis=1).max() < 1_000_000, "each live pose has its offline one"
    assert se3.translation_error(a.poses, b.poses[in_b]).max() < 1e-4
    assert np.rad2deg(se3.rotation_error(a.poses, b.poses[in_b])).max() < 1e-3


def test_a_damaged_map_leaves_the_network_says_so_once_and_is_refused_where_required(
    bag: Path, lookup_bundle: Bundle, tmp_path: Path
):
    damaged = shutil.copytree(lookup_bundle.path, tmp_path / "room")
    file = damaged / lookup_bundle.manifest.scene_map.file
    file.write_bytes(file.read_bytes()[:-100])
    result = live(bag, damaged, tmp_path / "auto")
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "auto" / "report.json").read_text())["poses"] >= 10
    log = (tmp_path / "auto" / "node.log").read_text()
    warnings = [line for line in log.splitlines() if "WARN" in line and "damaged or of another scene" in line]
    assert len(warnings) == 1
    assert "the network's alone" in warnings[0]
    refused = live(bag, damaged, tmp_path / "required", "refine:=required")
    assert refused.returncode == 2
    assert "damaged or of another scene" in refused.stderr
    assert "Traceback" not in refused.stderr
