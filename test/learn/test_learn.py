# SPDX-License-Identifier: Apache-2.0
"""`mvloc learn`: killed again and again it makes what the verbs make by hand; what it refuses; and what it repeats."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from walk import FRAMES

from mvloc_ros.cli import main
from mvloc_ros.learn import step as steps_module
from mvloc_ros.learn.given import given_recordings
from mvloc_ros.learn.job import Job
from mvloc_ros.learn.learn import steps_of
from mvloc_ros.learn.options import LearnOptions, Places
from mvloc_ros.learn.state import State
from mvloc_ros.learn.step import run_steps
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.recordings.to_dataset.dataset_options import DatasetOptions
from mvloc_ros.storage import exclusive

WaitFor = Callable[[Callable[[], object], float, str], object]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
DEADLINE_S = 240.0
TEST_FRAMES = 8  # few: most of the time is evaluation, of a network that knows nothing
TEST_SHARE = TEST_FRAMES / FRAMES
# Killed when this much of `learn.json` is there: a step that has ended, or has only begun.
KILLS = (
    ("network", False, signal.SIGKILL),
    ("network", True, signal.SIGINT),
    ("export", True, signal.SIGINT),
    ("map", True, signal.SIGKILL),
    ("calibration", True, signal.SIGKILL),
)


def values_of(bundle: Path) -> dict[str, Any]:
    """All values of a manifest, digests of all files among them, but for how long the training took."""
    values = json.loads((bundle / "manifest.json").read_text())
    del values["digest"], values["training"]["seconds"]
    return values


def command(walk: Path, out: Path, tiny: Path) -> list[str]:
    share = ["--test-fraction", str(TEST_SHARE)]
    return ["learn", str(walk), "--out", str(out), "--preset", str(tiny), "--quick", *share,
            "--no-cache", "--device", "cpu"]  # fmt: skip


def options_of(out: Path, walk: Path, tiny: Path) -> LearnOptions:
    """The options that `command` gives."""
    conversion = DatasetOptions(test_fraction=TEST_SHARE)
    return LearnOptions((walk,), out, conversion, quick=True, preset=str(tiny), test_fraction=TEST_SHARE, device="cpu")


def reached(state: Path, name: str, ended: bool) -> bool:
    """Whether a step has begun, or ended."""
    if not state.is_file():
        return False
    record = json.loads(state.read_text())["steps"].get(name)
    return record is not None and (bool(record["outputs"]) or not ended)


def learn_until(arguments: list[str], reason: Callable[[], bool], number: int, wait_for: WaitFor) -> int:
    """Run the command until something is so, end it by a signal, and return its exit code."""
    process = subprocess.Popen([sys.executable, "-m", "mvloc_ros.cli", *arguments], env=ENVIRONMENT,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    wait_for(lambda: process.poll() is not None or reason(), DEADLINE_S, "the step, or the end of the command")
    process.send_signal(number)
    return process.wait(timeout=DEADLINE_S)


@pytest.fixture(scope="module")
def by_hand(walk: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle, and the report of its evaluation, by the verbs one by one."""
    root = tmp_path_factory.mktemp("by_hand")
    model = root / "walk"
    share = ["--test-fraction", TEST_SHARE]
    verbs = [
        ["train", "--data", walk, "--out", root / "run", "--preset", tiny, "--device", "cpu", "--no-cache", *share],
        ["export", root / "run", "--out", model, "--no-cache"],
        ["map", model, "--data", walk, *share],
        ["bag", "from-folder", walk, "--split", "test", "--lead-in", 5, *share, "--out", root / "test_bag"],
        [
            "replay",
            root / "test_bag",
            "--model",
            model,
            "--out",
            root / "evaluation",
            "--refine-budget",
            10000,
            "--restart-after",
            1,
            "--wake-ups",
            TEST_FRAMES,
        ],
    ]
    words = [[str(word) for word in verb] for verb in verbs]
    code = f"from mvloc_ros.cli import main\nfor verb in {words!r}: assert main(verb) == 0, verb"
    subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, check=True, capture_output=True)
    return root


@pytest.fixture(scope="module")
def learned(walk: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory, wait_for: WaitFor) -> Path:
    """The bundle by one command that is ended after every step, and in some."""
    out = tmp_path_factory.mktemp("learned") / "walk"
    state, arguments = Places(out).state, command(walk, out, tiny)
    for name, ended, number in KILLS:
        code = learn_until(arguments, lambda name=name, ended=ended: reached(state, name, ended), number, wait_for)
        assert code == (130 if number == signal.SIGINT else -signal.SIGKILL), (name, ended)
    done = subprocess.run([sys.executable, "-m", "mvloc_ros.cli", *arguments], env=ENVIRONMENT, check=True,
                          capture_output=True, text=True)  # fmt: skip
    for line in (r"^\[3/\d\] network: done already$", r"^\[6/\d\] covariances: done already$", r"^\[7/\d\] evaluation"):
        assert re.search(line, done.stdout, re.MULTILINE)
    assert f"mvloc.launch.py model:={out} " in done.stdout
    assert re.search(rf"mvloc replay \S+ --model {out} --out ", done.stdout)
    return out


@pytest.mark.timeout(1200)
def test_killed_at_every_step_it_makes_what_the_verbs_make_by_hand(learned: Path, by_hand: Path):
    assert values_of(learned) == values_of(by_hand / "walk")
    read_bundle(learned)
    ours, theirs = (json.loads((folder / "evaluation" / "report.json").read_text())
                    for folder in (Places(learned).work, by_hand))  # fmt: skip
    for varying in ("latency_ms", "starts", "recording"):  # starts have latencies as well
        ours.pop(varying), theirs.pop(varying)
    assert ours == theirs
    left = {path.name for path in learned.parent.iterdir()}
    assert left == {"walk", "walk.learn"}


def would_run(options: LearnOptions, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which steps the command would do, without doing or deleting anything; what is done again comes out as before."""
    places, ran = Places(options.out), list[str]()
    given = given_recordings(options.recordings, options.trajectories, places.frames)
    job = Job(options, places, tuple(given))
    monkeypatch.setattr(steps_module, "_delete", lambda _: None)
    steps = [replace(step, work=lambda step=step: ran.append(step.name)) for step in steps_of(job)]
    kept = places.state.read_bytes()
    run_steps(steps, State(places.state), lambda _: "")
    places.state.write_bytes(kept)
    return ran


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("changes", "ran"),
    [
        ({}, []),
        ({"device": "cuda"}, []),
        ({"seed": 3}, ["network"]),
        ({"test_fraction": 0.3}, ["read", "network", "map", "calibration", "evaluation"]),
        ({"quick": False}, ["network"]),
    ],
    ids=str,
)
def test_another_option_repeats_what_depends_on_it(
    changes: dict[str, Any], ran: list[str], learned: Path, walk: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
):
    options = options_of(learned, walk, tiny)
    assert would_run(replace(options, **changes), monkeypatch) == ran


@pytest.mark.timeout(1200)
def test_what_is_lost_is_made_again(
    learned: Path, walk: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    options = options_of(learned, walk, tiny)
    report = Places(learned).evaluation / "report.json"
    kept = report.read_bytes()
    report.write_bytes(b"{}")
    assert would_run(options, monkeypatch) == ["evaluation", "report"]
    report.write_bytes(kept)
    shutil.move(learned, tmp_path / "away")
    try:
        monkeypatch.setattr("mvloc_ros.learn.steps_result._digest", lambda job: read_bundle(tmp_path / "away").digest)
        assert would_run(options, monkeypatch) == ["calibration"]
    finally:
        shutil.move(tmp_path / "away", learned)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["learn", *arguments]) == 2
    captured = capsys.readouterr().err.strip().splitlines()
    assert len(captured) == 1, captured
    return captured[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing"], "The recording nothing does not exist: check the path."),
        (["empty"], "Step 1 of N, read and check: empty "),
        (["text.bag"], "Step 1 of N, read and check: "),
        (["walk", "walk"], "The recording walk is given twice: remove one of the two."),
        (["text.bag", "other/text.bag"], "text.bag and other/text.bag would both be named text: rename one of them."),
        (["walk", "--preset", "huge"], "--preset 'huge' is unknown"),
        (["walk", "--trajectory-frame", "body"], "--trajectory-frame describes a trajectory"),
        (["walk", "--trajectory", "a", "--trajectory", "b"], "--trajectory is given 2 times for 1 recordings"),
        (["walk", "--poses", "/pose"], "--poses is said of a recording of messages, and walk is a folder of frames"),
        (["walk", "--out", "text.bag"], "text.bag exists and is no model bundle: choose another --out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_used_is_one_sentence(
    arguments: list[str], sentence: str, walk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walk").symlink_to(walk)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.bag").write_text("no recording")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "text.bag").write_text("no recording")
    line = refused([*(() if "--out" in arguments else ("--out", "models/x")), *arguments], capsys)
    assert re.sub(r"Step 1 of \d", "Step 1 of N", line).startswith(f"mvloc learn: {sentence}")
    assert sorted(path.name for path in tmp_path.rglob("*learn*")) == [], "it left something"


def test_two_at_once_are_refused(walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    work = Places(tmp_path / "model").work
    work.mkdir()
    code = "import sys, pathlib\nfrom mvloc_ros.storage import exclusive\n" \
           "with exclusive(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"  # fmt: skip
    holder = subprocess.Popen([sys.executable, "-c", code, str(work)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    try:
        line = refused([str(walk), "--out", str(tmp_path / "model")], capsys)
    finally:
        holder.communicate()
    assert f"{work} is in use by process {holder.pid}" in line
    with exclusive(work):
        pass
