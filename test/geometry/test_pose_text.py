# SPDX-License-Identifier: Apache-2.0
"""Trajectories as other systems write them: read where that is certain, else refused with the line."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.errors import MvlocError
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.pose_text import matrix_of, parse_trajectory
from mvloc_ros.geometry.stamp_text import read_number, to_nanoseconds
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.geometry.trajectory import read_tum

Q = "0.5 0.5 0.5 0.5"
TUM = f"1305031102.175304123 1 2 3 {Q}\n1305031102.2 1.5 2 3 {Q}\n"
STAMPS = [1305031102_175304123, 1305031102_200000000]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        TUM,
        "\ufeff" + TUM,
        TUM.encode("utf-16"),
        TUM.replace("\n", "\r\n"),
        "#timestamp x y z qx qy qz qw id\n" + TUM.replace("\n", " 17\n"),  # rtabmap-export --poses_format 11
        "timestamp,tx,ty,tz,qx,qy,qz,qw\n" + TUM.replace(" ", ","),
        "#t; x; y; z; qx; qy; qz; qw\n" + TUM.replace(" ", "; "),
        "# Zürich, camera to world\n" + TUM,
        TUM.replace(".175304123", "175304123").replace(".2 ", "200000000 "),
    ],
    ids=["tum", "mark", "utf-16", "crlf", "id", "commas", "semicolons", "comment", "nanoseconds"],
)
def test_what_other_systems_write_is_the_same_trajectory(tmp_path: Path, content: str | bytes):
    found = read_tum(write(tmp_path / "t.txt", content))
    assert found.stamps_ns.tolist() == STAMPS
    position, orientation = se3.to_parts(found.poses)
    np.testing.assert_allclose(position, [[1, 2, 3], [1.5, 2, 3]])
    np.testing.assert_allclose(np.abs(orientation), 0.5)


def test_kitti_has_its_times_beside_it(tmp_path: Path):
    path = write(tmp_path / "poses.txt", "1 0 0 4 0 0 -1 5 0 1 0 6\n1 0 0 7 0 1 0 8 0 0 1 9\n")
    with pytest.raises(MvlocError, match=r"^[^(]*KITTI's form, 12 numbers .*into .*times\.txt"):
        read_tum(path)
    write(tmp_path / "times.txt", "0.0\n0.1\n")
    found = read_tum(path)
    assert found.stamps_ns.tolist() == [0, 100_000_000]
    np.testing.assert_allclose(found.poses[0], [[1, 0, 0, 4], [0, 0, -1, 5], [0, 1, 0, 6], [0, 0, 0, 1]], atol=1e-12)
    write(tmp_path / "times.txt", "0.0\n")
    with pytest.raises(MvlocError, match=r"has 1 times, but .* has 2 poses"):
        read_tum(path)
    write(tmp_path / "times.txt", "0.0\nsoon\n")
    with pytest.raises(MvlocError, match=r"times\.txt is not a list of times .*'soon'"):
        read_tum(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (TUM.replace(".", ","), r"Line 1 of .* is not `t x y z qx qy qz qw` \(it has decimal commas.*: '1305031102,17"),
        (TUM.replace(" ", ","), "Line 1 .*no header names these columns"),
        ("t,x,y,z,qw,qx,qy,qz\n" + TUM.replace(" ", ","), r"Line 1 .*another order than `t x y z qx qy qz qw`"),
        ("# timestamp tx ty tz qw qx qy qz\n" + TUM, "Line 1 .*another order"),
        ("#timestamp [ns], p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m], q_RS_w [], q_RS_x [], q_RS_y [], q_RS_z []\n"
         + TUM.replace(" ", ","), "Line 1 .*another order"),
        (TUM.replace("\n", " 0.3\n"), "9 columns, the last of which is not a node number"),
        ("17 1305031102.1 1 2 3 0 0 0 1\n", "norm is 3 and not 1"),
        ("1305031102.1 1 2 3 0.1 0.2 0.3\n", "it has 7 columns"),
        (b"# caf\xe9\n" + TUM.encode(), r"Line 1 of the trajectory .* is not UTF-8: '# caf.*xe9'"),
        (TUM.encode("utf-16-le"), "contains zero bytes"),
        (f"0 1 2 3 {Q}\n33333333 1 2 3 {Q}\n66666667 1 2 3 {Q}\n", "3.33333e\\+07 seconds apart .* nanoseconds"),
        (f"1305031102 1 2 3 {Q}\n1305031102175 1 2 3 {Q}\n", "not in one unit of time"),
        (f"1e30 1 2 3 {Q}\n", "are not times"),
        ("# nothing\n", "contains no pose"),
        (TUM + "x" * 500 + "\n", r"Line 3 .*: 'x{57}\.\.\.'"),
    ],
)  # fmt: skip
def test_what_is_not_certain_is_refused_with_its_line(tmp_path: Path, content: str | bytes, sentence: str):
    path = write(tmp_path / "t.txt", content)
    with pytest.raises(MvlocError, match=sentence) as caught:
        read_tum(path)
    assert type(caught.value) is MvlocError
    assert "\n" not in str(caught.value)


def test_where_every_line_is_bad_the_first_is_shown(tmp_path: Path):
    bad: list[int] = []
    with pytest.raises(
        MvlocError, match=r"contains no pose: line 1 is not `t x y z qx qy qz qw` \(it has 2 columns\): 'a b'"
    ):
        read_tum(write(tmp_path / "t.txt", "a b\nc d\n"), bad)


def test_another_unit_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        found = read_tum(write(tmp_path / "t.txt", f"1305031102175 1 2 3 {Q}\n1305031102275 1 2 3 {Q}\n"))
    assert found.stamps_ns.tolist() == [1305031102_175_000_000, 1305031102_275_000_000]
    assert "read as milliseconds" in caplog.text


@pytest.mark.parametrize("unit", ["seconds", "milliseconds", "microseconds", "nanoseconds"])
def test_every_unit_of_today_is_known_by_its_digits(unit: str):
    digits = {"seconds": "1700000000", "milliseconds": "1700000000000", "microseconds": "1700000000000000"}
    stamp = read_number(digits.get(unit, "1700000000000000000"))
    assert to_nanoseconds([stamp]) == ([1_700_000_000_000_000_000], unit)


def test_a_missing_text_file_is_named(tmp_path: Path):
    with pytest.raises(MvlocError, match=r"list .*none\.txt cannot be read \(No such file or directory\)"):
        read_text(tmp_path / "none.txt", "list")


@pytest.mark.parametrize("text", ["1e400", "-1e400", "1e999999", "nan", "inf", "1" * 401, "1e9999999999999999999"])
def test_a_number_beyond_float64_or_of_endless_digits_is_none(text: str):
    """Infinite positions would make poses of NaN, and whole numbers of a million digits take for ever."""
    with pytest.raises(ValueError, match=r"finite|digits|not a number"):
        read_number(text)


@pytest.mark.parametrize("text", ["1.0 1e30 0 0 0 0 0 1\n", "1.0 0 -2e8 0 0 0 0 1\n"])
def test_positions_that_are_not_on_the_earth_are_refused(tmp_path: Path, text: str):
    (tmp_path / "poses.tum").write_text(text)
    with pytest.raises(MvlocError, match=r"its position is beyond 1e\+08 m"):
        parse_trajectory(text, tmp_path / "poses.tum", None)
    with pytest.raises(ValueError, match="beyond"):
        matrix_of(["1", "0", "0", "1e30", "0", "1", "0", "0", "0", "0", "1", "0"])
