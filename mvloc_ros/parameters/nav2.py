# SPDX-License-Identifier: Apache-2.0
"""The parameters of a node in AMCL's place."""

from __future__ import annotations

from dataclasses import dataclass

from mvloc_ros.parameters.declaration import parameter


@dataclass(frozen=True)
class Nav2Parameters:
    """What Nav2 expects of its localizer besides transforms."""

    amcl_interface: bool = parameter(
        False,
        "offer AMCL's names: `amcl_pose`, `set_initial_pose`, `reinitialize_global_localization`, "
        "`request_nomotion_update`",
    )
    bond_heartbeat_period: float = parameter(
        0.1,
        "time between heartbeats for Nav2's lifecycle manager, where the package bond is installed; 0: none",
        unit="s",
        range=(0.0, 2.0),
    )
    pose_file: str = parameter(
        "", "JSON file that keeps the last accepted pose over a restart, as a hint; empty: nothing is kept"
    )
