# SPDX-License-Identifier: Apache-2.0
"""The parts of the network against independent computations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mvloc_ros.geometry import quaternion
from mvloc_ros.training import torch_quaternion
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.networks.attention import LatentAttention
from mvloc_ros.training.networks.deployed import Deployed
from mvloc_ros.training.networks.encoder import GaussianEncoder
from mvloc_ros.training.networks.mvloc import MVLoc
from mvloc_ros.training.networks.resnet import ResNet, load_imagenet, read_weights


def torchvision_names(blocks: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of torchvision's state dicts of the basic-block ResNets, written down by their rule."""
    expected: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7)}

    def norm(prefix: str, channels: int) -> None:
        for name in ("weight", "bias", "running_mean", "running_var"):
            expected[f"{prefix}.{name}"] = (channels,)
        expected[f"{prefix}.num_batches_tracked"] = ()

    norm("bn1", 64)
    inputs = 64
    for layer, (count, channels) in enumerate(zip(blocks, (64, 128, 256, 512), strict=True), start=1):
        for block in range(count):
            prefix = f"layer{layer}.{block}"
            expected[f"{prefix}.conv1.weight"] = (channels, inputs, 3, 3)
            norm(f"{prefix}.bn1", channels)
            expected[f"{prefix}.conv2.weight"] = (channels, channels, 3, 3)
            norm(f"{prefix}.bn2", channels)
            if layer > 1 and block == 0:
                expected[f"{prefix}.downsample.0.weight"] = (channels, inputs, 1, 1)
                norm(f"{prefix}.downsample.1", channels)
            inputs = channels
    return expected | {"fc.weight": (1000, 512), "fc.bias": (1000,)}


@pytest.mark.parametrize(
    ("backbone", "blocks", "parameters", "entries"),
    [("resnet18", (2, 2, 2, 2), 11_689_512, 122), ("resnet34", (3, 4, 6, 3), 21_797_672, 218)],
)
def test_resnet_has_torchvisions_names(backbone: str, blocks: tuple[int, ...], parameters: int, entries: int) -> None:
    network = ResNet(backbone, classes=1000)
    state = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert state == torchvision_names(blocks)
    assert len(state) == entries
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    with torch.inference_mode():
        assert network.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)


def test_imagenet_weights_load_and_depth_takes_the_mean_over_colours(tmp_path: Path) -> None:
    source = ResNet("resnet18", classes=1000)
    torch.save(source.state_dict(), tmp_path / "resnet18.pth")
    state = read_weights(tmp_path / "resnet18.pth")
    color, depth = ResNet("resnet18"), ResNet("resnet18", in_channels=1)
    load_imagenet(color, state)
    load_imagenet(depth, state)
    assert torch.equal(color.layer4[1].conv2.weight, source.layer4[1].conv2.weight)
    assert torch.equal(depth.conv1.weight[:, 0], source.conv1.weight.mean(dim=1))
    grey = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(3 * depth.conv1(grey), color.conv1(grey.expand(1, 3, 64, 64)), rtol=1e-4, atol=1e-5)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    state = ResNet("resnet34").state_dict()
    with pytest.raises(TrainingError, match=r"do not fit.*--backbone"):
        load_imagenet(ResNet("resnet18"), state)
    with pytest.raises(TrainingError, match="do not fit"):
        load_imagenet(ResNet("resnet34", width=0.5), state)
    (tmp_path / "junk.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match="not a file of tensors"):
        read_weights(tmp_path / "junk.pth")
    with pytest.raises(TrainingError, match="Cannot read"):
        read_weights(tmp_path / "missing.pth")


def test_attention_against_numpy() -> None:
    attention = LatentAttention(32).double()
    z = torch.randn(3, 32, dtype=torch.float64)
    with torch.inference_mode():
        found = attention(z).numpy()

    def linear(layer: torch.nn.Linear, x: np.ndarray) -> np.ndarray:
        return layer.weight.detach().numpy() @ x + layer.bias.detach().numpy()

    for row, value in zip(found, z.numpy(), strict=True):
        scores = np.outer(linear(attention.phi, value), linear(attention.theta, value))
        assert scores.shape == (4, 4)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        expected = value + linear(attention.alpha, weights @ linear(attention.g, value))
        # The softmax is taken in float32 on purpose.
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-5)


def test_log_variance_is_clamped() -> None:
    encoder = GaussianEncoder(ResNet("resnet18", width=0.125), 8).eval()
    with torch.inference_mode():
        encoder.log_variance.bias.copy_(torch.tensor([-50.0, 50.0, 0.0, 3.0, -3.0, 11.0, -11.0, 9.0]))
        encoder.log_variance.weight.zero_()
        _, log_variance = encoder(torch.rand(1, 3, 32, 32))
    assert log_variance[0].tolist() == [-10.0, 10.0, 0.0, 3.0, -3.0, 10.0, -10.0, 9.0]


@pytest.fixture
def network(tiny_config: TrainingConfig) -> MVLoc:
    torch.manual_seed(0)
    return MVLoc(tiny_config.network, tiny_config.input).eval()


def test_input_normalisation(network: MVLoc) -> None:
    color = torch.tensor([0, 255, 51], dtype=torch.uint8).reshape(1, 1, 1, 3)
    torch.testing.assert_close(network.normalise_color(color).flatten(), torch.tensor([-1.0, 1.0, -0.6]))
    low, high = network.min_depth, network.max_depth
    invalid = [0.0, float("nan"), float("inf"), -float("inf"), -1.0, low / 2, high + 0.01]
    depth = torch.tensor([[[low, high, (low + high) / 2, *invalid]]])
    expected = torch.tensor([-1.0, 1.0, 0.0] + [-1.0] * len(invalid))
    torch.testing.assert_close(network.normalise_depth(depth).flatten(), expected)


def test_depth_as_a_colour_scale(tiny_config: TrainingConfig) -> None:
    """Blue, cyan, yellow and red at the eighths where one channel is full and another empty; invalid is black."""
    network = MVLoc(tiny_config.network, replace(tiny_config.input, depth_encoding="colors"))
    low, high = network.min_depth, network.max_depth
    position = torch.tensor([0.0, 1 / 8, 3 / 8, 1 / 2, 5 / 8, 7 / 8, 1.0])
    invalid = torch.tensor([0.0, float("nan"), float("inf"), -1.0, high + 0.01])
    depth = torch.cat([low + (high - low) * position, invalid])[None, None]
    depth[0, 0, 6] = high  # rounding must not take it out of range
    expected = [
        (-1, -1, 0), (-1, -1, 1), (-1, 1, 1), (0, 1, 0), (1, 1, -1), (1, -1, -1), (0, -1, -1),
        *[(-1, -1, -1)] * 5,
    ]  # fmt: skip
    torch.testing.assert_close(
        network.normalise_depth(depth)[0, :, 0].T, torch.tensor(expected, dtype=torch.float32), atol=1e-5, rtol=0.0
    )


def surfaces_of(depth: torch.Tensor, config: TrainingConfig) -> torch.Tensor:
    """Depth `[H, W]` as the four channels `[4, H, W]` of `--depth-encoding surfaces`."""
    network = MVLoc(config.network, replace(config.input, depth_encoding="surfaces"))
    return network.normalise_depth(depth[None])[0]


def test_slopes_of_a_plane(tiny_config: TrainingConfig) -> None:
    """Where 1 / Z = (1 + a x) / d, ln Z changes by -a / (1 + a x) a unit of x: everywhere, at any distance d."""
    height, width, focal = 60, 80, 70.0
    x = (torch.arange(width) - (width - 1) / 2) / focal
    for slope in (-0.5, 0.0, 0.5):
        for distance in (1.0, 3.0):
            across = (distance / (1.0 + slope * x)).expand(height, width)
            _, valid, right, down = surfaces_of(across, tiny_config)
            assert bool((valid == 1.0).all())
            expected = torch.tanh(-slope / (1.0 + slope * x[1:-1]) * width / focal / 2.0)
            torch.testing.assert_close(right[:, 1:-1], expected.expand(height, -1), atol=1e-3, rtol=0.0)
            assert bool((down == 0.0).all())
    _, _, right, down = surfaces_of((2.0 / (1.0 + 0.5 * x)).expand(height, width).T, tiny_config)
    assert bool((right == 0.0).all())
    assert bool((down[1:-1] < -0.1).all())


def test_a_hole_is_neither_near_nor_steep(tiny_config: TrainingConfig) -> None:
    """Depth 0, validity 0, and no slope at it or over it, whatever an invalid pixel holds."""
    low, high = tiny_config.input.min_depth, tiny_config.input.max_depth
    depth = torch.full((5, 7), low + 0.75 * (high - low))
    whole = surfaces_of(depth, tiny_config)
    torch.testing.assert_close(whole, torch.tensor([0.5, 1.0, 0.0, 0.0])[:, None, None].expand(4, 5, 7))
    for nothing in (0.0, -1.0, low / 2, high + 0.01, float("nan"), float("inf")):
        depth[2, 3] = nothing
        hole = surfaces_of(depth, tiny_config)
        assert hole[:, 2, 3].tolist() == [0.0] * 4
        hole[:, 2, 3] = whole[:, 2, 3]
        torch.testing.assert_close(hole, whole)


@pytest.mark.parametrize("missing", [0, 1])
def test_the_absent_modality_has_no_influence(network: MVLoc, missing: int) -> None:
    present = torch.ones(2, 2)
    present[:, missing] = 0.0
    color = torch.randint(0, 256, (2, 32, 43, 3), dtype=torch.uint8)
    depth = torch.rand(2, 32, 43) * 5
    with torch.inference_mode():
        first = network(color, depth, present)
        if missing == 0:
            color = 255 - color
        else:
            depth = torch.full_like(depth, float("nan"))
        second = network(color, depth, present)
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)
    assert torch.all(first.expert_share[:, 1 + missing] == 0.0)
    torch.testing.assert_close(first.expert_share.sum(dim=1), torch.ones(2))
    assert first.pose.shape == (2, 6)


def test_quaternions_in_torch_agree_with_geometry() -> None:
    v = np.random.default_rng(0).normal(size=(200, 3)) * 0.9
    v[0], v[1], v[2] = 0.0, (1e-9, 0, 0), (1e-4, -1e-4, 0)
    q = quaternion.exp(v)
    np.testing.assert_allclose(torch_quaternion.exp(torch.tensor(v)).numpy(), q, atol=1e-12)
    np.testing.assert_allclose(torch_quaternion.log(torch.tensor(q)).numpy(), quaternion.log(q), atol=1e-8)


def test_deployed_network_turns_by_the_reference(network: MVLoc) -> None:
    reference = quaternion.normalise([0.3, -0.5, 0.4, 0.2])
    deployed = Deployed(network, tuple(reference)).eval()
    inputs = (torch.randint(0, 256, (4, 32, 43, 3), dtype=torch.uint8), torch.rand(4, 32, 43) * 5, torch.ones(4, 2))
    with torch.inference_mode():
        relative, in_map = network(*inputs).pose.numpy(), deployed(*inputs).pose.numpy()
    np.testing.assert_array_equal(in_map[:, :3], relative[:, :3])
    expected = quaternion.log(quaternion.multiply(reference, quaternion.exp(relative[:, 3:])))
    np.testing.assert_allclose(in_map[:, 3:], expected, atol=1e-6)
