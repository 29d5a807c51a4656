# SPDX-License-Identifier: Apache-2.0
"""One recording through the node over DDS (`mvloc live`) and through `mvloc replay`, and what each says of a frame."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?")


def mvloc(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mvloc_ros.cli", *words], capture_output=True, text=True, check=False, timeout=120
    )


def run(verb: str, recording: Path, bundle: Path, out: Path, *words: str) -> dict[str, Any]:
    """The report of a run."""
    result = mvloc(verb, str(recording), "--model", str(bundle), "--out", str(out), *words)
    assert result.returncode == 0, result.stderr
    return json.loads((out / "report.json").read_text())


def undisturbed(live: Callable[[Path], dict[str, Any]], new_folder: Callable[[], Path]) -> Path:
    """Of up to three live runs the first in which the machine was fast enough: what is dropped reaches no tracker."""
    for _ in range(3):
        out = new_folder()
        drops = live(out)["drops"]
        if drops["busy"] == drops["not_received"] == 0:
            return out
    pytest.fail(f"the node dropped frames in each of three runs; the last: {drops}")


def frames(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "frames.csv").open()))


def said(row: dict[str, str]) -> tuple[str, ...]:
    """What is told of a frame, without the numbers: ages are those of the moment."""
    return tuple(_NUMBER.sub("N", row[name]) for name in ("outcome", "state", "reason", "remark"))
