# SPDX-License-Identifier: Apache-2.0
"""The world in a scratch folder, and processes that give commands in copies of it."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.commands import world
from bench.commands.process import Process, run, started
from bench.commands.world import Command


class FaultError(RuntimeError):
    """A command has not done what it must."""


@dataclass
class Stage:
    """A world that stays as it is, and copies of it to give commands in.

    The first process of a command imports what it needs; from then on this process has it imported, so that those
    that follow take the time of their work alone.
    """

    root: Path
    _copies: Iterator[int] = field(default_factory=itertools.count)

    @property
    def world(self) -> Path:
        """The world as it is before a command."""
        return self.root / "world"

    def prepare(self) -> None:
        """Make the world, where an earlier call has not."""
        graphs = self.root / "graphs"
        graphs.mkdir(parents=True, exist_ok=True)
        _import(
            "torch", "torch.utils.tensorboard", "torch.onnx", "onnxscript", "onnx", "onnxruntime", "rosbags.rosbag2"
        )
        _import("mvloc_ros.training.train", "mvloc_ros.training.export", "mvloc_ros.mapping.calibrate")
        if self.world.exists():
            return
        making = self.root / "making"
        shutil.rmtree(making, ignore_errors=True)
        world.make_world(
            making, graphs, lambda *words: self.give(words, making), lambda *words: self._half(words, making)
        )
        making.rename(self.world)

    @contextmanager
    def copy(self) -> Iterator[Path]:
        """A copy of the world, for as long as the block runs."""
        folder = world.copy(self.world, self.root / f"copy-{next(self._copies)}")
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def give(self, words: tuple[str, ...], folder: Path) -> str:
        """Give a command to its end; what it has said.

        Raises:
            FaultError: its exit code is not 0.
        """
        output = self.output(folder)
        code = run(self._noting_imports(words, folder), folder, output)
        self._import_noted()
        text = output.read_text(errors="replace")
        if code != 0:
            raise FaultError(f"`{' '.join(words[:3])}` ended with {code}: {last_line(text)}")
        return text

    def start(self, given: Command, folder: Path, name: str = "", watched: str = "changes") -> Process:
        """Start a command whose calls are watched."""
        return Process(self._work(given.words, folder), folder, self.output(folder, name), watched=watched)

    def output(self, folder: Path, name: str = "") -> Path:
        """Where the text of a process goes."""
        return self.root / f"{folder.name}{name}.txt"

    def _work(self, words: tuple[str, ...], folder: Path):  # noqa: ANN202
        return world.work(words, folder, self.root / "graphs")

    def _half(self, words: tuple[str, ...], folder: Path) -> None:
        """Train, and be killed when the table of the first epoch is there."""
        table = folder / "run" / "metrics.csv"
        with started(self._work(words, folder), folder, self.output(folder)) as process:
            while not table.exists():
                call = process.next_call()
                if call is None:
                    raise FaultError(f"the training has ended early: {last_line(process.text())}")
                process.go(call)

    def _noting_imports(self, words: tuple[str, ...], folder: Path):  # noqa: ANN202
        work = self._work(words, folder)

        def noted() -> int:
            code = work()
            (self.root / "imported.txt").write_text("\n".join(sorted(sys.modules)))
            return code

        return noted

    def _import_noted(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            names = (self.root / "imported.txt").read_text().split()
            (self.root / "imported.txt").unlink()
            _import(*(name for name in names if name.split(".")[0] not in _FAKES))


_FAKES = {"tensorrt", "cuda", "fake_cuda", "fake_tensorrt", "__main__", "__mp_main__"}


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1] if lines else "(nothing)"


def _import(*names: str) -> None:
    for name in names:
        if name not in sys.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
