# SPDX-License-Identifier: Apache-2.0
"""The parameters of what the node says and shows of itself."""

from __future__ import annotations

from dataclasses import dataclass

from mvloc_ros.parameters.declaration import parameter


@dataclass(frozen=True)
class ReportParameters:
    """When status and diagnostics are published, when silence is reported, and what is shown to people."""

    status_period: float = parameter(
        1.0,
        "time between diagnostics, and between status messages while no frame is processed",
        unit="s",
        range=(0.1, 60.0),
    )
    starvation_timeout: float = parameter(
        2.0,
        "time without a pair of images after which the node says which topic is silent, and why",
        unit="s",
        range=(0.2, 60.0),
    )
    map_points_limit: int = parameter(
        100000, "points of the scene map that `~/map_points` has, at most", range=(100, 10000000)
    )
    debug_rate: float = parameter(
        10.0,
        "largest rate of `~/debug_image` and `~/scan_points`, which are made while somebody subscribes",
        unit="Hz",
        range=(0.1, 100.0),
    )
