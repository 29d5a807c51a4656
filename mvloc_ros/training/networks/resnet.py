# SPDX-License-Identifier: Apache-2.0
"""ResNet-18 and -34 with the parameter names of torchvision, so that its ImageNet weights can be loaded.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016. Not from
torchvision, which has no build for the CPU-only torch, and no variable width.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from mvloc_ros.file_reader import ReadError, open_regular
from mvloc_ros.limits import MOST_CHECKPOINT_BYTES
from mvloc_ros.training.checkpoint import require_plain_archive
from mvloc_ros.training.errors import TrainingError

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """3x3 convolution that keeps the size at stride 1; the norm after it carries the bias."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the identity (or a strided 1x1 projection of it)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(inputs, outputs, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(outputs, outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """`[B, inputs, H, W]` to `[B, outputs, H / stride, W / stride]`."""
        identity = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + identity)


class ResNet(nn.Module):
    """Images `[B, C, H, W]` -> pooled features `[B, feature_size]`, or logits if `classes` is given."""

    def __init__(self, backbone: str, width: float = 1.0, in_channels: int = 3, classes: int | None = None) -> None:
        super().__init__()
        channels = [max(8, round(base * width)) for base in (64, 128, 256, 512)]
        self.conv1 = nn.Conv2d(in_channels, channels[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = channels[0]
        for stage, (blocks, outputs) in enumerate(zip(BLOCKS[backbone], channels, strict=True), start=1):
            first = BasicBlock(inputs, outputs, stride=1 if stage == 1 else 2)
            rest = [BasicBlock(outputs, outputs, stride=1) for _ in range(blocks - 1)]
            self.add_module(f"layer{stage}", nn.Sequential(first, *rest))
            inputs = outputs
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.feature_size = inputs
        self.fc = nn.Identity() if classes is None else nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Images to pooled features or logits."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        return self.fc(self.avgpool(x).flatten(1))


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from a file, without running code from it.

    Raises:
        TrainingError: the file is missing or is not a state dict.
    """
    try:
        with open_regular(path, MOST_CHECKPOINT_BYTES) as stream:
            if zipfile.is_zipfile(stream):  # older files are not archives
                require_plain_archive(stream)
            stream.seek(0)
            state = torch.load(stream, map_location="cpu", weights_only=True)
    except ReadError as error:
        raise TrainingError(f"Cannot read the weights {path}: {error.strerror}; check --weights.") from error
    except Exception as error:  # unpickling damaged bytes raises any exception
        raise TrainingError(
            f"{path} is not a file of tensors saved by torch.save; give a state dict of torchvision to --weights."
        ) from error
    is_state = isinstance(state, Mapping) and all(isinstance(name, str) for name in state)
    if not is_state or not all(isinstance(value, Tensor) for value in state.values()):
        raise TrainingError(f"{path} is not a state dict (names to tensors); give one of torchvision to --weights.")
    return dict(state)


def load_imagenet(network: ResNet, state: Mapping[str, Tensor]) -> None:
    """Load the ImageNet weights of torchvision, without their classifier `fc`.

    For a one-channel input the first convolution becomes the mean over its color channels, so that a gray image gives a
    third of the response to the same image in three channels; a fourth channel (depth beside color) starts from that
    mean, too. Color-coded depth starts from the unchanged weights.

    Raises:
        TrainingError: names or shapes do not fit (another architecture or width).
    """
    features = {name: value for name, value in state.items() if not name.startswith("fc.")}
    own = network.state_dict()
    if "conv1.weight" in features and features["conv1.weight"].ndim == 4:
        features["conv1.weight"] = _first_weights(features["conv1.weight"], own["conv1.weight"].shape[1])
    own = {name: value for name, value in own.items() if not name.startswith("fc.")}
    # Old files lack batch counters, which only matter for cumulative averaging.
    wanted = {name for name in own if not name.endswith("num_batches_tracked")}
    wrong = sorted(wanted - features.keys()) + sorted(features.keys() - own.keys())
    wrong += [name for name in sorted(wanted & features.keys()) if features[name].shape != own[name].shape]
    if wrong:
        raise TrainingError(
            f"The weights do not fit the encoder ({len(wrong)} parameters differ, the first is {wrong[0]}); use the "
            "weights of --backbone, with --width 1."
        )
    for name in sorted(wanted):
        if not bool(torch.isfinite(features[name]).all()):
            raise TrainingError(f"The weights hold NaN or infinities in {name}; download the file of --weights again.")
    network.load_state_dict(features, strict=False)


def _first_weights(color: Tensor, channels: int) -> Tensor:
    """Weights of the first convolution for metric depth, color, color and depth, or color and color-coded depth."""
    mean = color.mean(dim=1, keepdim=True)
    kinds = {1: [mean], 3: [color], 4: [color, mean], 6: [color, color]}
    return torch.cat(kinds[channels], dim=1) if channels in kinds else color
