# SPDX-License-Identifier: Apache-2.0
"""One modality of a frame degraded: what is changed, and that a network learns from it whose expert to rely on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.degradation import (
    COLOR_DEGRADATIONS,
    DEPTH_DEGRADATIONS,
    Change,
    blank_depth,
    degrade,
    noisy_depth,
)
from mvloc_ros.training.options import AugmentationConfig
from mvloc_ros.training.run_identity import describe_run
from mvloc_ros.training.train import read_data
from mvloc_ros.training.trainer import Trainer

OFF = AugmentationConfig(degrade_color=0.0, degrade_depth=0.0)


def batch(size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    color = torch.randint(20, 230, (size, 24, 32, 3), dtype=torch.uint8, generator=generator)
    depth = 1.0 + 3.0 * torch.rand(size, 24, 32, generator=generator)
    depth[:, :2] = 0.0
    return color, depth, torch.ones(size, 2)


def changed(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    return (before != after).flatten(1).any(dim=1)


def test_without_a_share_nothing_changes_and_nothing_is_drawn() -> None:
    color, depth, present = batch(3)
    state = torch.get_rng_state()
    same_color, same_depth = degrade(color, depth, present, OFF)
    assert torch.equal(same_color, color)
    assert torch.equal(same_depth, depth)
    assert torch.equal(torch.get_rng_state(), state)


def test_one_modality_at_a_time_of_frames_with_both() -> None:
    torch.manual_seed(0)
    color, depth, present = batch(2000)
    present[:500, 0] = present[500:1000, 1] = 0.0
    config = replace(OFF, degrade_color=0.2, degrade_depth=0.3)
    before = color.clone(), depth.clone()
    new_color, new_depth = degrade(color, depth, present, config)
    assert torch.equal(color, before[0]), "the frames of the data set are not written to"
    assert torch.equal(depth, before[1])
    of_color, of_depth = changed(color, new_color), changed(depth, new_depth)
    assert not (of_color & of_depth).any()
    assert not (of_color | of_depth)[:1000].any(), "the only modality is kept"
    rates = [of_color[1000:].float().mean().item(), of_depth[1000:].float().mean().item()]
    assert rates == pytest.approx([0.2, 0.3], abs=0.04)


@pytest.mark.parametrize("change", [*COLOR_DEGRADATIONS, *DEPTH_DEGRADATIONS])
def test_each_degradation_changes_every_image(change: Change) -> None:
    torch.manual_seed(0)
    color, depth, _ = batch(40)
    image = color if change in COLOR_DEGRADATIONS else depth
    found = change(image)
    assert (found.shape, found.dtype) == (image.shape, image.dtype)
    assert changed(image, found).all()
    assert torch.isfinite(found.float()).all()
    assert found.min() >= 0


def test_a_flat_wall_out_of_range_is_lost_as_a_whole() -> None:
    wall = torch.full((5, 12, 16), 2.0)
    names = {change.__name__: change for change in DEPTH_DEGRADATIONS}
    for name in ("beyond_range", "below_range"):
        assert names[name](wall).max() == 0.0
        assert names[name](torch.zeros(2, 12, 16)).max() == 0.0, "nothing was measured"


@pytest.fixture(scope="module")
def trained(
    tiny_folder: Path, tiny_config: TrainingConfig, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trainer]:
    """A tiny network of the wall after some seconds, trained with degraded images.

    After half as many epochs the share of sparse depth rises on some processors, which round otherwise.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    config = tiny_config.with_options(
        {"epochs": 60, "single_experts": 1.0, "degrade_color": 0.25, "degrade_depth": 0.25}
    )
    data = read_data(config, tiny_folder, 0.2)
    run = describe_run(config, tiny_folder, data.training, data.validation, "") | {"test_fraction": 0.2}
    trainer = Trainer(config, data.training, data.validation, run, tmp_path_factory.mktemp("run"), torch.device("cpu"))
    trainer.fit()
    yield trainer
    torch.set_num_threads(threads)


# Of the wall every depth image has one value, so another one is a good image, and noise leaves the mean as it is.
LOST_DEPTH = [change for change in DEPTH_DEGRADATIONS if change not in (noisy_depth, blank_depth)]


@pytest.mark.parametrize("change", [*COLOR_DEGRADATIONS, *LOST_DEPTH])
def test_a_degraded_image_lowers_the_share_of_its_expert(trained: Trainer, change: Change) -> None:
    frames, network = trained.validation, trained.minimiser.validated_network.eval()
    assert frames is not None
    color, depth = torch.from_numpy(frames.color), torch.from_numpy(frames.depth)
    present, expert = torch.ones(len(color), 2), 0 if change in COLOR_DEGRADATIONS else 1
    torch.manual_seed(11)
    with torch.inference_mode():
        good = network(color, depth, present).expert_share.mean(dim=0)
        images = (change(color), depth) if expert == 0 else (color, change(depth))
        bad = network(*images, present).expert_share.mean(dim=0)
    relative = [(shares[1 + expert] / shares[1:].sum()).item() for shares in (good, bad)]
    assert relative[1] < relative[0]
    assert bad[1 + expert] < good[1 + expert]
