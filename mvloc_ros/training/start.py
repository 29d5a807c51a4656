# SPDX-License-Identifier: Apache-2.0
"""Where the second stage starts: the network, beta and gamma that a run of the first left."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mvloc_ros.training import checkpoint
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.systems import NETWORKS


@dataclass(frozen=True, eq=False)
class StartingPoint:
    """A trained network, and the SHA-256 of the checkpoint it is from."""

    network: dict[str, Tensor]
    scales: tuple[float, float]
    digest: str


def read_start(path: Path, config: TrainingConfig, data: Mapping[str, Any]) -> StartingPoint:
    """The network of a first stage.

    Args:
        path: the stage's checkpoint, `best.pt` or `last.pt` of its run folder.
        config: values of the second stage.
        data: what identifies its data (`describe_run`).

    Raises:
        TrainingError: there is no such run, or its network, its input or its data are others.
    """
    values = checkpoint.load(path)
    earlier = TrainingConfig.from_dict(values["run"]["config"])
    differing = [name for name in ("network", "input") if getattr(earlier, name) != getattr(config, name)]
    if NETWORKS[earlier.system] is not NETWORKS[config.system]:
        differing.insert(0, "system")
    if values["run"]["data"]["digest"] != data["digest"]:
        # The poses' normalisation is fitted to the data; another would move the origin under the network.
        differing.append("data")
    if differing:
        raise TrainingError(
            f"{path} is of another {' and '.join(differing)} than this run; give the same options to both stages."
        )
    last = values["history"][-1]
    return StartingPoint(
        values["network"], (last["train/beta"], last["train/gamma"]), hashlib.sha256(path.read_bytes()).hexdigest()
    )
