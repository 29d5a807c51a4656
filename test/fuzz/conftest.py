# SPDX-License-Identifier: Apache-2.0
"""The fuzzing is part of the benchmarks, which are no installed package: imported from the root, then forgotten."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def from_the_root() -> Iterator[None]:
    sys.path.insert(0, str(ROOT))
    yield
    sys.path.remove(str(ROOT))
    for name in [name for name in sys.modules if name.split(".")[0] == "bench"]:
        del sys.modules[name]
