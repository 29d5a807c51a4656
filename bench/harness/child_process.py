# SPDX-License-Identifier: Apache-2.0
"""Processes of this Python whose output is kept: any, and the localization node as users start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

NODE = ("-m", "mvloc_ros.node.main")


class ChildProcess:
    """A process of this Python that runs `words`; both of its outputs go to the file `log`.

    Attributes:
        process: to wait for and to send signals to.
        log: the file.
    """

    def __init__(
        self, log: Path, *words: str, folder: Path | None = None, environment: dict[str, str] | None = None
    ) -> None:
        """Start it in `folder` (None: this process's), with `environment` over that of this process."""
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *words],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **(environment or {})},
            )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.process.pid

    def text(self) -> str:
        """All it has said."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait(self, seconds: float = 30.0) -> int:
        """The exit code, once it has ended by itself; raises TimeoutExpired."""
        return self.process.wait(seconds)

    def end(self, number: int = signal.SIGINT, seconds: float = 10.0) -> int:
        """Send a signal to it if it still runs; the exit code.

        Raises:
            TimeoutExpired: it had not ended `seconds` later, and was killed.
        """
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


class NodeProcess(ChildProcess):
    """The localization node, or another `program` that takes its arguments, with arguments of ROS.

    `MVLOC_TEST_NODE_ARGUMENTS` adds to them, so that all tests can be run with, for example, `-p executor:=events`.
    """

    def __init__(self, log: Path, *arguments: str, program: Sequence[str] = NODE, folder: Path | None = None) -> None:
        """Start it; what it logs is written at once."""
        unbuffered = {"RCUTILS_LOGGING_BUFFERED_STREAM": "0"}
        more = os.environ.get("MVLOC_TEST_NODE_ARGUMENTS", "").split()
        super().__init__(log, *program, "--ros-args", *arguments, *more, folder=folder, environment=unbuffered)


def parameter_words(*values: str) -> list[str]:
    """`name:=value` each -> the arguments that set parameters of a node."""
    return [word for value in values for word in ("-p", value)]
