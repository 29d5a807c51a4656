# SPDX-License-Identifier: Apache-2.0
"""Sealed files: what was written comes back, and nothing else does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import damaged_bytes

from mvloc_ros.backends.tensorrt.sealed_file import DamagedFileError, read_sealed, write_sealed

common = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@common
@given(content=st.binary(max_size=200), about=st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8)))
def test_round_trip(tmp_path: Path, content: bytes, about: dict[str, object]):
    path = tmp_path / "new" / "file"
    write_sealed(path, about, content)
    assert read_sealed(path).content == content
    assert read_sealed(path).about == about
    assert list(path.parent.iterdir()) == [path]


@common
@given(data=st.data())
def test_any_truncated_file_is_refused(tmp_path: Path, data: st.DataObject):
    path = tmp_path / "file"
    write_sealed(path, {"model": "demo"}, b"engine" * 20)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(DamagedFileError):
        read_sealed(path)


@common
@given(data=st.data())
def test_any_altered_content_is_refused(tmp_path: Path, data: st.DataObject):
    path = tmp_path / "file"
    write_sealed(path, {"model": "demo"}, b"engine" * 20)
    whole = bytearray(path.read_bytes())
    whole[-data.draw(st.integers(1, 120))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(whole)
    with pytest.raises(DamagedFileError, match="not what was written"):
        read_sealed(path)


@common
@given(content=st.binary(max_size=300))
def test_any_other_file_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError):
        read_sealed(path)


def test_a_header_of_nonsense_is_refused(tmp_path: Path):
    path = tmp_path / "file"
    write_sealed(path, {}, b"")
    magic = path.read_bytes()[:16]
    for header in (b"[]", b"{}", b"\xff\xfe", b'{"about": 1, "size": 0, "sha256": ""}', b'{"about": {}, "size": "x"}'):
        path.write_bytes(magic + len(header).to_bytes(4, "little") + header)
        with pytest.raises(DamagedFileError, match="header"):
            read_sealed(path)
    path.write_bytes(magic + b"\xff\xff\xff\xff")
    with pytest.raises(DamagedFileError, match="header"):
        read_sealed(path)


@pytest.mark.parametrize(
    "header",
    [
        b'{"about": {}, "size": true, "sha256": ""}',
        b'{"about": {}, "size": 0.0, "sha256": ""}',
        b'{"about": {}, "size": -1, "sha256": ""}',
        b'{"about": {}, "size": 1' + b"0" * 5000 + b', "sha256": ""}',
        b'{"about": {}, "size": Infinity, "sha256": ""}',
        b'{"about": ' + b"[" * 100_000,
        b'{"about": {}, "size": 9000000000000000, "sha256": ""}',
    ],
)  # fmt: skip
def test_a_header_of_hostile_values_is_refused(tmp_path: Path, header: bytes):
    path = tmp_path / "file"
    write_sealed(path, {}, b"")
    path.write_bytes(path.read_bytes()[:16] + len(header).to_bytes(4, "little") + header)
    with pytest.raises(DamagedFileError, match="its header is damaged"):
        read_sealed(path)


def test_a_longer_content_and_what_is_no_file_are_refused(tmp_path: Path):
    path = tmp_path / "file"
    write_sealed(path, {}, b"engine")
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(DamagedFileError, match="more than 6 bytes of content where 6 were written"):
        read_sealed(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read_sealed(path)
    os.mkfifo(path)
    with pytest.raises(DamagedFileError, match="named pipe"):
        read_sealed(path)


def test_damaged_bytes_are_refused_or_are_what_was_written(tmp_path: Path):
    path = tmp_path / "file"
    write_sealed(path, {"model": "demo"}, b"engine" * 20)
    whole = path.read_bytes()
    for seed in range(200):
        path.write_bytes(damaged_bytes(whole, seed))
        try:
            found = read_sealed(path)
        except DamagedFileError:
            continue
        assert found.content == b"engine" * 20


def test_a_failed_write_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "file"
    write_sealed(path, {}, b"old")
    with pytest.raises(TypeError):
        write_sealed(path, {"model": object()}, b"new")
    assert read_sealed(path).content == b"old"
    assert list(tmp_path.iterdir()) == [path]
