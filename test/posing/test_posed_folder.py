# SPDX-License-Identifier: Apache-2.0
"""The folder that is written: read back, images unchanged, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from posing_scene import transform

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import read_tum
from mvloc_ros.posing.errors import PosingError
from mvloc_ros.posing.pose import pose_folders
from mvloc_ros.posing.posed_folder import PosedFrame, write_posed
from mvloc_ros.recordings import open_folder
from mvloc_ros.recordings.bare_folder import open_bare_folder
from mvloc_ros.recordings.frames import BareFolder
from mvloc_ros.storage import StorageError

CAMERA = {"width": 64, "height": 48, "fx": 60.0, "fy": 61.0, "cx": 31.0, "cy": 23.5}


@pytest.fixture
def bare(tmp_path: Path) -> BareFolder:
    root = tmp_path / "bare"
    (root / "seq-01").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for n in (0, 1, 4):
        stem = root / "seq-01" / f"frame-{n:06d}"
        cv2.imwrite(f"{stem}.color.png", rng.integers(0, 255, (48, 64, 3), np.uint8))
        cv2.imwrite(f"{stem}.depth.png", rng.integers(500, 3000, (48, 64)).astype(np.uint16))
    settings = {"color": CAMERA, "depth": CAMERA, "depth_registered": True, "pose_of": "color", "rate_hz": 5,
                "depth_units_per_metre": 1000}  # fmt: skip
    (root / "camera.json").write_text(json.dumps(settings))
    return open_bare_folder(root)


def posed(bare: BareFolder) -> dict[str, list[PosedFrame]]:
    covariance = np.diag(np.arange(1.0, 7.0)) + 0.1
    return {
        "seq-01": [
            PosedFrame(frame, transform(0.1 * k, 0.2, 0.3, 10.0 * k, 20.0, 30.0), (k + 1) * 1e-4 * covariance)
            for k, frame in enumerate(bare.sequences[0].frames)
        ]
    }


def content_of(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_open_folder_reads_what_was_written(bare: BareFolder, tmp_path: Path):
    before, out, frames = content_of(bare.root), tmp_path / "posed", posed(bare)
    write_posed(out, bare, frames, {"version": 1})
    assert content_of(bare.root) == before
    folder = open_folder(out)
    assert (folder.layout, folder.pose_of, folder.depth_registered, folder.rate_hz) == ("7scenes", "color", True, 5)
    assert folder.color_camera == bare.color_camera
    assert folder.depth_units_per_metre == 1000
    read = sorted(folder.frames(), key=lambda frame: frame.index)
    assert [frame.index for frame in read] == [0, 1, 4]
    for frame, wanted in zip(read, frames["seq-01"], strict=True):
        np.testing.assert_allclose(frame.T_map_camera, wanted.T_map_camera, atol=1e-12)
        assert frame.color.read_bytes() == wanted.record.color.read_bytes()
        assert frame.depth.read_bytes() == wanted.record.depth.read_bytes()
    trajectory = read_tum(out / "trajectory-seq-01.tum")
    assert trajectory.stamps_ns.tolist() == [frame.record.stamp_ns for frame in frames["seq-01"]]
    assert se3.translation_error(trajectory.poses, [f.T_map_camera for f in frames["seq-01"]]).max() < 1e-8
    rows = np.loadtxt(out / "covariances-seq-01.txt")
    assert rows.shape == (3, 22)
    matrix = np.zeros((6, 6))
    matrix[np.triu_indices(6)] = rows[2, 1:]
    np.testing.assert_allclose(matrix, np.triu(frames["seq-01"][2].covariance), rtol=1e-5)
    assert json.loads((out / "posing.json").read_text()) == {"version": 1}


def test_an_earlier_folder_is_replaced_whole(bare: BareFolder, tmp_path: Path):
    out = tmp_path / "posed"
    out.mkdir()
    write_posed(out, bare, posed(bare), {})
    (out / "seq-07").mkdir(parents=True)
    (out / "seq-07" / "frame-000000.pose.txt").write_text("old")
    write_posed(out, bare, posed(bare), {})
    assert not (out / "seq-07").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bare", "posed"]


def test_images_are_copied_where_the_disk_has_no_links(
    bare: BareFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refuse)
    write_posed(tmp_path / "posed", bare, posed(bare), {})
    copied = tmp_path / "posed" / "seq-01" / "frame-000004.depth.png"
    source = bare.sequences[0].frames[2].depth
    assert copied.read_bytes() == source.read_bytes()
    assert copied.stat().st_ino != source.stat().st_ino


def test_an_image_that_is_a_link_is_followed(bare: BareFolder, tmp_path: Path):
    source = bare.sequences[0].frames[0].color
    elsewhere = tmp_path / "elsewhere.png"
    shutil.move(source, elsewhere)
    source.symlink_to(elsewhere)
    write_posed(tmp_path / "posed", bare, posed(bare), {})
    written = tmp_path / "posed" / "seq-01" / "frame-000000.color.png"
    assert not written.is_symlink()
    assert written.read_bytes() == elsewhere.read_bytes()


def test_a_frame_without_color_is_written_without_it(bare: BareFolder, tmp_path: Path):
    frames = posed(bare)
    first = frames["seq-01"][0]
    frames["seq-01"][0] = replace(first, record=replace(first.record, color=None))
    write_posed(tmp_path / "posed", bare, frames, {})
    assert not (tmp_path / "posed" / "seq-01" / "frame-000000.color.png").exists()
    assert (tmp_path / "posed" / "seq-01" / "frame-000000.depth.png").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_full_disk_or_a_refusal_is_one_sentence_and_leaves_the_old_folder(
    bare: BareFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    out = tmp_path / "posed"
    write_posed(out, bare, posed(bare), {"version": 1})
    before = content_of(out)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(shutil, "copyfile", refuse)
    with pytest.raises(StorageError, match=rf"posed cannot be written \({os.strerror(number)}\).*\.$"):
        write_posed(out, bare, posed(bare), {"version": 2})
    assert content_of(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bare", "posed"]


def test_a_folder_of_something_else_is_left_alone(bare: BareFolder, tmp_path: Path):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter.txt").write_text("years of work")
    with pytest.raises(PosingError, match=r"is not from `mvloc pose`; choose another one\.$"):
        write_posed(out, bare, posed(bare), {})
    assert (out / "chapter.txt").read_text() == "years of work"


@pytest.mark.parametrize("out", ["bare", "."])
def test_the_recording_itself_is_never_replaced(bare: BareFolder, tmp_path: Path, out: str):
    before = content_of(tmp_path)
    with pytest.raises(PosingError, match=r"choose another folder for --out\.$"):
        pose_folders([bare.root], tmp_path / out)
    assert content_of(tmp_path) == before


def test_a_folder_in_a_place_that_cannot_be_written_is_one_sentence(bare: BareFolder, tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StorageError, match="cannot be written"):
        write_posed(tmp_path / "file" / "posed", bare, posed(bare), {})
