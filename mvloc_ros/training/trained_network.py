# SPDX-License-Identifier: Apache-2.0
"""Trained networks, read from the checkpoints of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvloc_ros.training import half_precision_weights
from mvloc_ros.training.checkpoint import BEST, LAST, REFIT
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.networks.pose_network import PoseNetwork
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.saved_run import read_saved_run
from mvloc_ros.training.systems import build_network


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network from a checkpoint, and the description of its run."""

    network: PoseNetwork
    normalisation: PoseNormalisation
    config: TrainingConfig
    run: Mapping[str, Any]
    epoch: int
    seconds: float

    @property
    def is_validated(self) -> bool:
        """Whether the run has validation frames, so that the errors of the network are known."""
        return bool(self.run["data"]["validation_frames"])


def read_network(path: Path, half_weights: bool) -> TrainedNetwork:
    """Read a checkpoint; with `half_weights` the weights are rounded, so that an evaluation includes it."""
    saved = read_saved_run(path)
    network = build_network(saved.config)
    network.load_state_dict(saved.network)
    if half_weights:
        network = half_precision_weights.round_weights(network)
    return TrainedNetwork(network, saved.normalisation, saved.config, saved.run, saved.epoch, saved.seconds)


def read_refit(run: Path, half_weights: bool) -> TrainedNetwork | None:
    """The network refitted to all training frames, None if there was no refit.

    Raises:
        TrainingError: the refit was interrupted.
    """
    path = run / REFIT / LAST
    return _read_finished(path, half_weights) if path.exists() else None


def read_selected(run: Path, half_weights: bool, which: str | None = None) -> TrainedNetwork:
    """The best checkpoint on the validation frames; without validation frames the last one.

    Args:
        run: folder of `mvloc train`.
        half_weights: round the weights.
        which: "best" or "last"; None: as above.

    Raises:
        TrainingError: there is no such checkpoint, or a run without validation frames is not finished.
    """
    if which is None:
        which = "last" if not (run / BEST).exists() and (run / LAST).exists() else "best"
    path = run / f"{which}.pt"
    if not path.exists() and (run / LAST).exists():
        raise TrainingError(f"The run {run} has no validation frames and so no best epoch; remove --checkpoint.")
    network = read_network(path, half_weights)
    # With validation frames the errors of any epoch are known; without, only the last epoch is the requested result.
    return network if network.is_validated else _read_finished(path, half_weights)


def _read_finished(path: Path, half_weights: bool) -> TrainedNetwork:
    network = read_network(path, half_weights)
    epochs = network.config.stage_optimiser().epochs
    if network.epoch < epochs:
        raise TrainingError(
            f"The training in {path.parent} is at epoch {network.epoch} of {epochs}; run its command again to finish "
            "it."
        )
    return network
