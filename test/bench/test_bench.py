# SPDX-License-Identifier: Apache-2.0
"""The benchmarks run, with tiny networks, and count rightly; their figures are for no test."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from mvloc_ros.geometry import se3

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(ROOT))
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
    for name in [name for name in sys.modules if name.split(".")[0] == "bench"]:
        del sys.modules[name]


def test_inference(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from bench import inference

    out = tmp_path / "new" / "inference.json"
    inference.main(["--smoke", "--presets", "small", "--threads", "1", "--out", str(out)])
    rows = json.loads(out.read_text())["presets"]["small"]["rows"]
    found = {(row["name"], row["precision"]): row for row in rows}
    assert {("torch eager cpu", "fp32"), ("onnxruntime CPU", "fp32"), ("onnxruntime CPU", "int8")} <= set(found)
    for row in rows:
        assert 0.0 < row["min_ms"] <= row["median_ms"] <= row["p95_ms"]
    assert found["onnxruntime CPU", "fp32"]["floor_ms"] > 0.0
    assert "median / floor" in capsys.readouterr().out


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core leaves nothing to choose")
def test_threads(tmp_path: Path):
    from bench import threads

    cores = os.sched_getaffinity(0)
    threads.main(["--smoke", "--busy", "0", "1", "--out", str(tmp_path / "threads.json")])
    rows = json.loads((tmp_path / "threads.json").read_text())
    assert [row["busy"] for row in rows] == [0] * len(threads.PLACEMENTS) + [1] * len(threads.PLACEMENTS)
    assert all(0.0 < row["median_ms"] <= row["p95_ms"] for row in rows)
    assert os.sched_getaffinity(0) == cores


def test_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from bench import gpu

    out = tmp_path / "gpu.json"
    gpu.main(["--smoke", "--presets", "small", "--out", str(out)])
    results: dict[str, Any] = json.loads(out.read_text())
    assert {"peaks", "inference small", "training"} <= set(results)
    assert [(row["preset"], row["stage"]) for row in results["training"]] == [
        ("small", "1"),
        ("paper", "1"),
        ("paper", "2"),
    ]
    assert all(row["frames_per_s"] > 0.0 for row in results["training"])
    assert results["left_out"][-1] == "accuracy: no --run was given"
    assert not (tmp_path / "runs").exists()


def test_parts_that_would_begin_too_late_are_left_out(tmp_path: Path):
    from bench import gpu

    out = tmp_path / "gpu.json"
    gpu.main(["--smoke", "--minutes", "-1", "--out", str(out)])
    left_out = json.loads(out.read_text())["left_out"]
    assert [line.split(":")[0] for line in left_out] == [
        "peaks",
        "inference paper",
        "inference small",
        "training",
        "accuracy",
    ]


def test_accuracy_is_that_of_the_poses(shared_data: Path):
    from bench import accuracy
    from mvloc_ros.backends.backend_choice import create_backend
    from mvloc_ros.model.bundle import read_bundle

    bundle = read_bundle(ROOT / "models" / "demo")
    frames = accuracy.spread_test_frames(bundle, shared_data / "redkitchen", 3)
    rows = accuracy.compare(bundle, frames, [("torch", "fp32", lambda: create_backend("torch", bundle))])
    assert [row["name"] for row in rows] == ["onnxruntime CPU", "torch"]
    assert rows[0]["difference_mm"] == 0.0
    assert 0.0 < rows[1]["difference_mm"] < 0.1
    assert rows[0]["error_m"] == pytest.approx(rows[1]["error_m"], abs=1e-3)


def test_the_work_of_a_network_is_counted(tmp_path: Path):
    from bench.floor import Peak, count_work

    weight = numpy_helper.from_array(np.ones((4, 2, 3, 3), np.float32), "weight")
    dense = numpy_helper.from_array(np.ones((7, 100), np.float32), "dense")
    nodes = [
        helper.make_node("Conv", ["x", "weight"], ["features"], kernel_shape=[3, 3]),
        helper.make_node("Flatten", ["features"], ["flat"]),
        helper.make_node("Gemm", ["flat", "dense"], ["y"], transB=1),
    ]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [1, 2, 7, 7]), ("y", [1, 7]))]
    graph = helper.make_graph(nodes, "small", infos[:1], infos[1:], [weight, dense])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), str(tmp_path / "model.onnx"))
    work = count_work(tmp_path / "model.onnx")
    assert work.operations == 2 * (4 * 5 * 5) * (2 * 3 * 3) + 2 * 7 * 100
    assert work.weight_bytes == 4 * (4 * 2 * 9 + 700)
    assert Peak(operations=5000.0, bytes=1e9).floor_ms(work) == pytest.approx(1000.0)
    assert Peak(operations=1e9, bytes=3088.0).floor_ms(work) == pytest.approx(1000.0)


def test_reach_counts_the_starts_before_the_first_that_is_near():
    from bench import reach

    def at(x: float, degrees: float = 0.0) -> np.ndarray:
        half = np.radians(degrees) / 2
        return se3.from_parts([x, 0.0, 0.0], [0.0, 0.0, np.sin(half), np.cos(half)])

    truth = at(0.0)
    assert reach.rank([at(0.4, 19.0)], truth) == 0
    assert reach.rank([at(0.6), at(0.0, 21.0), at(0.1)], truth) == 2
    assert reach.rank([at(0.6), at(0.0, 21.0)], truth) == reach.rank([], truth) == reach.FIRST[-1]
