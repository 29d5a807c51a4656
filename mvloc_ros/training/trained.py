# SPDX-License-Identifier: Apache-2.0
"""Networks out of the checkpoints of finished runs."""

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
    """A network out of a checkpoint, and what the run says of it."""

    network: PoseNetwork
    normalisation: PoseNormalisation
    config: TrainingConfig
    run: Mapping[str, Any]
    epoch: int
    seconds: float

    @property
    def is_validated(self) -> bool:
        """Whether frames were held out of its training, which say how wrong it is."""
        return bool(self.run["data"]["validation_frames"])


def read_network(path: Path, half_weights: bool) -> TrainedNetwork:
    """Read a checkpoint; with `half_weights` the network is rounded before anyone judges it."""
    saved = read_saved_run(path)
    network = build_network(saved.config)
    network.load_state_dict(saved.network)
    if half_weights:
        network = half_precision_weights.rounded(network)
    return TrainedNetwork(network, saved.normalisation, saved.config, saved.run, saved.epoch, saved.seconds)


def read_refit(run: Path, half_weights: bool) -> TrainedNetwork | None:
    """The network refitted to all training frames, or None if the run has none.

    Raises:
        TrainingError: the refit was interrupted.
    """
    path = run / REFIT / LAST
    return _read_finished(path, half_weights) if path.exists() else None


def read_judged(run: Path, half_weights: bool, which: str | None = None) -> TrainedNetwork:
    """The network that a run chose by its validation frames; of one that held none out, the last.

    Args:
        run: folder of `mvloc train`.
        half_weights: round the weights.
        which: "best" or "last", instead.

    Raises:
        TrainingError: there is no such checkpoint, or a run without validation frames was interrupted.
    """
    if which is None:
        which = "last" if not (run / BEST).exists() and (run / LAST).exists() else "best"
    path = run / f"{which}.pt"
    if not path.exists() and (run / LAST).exists():
        raise TrainingError(f"The run in {run} held no frames out, so it has no best epoch; leave --checkpoint away.")
    network = read_network(path, half_weights)
    # Of a run with validation frames any epoch is as good as they say; without, only the last is what was asked for.
    return network if network.is_validated else _read_finished(path, half_weights)


def _read_finished(path: Path, half_weights: bool) -> TrainedNetwork:
    network = read_network(path, half_weights)
    epochs = network.config.stage_optimiser().epochs
    if network.epoch < epochs:
        raise TrainingError(
            f"The training in {path.parent} has come to epoch {network.epoch} of {epochs}; "
            "repeat its command to finish it."
        )
    return network
