# SPDX-License-Identifier: Apache-2.0
"""Damaged recordings through the command line: one bad frame is counted, many end with a sentence, no traceback."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mvloc_ros.cli import main
from mvloc_ros.recordings import open_folder
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import ReadOptions, read_frames
from mvloc_ros.training.frame_selection import trained_records
from mvloc_ros.training.train import read_data
from mvloc_ros.training.trained_network import read_selected

TINY = [
    "--short-side", "32", "--width", "0.125", "--latent-size", "16", "--epochs", "1", "--batch-size", "8",
    "--validation-gap", "2", "--device", "cpu",
]  # fmt: skip


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "wall"))


def train(folder: Path, *more: str) -> int:
    return main(["train", "--data", str(folder), "--out", str(folder.parent / "run"), *TINY, *more])


def file(folder: Path, index: int, kind: str, sequence: str = "seq-01") -> Path:
    return folder / sequence / f"frame-{index:06d}.{kind}"


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def as_cut_jpeg(path: Path) -> None:
    image = cv2.imread(str(path))
    path.unlink()
    path = path.with_suffix(".jpg")
    cv2.imwrite(str(path), image)
    cut(path)


def other_size(path: Path) -> None:
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:-6, :-8])


def eight_bits(path: Path) -> None:
    cv2.imwrite(str(path), np.zeros((48, 64), np.uint8))


def vanish_later(path: Path) -> None:
    """Listed, but not there: a link that leads nowhere."""
    path.unlink()
    path.symlink_to("nowhere.png")


@pytest.mark.parametrize(
    ("kind", "damage", "reason"),
    [
        ("color.png", cut, "ends before the last PNG chunk"),
        ("color.png", as_cut_jpeg, "ends before the JPEG end marker"),
        ("depth.png", cut, "ends before the last PNG chunk"),
        ("color.png", other_size, "has 56x42 pixels instead of the 64x48 of the folder"),
        ("depth.png", other_size, "has 56x42 pixels instead of the 64x48 of the folder"),
        ("depth.png", eight_bits, "a depth image is a PNG of 16 bits"),
        ("color.png", vanish_later, "cannot be read (No such file or directory)"),
        ("color.png", lambda path: path.write_bytes(b""), "the file is empty"),
    ],
)
def test_one_damaged_frame_is_left_out_and_counted(
    folder: Path,
    kind: str,
    damage: Callable[[Path], None],
    reason: str,
    tiny_config: TrainingConfig,
    caplog: pytest.LogCaptureFixture,
) -> None:
    damage(file(folder, 0, kind))  # the first of all: neither its size nor its loss may decide anything
    with caplog.at_level(logging.WARNING, logger="mvloc_ros"):
        frames = read_data(tiny_config, folder, 0.2).training
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith("1 of 82 training frames skipped; the first: ")
    assert "frame-000000" in warning
    assert reason in warning
    assert [(frame.sequence, frame.index) for frame in frames.unreadable] == [("seq-01", 0)]
    assert len(frames) == len(frames.color) == len(frames.stamps_ns) == 81
    complete = read_frames(
        tiny_config.input, opened := open_folder(folder), opened.train[1:3], "some", ReadOptions(None)
    )
    for name in ("color", "depth", "present", "poses", "stamps_ns"):
        np.testing.assert_array_equal(getattr(frames, name)[:2], getattr(complete, name))


def test_a_run_knows_what_it_left_out(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    cut(file(folder, 0, "depth.png"))
    with caplog.at_level(logging.WARNING, logger="mvloc_ros"):
        assert train(folder) == 0
    assert len(caplog.records) == 1
    data = json.loads((folder.parent / "run" / "config.json").read_text())["data"]
    assert (data["frames"], data["lost"]) == (81, [["seq-01", 0]])


def nan_pose(path: Path) -> None:
    path.write_text("nan " * 16)


@pytest.mark.parametrize(
    ("damage", "cause"),
    [(nan_pose, "with an invalid pose"), (cut, "with an invalid pose"), (Path.unlink, "without a pose file")],
)
def test_one_frame_without_a_pose_is_left_out_and_counted(
    folder: Path,
    damage: Callable[[Path], None],
    cause: str,
    tiny_config: TrainingConfig,
    caplog: pytest.LogCaptureFixture,
) -> None:
    damage(file(folder, 3, "pose.txt"))
    with caplog.at_level(logging.WARNING, logger="mvloc_ros"):
        frames = read_data(tiny_config, folder, 0.2).training
    (warning,) = [record.getMessage() for record in caplog.records]
    assert f"1 frames left out: 1 {cause}; the first: {file(folder, 3, 'pose.txt')}" in warning
    assert len(frames) == 81


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence, beside the bars and what the log says."""
    error = capsys.readouterr().err
    assert "Traceback" not in error
    lines = [line for line in error.replace("\r", "\n").splitlines() if line.startswith("mvloc ")]
    assert len(lines) == 1, error
    return lines[0]


def test_more_than_the_limit_ends_with_a_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in (5, 7):
        cut(file(folder, index, "color.png"))
    assert train(folder) == 2
    sentence = said(capsys)
    assert "2 of 82 training frames are unreadable, more than the 1.0% of --max-unreadable" in sentence
    assert "frame-000005.color.png is damaged" in sentence
    assert not (folder.parent / "run" / "last.pt").exists()
    assert train(folder, "--max-unreadable", "0.05") == 0


def test_what_was_left_out_is_known_to_cache_resume_and_export(
    folder: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(file(folder, 5, "color.png"))
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="mvloc_ros"):
            assert train(folder) == 0
        assert len(caplog.records) == 1, "out of the cache, too, it is said"
    capsys.readouterr()
    assert train(folder, "--max-unreadable", "0") == 2
    assert "1 of 82 training frames are unreadable, more than the 0.0%" in said(capsys)
    records = trained_records(
        read_selected(folder.parent / "run", half_weights=False), open_folder(folder), refitted=False
    )
    assert len(records) == 81, "what becomes the bundle's training poses"
    assert 5 not in [record.index for record in records if record.sequence == "seq-01"]


def test_too_many_frames_without_a_pose_end_with_a_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in (5, 7):
        nan_pose(file(folder, index, "pose.txt"))
    assert train(folder) == 2
    sentence = said(capsys)
    assert f"2 of 144 frames of {folder} have no usable pose or image, more than the 1.0%" in sentence
    assert f"the first is with an invalid pose: {file(folder, 5, 'pose.txt')}" in sentence
    assert train(folder, "--max-unreadable", "0.02") == 0


def test_a_ground_truth_line_that_is_no_pose(tum_wall: Path, capsys, caplog: pytest.LogCaptureFixture) -> None:
    truth = tum_wall / "groundtruth.txt"
    lines = truth.read_text().splitlines()
    lines[10] = lines[10].split()[0] + " nan nan nan 0 0 0 1"
    truth.write_text("\n".join(lines))
    with caplog.at_level(logging.WARNING, logger="mvloc_ros"):
        # The positions are those of a slower camera, which contradict the depth images.
        assert train(tum_wall, "--force") == 0
    assert f"1 lines of ground truth left out; the first: line 11, which is not a pose, of {truth}" in caplog.text
    truth.write_text("\n".join([*lines[:4], "rubbish", "1 2", *lines[4:]]))
    assert train(tum_wall, "--force") == 2
    assert "3 of 51 frames" in said(capsys)


@pytest.fixture
def tum_wall(tiny_folder: Path, tmp_path: Path) -> Path:
    """One sequence of the recording in the TUM layout."""
    root = tmp_path / "desk"
    lists: dict[str, list[str]] = {"rgb": [], "depth": []}
    truth = []
    for name in lists:
        (root / name).mkdir(parents=True)
    for index in range(48):
        stamp = f"{1000 + index * 0.05:.6f}"
        for name, kind in (("rgb", "color.png"), ("depth", "depth.png")):
            shutil.copy(file(tiny_folder, index, kind), root / name / f"{stamp}.png")
            lists[name].append(f"{stamp} {name}/{stamp}.png")
        position = 0.3 * np.loadtxt(file(tiny_folder, index, "pose.txt"))[:3, 3]  # at most 5 m/s
        truth.append(" ".join(map(str, (stamp, *position, 0, 0, 0, 1))))
    for name, lines in lists.items():
        (root / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (root / "groundtruth.txt").write_text("\n".join(truth) + "\n")
    shutil.copy(tiny_folder / "camera.json", root)
    return root


def empty_sequence(folder: Path) -> None:
    for path in (folder / "seq-02").iterdir():
        path.unlink()


def poses_gone(folder: Path) -> None:
    for path in folder.glob("seq-02/*.pose.txt"):
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (empty_sequence, "TrainSplit.txt names 'sequence2', but .*seq-02 has no usable frame"),
        (poses_gone, "TrainSplit.txt names 'sequence2', but .*seq-02 has no usable frame"),
        (lambda folder: shutil.rmtree(folder / "seq-03"), "TestSplit.txt names 'sequence3', .* has no folder seq-03"),
        (lambda folder: [shutil.rmtree(path) for path in folder.glob("seq-*")], "has neither the 7-Scenes layout"),
        (lambda folder: (folder / "TrainSplit.txt").write_text(""), "has no usable training frame"),
        (lambda folder: (folder / "camera.json").write_text("{"), "camera.json is not valid JSON"),
    ],
)
def test_a_folder_that_does_not_serve(folder: Path, spoil: Callable[[Path], object], words: str, capsys) -> None:
    spoil(folder)
    assert train(folder) == 2
    assert re.search(words, said(capsys))


def test_an_empty_tum_list_is_said(tum_wall: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tum_wall / "rgb.txt").write_text("# color images\n")
    assert train(tum_wall) == 2
    assert "rgb.txt lists no image" in said(capsys)


def test_a_file_instead_of_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(folder / "camera.json") == 2
    assert "does not exist or is not a folder" in said(capsys)


def test_checkpoints_of_another_system(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    atloc = tmp_path / "atloc"
    common = ["train", "--data", str(folder), *TINY]
    assert main([*common, "--out", str(atloc), "--system", "atloc"]) == 0
    capsys.readouterr()
    assert main([*common, "--out", str(atloc)]) == 2
    assert "has a run with different values of" in (sentence := said(capsys))
    assert "system" in sentence
    second = [word for word in common if word not in ("--epochs",)]
    second.remove("1")
    assert main([*second, "--out", str(tmp_path / "second"), "--stage", "2", "--start-from", str(atloc)]) == 2
    assert "best.pt differs from this run in system" in said(capsys)
