# SPDX-License-Identifier: Apache-2.0
"""The node's parameters where a run is evaluated, live or offline: its defaults, but for what would hide figures.

A recording is of a camera with ground truth of its own, so the camera's pose is wanted and no transform. What is
evaluated are all poses that the scene map does not reject, so the gate is off.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mvloc_ros.parameters.files import parse_overrides, read_parameter_file
from mvloc_ros.parameters.table import NodeParameters

OVERRIDES = ("gate:=false", "publish_frame:=none", "pose_frame:=camera")


def evaluated(
    overrides: Iterable[str] = (), file: Path | None = None, base: NodeParameters | None = None
) -> NodeParameters:
    """The parameters of an evaluated run.

    Args:
        overrides: `name:=value`, which win over all else.
        file: a ROS parameter file, which wins over what comes below.
        base: the values to start from; the defaults with `OVERRIDES` where it is None.

    Raises:
        ParameterError: a name is unknown, or a value cannot be used.
    """
    values = parse_overrides(OVERRIDES) if base is None else base
    if file is not None:
        values = read_parameter_file(file, values)
    return parse_overrides(overrides, values)
