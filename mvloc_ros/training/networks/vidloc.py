# SPDX-License-Identifier: Apache-2.0
"""VidLoc (Clark et al. 2017) for color and depth: a recurrent layer over the frames of a clip."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from mvloc_ros.training.networks.pose_network import PoseNetwork, PoseOutput, deterministic_output, presence_shares
from mvloc_ros.training.networks.regressor import POSITION_SPREAD, ROTATION_SPREAD
from mvloc_ros.training.networks.resnet import ResNet
from mvloc_ros.training.networks.rotation_head import head, log_of
from mvloc_ros.training.options import InputConfig, NetworkConfig


class VidLoc(PoseNetwork):
    """ResNet over color and depth as channels of one image -> LSTM in both directions -> ReLU, dropout -> two heads.

    With both directions the pose of a frame depends on later frames, so this is an offline baseline. The hidden states
    start at zero. The heads are linear, and rotations are logarithms of quaternions, as in the other systems. D is the
    total size of the hidden states of both directions.
    """

    causal: ClassVar[bool] = False

    def __init__(self, network: NetworkConfig, inputs: InputConfig) -> None:
        super().__init__(inputs)
        size = network.latent_size if self.causal else 2 * (network.latent_size // 2)
        self.encoder = ResNet(network.backbone, network.width, in_channels=3 + self.depth_channels)
        hidden = size if self.causal else size // 2
        self.recurrent = nn.LSTM(self.encoder.feature_size, hidden, batch_first=True, bidirectional=not self.causal)
        self.dropout = nn.Dropout(network.dropout)
        self.position = head(size, POSITION_SPREAD)
        self.rotation = head(size, ROTATION_SPREAD, network.rotation)
        with torch.no_grad():
            for name, bias in self.recurrent.named_parameters():
                # The order of the gates is input, forget, cell, output: the forget gate starts open.
                if name.startswith("bias_ih"):
                    bias[hidden : 2 * hidden] += 1.0

    def features(self, color: Tensor, depth: Tensor, present: Tensor) -> Tensor:
        """Features of single frames, `[B, F]`. A missing color image is gray, a missing depth map has no depth."""
        seen_color = self.normalise_color(color) * present[:, 0, None, None, None]
        no_depth = present[:, 1, None, None, None] - 1.0
        seen_depth = self.normalise_depth(depth) * present[:, 1, None, None, None] + no_depth
        features: Tensor = self.features_of(self.encoder, torch.cat([seen_color, seen_depth], dim=1))
        return features

    def poses(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features of clips in the order of time `[N, L, F]` -> poses `[N, L, 6]`, hidden states `[N, L, D]`."""
        states = torch.relu(self.recurrent(features)[0])
        dropped = self.dropout(states)
        rotation = log_of(self.rotation(dropped).flatten(0, 1)).unflatten(0, dropped.shape[:2])
        return torch.cat([self.position(dropped), rotation], dim=2), states

    def forward(self, color: Tensor, depth: Tensor, present: Tensor) -> PoseOutput:
        """Poses of one clip: the frames of the batch in the order of time."""
        poses, states = self.poses(self.features(color, depth, present).unsqueeze(0))
        return deterministic_output(poses[0], states[0], presence_shares(present))


class CausalVidLoc(VidLoc):
    """VidLoc with a causal LSTM: no pose depends on a later frame."""

    causal = True
