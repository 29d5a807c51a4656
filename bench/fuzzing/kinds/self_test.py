# SPDX-License-Identifier: Apache-2.0
"""Inputs with a known end, by their seed modulo seven."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from random import Random

from bench.fuzzing.kind import Input, SenselessError
from mvloc_ros.errors import MvlocError

ENDS = ("accepted", "refused", "exception", "altered", "hang", "memory", "died")


class SelfTest:
    """See the module."""

    def __init__(self) -> None:
        self.seed = 0

    def plain(self, folder: Path) -> list[Input]:
        """One that is accepted."""
        (folder / "input").write_text("valid")
        return [Input("valid", lambda: None)]

    def make(self, _random: Random, folder: Path) -> Input:
        """The next end."""
        end = ENDS[self.seed % len(ENDS)]
        (folder / "input").write_text(end)
        return Input(end, {name: globals()[f"_{name}"] for name in ENDS}[end])


def create() -> SelfTest:
    """The kind."""
    return SelfTest()


def _accepted() -> None:
    pass


def _refused() -> None:
    raise MvlocError("The input is refused; give another one.")


def _exception() -> None:
    raise IndexError("list index out of range")


def _altered() -> None:
    raise SenselessError("a variance is negative")


def _hang() -> None:
    time.sleep(600)


def _memory() -> None:
    _ = bytearray(b"\1") * (1200 << 20)


def _died() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)
