# SPDX-License-Identifier: Apache-2.0
"""What a live run sets up before it starts anything."""

from __future__ import annotations

import pytest

from mvloc_ros.replay.live import _own_domain


@pytest.mark.parametrize("robots", ["", "0", "7", "1", "100", " 43 ", "007"])
def test_the_domain_is_never_the_robots(robots: str):
    domains = [_own_domain(robots, process) for process in range(250)]
    assert set(domains) <= set(range(1, 101)) - {int(robots.strip() or 0)}
    assert len(set(domains)) >= 99
