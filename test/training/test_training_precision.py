# SPDX-License-Identifier: Apache-2.0
"""Mixed precision in training: the encoders in half precision, all else in float32; steps that a scaler leaves out."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from mvloc_ros.training import checkpoint, train_step
from mvloc_ros.training.batches import MicroBatch
from mvloc_ros.training.checkpoint import LAST
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.networks.attention import LatentAttention
from mvloc_ros.training.networks.mixed_precision import _ENCODERS
from mvloc_ros.training.networks.mvloc import MVLoc
from mvloc_ros.training.networks.pose_network import PoseNetwork
from mvloc_ros.training.networks.product_of_experts import product_of_experts
from mvloc_ros.training.networks.regressor import PoseRegressor
from mvloc_ros.training.networks.resnet import ResNet
from mvloc_ros.training.objective import Batch
from mvloc_ros.training.presets import preset
from mvloc_ros.training.run_log import RunLog
from mvloc_ros.training.systems import NETWORKS, build_network
from mvloc_ros.training.train import train
from mvloc_ros.training.train_step import Minimiser

CPU = torch.device("cpu")
TINY = {"short_side": 32, "width": 0.25, "latent_size": 64, "dropout": 0.0, "batch_size": 6}


def batch(size: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(1)
    color = torch.randint(0, 256, (size, 32, 40, 3), dtype=torch.uint8, generator=generator)
    depth = 0.2 + 5.0 * torch.rand(size, 32, 40, generator=generator)
    return Batch(color, depth, torch.ones(size, 2), torch.randn(size, 6, generator=generator))


def make(system: str, **values: object) -> tuple[TrainingConfig, PoseNetwork]:
    """A network in training mode whose batch norms have the statistics of the batch and keep them."""
    clips = {"clip_length": 3} if preset(system, "small").clips.clip_length > 1 else {}
    config = preset(system, "small").with_options({**TINY, **clips, **values})
    torch.manual_seed(0)
    network = build_network(config).train()
    network(*batch()[:3])
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return config, network


def outputs_of(network: PoseNetwork) -> dict[str, set[torch.dtype]]:
    """The types of what each part computes from now on, by its name."""
    found: dict[str, set[torch.dtype]] = {}

    def observe(name: str, module: nn.Module) -> None:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            values = output if isinstance(output, tuple) else (output,)
            found.setdefault(name, set()).update(v.dtype for v in values if isinstance(v, torch.Tensor))

        module.register_forward_hook(hook)

    for name, module in network.named_modules():
        observe(name, module)
    return found


@pytest.mark.parametrize("system", NETWORKS)
def test_in_training_the_encoders_alone_are_in_bfloat16(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config, network = make(system)
    monkeypatch.setattr(train_step, "reduced_precision", lambda _precision, _device: torch.bfloat16)
    minimiser = Minimiser(config, network, 10, CPU)
    found = outputs_of(network)
    inside = {name for name, m in network.named_modules() if isinstance(m, ResNet)}
    assert inside
    loss = minimiser._backward(MicroBatch(batch(), 1.0, True))
    assert {value.dtype for value in loss} == {torch.float32}
    encoders = [name for name, module in network.named_modules() if isinstance(module, _ENCODERS)]
    for name in inside:
        assert found[f"{name}.conv1"] == {torch.bfloat16}
    for name, types in found.items():
        if not any(name == encoder or name.startswith(f"{encoder}.") for encoder in encoders):
            assert types == {torch.float32}, name
    assert any(isinstance(module, (LatentAttention, PoseRegressor, nn.Dropout)) for module in network.modules())
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert {gradient.dtype for gradient in gradients} == {torch.float32}


def test_poses_err_less_than_with_everything_in_bfloat16() -> None:
    """Positions of two or three spreads, as at the ends of a drive: bfloat16 itself rounds them by up to 0.4 %.

    What remains is the error of the encoders: the poses are exactly those that float32 makes of their features.
    """
    _, network = make("mvloc", width=0.5, latent_size=256)
    assert isinstance(network, MVLoc)
    data = batch(16)
    with torch.no_grad():
        network.regressor.position[3].bias += torch.tensor([2.3, -1.7, 3.1])
        exact = network(*data[:3]).pose
        with torch.autocast("cpu", torch.bfloat16):
            everything = network(*data[:3]).pose.float()
            experts = [
                network.color(network.normalise_color(data.color)),
                network.depth(network.normalise_depth(data.depth)),
            ]
        network.encoder_dtype = torch.bfloat16
        encoders = network(*data[:3]).pose
        means, log_variances = (torch.stack(values, dim=1).float() for values in zip(*experts, strict=True))
        assert torch.equal(encoders, network.decode(product_of_experts(means, log_variances, data.present).mean))
        network.eval()
        assert torch.equal(network(*data[:3]).pose, exact), "validation is float32"
    errors = [float((found - exact)[:, :3].abs().mean()) for found in (everything, encoders)]
    assert 0.0 < errors[1] < 0.5 * errors[0], errors


def test_a_step_that_the_scaler_leaves_out_advances_nothing() -> None:
    config, network = make("mvloc", ema=0.9, stage="2", latent_warmup=1.0, samples=3, learning_rate=1e-3)
    minimiser = Minimiser(config, network, 10, CPU)
    minimiser.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    assert minimiser.average is not None
    minimiser.begin_epoch()

    def state() -> tuple[int, int, float, float, float]:
        rate = minimiser.optimiser.param_groups[0]["lr"]
        average = float(minimiser.average.network.regressor.position[3].bias.sum())
        weight = float(minimiser.objective.latent_weight())
        return minimiser.schedule.last_epoch, minimiser.average.steps, rate, average, weight

    part = MicroBatch(batch(), 1.0, True)
    minimiser.add(part)
    before = state()
    assert before[:2] == (1, 1)
    handle = network.regressor.position[3].weight.register_hook(lambda gradient: gradient * float("inf"))
    weights = {name: value.clone() for name, value in network.named_parameters()}
    minimiser.add(part)
    assert all(torch.equal(value, weights[name]) for name, value in network.named_parameters())
    assert minimiser.skipped == 1
    assert minimiser.scaler.get_scale() == 2.0
    assert state() == before
    handle.remove()
    minimiser.add(part)
    after = state()
    assert after[:2] == (2, 2)
    assert after[2] != before[2]
    assert after[3] != before[3]
    assert after[4] == pytest.approx(2 * before[4])
    assert minimiser.skipped == 1
    row = minimiser.objective.end_epoch()
    assert 1.0 <= row["train/ess_5_percent"] <= row["train/ess"] <= 3.0


def test_a_float16_run_with_skipped_steps_goes_on_bit_by_bit(
    tiny_folder: Path, tiny_config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The schedule is behind the steps of the run then, and the checkpoint is accepted all the same."""
    config = tiny_config.with_options({"epochs": 2, "latent_size": 16, "ema": 0.9})
    monkeypatch.setattr(train_step, "reduced_precision", lambda _precision, _device: torch.float16)
    # At first every gradient overflows, and the scale is halved each time.
    monkeypatch.setattr(torch.amp, "GradScaler", partial(torch.amp.GradScaler, init_scale=2.0**26))
    train(config, tiny_folder, tmp_path / "whole", "cpu", None, 0.2)
    add, calls = Minimiser.add, []

    def interrupted(self: Minimiser, part: MicroBatch) -> torch.Tensor:
        calls.append(part)
        if len(calls) == 13:  # in the second epoch
            raise KeyboardInterrupt
        return add(self, part)

    with monkeypatch.context() as patch:
        patch.setattr(Minimiser, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(config, tiny_folder, tmp_path / "cut", "cpu", None, 0.2)
    train(config, tiny_folder, tmp_path / "cut", "cpu", None, 0.2)
    whole, cut = (checkpoint.load(tmp_path / name / LAST) for name in ("whole", "cut"))
    skipped = sum(row["train/skipped_steps"] for row in whole["history"])
    assert 0 < skipped < whole["progress"]["step"]
    assert whole["schedule"]["last_epoch"] == whole["averaged_steps"] == whole["progress"]["step"] - skipped
    assert cut["schedule"]["last_epoch"] == whole["schedule"]["last_epoch"]
    for name, value in whole["network"].items():
        assert torch.equal(value, cut["network"][name]), name


def test_the_table_of_a_run_that_another_version_began(tmp_path: Path) -> None:
    """Its rows lack what is logged now."""
    log = RunLog(tmp_path, {}, [{"epoch": 1, "train/ess": 3.0}])
    log.add({"epoch": 2, "train/ess": 4.0, "train/ess_5_percent": 1.5})
    log.write_metrics()
    log.close()
    assert (tmp_path / "metrics.csv").read_text() == "epoch,train/ess,train/ess_5_percent\n1,3,nan\n2,4,1.5\n"
