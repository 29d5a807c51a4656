# SPDX-License-Identifier: Apache-2.0
"""The network and the objective of each system; `presets` has their options."""

from __future__ import annotations

from collections.abc import Callable

from mvloc_ros.training.clip_objective import ClipObjective, RecurrentObjective
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.multi_sample import MultiSample
from mvloc_ros.training.networks.atloc import AtLoc
from mvloc_ros.training.networks.color_only import ColorOnly
from mvloc_ros.training.networks.concatenation import Concatenation
from mvloc_ros.training.networks.mvloc import MVLoc
from mvloc_ros.training.networks.pose_network import PoseNetwork
from mvloc_ros.training.networks.posenet import PoseNet
from mvloc_ros.training.networks.vidloc import CausalVidLoc, VidLoc
from mvloc_ros.training.objective import GeometricLoss, MeanObjective, Objective
from mvloc_ros.training.options import InputConfig, NetworkConfig

NETWORKS: dict[str, Callable[[NetworkConfig, InputConfig], PoseNetwork]] = {
    "mvloc": MVLoc,
    "mvloc-p": MVLoc,
    "mvloc-v": ColorOnly,
    "mvloc-c": Concatenation,
    "posenet": PoseNet,
    "mapnet": PoseNet,
    "atloc": AtLoc,
    "vidloc": VidLoc,
    "vidloc-causal": CausalVidLoc,
}


def build_network(config: TrainingConfig) -> PoseNetwork:
    """The network of the system with initial weights."""
    return NETWORKS[config.system](config.network, config.input)


def build_objective(config: TrainingConfig, steps: int, scales: tuple[float, ...] | None = None) -> Objective:
    """The objective of the stage for `steps` train steps.

    `scales` are beta and gamma of an earlier training, and those of relative poses if it had them; stage 2 keeps them
    fixed.
    """
    beta, gamma, *of_steps = scales or (config.optimiser.initial_beta, config.optimiser.initial_gamma)
    geometric = GeometricLoss(beta, gamma, config.network.rotation)
    if config.samples_latent:
        return MultiSample(geometric, config.stages, steps)
    if SYSTEMS[config.system].recurrent:
        return RecurrentObjective(geometric, config.clips.clip_length)
    if SYSTEMS[config.system].clips:
        return ClipObjective(geometric, GeometricLoss(*(of_steps or (beta, gamma))), config.clips.clip_length)
    return MeanObjective(geometric, config.single_experts)
