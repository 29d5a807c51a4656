# SPDX-License-Identifier: Apache-2.0
"""Stretches of a recording that are held out: where they lie, and the file that says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.recordings import RecordingError, open_folder, open_folders
from mvloc_ros.recordings.contents import contents_text
from mvloc_ros.recordings.held_out_blocks import Block, choose_blocks
from mvloc_ros.recordings.held_out_file import TEST, UNUSED, Stretch, held_out_text


def along(start: tuple[float, float], end: tuple[float, float], frames: int) -> np.ndarray:
    """Poses `[frames, 4, 4]` of a camera that moves on a line and looks along it."""
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, :2, 3] = np.linspace(start, end, frames)
    way = np.subtract(end, start) / np.linalg.norm(np.subtract(end, start))
    poses[:, :3, 2] = [*way, 0.0]
    poses[:, :3, 0] = [way[1], -way[0], 0.0]
    poses[:, :3, 1] = [0.0, 0.0, -1.0]
    return poses


def covered_share(sequences: dict[str, np.ndarray], blocks: list[Block]) -> float:
    """Of all frames that are held out, those near which one was taken that is trained on (they look alike)."""
    unused = {(b.sequence, i) for b in blocks for i in range(b.gap_first, b.gap_last + 1)}
    used = [pose for name, poses in sequences.items() for i, pose in enumerate(poses) if (name, i) not in unused]
    held = [sequences[block.sequence][i] for block in blocks for i in indices(block)]
    places, ahead = (np.array([pose[:3, column] for pose in used]) for column in (3, 2))
    near = [(np.linalg.norm(places - T[:3, 3], axis=1) < 0.75) & (ahead @ T[:3, 2] > 0.867) for T in held]
    return float(np.mean([found.any() for found in near]))


def indices(block: Block) -> set[int]:
    return set(range(block.first, block.last + 1))


def test_the_end_that_leads_elsewhere_is_not_held_out():
    """A corridor of 20 m walked twice the same way, 5 cm a frame, then 80 m of another one in strides of 0.4 m."""
    twice = [along((0, 0), (20, 0), 400)] * 2
    poses = np.concatenate([*twice, along((20, 1), (20, 81), 200)])
    blocks = choose_blocks({"seq-01": poses}, 0.2)
    held = set().union(*map(indices, blocks))
    assert sum(len(indices(block)) for block in blocks) == len(held) == pytest.approx(200, abs=10)
    assert sum(i >= 800 for i in held) <= 10  # a tenth of the blocks may be
    assert covered_share({"seq-01": poses}, blocks) > 0.9


def test_frames_much_like_a_held_out_one_are_not_used():
    poses = np.concatenate([along((0, 0), (20, 0), 400)] * 2)
    for block in choose_blocks({"seq-01": poses}, 0.2):
        # 5 frames of 5 cm are 0.25 m.
        assert block.first - block.gap_first == min(4, block.first) or block.first - block.gap_first == 5
        assert block.gap_last - block.last in (4, 5, len(poses) - 1 - block.last)


def test_another_sequence_covers_but_not_where_it_is_held_out_itself():
    poses = along((0, 0), (20, 0), 400)
    blocks = choose_blocks({"seq-01": poses, "seq-02": poses}, 0.2)
    first, second = ({i for b in blocks if b.sequence == name for i in indices(b)} for name in ("seq-01", "seq-02"))
    assert len(first) == len(second) == 80
    assert covered_share({"seq-01": poses, "seq-02": poses}, blocks) > 0.9


def test_where_nothing_is_covered_stretches_are_held_out_all_the_same():
    blocks = choose_blocks({"seq-01": along((0, 0), (200, 0), 400)}, 0.2)
    assert sum(len(indices(block)) for block in blocks) == 80
    assert max(block.covered for block in blocks) < 0.5


@pytest.mark.parametrize("frames", [1, 39])
def test_nothing_is_held_out_of_a_short_sequence(frames: int):
    assert choose_blocks({"seq-01": along((0, 0), (1, 0), 60)[:frames]}, 0.2) == []


def test_a_long_recording_is_searched_in_seconds():
    laps = np.concatenate([along((0, 0), (20, 0), 2500)] * 2)
    blocks = choose_blocks({"seq-01": laps}, 0.2)
    assert sum(len(indices(block)) for block in blocks) == pytest.approx(1000, abs=20)


@pytest.mark.parametrize("share", [0.0, 1.0, float("nan")])
def test_a_share_that_cannot_be_is_a_sentence(share: float):
    with pytest.raises(RecordingError, match="test fraction"):
        choose_blocks({"seq-01": along((0, 0), (1, 0), 60)}, share)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty frames without content but their poses."""
    root = tmp_path / "room"
    (root / "seq-01").mkdir(parents=True)
    for index, pose in enumerate(along((0, 0), (1, 0), 20)):
        stem = root / "seq-01" / f"frame-{index:06d}"
        np.savetxt(f"{stem}.pose.txt", pose)
        write_images(stem)
    return root


def write_images(stem: Path) -> None:
    import cv2

    cv2.imwrite(f"{stem}.color.png", np.zeros((480, 640, 3), np.uint8))
    cv2.imwrite(f"{stem}.depth.png", np.full((480, 640), 1000, np.uint16))


def test_the_file_says_which_frames_are_for_tests(folder: Path):
    lines = [Stretch("seq-01", 5, 9, TEST), Stretch("seq-01", 3, 4, UNUSED), Stretch("seq-01", 9, 11, UNUSED)]
    (folder / "held_out.txt").write_text(held_out_text(lines))
    found = open_folder(folder, test_fraction=0.5)
    assert [frame.index for frame in found.test] == [5, 6, 7, 8, 9]
    assert [frame.index for frame in found.unused] == [3, 4, 10, 11]
    assert [frame.index for frame in found.train] == [0, 1, 2, *range(12, 20)]
    assert [frame.index for frame in found.frames()] == list(range(20))
    assert "11 training and 5 test frames" in contents_text(found)
    assert "4 beside test frames are not used" in contents_text(found)


def test_several_folders_keep_their_unused_frames(folder: Path, tmp_path: Path):
    import shutil

    other = tmp_path / "evening"
    shutil.copytree(folder, other)
    for path in other.glob("*/*.pose.txt"):
        np.savetxt(path, np.loadtxt(path) + np.array([[0, 0, 0, 0.1]] + [[0] * 4] * 3))
    (folder / "held_out.txt").write_text("seq-01 5 9 test\nseq-01 10 11 unused\n")
    (other / "held_out.txt").write_text("seq-01 0 4 test\nseq-01 5 5 unused\n")
    found = open_folders([folder, other])
    assert sorted((f.sequence, f.index) for f in found.unused) == [
        ("evening/seq-01", 5), ("room/seq-01", 10), ("room/seq-01", 11),
    ]  # fmt: skip
    assert (len(found.train), len(found.test)) == (27, 10)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("seq-01 5 9 tests", "held_out.txt:1 is not"),
        ("# a comment\nseq-01 9 5 test", "held_out.txt:2 is not"),
        ("seq-01 5 -9 test", "is not"),
        ("seq-02 5 9 test", "names frames 5 to 9 of 'seq-02'"),
        ("seq-01 20 25 test", "has none"),
        ("seq-01 0 19 test", "no usable training frame"),
        ("", "no usable test frame"),
    ],
)
def test_a_wrong_line_is_a_sentence(folder: Path, text: str, problem: str):
    (folder / "held_out.txt").write_text(text)
    with pytest.raises(RecordingError, match=problem):
        open_folder(folder)


def test_two_splits_are_a_sentence(folder: Path):
    (folder / "held_out.txt").write_text("seq-01 5 9 test\n")
    (folder / "TestSplit.txt").write_text("sequence1\n")
    with pytest.raises(RecordingError, match=r"TestSplit\.txt and held_out\.txt"):
        open_folder(folder)
