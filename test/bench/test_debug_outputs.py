# SPDX-License-Identifier: Apache-2.0
"""The picture in the documents is drawn by the command that they name, and the benchmark of the costs starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*words: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=True, timeout=100
    ).stdout


def test_the_command_of_the_documents_draws_their_picture(tmp_path: Path):
    run("bench.debug_picture", "--out", str(tmp_path / "debug_image.png"))
    drawn, shown = (cv2.imread(str(folder / "debug_image.png")) for folder in (tmp_path, ROOT / "docs" / "images"))
    assert drawn.shape == shown.shape
    # Other versions of the libraries round otherwise, here and there.
    assert np.mean(np.abs(drawn.astype(int) - shown) > 32) < 0.02
    assert (ROOT / "docs" / "images" / "debug_image.png").stat().st_size < 200_000


@pytest.mark.dds
def test_the_benchmark_explains_itself_and_refuses_what_measures_nothing():
    assert "example:\n  python -m bench.debug_outputs" in run("bench.debug_outputs", "--help")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        run("bench.debug_outputs", "--rounds", "0")
    assert "--rounds at least 1" in refused.value.stderr
