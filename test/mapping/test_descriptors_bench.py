# SPDX-License-Identifier: Apache-2.0
"""The bench of descriptors compares all kinds on the keyframes of a small room."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(ROOT))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "bench"]:
        del sys.modules[name]


def test_all_kinds_are_compared(mapped, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from bench import descriptors

    out = tmp_path / "descriptors.json"
    assert descriptors.main([str(mapped.path), "--data", str(folder), "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert set(found) == {"color and depth", "color", "depth", "latent mean"}
    # What `mvloc map` measured of the same keyframes, summed up.
    np.testing.assert_allclose(found["color and depth"], np.cumsum(mapped.manifest.keyframes.reach), atol=1e-3)
    assert found["depth"] != found["color and depth"]
    assert "latent mean" in capsys.readouterr().out
