# SPDX-License-Identifier: Apache-2.0
"""Whole commands, killed, without room, and two at once; and that what watches them sees what is wrong."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ("--kills", 1, "--full", 1, "--no-mount")


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(ROOT))
    from bench.commands import system_calls

    if not system_calls.is_possible():
        pytest.skip("this system hands no calls over to another process")
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "bench"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world, made once for both benchmarks."""
    return tmp_path_factory.mktemp("stage")


def bench(name: str, *arguments: object) -> str:
    """A benchmark in a process of its own, which forks: it must have no threads."""
    command = [sys.executable, "-m", f"bench.{name}", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(600)
def test_a_command_that_is_killed_or_finds_no_room_leaves_the_old_or_the_new(scratch: Path):
    names = ("export", "map", "calibrate", "train", "to-dataset")
    said = bench("interrupted_writes", "--scratch", scratch, *OPTIONS, "--cases", *names)
    assert all(f"{name} " in said for name in names)


@pytest.mark.timeout(600)
def test_two_commands_at_once_are_as_one_after_the_other(scratch: Path):
    pairs = ("train+export", "export+calibrate")
    said = bench("races", "--scratch", scratch, "--rounds", 1, "--pairs", *pairs)
    assert all(f"{pair} " in said for pair in pairs)


def changes(work: Callable[[], int], folder: Path, watched: str = "changes") -> list[str]:
    """Names of the calls of a process that is let do what it will."""
    from bench.commands.process import Process

    process, found = Process(work, folder, folder.parent / "said", watched=watched), []
    while (call := process.next_call()) is not None:
        found.append(f"{call.name} {Path(call.path).name}")
        process.go(call)
    assert process.wait() == 0, process.text()
    return found


def write_plainly(folder: Path) -> Callable[[], int]:
    """What a command must not do: it empties the old file before the new one is there."""

    def work() -> int:
        (folder / "file").write_text("new")
        (folder.parent / "elsewhere").write_text("not counted")
        return (folder / "file").read_text() != "new"

    return work


def test_every_change_within_the_folder_is_seen(tmp_path: Path):
    folder = tmp_path / "folder"
    folder.mkdir()
    assert changes(write_plainly(folder), folder) == ["openat file", "write file"]
    assert changes(write_plainly(folder), folder, "calls") == ["openat file", "write file", "openat file"]


def test_a_kill_between_two_changes_shows_what_is_not_whole(tmp_path: Path):
    from bench.commands.process import Process

    folder = tmp_path / "folder"
    folder.mkdir()
    found = []
    for number in (0, 1):
        (folder / "file").write_text("old")
        process = Process(write_plainly(folder), folder, tmp_path / "said")
        for _ in range(number):
            call = process.next_call()
            assert call is not None
            process.go(call)
        assert process.next_call() is not None
        process.kill()
        found.append((folder / "file").read_text())
    assert found == ["old", ""]


def test_a_call_that_is_refused_fails_as_on_a_full_disk(tmp_path: Path):
    from bench.commands.process import Process

    folder = tmp_path / "folder"
    folder.mkdir()
    process = Process(write_plainly(folder), folder, tmp_path / "said")
    while (call := process.next_call()) is not None:
        assert call.grows
        process.refuse(call, errno.ENOSPC)
    assert process.wait() == 99
    assert "No space left on device" in process.text()
    assert list(folder.iterdir()) == []
