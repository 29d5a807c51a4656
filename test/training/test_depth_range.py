# SPDX-License-Identifier: Apache-2.0
"""How far depth counts: who decides, that it is said, and that a range which leaves most depth out is noticed."""

from __future__ import annotations

import argparse
import json
import logging
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mvloc_ros.training import verbs
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import PosedFrames
from mvloc_ros.training.depth_range import warn_of_far_depth

TINY = ("--short-side", "32", "--width", "0.125", "--latent-size", "16", "--epochs", "1", "--batch-size", "8")


@pytest.fixture
def far_folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """The wall, of a folder that says how far its sensor sees."""
    root = Path(shutil.copytree(tiny_folder, tmp_path / "far"))
    return state(root, 70.0)


def state(root: Path, max_depth: float) -> Path:
    path = root / "camera.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"max_depth": max_depth}))
    return root


def train(folder: Path, out: Path, *more: str) -> int:
    parser = argparse.ArgumentParser()
    verbs.add_train_arguments(parser)
    words = ["--data", str(folder), "--out", str(out), "--device", "cpu", *TINY, "--validation-gap", "2", *more]
    return verbs.run_train(parser.parse_args(words))


def range_of(run: Path) -> float:
    return float(json.loads((run / "config.json").read_text())["config"]["input"]["max_depth"])


def test_the_command_line_goes_before_the_folder_and_that_before_the_preset(
    tiny_folder: Path, far_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = [
        (tiny_folder, (), 6.0, "depth range 0.1 to 6 m (from preset small)."),
        (far_folder, (), 70.0, f"depth range 0.1 to 70 m (from {far_folder / 'camera.json'})."),
        (far_folder, ("--max-depth", "9"), 9.0, "depth range 0.1 to 9 m (from --max-depth)."),
    ]
    for number, (folder, more, metres, said) in enumerate(expected):
        assert train(folder, tmp_path / str(number), *more) == 0
        assert range_of(tmp_path / str(number)) == metres
        assert capsys.readouterr().out.splitlines()[0] == said
    # The same command finds its run again, and a refit takes the same range.
    assert train(far_folder, tmp_path / "1", "--refit", "--refit-epochs", "1") == 0
    assert range_of(tmp_path / "1" / "refit") == 70.0


def test_a_folder_that_says_another_range_meanwhile_is_another_run(far_folder: Path, tmp_path: Path) -> None:
    assert train(far_folder, tmp_path / "run") == 0
    state(far_folder, 50.0)
    with pytest.raises(verbs.TrainingError, match="different values of max_depth"):
        train(far_folder, tmp_path / "run")


def test_who_sees_no_depth_has_no_range_to_be_told(
    far_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(far_folder, tmp_path / "run", "--system", "atloc") == 0
    assert "depth range" not in capsys.readouterr().out
    assert range_of(tmp_path / "run") == 6.0


def frames_of(depth: np.ndarray) -> PosedFrames:
    count = len(depth)
    color, present = np.zeros((*depth.shape, 3), np.uint8), np.ones((count, 2), np.float32)
    return PosedFrames(color, depth, present, np.tile(np.eye(4), (count, 1, 1)), np.arange(count), ("one",) * count)


def test_a_range_that_leaves_most_depth_out_is_noticed(
    tiny_config: TrainingConfig, caplog: pytest.LogCaptureFixture
) -> None:
    depth = np.zeros((200, 8, 10), np.float32)
    depth[:, 2, :] = np.linspace(1.0, 41.0, 10)
    depth[:, 3, :2] = (np.nan, np.inf)
    warn_of_far_depth(tiny_config, frames_of(depth))
    (said,) = caplog.records
    # Of ten measurements two are within 6 m.
    assert "80 % of the measured depth is beyond --max-depth 6 m" in said.getMessage()
    assert "95 % of it is within 41.0 m: raise --max-depth, or state max_depth in camera.json" in said.getMessage()
    for config, values in (
        (tiny_config.with_options({"max_depth": 60.0}), depth),
        (tiny_config, np.where(depth > 10.0, 0.0, depth)),
        (tiny_config, np.zeros_like(depth)),
    ):
        warn_of_far_depth(config, frames_of(values))
    assert len(caplog.records) == 1


def test_training_notices_it(tiny_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert train(tiny_folder, tmp_path / "near", "--max-depth", "0.5") == 0
    assert [record for record in caplog.records if "beyond --max-depth 0.5 m" in record.getMessage()]


def test_the_unit_and_the_median_are_told_and_no_usable_depth_is_said(
    tiny_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tiny_folder, tmp_path / "run") == 0
    assert "1000 values a metre (camera.json), median " in capsys.readouterr().out
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    empty = Path(shutil.copytree(tiny_folder, tmp_path / "empty"))
    for path in empty.glob("*/*depth.png"):
        cv2.imwrite(str(path), np.zeros_like(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))
    assert train(empty, tmp_path / "blind") == 0
    assert f"{empty} has no usable depth: no pixel is measured" in caplog.text
