# SPDX-License-Identifier: Apache-2.0
"""`mvloc engine build`, `list`, `clear`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mvloc_ros.backends.tensorrt.engine_cache import default_folder
from mvloc_ros.cli import main
from mvloc_ros.model.bundle import read_bundle


def test_build_list_clear(machine: Any, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]):
    cache = ["--cache", str(machine.cache)]
    assert main(["engine", "build", str(tiny_bundle), *cache]) == 0
    assert f"built {machine.engines()[0]}" in capsys.readouterr().out
    assert main(["engine", "build", str(tiny_bundle), *cache]) == 0
    assert "exists already and loads" in capsys.readouterr().out
    assert machine.builds() == 1

    assert main(["engine", "list", *cache]) == 0
    listed = capsys.readouterr().out
    assert "2 files" in listed
    assert "bundle, fp32, TensorRT 10.16.1.11, Orin (nvgpu) (8.7)" in listed
    machine.engines()[0].write_bytes(b"nonsense")
    main(["engine", "list", *cache])
    assert "damaged" in capsys.readouterr().out

    (machine.cache / "notes.txt").write_text("mine")
    assert main(["engine", "clear", *cache]) == 0
    assert "removed 2 files" in capsys.readouterr().out
    assert [path.name for path in machine.cache.iterdir()] == ["notes.txt"]


def test_export_builds_the_engine_if_asked(machine: Any, tiny_bundle: Path, monkeypatch: Any, capsys: Any):
    from mvloc_ros.training import export

    monkeypatch.setenv("XDG_CACHE_HOME", str(machine.cache))
    monkeypatch.setattr(export, "export", lambda *args, **options: read_bundle(tiny_bundle))
    for words, count in (([], 0), (["--tensorrt"], 1)):
        assert main(["export", "run", "--out", "model", *words]) == 0
        assert len(list(default_folder().glob("*.engine"))) == count
    assert str(default_folder()) in capsys.readouterr().out


def test_an_engine_that_cannot_be_kept_is_no_success(machine: Any, tiny_bundle: Path, tmp_path: Path, capsys: Any):
    (tmp_path / "file").write_text("not a folder")
    assert main(["engine", "build", str(tiny_bundle), "--cache", str(tmp_path / "file" / "cache")]) == 1
    assert "cannot be stored" in capsys.readouterr().out


def test_without_a_gpu_it_is_said(tiny_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any):
    from mvloc_ros.backends.gpu import NoGpuError
    from mvloc_ros.backends.tensorrt import engines

    def none() -> None:
        raise NoGpuError("There is no CUDA driver here.")

    monkeypatch.setattr(engines, "find_gpu", none)
    assert main(["engine", "build", str(tiny_bundle)]) == 2
    assert "no CUDA driver" in capsys.readouterr().err


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "mvloc_ros" / "engines"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_folder() == Path.home() / ".cache" / "mvloc_ros" / "engines"
