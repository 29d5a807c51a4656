# SPDX-License-Identifier: Apache-2.0
"""Bundles of the presets with random weights: what time they take does not depend on what they learned."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.model.bundle import MODEL_FILE, Bundle
from mvloc_ros.model.bundle_writer import write_bundle
from mvloc_ros.model.manifest import FrameSpec, InputSpec, Manifest, PositionSpec
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import PosedFrames, network_size
from mvloc_ros.training.networks.deployed import Deployed
from mvloc_ros.training.onnx_file import write_onnx
from mvloc_ros.training.precisions import Comparison, make_precision
from mvloc_ros.training.presets import PRESETS
from mvloc_ros.training.systems import build_network

CAMERA = PinholeCamera(640, 480, 525.0, 525.0, 319.5, 239.5)
# What --smoke makes of a preset: the same operators, in a hundredth of the time.
SMOKE = {"short_side": 32, "width": 0.125, "latent_size": 64}


@dataclass(frozen=True)
class RandomModel:
    """A preset's network with random weights, and its bundle."""

    config: TrainingConfig
    network: Deployed
    bundle: Bundle
    size: tuple[int, int]


def configuration(preset: str, *, smoke: bool) -> TrainingConfig:
    """A preset's values, made small for a smoke test."""
    return PRESETS[preset].with_options(SMOKE) if smoke else PRESETS[preset]


def random_frames(count: int, size: tuple[int, int], max_depth: float) -> PosedFrames:
    """Noise as frames, with poses spread over a metre."""
    random = np.random.default_rng(0)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, 3] = random.normal(size=(count, 3))
    return PosedFrames(
        random.integers(0, 256, (count, *size, 3), dtype=np.uint8),
        random.uniform(0.0, 1.2 * max_depth, (count, *size)).astype(np.float32),
        np.ones((count, 2), np.float32),
        poses,
        np.arange(count, dtype=np.int64),
        ("random",) * count,
    )


def make_random_model(
    preset: str, folder: Path, precisions: tuple[str, ...], *, smoke: bool = False, camera: PinholeCamera = CAMERA
) -> RandomModel:
    """Write the bundle of a preset with these precisions besides fp32, in its folder inside `folder`."""
    config = configuration(preset, smoke=smoke)
    torch.manual_seed(0)
    size = network_size(camera, config.input.short_side)
    network = Deployed(build_network(config), (0.0, 0.0, 0.0, 1.0)).eval()
    position = PositionSpec((0.0, 0.0, 0.0), 1.0)
    scratch = folder / f"{preset}_files"
    scratch.mkdir()
    plain = scratch / MODEL_FILE
    write_onnx(network, size, plain)
    frames = random_frames(4, size, config.input.max_depth)
    # Any difference is fine: random weights answer noise with noise.
    comparison = Comparison(frames, PoseErrors(np.ones(4), np.ones(4)), np.inf, position, frames)
    with contextlib.redirect_stdout(io.StringIO()):
        specs = {name: make_precision(name, plain, network, size, comparison) for name in precisions}
    manifest = Manifest(
        system=config.system,
        preset=preset,
        input=InputSpec(*size, config.input.min_depth, config.input.max_depth),
        latent_dim=config.network.latent_size,
        position=position,
        frames=FrameSpec(),
        color_camera=camera,
        depth_camera=camera,
        depth_registered=True,
        residual_variance=(1.0,) * 6,
        training={"random": True},
        licence="none",
        created_with="bench",
        precisions=specs,
    )
    files = {MODEL_FILE: plain, **{spec.file: scratch / spec.file for spec in specs.values()}}
    return RandomModel(config, network, write_bundle(folder / preset, manifest, files), size)


def save_weights(model: RandomModel, preset: str, path: Path, *, smoke: bool = False) -> None:
    """Write what `load_network` reads in another process."""
    torch.save({"preset": preset, "smoke": smoke, "state": model.network.state_dict()}, path)


def load_network(path: Path) -> Deployed:
    """The network of `save_weights` as a module of PyTorch, with the bundle's weights."""
    saved = torch.load(path, weights_only=True)
    network = Deployed(build_network(configuration(saved["preset"], smoke=saved["smoke"])), (0.0, 0.0, 0.0, 1.0))
    network.load_state_dict(saved["state"])
    return network.eval()
