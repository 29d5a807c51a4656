# SPDX-License-Identifier: Apache-2.0
"""The TUM RGB-D layout and its traps."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvloc_ros.errors import MvlocError
from mvloc_ros.recordings import RecordingError, open_folder, read_depth
from mvloc_ros.recordings.tum import associate, read_list

START = 1305031102_000_000_000


def test_stamps_are_exact_and_frames_have_truth(tum: Path):
    folder = open_folder(tum)
    frames = list(folder.frames())
    assert [frame.index for frame in frames] == list(range(1, 10)), "the first image is before any ground truth"
    assert frames[0].stamp_ns == START + 33_000_000
    assert len(folder.test) == 2
    assert folder.test[-1].index == 9
    assert folder.rate_hz == pytest.approx(1 / 0.033)
    assert (folder.pose_of, folder.depth_registered, folder.depth_units_per_metre) == ("color", True, 5000.0)


def test_ground_truth_is_interpolated_at_the_colour_stamp(tum: Path):
    frame = next(open_folder(tum).frames())
    # 33 ms is 2.3 steps of 10 ms and 1 cm after the first pose at 10 ms.
    assert frame.T_map_camera[0, 3] == pytest.approx(0.023, abs=1e-9)


def test_depth_is_the_nearest_within_20_ms(tum: Path):
    frames = {frame.index: frame for frame in open_folder(tum).frames()}
    assert frames[4].depth is None
    assert frames[5].depth.name == "5_3000000.png"
    assert frames[5].depth_stamp_ns - frames[5].stamp_ns == 3_000_000
    assert frames[6].depth_stamp_ns - frames[6].stamp_ns == 5_000_000
    assert read_depth(frames[6].depth, 5000.0)[5, 5] == pytest.approx(2.536)


def test_ground_truth_with_a_gap_gives_no_pose_there(tum: Path):
    path = tum / "groundtruth.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:12] + lines[26:]) + "\n")
    assert [frame.index for frame in open_folder(tum).frames()] == [1, 2, 3, 8, 9]


def test_no_ground_truth_is_made_up_inside_a_jump(tum: Path, caplog: pytest.LogCaptureFixture):
    path = tum / "groundtruth.txt"
    lines = path.read_text().splitlines()
    # From 160 to 170 ms; image 5 is at 165 ms.
    path.write_text("\n".join([*lines[:18], *(line.replace(" 0 1 0 0 0 1", " 1.5 1 0 0 0 1") for line in lines[18:])]))
    assert [frame.index for frame in open_folder(tum).frames()] == [1, 2, 3, 4, 6, 7, 8, 9]
    assert "1 step exceeds 5 m/s or 360 deg/s, at 1305031102.160 s; the farthest is 1.500 m" in caplog.text
    assert "1 frames left out without ground truth at their time, between two poses that no motion" in caplog.text


def test_several_recordings_are_several_sequences(tum: Path):
    parent = tum.parent / "both"
    shutil.copytree(tum, parent / "a")
    shutil.copytree(tum, parent / "b")
    folder = open_folder(parent)
    assert {frame.sequence for frame in folder.train} == {"a", "b"} == {frame.sequence for frame in folder.test}


def test_a_missing_list_is_named(tum: Path):
    (tum / "depth.txt").unlink()
    with pytest.raises(RecordingError, match=r"has no depth\.txt"):
        open_folder(tum)


@pytest.mark.parametrize("line", ["1305031102.1", "soon rgb/a.png", "nan rgb/a.png"])
def test_a_damaged_line_is_named(tum: Path, line: str):
    with (tum / "rgb.txt").open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(RecordingError, match=r"Line 13 of .*rgb\.txt"):
        open_folder(tum)


def test_stamps_do_not_pass_through_a_float(tmp_path: Path):
    (tmp_path / "rgb.txt").write_text("1305031102.175304123 rgb/a file.png\n")
    assert read_list(tmp_path / "rgb.txt") == [(1305031102_175304123, tmp_path / "rgb/a file.png")]


stamps = st.lists(st.integers(0, 500), unique=True, max_size=12).map(sorted)


@given(color=stamps, depth=stamps, skew=st.integers(0, 60))
def test_association_is_one_to_one_and_leaves_no_better_pair(color: list[int], depth: list[int], skew: int):
    pairs = associate(color, depth, skew)
    assert len(set(pairs.values())) == len(pairs)
    assert all(abs(color[i] - depth[j]) <= skew for i, j in pairs.items())
    partner = {j: i for i, j in pairs.items()}
    for i, c in enumerate(color):
        for j, d in enumerate(depth):
            gap = abs(c - d)
            if gap <= skew:
                # One of the two has a partner at least as near: nobody would rather swap.
                own = abs(c - depth[pairs[i]]) if i in pairs else None
                other = abs(color[partner[j]] - d) if j in partner else None
                assert any(value is not None and value <= gap for value in (own, other))


def test_equal_skews_prefer_the_earlier_pair():
    assert associate([100, 110], [105], 20) == {0: 0}
    assert all(a < b for a, b in pairwise(associate([0, 10, 20], [1, 11, 21], 5).values()))


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    """Change the stamps of a list."""
    lines = [line.split(" ", 1) for line in path.read_text().splitlines() if not line.startswith("#")]
    path.write_text("".join(f"{change(stamp)} {rest}\n" for stamp, rest in lines))


@pytest.mark.parametrize("digits", [9, 6, 3])
def test_lists_in_other_units_are_converted_and_said(tum: Path, caplog: pytest.LogCaptureFixture, digits: int):
    before = [frame.stamp_ns for frame in open_folder(tum).frames()]
    rewrite(tum / "rgb.txt", lambda stamp: str(int(Decimal(stamp) * 10**digits)))
    rewrite(tum / "groundtruth.txt", lambda stamp: str(int(Decimal(stamp) * 10**digits)))
    with caplog.at_level(logging.WARNING):
        assert [frame.stamp_ns for frame in open_folder(tum).frames()] == before
    unit = {9: "nanoseconds", 6: "microseconds", 3: "milliseconds"}[digits]
    assert caplog.text.count(f"stamps are read as {unit}") == 2


def test_relative_nanoseconds_are_refused(tum: Path):
    rewrite(tum / "depth.txt", lambda stamp: str(int(Decimal(stamp) * 10**9) - START))
    with pytest.raises(MvlocError, match=r"depth\.txt needs stamps in seconds: .*nanoseconds"):
        open_folder(tum)


def test_two_images_at_one_time_are_refused(tum: Path):
    with (tum / "rgb.txt").open("a") as stream:
        stream.write((tum / "rgb.txt").read_text().splitlines()[3].split()[0] + " rgb/other.png\n")
    with pytest.raises(RecordingError, match=r"two images at 1305031102.* and other\.png: keep one"):
        open_folder(tum)


def test_a_file_name_from_outside_cannot_act_on_a_terminal(tum: Path):
    with (tum / "rgb.txt").open("a") as stream:
        stream.write((tum / "rgb.txt").read_text().splitlines()[3].split()[0] + " rgb/a\x1b[2Jb.png\n")
    with pytest.raises(RecordingError) as caught:
        open_folder(tum)
    assert r"a\x1b[2Jb.png: keep one" in str(caught.value)


def test_a_list_that_is_not_utf8_is_named(tum: Path):
    (tum / "rgb.txt").write_bytes(b"# caf\xe9\n" + (tum / "rgb.txt").read_bytes())
    with pytest.raises(RecordingError, match=r"Line 1 of the list .*rgb\.txt is not UTF-8"):
        open_folder(tum)


def test_ground_truth_of_rtabmap_is_read(tum: Path):
    before = [frame.T_map_camera[0, 3] for frame in open_folder(tum).frames()]
    path = tum / "groundtruth.txt"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    path.write_text("".join(f"{line} {number}\n" for number, line in enumerate(lines)))
    assert [frame.T_map_camera[0, 3] for frame in open_folder(tum).frames()] == before
