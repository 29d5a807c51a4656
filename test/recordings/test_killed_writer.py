# SPDX-License-Identifier: Apache-2.0
"""A conversion that is killed at any of its steps is finished by the same command, without a folder deleted by hand."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.recordings import RecordingError, open_folder
from mvloc_ros.recordings.folder_writer import SOURCE_FILE, FolderWriter, FrameName
from mvloc_ros.recordings.frames import CameraSettings

CAMERA = PinholeCamera(8, 6, 5.0, 5.0, 4.0, 3.0)
SETTINGS = CameraSettings(CAMERA, CAMERA, 1000.0, True, "color", 30.0)
NAMES = [FrameName(sequence, index) for sequence in ("seq-01", "seq-02") for index in range(2)]
STEPS = ("open", "os.mkdir", "os.rename")


def write(out: Path) -> None:
    """All that a conversion does to its folder."""
    with FolderWriter(out, {"recording": "bag"}) as writer:
        if writer.complete:
            return
        for number, name in enumerate(NAMES):
            if not writer.has_color(name):
                writer.write_color(name, np.full((6, 8, 3), 40 * number, np.uint8))
            writer.write_pose(name, np.eye(4))
        writer.finish(SETTINGS, ["seq-01"], ["seq-02"])


def steps_of(out: Path, do: Callable[[int], None]) -> None:
    """Call `do` with the number of each step that is about to be taken in the folder of `out`."""
    count = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        is_path = event in STEPS and isinstance(arguments[0], str | bytes | os.PathLike)
        if is_path and os.fsdecode(arguments[0]).startswith(str(out.parent)):  # type: ignore[arg-type]
            count += 1
            do(count)

    sys.addaudithook(hook)


def in_child(out: Path, do: Callable[[int], None]) -> int:
    """How a process ended that wrote the folder; an audit hook stays, so it has one of its own."""
    child = os.fork()
    if child == 0:
        try:
            steps_of(out, do)
            write(out)
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def test_a_killed_conversion_is_finished_by_the_next(tmp_path: Path):
    for step in (*range(1, 20), *range(20, 200, 8)):
        out = tmp_path / f"step{step}" / "out"
        out.parent.mkdir()

        def kill(number: int, last: int = step) -> None:
            if number == last:
                os.kill(os.getpid(), signal.SIGKILL)

        status = in_child(out, kill)
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        write(out)
        folder = open_folder(out)
        assert (len(folder.train), len(folder.test)) == (2, 2), step
        rest = [path for path in out.rglob("*") if path.name.endswith(".part")]
        assert not rest, (step, rest)
    assert 20 < step < 199, "all steps were tried"


def test_a_folder_of_another_source_is_still_refused(tmp_path: Path):
    write(tmp_path / "out")
    with (
        pytest.raises(RecordingError, match=r"recording: 'bag', now 'other'"),
        FolderWriter(tmp_path / "out", {"recording": "other"}),
    ):
        pass


@pytest.mark.parametrize("content", ["", "[]", "5", "{", "[" * 3000, '{"a": NaN}', '{"a": 1, "a": 2}'])
def test_an_odd_source_file_is_no_source(tmp_path: Path, content: str):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / SOURCE_FILE).write_text(content)
    with pytest.raises(RecordingError, match="out exists and was not written from a recording"):
        write(tmp_path / "out")
    (tmp_path / "out" / SOURCE_FILE).unlink()
    os.mkfifo(tmp_path / "out" / SOURCE_FILE)
    with pytest.raises(RecordingError, match="out exists and was not written from a recording"):
        write(tmp_path / "out")
