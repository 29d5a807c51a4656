# SPDX-License-Identifier: Apache-2.0
"""The command line: every verb explains itself, bad input gets one sentence and exit code 2."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mvloc_ros import cli
from mvloc_ros.arguments import options_of
from mvloc_ros.cli import VERBS, main


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: " ".join(verb.words))
def test_help_has_an_example(verb, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main([*verb.words, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "example" in text
    assert f"mvloc {' '.join(verb.words)}" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["bag", "info", "nowhere"],
        ["bag", "from-folder", "nowhere", "--out", "bag"],
        ["play", "nowhere"],
        ["replay", "nowhere", "--model", "nowhere", "--out", "x"],
        ["live", "nowhere", "--model", "nowhere", "--out", "x"],
        ["evaluate", "nowhere", "--model", "nowhere", "--out", "x"],
        ["train", "--data", "nowhere", "--out", "run"],
        ["export", "nowhere", "--out", "model"],
        ["demo", "run", "--model", "nowhere", "--out", "demo"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_bad_input_gets_one_sentence_and_leaves_nothing(arguments, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "nowhere" in error
    assert error.startswith("mvloc ")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "words",
    [
        *(["live", "bag", "--model", "m", "--out", "x", "--rate", value] for value in ("0", "-1", "nan", "fast")),
        ["play", "bag", "--delay", "-1"],
        ["record", "--out", "x", "--for", "-1"],
        *(["replay", "bag", "--model", "m", "--out", "x", "--sync-tolerance", value] for value in ("-1", "nan")),
        *(["replay", "bag", "--model", "m", "--out", "x", "--refine-budget", value] for value in ("0", "-5")),
        *(["replay", "bag", "--model", "m", "--out", "x", "--threads", value] for value in ("-3", "1.5")),
        ["evaluate", "bag", "--out", "x", "--tolerance", "nan"],
        ["bag", "to-dataset", "bag", "--out", "x", "--max-gap", "nan"],
        ["bag", "to-dataset", "bag", "--out", "x", "--max-skew", "inf"],
        ["bag", "from-folder", "folder", "--out", "x", "--rate", "0"],
        ["demo", "render", "--out", "x", "--workers", "0"],
        ["doctor", "--seconds", "-1"],
    ],
    ids=" ".join,
)
def test_numbers_out_of_range_are_said_with_their_option(words, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"argument {words[-2]}: must be" in last
    assert last.endswith(words[-1]) or last.endswith(repr(words[-1]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["demo", "render"], ["demo", "run", "--model", "{model}"]], ids=" ".join)
def test_a_folder_that_cannot_be_made_gets_one_sentence(words, tiny_bundle: Path, tmp_path: Path, capsys):
    (tmp_path / "file").write_text("")
    assert main([*(word.format(model=tiny_bundle) for word in words), "--out", str(tmp_path / "file" / "out")]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"mvloc {' '.join(words[:2])}: {tmp_path / 'file' / 'out'}")
    assert "Not a directory" in error


WaitFor = Callable[[Callable[[], object], float, str], object]


def test_an_interrupt_while_the_verbs_are_imported_is_said(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_parser", interrupted)
    assert main(["doctor"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_help_and_errors_need_neither_torch_nor_ros():
    code = (
        "import sys; from mvloc_ros.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'rclpy', 'onnxruntime', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr


def test_output_that_nobody_reads_any_more_is_no_fault():
    code = (
        "import sys; from mvloc_ros import cli; from mvloc_ros.demo import verbs\n"
        "verbs.run_render = lambda args: [print('x' * 1000, flush=True) for _ in range(1000)]\n"
        "sys.exit(cli.main(['demo', 'render', '--out', 'x']))"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 141
        assert process.stderr.read() == b""


def test_sigterm_unwinds_even_where_a_shell_had_sigint_ignored(tmp_path: Path, wait_for: WaitFor):
    """A command in the background of a script starts with SIGINT ignored; SIGTERM must end it all the same."""
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "import sys; from mvloc_ros import cli\n"
        f"sys.exit(cli.main(['demo', 'render', '--workers', '1', '--out', {str(tmp_path / 'demo')!r}]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        wait_for(lambda: any(tmp_path.rglob("frame-*")) or process.poll() is not None, 30.0, "the first frame")
        process.terminate()
        said, _ = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "run the same command again to resume" in said
    finally:
        process.kill()
        process.wait()


def test_options_are_taken_from_the_arguments_of_their_names():
    @dataclass(frozen=True)
    class Options:
        rate: float = 1.0
        limits: str = ""
        depth: str = "kept"

    args = argparse.Namespace(rate=2.0, limits="raw", verb="other")
    assert options_of(Options, args, limits="given") == Options(2.0, "given", "kept")
