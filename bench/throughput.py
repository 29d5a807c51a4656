# SPDX-License-Identifier: Apache-2.0
"""Training frames per second, by the trainer itself, against frames of noise."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch
from tqdm import tqdm

from bench.random_bundle import CAMERA, configuration, random_frames
from mvloc_ros.training.datasets import network_size
from mvloc_ros.training.run_identity import describe_run
from mvloc_ros.training.trainer import Trainer


def training_throughput(preset: str, stage: str, device: torch.device, steps: int, *, smoke: bool) -> dict[str, float]:
    """Frames per second of `steps` steps after a warm-up of as many, and GiB of the GPU's memory at most."""
    batch = 4 if smoke else configuration(preset, smoke=smoke).optimiser.batch_size
    config = configuration(preset, smoke=smoke).with_options({"stage": stage, "batch_size": batch})
    frames = random_frames(steps * batch, network_size(CAMERA, config.input.short_side), config.input.max_depth)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as scratch:
        run = describe_run(config, Path(scratch), frames, None, "")
        trainer = Trainer(config, frames, None, run, Path(scratch) / "run", device)
        seconds = 0.0
        for _ in range(2):
            start = time.perf_counter()
            trainer._train_epoch(tqdm(disable=True))  # ends by reading the losses, so nothing is left undone
            seconds = time.perf_counter() - start
    memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0.0
    return {"frames_per_s": steps * batch / seconds, "batch": batch, "memory_gib": memory}
