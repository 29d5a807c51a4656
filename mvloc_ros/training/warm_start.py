# SPDX-License-Identifier: Apache-2.0
"""Where a second stage or a brief refit starts: the network, beta and gamma that an earlier training left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mvloc_ros.file_reader import digest_file
from mvloc_ros.limits import MOST_CHECKPOINT_BYTES
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.saved_run import LATENT_WEIGHT, SCALES, read_saved_run
from mvloc_ros.training.systems import NETWORKS


@dataclass(frozen=True, eq=False)
class StartingPoint:
    """A trained network, and the SHA-256 of the checkpoint it is from.

    `scales` are beta and gamma, and where clips have scales of their own for their steps, those two.
    `normalisation` is what the network's poses mean; another would move the origin under it. `latent_weight` is
    lambda as a second stage left it, None of a first.
    """

    network: dict[str, Tensor]
    normalisation: PoseNormalisation
    scales: tuple[float, ...]
    digest: str
    latent_weight: float | None = None


def read_start(path: Path, config: TrainingConfig, data: Mapping[str, Any] | None) -> StartingPoint:
    """The network of an earlier training.

    Args:
        path: that training's checkpoint, `best.pt` or `last.pt` of its run folder.
        config: values of the training that starts.
        data: what identifies its data (`describe_run`), if the earlier one must have had the same; else None.

    Raises:
        TrainingError: there is no such run, or its network, its input or its data are others.
    """
    saved = read_saved_run(path)
    earlier = saved.config
    differing = [name for name in ("network", "input") if getattr(earlier, name) != getattr(config, name)]
    if NETWORKS[earlier.system] is not NETWORKS[config.system]:
        differing.insert(0, "system")
    if data is not None and saved.run["data"]["digest"] != data["digest"]:
        differing.append("data")
    if differing:
        raise TrainingError(
            f"{path} is of another {' and '.join(differing)} than this run; give the same options to both stages."
        )
    last = saved.history[-1]
    return StartingPoint(
        saved.network,
        saved.normalisation,
        tuple(last[name] for name in SCALES if name in last),
        digest_file(path, MOST_CHECKPOINT_BYTES),
        last.get(LATENT_WEIGHT),
    )
