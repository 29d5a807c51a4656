# SPDX-License-Identifier: Apache-2.0
"""`validation.csv` from outside: poses or a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from mutations import damaged_bytes

from mvloc_ros.geometry import se3
from mvloc_ros.model.validation_file import ValidationFileError, ValidationPoses, read_validation

HEADER = "modalities,sequence,stamp_ns,x,y,z,qx,qy,qz,qw\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "validation.csv"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("both,s,1,0,0,0,0,0,0\n", "line 2 has 9 columns instead of 10"),
        ("both\n", "line 2 has 1 columns instead of 10"),
        ("both,s,1,0,0,0,0,0,0,1,5\n", "line 2 has 11 columns"),
        ("\n", "line 2 has 0 columns"),
        ("both,s,1,0,0,0,0,0,0,1\nsonar,s,1,0,0,0,0,0,0,1\n", "line 3 has the modality 'sonar'"),
        ("both,s,1.5,0,0,0,0,0,0,1\n", "the stamp in line 2 is '1.5', not a stamp in nanoseconds"),
        ("both,s,1_0,0,0,0,0,0,0,1\n", "the stamp in line 2 is '1_0'"),
        ("both,s,9223372036854775808,0,0,0,0,0,0,1\n", "the stamp in line 2 is '9223372036854775808'"),
        (f"both,s,{'9' * 5000},0,0,0,0,0,0,1\n", "the stamp in line 2 is '9999"),
        ("both,s,1,nan,0,0,0,0,0,1\n", "line 2 is not a pose: 'nan' is not finite"),
        ("both,s,1,1e400,0,0,0,0,0,1\n", "line 2 is not a pose: '1e400' is not finite"),
        (f"both,s,1,{'9' * 500},0,0,0,0,0,1\n", "line 2 is not a pose: a number has 500 digits"),
        ("both,s,1,1e9,0,0,0,0,0,1\n", r"line 2 has a position beyond 1e\+08 m"),
        ("both,s,1,0,0,0,0,0,0,0\n", "the quaternion in line 2 does not have length 1"),
        ("both,s,1,0,0,0,1e30,1e30,0,0\n", "the quaternion in line 2 does not have length 1"),
        ("both,s,1,0,0,0,0,0,0,1\nboth,s,1,1,0,0,0,0,0,1\n", "line 3 repeats a frame"),
        (f"both,{'s' * 200_000},1,0,0,0,0,0,0,1\n", "field larger than field limit"),
        ('both,"s', "unexpected end of data"),
    ],
)  # fmt: skip
def test_a_row_that_is_no_pose_is_refused_by_its_line(path: Path, rows: str, words: str):
    path.write_text(HEADER + rows)
    with pytest.raises(ValidationFileError, match=rf"{words}.*; export the bundle again\."):
        read_validation(path)


def test_what_is_no_regular_text_file_of_the_folder_is_refused(path: Path, tmp_path: Path):
    path.write_bytes(b"\xff" + HEADER.encode())
    with pytest.raises(ValidationFileError, match="utf-8"):
        read_validation(path)
    path.unlink()
    with pytest.raises(ValidationFileError, match="No such file"):
        read_validation(path)
    os.mkfifo(path)
    with pytest.raises(ValidationFileError, match="named pipe"):
        read_validation(path)
    path.unlink()
    path.symlink_to("/etc/hostname")
    with pytest.raises(ValidationFileError, match="points outside"):
        read_validation(path)


def test_damaged_bytes_are_refused_or_are_poses(path: Path):
    rng = np.random.default_rng(0)
    rotations = rng.standard_normal((12, 4))
    rotations /= np.linalg.norm(rotations, axis=1, keepdims=True)
    poses = se3.from_parts(rng.standard_normal((12, 3)), rotations)
    stamps = np.arange(12, dtype=np.int64)
    content = ValidationPoses(tuple("abcdefghijkl"), stamps, {"both": poses, "depth": poses}).to_text().encode()
    refused = 0
    for seed in range(150):
        path.write_bytes(damaged_bytes(content, seed))
        try:
            found = read_validation(path)
        except ValidationFileError:
            refused += 1
            continue
        for values in found.poses.values():
            assert all(se3.is_rigid(pose) or np.isnan(pose).all() for pose in values)
    assert 50 < refused < 148
