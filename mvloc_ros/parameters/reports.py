# SPDX-License-Identifier: Apache-2.0
"""The parameters of what the node says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from mvloc_ros.parameters.declaration import parameter


@dataclass(frozen=True)
class ReportParameters:
    """When status and diagnostics are published, and when silence is reported."""

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
