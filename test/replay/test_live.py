# SPDX-License-Identifier: Apache-2.0
"""The main job end to end: player, node and recorder as processes; the same poses as offline; a clean Ctrl-C."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from mvloc_ros.demo.write_folder import write_folder
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import read_tum
from mvloc_ros.recordings import open_folder, topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.bag_writer import BagWriter
from mvloc_ros.recordings.from_folder import select_frames, write_bag

pytestmark = [pytest.mark.dds, pytest.mark.timeout(240)]
ROOT = Path(__file__).resolve().parents[2]
DEMO_MODEL = ROOT / "models" / "demo"
FRAMES = 45


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of the demo's test drive."""
    root = tmp_path_factory.mktemp("drive")
    write_folder(root / "frames", split="test", frames=FRAMES, progress=False)
    folder = open_folder(root / "frames")
    write_bag(folder, select_frames(folder), root / "bag", progress=False)
    return root / "bag"


def mvloc(*words: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "mvloc"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, **options)


def test_live_and_offline_give_the_same_poses(bag: Path, tmp_path: Path):
    here = tmp_path / "here"  # the current folder, of which nothing is executed
    here.mkdir()
    for name in ("rclpy", "tf2_ros", "numpy", "sensor_msgs"):
        (here / f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    words = ("--model", str(DEMO_MODEL), "--out", str(tmp_path / "live"), "--parameter", "refine:=off")
    live = mvloc("live", str(bag), *words, cwd=here)
    assert not (tmp_path / "executed").exists()
    assert live.returncode == 0, live.stderr
    offline = mvloc(
        "replay", str(bag), "--model", str(DEMO_MODEL), "--out", str(tmp_path / "offline"), "--refine", "off"
    )
    assert offline.returncode == 0, offline.stderr
    report = json.loads((tmp_path / "live" / "report.json").read_text())
    assert report["frames"] == FRAMES
    rows = list(csv.DictReader((tmp_path / "live" / "frames.csv").open()))
    assert {row["state"] for row in rows if row["outcome"] == "accepted"} == {"TRACKING"}, report["notes"]
    assert not [note for note in report["notes"] if "DEGRADED" in note]
    assert report["poses"] >= 0.9 * FRAMES  # a loaded machine may drop some, and says so
    assert report["poses"] + sum(report["drops"].values()) >= FRAMES
    assert report["translation_m"]["median"] < report["baselines"]["constant_pose"]["translation_m"]["median"] / 3
    assert (tmp_path / "live" / "trajectory.png").stat().st_size > 10_000
    a, b = read_tum(tmp_path / "live" / "estimate.tum"), read_tum(tmp_path / "offline" / "estimate.tum")
    # The player moved every stamp by one offset, which both runs' ground truth tells.
    moved, original = (read_tum(tmp_path / run / "ground_truth.tum").stamps_ns[0] for run in ("live", "offline"))
    common, in_a, in_b = np.intersect1d(a.stamps_ns - (moved - original), b.stamps_ns, return_indices=True)
    assert len(common) == report["poses"]
    assert se3.translation_error(a.poses[in_a], b.poses[in_b]).max() < 1e-4
    assert np.rad2deg(se3.rotation_error(a.poses[in_a], b.poses[in_b])).max() < 1e-3


def test_the_shipped_scene_map_takes_the_demos_drive_to_millimetres(bag: Path, tmp_path: Path):
    result = mvloc("replay", str(bag), "--model", str(DEMO_MODEL), "--out", str(tmp_path), "--refine-budget", "5000")
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["poses"] >= 0.95 * FRAMES
    assert report["translation_m"]["p95"] < 0.02 < report["network_alone"]["translation_m"]["median"]


def renamed_truth(bag: Path, path: Path, topic: str) -> Path:
    """The recording with its ground truth on another topic."""
    with BagReader(bag) as reader, BagWriter(path) as writer:
        for name, entry in reader.topics.items():
            if name != topics.GROUND_TRUTH:
                writer.add_topic(name, entry.type, entry.qos[0])
            else:
                writer.add_topic(topic, entry.type, entry.qos[0])
        for raw in reader.raw():
            if raw.topic != topics.GROUND_TRUTH:
                writer.write_raw(raw.topic, raw.stamp_ns, raw.data)
            else:
                writer.write_raw(topic, raw.stamp_ns, raw.data)
    return path


def test_ground_truth_may_have_another_topic(bag: Path, tiny_bundle: Path, tmp_path: Path):
    other = renamed_truth(bag, tmp_path / "other", "/mocap/pose")
    words = ["live", str(other), "--model", str(tiny_bundle), "--out", str(tmp_path / "out")]
    result = mvloc(*words, "--truth-topic", "/mocap/pose")
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["frames"] == report["frames_with_truth"] == FRAMES
    assert report["poses"] > 0
    assert report["translation_m"] is not None


def test_a_recording_without_the_truth_that_was_named_is_refused_at_once(bag: Path, tiny_bundle: Path, tmp_path: Path):
    other = renamed_truth(bag, tmp_path / "other", "/mocap/pose")
    words = ("--model", str(tiny_bundle), "--out", str(tmp_path / "out"), "--truth-topic", "/mocap")
    result = mvloc("live", str(other), *words)
    assert result.returncode == 2
    assert "no message on /mocap (it has " in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists(), "no process was started"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_no_process_behind(
    bag: Path, tiny_bundle: Path, tmp_path: Path, wait_for, interrupt, number
):
    command = [sys.executable, "-m", "mvloc_ros.cli", "live", str(bag), "--model", str(tiny_bundle)]
    with (tmp_path / "log").open("w") as log:
        whole = [*command, "--out", str(tmp_path / "out")]
        process = subprocess.Popen(whole, stdout=log, stderr=log, start_new_session=True)
    try:
        node_log = tmp_path / "out" / "node.log"
        wait_for(lambda: node_log.exists() and "active" in node_log.read_text(), 60, "the node")
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 3
        # As a terminal and whoever started the process send it: to the whole group, and more than once.
        assert interrupt(process, lambda: os.killpg(process.pid, number)) == 130
        assert "Traceback" not in (tmp_path / "log").read_text()
        wait_for(lambda: not any(child.is_running() for child in children), 5, "the children to end")
    finally:
        process.kill()
        process.wait()


def test_a_node_that_cannot_work_is_quoted(
    bag: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    result = mvloc(
        "live", str(bag), "--model", str(tiny_bundle), "--out", str(tmp_path), "--parameter", "backend:=tensorrt"
    )
    assert result.returncode == 2
    assert "CUDA" in result.stderr
    assert "Traceback" not in result.stderr
