# SPDX-License-Identifier: Apache-2.0
"""What every test may use: the shared recordings, a ROS domain of the run's own, and polling with a deadline."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A domain and a network scope of this run's own: tests neither disturb a running robot nor are disturbed.
# Domains above 101 collide with the ephemeral ports of Linux.
os.environ.setdefault("ROS_DOMAIN_ID", str(20 + os.getpid() % 80))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings; the test is skipped where there is none."""
    path = Path(os.environ.get("MVLOC_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no real recordings at {path}; set MVLOC_DATA to their folder")
    return path


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> object:
    """Poll until `condition` gives something true, and return it; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    pytest.fail(f"waited {seconds} s in vain for {what}")


@pytest.fixture(name="wait_for")
def _wait_for() -> Callable[[Callable[[], object], float, str], object]:
    return wait_for
