# SPDX-License-Identifier: Apache-2.0
"""Replacing a folder: the old one or the new one is there, whatever happens."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mvloc_ros.folders import replace_folder


def folder(path: Path, content: str) -> Path:
    path.mkdir()
    (path / "content").write_text(content)
    return path


def test_the_new_folder_takes_the_name_and_nothing_else_stays(tmp_path: Path):
    path = tmp_path / "name"
    replace_folder(folder(tmp_path / "first", "first"), path)
    replace_folder(folder(tmp_path / "second", "second"), path)
    assert (path / "content").read_text() == "second"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_and_leads_to_the_new_folder(tmp_path: Path):
    path = folder(tmp_path / "name", "old")
    link = tmp_path / "link"
    link.symlink_to(path)
    replace_folder(folder(tmp_path / "other", "new"), link)
    assert link.is_symlink()
    assert (path / "content").read_text() == "new"


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_the_old_folder_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: type[BaseException]):
    path, new = folder(tmp_path / "name", "old"), folder(tmp_path / "new", "new")
    rename = os.replace

    def fail(source: Path, target: Path) -> None:
        if source == new:
            raise failure
        rename(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(failure):
        replace_folder(new, path)
    assert (path / "content").read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [path, new]
