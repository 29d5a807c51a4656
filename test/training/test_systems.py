# SPDX-License-Identifier: Apache-2.0
"""Every system: its network against what defines it, its presets, its graph for the node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from mvloc_ros.backends.network_file import require_network_file
from mvloc_ros.backends.torch_backend.graph import OnnxGraph
from mvloc_ros.training.clip_objective import ClipObjective, RecurrentObjective
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.export import write_onnx
from mvloc_ros.training.multi_sample import MultiSample
from mvloc_ros.training.networks.atloc import AtLoc
from mvloc_ros.training.networks.concatenation import Concatenation
from mvloc_ros.training.networks.deployed import Deployed
from mvloc_ros.training.networks.mvloc import MVLoc
from mvloc_ros.training.networks.posenet import PoseNet
from mvloc_ros.training.networks.resnet import BLOCKS, ResNet
from mvloc_ros.training.objective import Batch, MeanObjective
from mvloc_ros.training.options import ClipConfig, InputConfig, NetworkConfig
from mvloc_ros.training.presets import PRESETS, names_of, preset
from mvloc_ros.training.systems import NETWORKS, build_network, build_objective

NETWORK = {"width": 0.125, "latent_size": 32, "dropout": 0.3, "short_side": 32}
COLOR_ONLY = ["mvloc-v", "posenet", "mapnet", "atloc"]


def inputs(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    color = torch.randint(0, 256, (count, 32, 40, 3), dtype=torch.uint8, generator=generator)
    return color, 0.2 + 5.0 * torch.rand(count, 32, 40, generator=generator), torch.ones(count, 2)


def build(name: str, **options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network(preset(name, "small").with_options({**NETWORK, **options}))


def test_every_system_is_complete() -> None:
    assert set(SYSTEMS) == set(NETWORKS)
    for name in SYSTEMS:
        for recipe in names_of(name):
            config = preset(name, recipe)
            assert (config.system, config.preset) == (name, recipe)
            assert TrainingConfig.from_dict(config.to_dict()) == config
            kinds = {"mapnet": ClipObjective, "vidloc": RecurrentObjective, "vidloc-causal": RecurrentObjective}
            kind = MultiSample if config.samples_latent else kinds.get(name, MeanObjective)
            assert isinstance(build_objective(config, steps=10), kind)
    assert preset("mvloc", "small") == PRESETS["small"]


def test_published_hyper_parameters() -> None:
    def values(name: str) -> tuple[float, ...]:
        o = preset(name, "paper").stage_optimiser()
        return o.epochs, o.batch_size, o.learning_rate, o.weight_decay, o.initial_beta, o.initial_gamma

    assert values("posenet") == (300, 64, 1e-4, 5e-4, 0.0, -3.0)
    # 20 clips of three a step; 900 epochs of a third of the clips each are 300 of all.
    assert values("mapnet") == (900, 60, 1e-4, 5e-4, 0.0, -3.0)
    assert preset("mapnet", "paper").clips == ClipConfig(clip_length=3, clip_skip=10)
    assert values("atloc") == (100, 64, 5e-5, 5e-4, 0.0, -3.0)
    assert values("mvloc") == values("mvloc-p") == (100, 64, 5e-5, 5e-5, -3.0, 0.0)
    paper, plain = preset("mvloc", "paper").stages, preset("mvloc-p", "paper").stages
    assert (paper.stage, paper.samples, paper.estimator) == ("both", 20, "dreg")
    assert (plain.stage, plain.samples, plain.estimator) == ("both", 1, "elbo")
    for name in SYSTEMS:
        network = preset(name, "paper").network
        assert (network.backbone, network.width, network.latent_size, network.dropout) == ("resnet34", 1.0, 2048, 0.5)


@pytest.mark.parametrize(
    ("system", "options", "message"),
    [
        ("posenet", {"stage": "2"}, "posenet has no latent distribution.*--stage 2"),
        ("posenet", {"depth_encoding": "colors"}, "posenet uses color only.*--depth-encoding"),
        ("atloc", {"drop_color": 0.1}, "atloc uses color only.*--drop-color"),
        ("atloc", {"degrade_depth": 0.1}, "atloc uses color only.*--degrade-depth"),
        ("mvloc-c", {"single_experts": 0.5}, "mvloc-c has no experts of single modalities; remove --single-experts"),
        ("vidloc", {"single_experts": 0.5}, "vidloc has no experts of single modalities"),
        ("mvloc", {"clip_length": 3}, "mvloc is trained on single frames"),
        ("mapnet", {"clip_length": 1}, "mapnet is trained on clips; --clip-length must be at least 2"),
        ("mapnet", {"clip_length": 33}, "at most --batch-size"),
        ("mvloc-p", {"samples": 5}, "mvloc-p always uses the ELBO with one sample"),
        ("mvloc-p", {"estimator": "dreg"}, "mvloc-p always uses the ELBO with one sample"),
        ("mvloc", {"estimator": "vae"}, "--estimator 'vae' is unknown; choose one of elbo, iwae, dreg, paper"),
    ],
)
def test_contradictions_are_refused(system: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        preset(system, "small").with_options(options)
    with pytest.raises(TrainingError, match="--system 'vgg' is unknown"):
        preset("vgg", "small")


@pytest.mark.parametrize("name", COLOR_ONLY)
def test_depth_has_no_part_in_a_system_of_colour(name: str) -> None:
    network = build(name).eval()
    color, depth, present = inputs(3)
    with torch.inference_mode():
        first = network(color, depth, present)
        second = network(color, torch.full_like(depth, float("nan")), present * torch.tensor([1.0, 0.0]))
        other = network(255 - color, depth, present)
        blind = network(color, depth, present * torch.tensor([0.0, 1.0]))
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)
    assert not torch.allclose(first.pose, other.pose)
    assert first.expert_share.tolist() == [[0.0, 1.0, 0.0]] * 3
    assert blind.expert_share.tolist() == [[1.0, 0.0, 0.0]] * 3
    assert torch.equal(blind.pose, blind.pose[:1].expand(3, 6)), "without colour the frames are all alike"


def test_concatenation_starts_with_the_spread_of_one_encoder() -> None:
    """A larger latent vector makes all hidden units of the rotation negative within some epochs, with some seeds."""
    ratios = []
    for seed in range(20):
        torch.manual_seed(seed)
        network = build_network(preset("mvloc-c", "small").with_options({**NETWORK, "latent_size": 256}))
        assert isinstance(network, Concatenation)
        features = torch.randn(64, 512, generator=torch.Generator().manual_seed(seed))
        with torch.inference_mode():
            ratios.append(float(network.fusion(features).std()))
    assert sum(ratios) / len(ratios) == pytest.approx(1.0, abs=0.02)  # 1.41 with the gain for a ReLU


def test_concatenation_uses_what_is_there() -> None:
    network = build("mvloc-c").eval()
    assert isinstance(network, Concatenation)
    color, depth, present = inputs(2)
    with torch.inference_mode():
        both = network(color, depth, present)
        for missing, share in ((0, [0.0, 0.0, 1.0]), (1, [0.0, 1.0, 0.0])):
            mask = present.clone()
            mask[:, missing] = 0.0
            one = network(color, depth, mask)
            changed = network(255 - color, depth, mask) if missing == 0 else network(color, 1.0 + depth, mask)
            assert torch.equal(one.pose, changed.pose)
            assert one.expert_share.tolist() == [share] * 2
            assert not torch.allclose(one.pose, both.pose)
        features = torch.cat(
            [network.color(network.normalise_color(color)), network.depth(network.normalise_depth(depth))], dim=1
        )
        expected = features @ network.fusion.weight.T + network.fusion.bias
    torch.testing.assert_close(both.latent_mean, expected)
    assert both.expert_share.tolist() == [[0.0, 0.5, 0.5]] * 2


def test_atloc_is_posenet_with_attention() -> None:
    posenet, atloc = build("posenet").eval(), build("atloc").eval()
    assert isinstance(posenet, PoseNet)
    assert isinstance(atloc, AtLoc)
    own = {name for name in atloc.state_dict() if not name.startswith("attention.")}
    assert own == posenet.state_dict().keys()
    posenet.load_state_dict({name: atloc.state_dict()[name] for name in own})
    with torch.inference_mode():
        plain, attended = posenet(*inputs(2)), atloc(*inputs(2))
        assert plain.latent_mean.min() == 0.0, "after a ReLU"
        torch.testing.assert_close(attended.latent_mean, atloc.attention(plain.latent_mean))
        expected = atloc.rotation(atloc.attention(plain.latent_mean))
    torch.testing.assert_close(attended.pose[:, 3:], expected)
    assert not torch.allclose(plain.pose, attended.pose)


def test_dropout_ends_with_training() -> None:
    """Its authors' AtLoc drops at run time too, unless the model is built again."""
    for name in ("posenet", "atloc"):
        network = build(name)
        network.eval()
        with torch.inference_mode():
            assert torch.equal(network(*inputs(2)).pose, network(*inputs(2)).pose)
            network.dropout.train()
            assert not torch.equal(network(*inputs(2)).pose, network(*inputs(2)).pose)


def test_parameters_of_the_published_size() -> None:
    """ResNet-34 without classifier, 512 -> 2048, two heads 2048 -> 3; AtLoc's attention besides."""
    config = NetworkConfig(backbone="resnet34", width=1.0, latent_size=2048)
    resnet = 21_797_672 - 513_000
    posenet = resnet + 513 * 2048 + 2 * 2049 * 3
    attention = 3 * 2049 * 256 + 257 * 2048
    for kind, expected in ((PoseNet, posenet), (AtLoc, posenet + attention)):
        assert sum(p.numel() for p in kind(config, InputConfig()).parameters()) == expected


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_every_parameter_learns(name: str) -> None:
    config = preset(name, "small").with_options({**NETWORK, "dropout": 0.0, "latent_warmup": 0.0})
    torch.manual_seed(0)
    network, objective = build_network(config), build_objective(config, steps=10)
    count = 2 * max(3, config.clips.clip_length)
    batch = Batch(*inputs(count), torch.randn(count, 6))
    objective(network, batch).total.mean().backward()
    silent = {key for key, p in network.named_parameters() if p.grad is None or p.grad.abs().max() == 0.0}
    assert not silent
    state = ResNet("resnet18", width=0.125, classes=10)
    network.start_from(state.state_dict())
    encoder = network.encoder if SYSTEMS[name].recurrent else network.color.backbone
    assert torch.equal(encoder.layer1[0].conv1.weight, state.layer1[0].conv1.weight)
    assert torch.equal(encoder.conv1.weight[:, :3], state.conv1.weight)


@pytest.mark.parametrize("name", ["mvloc", "mvloc-c", "vidloc"])
def test_colour_coded_depth(name: str) -> None:
    """Three channels of depth, which start from the weights of a colour image as they are."""
    network = build(name, depth_encoding="colors", dropout=0.0).eval()
    state = ResNet("resnet18", width=0.125, classes=10)
    network.start_from(state.state_dict())
    conv = network.encoder.conv1 if SYSTEMS[name].recurrent else network.depth.backbone.conv1
    assert torch.equal(conv.weight[:, -3:], state.conv1.weight)
    color, depth, present = inputs(2)
    with torch.inference_mode():
        first, second = network(color, depth, present).pose, network(color, 0.9 * depth, present).pose
    assert not torch.equal(first[0], second[0])


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("mvloc", "colors"),
        ("mvloc", "surfaces"),
        *((name, "metric") for name in ("mvloc-v", "mvloc-c", "posenet", "atloc")),
    ],
)
def test_the_graph_has_the_nodes_interface(
    name: str, encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As MVLoc's, whose graph `test_export` checks: three inputs, four outputs, and PyTorch's numbers."""
    monkeypatch.setitem(BLOCKS, "resnet18", (1, 1, 1, 1))  # fewer blocks of the same kind, for the exporter's time
    network = build(name, depth_encoding=encoding)
    network.train()
    with torch.no_grad():
        network(*inputs(8))
    deployed = Deployed(network, (0.5, -0.5, 0.5, 0.5)).eval()
    write_onnx(deployed, (32, 40), tmp_path / "model.onnx")
    require_network_file(tmp_path / "model.onnx", 32, 40, NETWORK["latent_size"])
    in_torch = OnnxGraph(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    assert [x.name for x in session.get_inputs()] == ["color", "depth", "present"]
    assert [x.name for x in session.get_outputs()] == ["pose", "latent_mean", "latent_log_variance", "expert_share"]
    color, depth, present = inputs(1)
    depth[0, 0, :2] = torch.tensor([float("nan"), float("inf")])
    for mask in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)):
        present[0] = torch.tensor(mask)
        feed = {"color": color.numpy(), "depth": depth.numpy(), "present": present.numpy()}
        with torch.inference_mode():
            expected = deployed(color, depth, present)
            again = in_torch(color, depth, present)
        for found, other, value in zip(session.run(None, feed), again, expected, strict=True):
            np.testing.assert_allclose(found, value.numpy(), atol=1e-4)
            np.testing.assert_allclose(other.numpy(), value.numpy(), atol=1e-4)


def test_mvlocs_network_is_the_same_in_both_of_its_systems() -> None:
    assert NETWORKS["mvloc"] is NETWORKS["mvloc-p"] is MVLoc
