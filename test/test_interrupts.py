# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C as terminals and launchers send it, to the whole process group and several times: one orderly end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mvloc_ros.demo.write_folder import write_folder
from mvloc_ros.recordings import open_folder, topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.from_folder import select_frames, write_bag

ROOT = Path(__file__).resolve().parents[1]
SIGNALS = [signal.SIGINT, signal.SIGTERM]
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path, wait_for) -> Iterator[Start]:
    """Starts a command with a process group of its own, and waits until it has said a word."""
    started: list[subprocess.Popen[bytes]] = []

    def run(word: str, *command: str) -> subprocess.Popen[bytes]:
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen([sys.executable, *command], stdout=log, stderr=log, start_new_session=True)
        started.append(process)
        wait_for(lambda: word in (tmp_path / "log").read_text() or process.poll() is not None, 60, word)
        assert process.poll() is None, (tmp_path / "log").read_text()
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interrupts") / "frames"
    write_folder(folder, split="both", frames=30, progress=False)
    return folder


@pytest.fixture(scope="module")
def bag(frames: Path) -> Path:
    folder = open_folder(frames)
    write_bag(folder, select_frames(folder, "test"), frames.parent / "bag", progress=False)
    return frames.parent / "bag"


def end(interrupt, process: subprocess.Popen[bytes], number: int) -> int:
    return interrupt(process, lambda: os.killpg(process.pid, number))


CLI = ("-m", "mvloc_ros.cli")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_command_ends_with_130(start: Start, interrupt, tmp_path: Path, number: int):
    process = start("rendering", *CLI, "demo", "render", "--out", str(tmp_path / "out"))
    assert end(interrupt, process, number) == 130
    said = (tmp_path / "log").read_text()
    assert "nterrupted" in said
    assert "Traceback" not in said


def test_a_replay_ends_with_130(start: Start, interrupt, bag: Path, tmp_path: Path):
    out = ("--out", str(tmp_path / "out"))
    process = start("localizing", *CLI, "replay", str(bag), "--model", str(ROOT / "models" / "demo"), *out)
    assert end(interrupt, process, signal.SIGINT) == 130
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert not (tmp_path / "out").exists()


def test_a_training_ends_with_130(start: Start, interrupt, frames: Path, tmp_path: Path):
    pytest.importorskip("torch")
    size = ("--width", "0.25", "--short-side", "48", "--batch-size", "4", "--epochs", "500", "--device", "cpu")
    split = ("--validation-fraction", "0.2", "--validation-gap", "1")
    process = start("training:", *CLI, "train", "--data", str(frames), "--out", str(tmp_path / "run"), *size, *split)
    assert end(interrupt, process, signal.SIGINT) == 130
    said = (tmp_path / "log").read_text()
    assert "run the same command again" in said
    assert "Traceback" not in said


@pytest.mark.dds
@pytest.mark.parametrize("number", SIGNALS)
def test_a_recording_ends_whole_and_with_0(start: Start, interrupt, tmp_path: Path, number: int):
    process = start("recording", *CLI, "record", "--out", str(tmp_path / "bag"))
    assert end(interrupt, process, number) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()
    with BagReader(tmp_path / "bag") as reader:
        assert topics.GROUND_TRUTH in reader.topics


@pytest.mark.dds
def test_a_player_ends_with_0(start: Start, interrupt, bag: Path, tmp_path: Path):
    process = start("playing", *CLI, "play", str(bag), "--loop")
    assert end(interrupt, process, signal.SIGINT) == 0
    said = (tmp_path / "log").read_text()
    assert "interrupted" in said
    assert "Traceback" not in said


REPETITIONS = 20
UNWINDING = """
import signal, sys, threading, time
from pathlib import Path
from mvloc_ros import cli
from mvloc_ros.demo import verbs

def run_render(args):
    try:
        print("ready", flush=True)
        exec("signal.pause()")  # Python marks the process as interrupted where this is left by KeyboardInterrupt
    finally:
        deadline, enough = time.monotonic() + 30, Path(args.out).with_name("enough")
        while not enough.exists() and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        print("tidied up" if enough.exists() else "no further signals came", flush=True)

verbs.run_render = run_render
cli.command()
"""


def test_what_is_being_tidied_up_is_not_interrupted(start: Start, interrupt, tmp_path: Path):
    process = start("ready", "-c", UNWINDING, "demo", "render", "--out", str(tmp_path / "out"))
    sent = 0

    def send() -> None:
        nonlocal sent
        os.killpg(process.pid, signal.SIGINT)
        sent += 1
        if sent == REPETITIONS:
            (tmp_path / "enough").touch()

    assert interrupt(process, send) == 130
    assert sent >= REPETITIONS
    assert "tidied up" in (tmp_path / "log").read_text()
