# SPDX-License-Identifier: Apache-2.0
"""Warm start of stage 2 or a refit: network, beta and gamma of an earlier training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mvloc_ros.training import checkpoint
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.saved_run import LATENT_WEIGHT, SCALES, read_saved_run
from mvloc_ros.training.systems import NETWORKS


@dataclass(frozen=True, eq=False)
class StartingPoint:
    """A trained network, and the SHA-256 of its checkpoint.

    `scales` are beta and gamma, and for systems with clips also those of the relative poses. `normalisation` is that of
    the network; another one would shift its poses. `latent_weight` is lambda at the end of stage 2, None for stage 1.
    """

    network: dict[str, Tensor]
    normalisation: PoseNormalisation
    scales: tuple[float, ...]
    digest: str
    latent_weight: float | None = None


def read_start(path: Path, config: TrainingConfig, data: Mapping[str, Any] | None) -> StartingPoint:
    """The network of an earlier training.

    Args:
        path: its checkpoint, `best.pt` or `last.pt` of its run folder.
        config: of the new training.
        data: what identifies the data (`describe_run`) if both trainings must have the same; else None.

    Raises:
        TrainingError: there is no such run, or its network, input or data differ.
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
            f"{path} differs from this run in {' and '.join(differing)}; use the same options and data for both."
        )
    last = saved.history[-1]
    return StartingPoint(
        saved.network,
        saved.normalisation,
        tuple(last[name] for name in SCALES if name in last),
        checkpoint.digest(path),
        last.get(LATENT_WEIGHT),
    )
