# SPDX-License-Identifier: Apache-2.0
"""A small recording of a walk, and a network that is trained in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
from walk import write_walk

TINY = """\
base: small
short_side: 32
width: 0.125
latent_size: 64
dropout: 0.0
epochs: 2
batch_size: 16
erasing_size: 0.2
validation_gap: 2
validation_fraction: 0.3
"""


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 frames of 10 seconds, the last fifth for tests."""
    return write_walk(tmp_path_factory.mktemp("learned") / "walk")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A preset file."""
    path = tmp_path_factory.mktemp("preset") / "tiny.yaml"
    path.write_text(TINY)
    return path
