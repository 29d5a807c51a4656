# SPDX-License-Identifier: Apache-2.0
"""`mvloc pose` killed at any moment goes on there, and finds what an uninterrupted run finds."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.posing.errors import PosingError
from mvloc_ros.posing.kept_work import KeptWork, kept_work
from mvloc_ros.recordings import open_folder
from mvloc_ros.recordings.frames import FrameRecord

pytest.importorskip("gtsam", reason="poses are found with gtsam, which is not installed")

WaitFor = Callable[[Callable[[], object], float, str], object]
DEADLINE_S = 100.0
# Everything is kept at once, so that a run can be ended at each of these.
RUN = (
    "from mvloc_ros.posing import kept_work; kept_work.KEEP_S = 0.0; "
    "from mvloc_ros.cli import main; raise SystemExit(main())"
)
STAGES = ("tracking", "first-closures")


def command(drive: Path, out: Path) -> list[str]:
    return [sys.executable, "-c", RUN, "pose", str(drive), "--out", str(out)]


@pytest.fixture(scope="module")
def start(drive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Less than half of the drive."""
    root = tmp_path_factory.mktemp("start") / "recording"
    shutil.copytree(drive, root)
    for path in sorted((root / "seq-01").iterdir()):
        if int(path.name[6:12]) >= 20:
            path.unlink()
    return root


@pytest.fixture(scope="module")
def uninterrupted(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("uninterrupted") / "posed"
    subprocess.run(command(start, out), check=True, capture_output=True)
    return out


def values_of(out: Path) -> dict:
    values = json.loads((out / "posing.json").read_text())
    del values["seconds"], values["frames_per_s"]
    return values


@pytest.mark.timeout(300)
def test_killed_in_every_stage_it_finds_the_same(start: Path, uninterrupted: Path, tmp_path: Path, wait_for: WaitFor):
    out, partial = tmp_path / "posed", tmp_path / ".posed.partial"
    for stage in STAGES:
        process = subprocess.Popen(command(start, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        kept = partial / f"{stage}.kept.json"
        wait_for(lambda kept=kept, process=process: kept.is_file() or process.poll() is not None, DEADLINE_S, stage)
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=DEADLINE_S) == -signal.SIGKILL
        assert not out.exists()
    done = subprocess.run(command(start, out), check=True, capture_output=True, text=True)
    assert f"goes on with what an interrupted run left in {partial}" in done.stdout
    assert values_of(out) == values_of(uninterrupted)
    for mine, theirs in zip(*(sorted(open_folder(root).frames(), key=lambda f: f.index)
                              for root in (out, uninterrupted)), strict=True):  # fmt: skip
        np.testing.assert_array_equal(mine.T_map_camera, theirs.T_map_camera)
    assert {path.name for path in tmp_path.iterdir()} == {"posed"}


def test_ctrl_c_is_a_sentence_and_leaves_the_work(start: Path, tmp_path: Path, wait_for: WaitFor):
    out, partial = tmp_path / "posed", tmp_path / ".posed.partial"
    process = subprocess.Popen(command(start, out), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    wait_for((partial / "tracking.kept.json").is_file, DEADLINE_S, "the first frames")
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert "Interrupted; the same command goes on where it was." in text
    assert (partial / "tracking.kept.json").is_file()


def test_work_on_something_else_is_begun_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def begun(source: dict[str, int], value: int) -> object:
        with pytest.raises(KeyboardInterrupt), kept_work(tmp_path / "posed", source) as kept:  # noqa: PT012
            found = kept.load("number")
            kept.keep("number", value)
            raise KeyboardInterrupt
        return found

    assert begun({"frames": 1}, 5) is None
    assert begun({"frames": 1}, 6) == 5
    assert begun({"frames": 2}, 7) is None
    assert "starts from the beginning" in capsys.readouterr().out
    assert begun({"frames": 2}, 8) == 7


def test_what_cannot_be_posed_leaves_nothing(tmp_path: Path):
    with pytest.raises(PosingError), kept_work(tmp_path / "posed", {}) as kept:  # noqa: PT012
        kept.keep("number", 5)
        raise PosingError("too dark")
    assert not list(tmp_path.iterdir())


def test_the_time_of_all_runs_counts(tmp_path: Path):
    first = KeptWork(tmp_path)
    first._before_s = 100.0
    first.keep("number", 1)
    assert 100.0 <= KeptWork(tmp_path).seconds < 130.0


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1, 2",
        '{"type": "Popen", "state": {}}',
        '{"call": "os.system"}',
        '{"array": ["O8", [1], ""]}',
        '{"array": ["f8", [3], "AAAA"]}',
        '{"same": 5}',
        '{"view": 3}',
        '{"given": "odometry of seq-09"}',
    ],
)
def test_a_file_of_anything_else_is_not_loaded(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture):
    (tmp_path / "tracking.kept.json").write_text(content)
    assert KeptWork(tmp_path).load("tracking") is None
    assert "cannot be used" in caplog.text


def test_values_come_back_as_they_were(tmp_path: Path):
    further = (("rear", Path("b.png")), ("thermal", Path("c.png")))
    record = FrameRecord("seq-01", 3, 5, Path("a.png"), None, np.arange(16.0).reshape(4, 4), None, further)
    given = np.arange(3)
    numbers = np.array([0.1, np.inf, np.nan]), np.array([[True, False]]), np.arange(3, dtype=np.uint16)
    kept = [record, np.float64(0.1), numbers, (1, None, "a"), float("inf"), record, given, []]
    KeptWork(tmp_path, {"numbers": given}).keep("some", kept)
    found = KeptWork(tmp_path, {"numbers": given}).load("some")
    assert (found[0].sequence, found[0].index, found[0].color) == ("seq-01", 3, Path("a.png"))
    assert found[0].further == further
    np.testing.assert_array_equal(found[0].T_map_camera, record.T_map_camera)
    assert (found[1], type(found[1])) == (0.1, np.float64)
    for mine, theirs in zip(found[2], numbers, strict=True):
        np.testing.assert_array_equal(mine, theirs)
        assert (mine.dtype, mine.flags.writeable) == (theirs.dtype, True)
    assert found[3:5] == [(1, None, "a"), np.inf]
    assert found[5] is found[0]
    assert found[6] is given


def test_a_value_of_another_type_is_an_error_of_ours(tmp_path: Path):
    with pytest.raises(TypeError, match="Popen is not stored"):
        KeptWork(tmp_path).keep("some", [subprocess.Popen.__new__(subprocess.Popen)])
