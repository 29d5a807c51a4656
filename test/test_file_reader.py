# SPDX-License-Identifier: Apache-2.0
"""Only regular files of a bounded size are read, and where asked for, of one folder only."""

from __future__ import annotations

import hashlib
import os
import socket
import tracemalloc
from pathlib import Path

import pytest

from mvloc_ros.file_reader import ReadError, digest_file, open_regular, read_file


def test_a_regular_file_is_read(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"content")
    assert read_file(tmp_path / "file", 7) == b"content"
    assert read_file(tmp_path / "file", 7, within=tmp_path) == b"content"


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ReadError, match="named pipe"):
        read_file(tmp_path / "pipe", 100)
    with pytest.raises(ReadError, match="device"):
        read_file("/dev/zero", 100)
    with pytest.raises(ReadError, match="folder"):
        read_file(tmp_path, 100)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(ReadError):
            read_file(tmp_path / "socket", 100)
    with pytest.raises(ReadError, match="No such file"):
        read_file(tmp_path / "absent", 100)
    with pytest.raises(ReadError):
        read_file("a\0b", 100)


def test_size_is_bounded(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"content")
    with pytest.raises(ReadError, match="7 bytes, at most 6"):
        read_file(tmp_path / "file", 6)
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(ReadError, match="at most"):
        read_file(tmp_path / "sparse", 1 << 20)
    # A file of /proc says that it has 0 bytes.
    with pytest.raises(ReadError, match="more than"):
        read_file("/proc/self/maps", 10)


def test_no_more_room_is_taken_than_the_file_has(tmp_path: Path):
    """A reader that asks for the most there may be gets that much memory first."""
    (tmp_path / "file").write_bytes(b"content")
    tracemalloc.start()
    try:
        assert read_file(tmp_path / "file", 1 << 40) == b"content"
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    with Path("/proc/self/maps").open("rb") as stream:  # of which the system says that it has 0 bytes
        assert read_file("/proc/self/maps", 1 << 40).splitlines()[0] == stream.readline().strip()


def test_a_digest_is_of_all_bytes_up_to_a_bound_or_without_one(tmp_path: Path):
    """The files of a training's cache have no bound: a day of frames has more than a bundle may have."""
    content = bytes(range(256)) * 8192  # of more than one part
    (tmp_path / "file").write_bytes(content)
    expected = hashlib.sha256(content).hexdigest()
    assert digest_file(tmp_path / "file", None) == digest_file(tmp_path / "file", len(content)) == expected
    with pytest.raises(ReadError, match="at most"):
        digest_file(tmp_path / "file", len(content) - 1)
    (tmp_path / "out").symlink_to("/proc/version")
    with pytest.raises(ReadError, match="points outside"):
        digest_file(tmp_path / "out", None, within=tmp_path)


def test_links_that_lead_out_of_the_folder_are_refused(tmp_path: Path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "file").write_bytes(b"content")
    (folder / "in").symlink_to("file")
    (tmp_path / "alias").symlink_to(folder)
    assert read_file(folder / "in", 100, within=folder) == b"content"
    assert read_file(tmp_path / "alias" / "file", 100, within=tmp_path / "alias") == b"content"
    assert read_file(folder / "out", 100) == b"secret"
    for name in ("out", "../secret"):
        with pytest.raises(ReadError, match="points outside"):
            read_file(folder / name, 100, within=folder)
    (folder / "loop").symlink_to("loop")
    with pytest.raises(ReadError):
        read_file(folder / "loop", 100, within=folder)


def test_no_descriptor_stays_open(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"content")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        for path in (tmp_path / "pipe", tmp_path / "file"):
            try:
                with open_regular(path, 3):
                    pass
            except ReadError:
                pass
    assert len(os.listdir("/proc/self/fd")) == before
