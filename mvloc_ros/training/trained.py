# SPDX-License-Identifier: Apache-2.0
"""Networks out of the checkpoints of finished runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvloc_ros.training import checkpoint, compact
from mvloc_ros.training.checkpoint import LAST, REFIT
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.networks.pose_network import PoseNetwork
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.systems import build_network


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network out of a checkpoint, and what the run says of it."""

    network: PoseNetwork
    normalisation: PoseNormalisation
    config: TrainingConfig
    run: Mapping[str, Any]
    epoch: int
    seconds: float


def read_network(path: Path, half_weights: bool) -> TrainedNetwork:
    """Read a checkpoint; with `half_weights` the network is rounded before anyone judges it."""
    values = checkpoint.load(path)
    config = TrainingConfig.from_dict(values["run"]["config"])
    network = build_network(config)
    network.load_state_dict(values["network"])
    if half_weights:
        network = compact.rounded(network)
    normalisation = PoseNormalisation.from_dict(values["normalisation"])
    return TrainedNetwork(network, normalisation, config, values["run"], values["epoch"], values["seconds"])


def read_refit(run: Path, half_weights: bool) -> TrainedNetwork | None:
    """The network refitted to all training frames, or None if the run has none.

    Raises:
        TrainingError: the refit was interrupted.
    """
    path = run / REFIT / LAST
    if not path.exists():
        return None
    network = read_network(path, half_weights)
    epochs = network.config.stage_optimiser().epochs
    if network.epoch < epochs:
        raise TrainingError(
            f"The refit in {path.parent} has come to epoch {network.epoch} of {epochs}; "
            "repeat the training's command to finish it."
        )
    return network
