# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: everything that decides how training goes on, written whole or not at all."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mvloc_ros.storage import StorageError, replacing
from mvloc_ros.training.errors import TrainingError

SCHEMA = 1
LAST, BEST = "last.pt", "best.pt"  # of a run folder: the last epoch, and the best on the validation frames
REFIT = "refit"  # folder inside a run: the same training once more, on all training frames


def random_state(device: torch.device) -> dict[str, Any]:
    """State of every global generator: Python, numpy, torch on the CPU and, if that is a GPU, on the device.

    Not of the other GPUs, which a run does not use and another machine need not have.
    """
    algorithm, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        # As plain integers, because a checkpoint is loaded without unpickling arbitrary classes.
        "numpy": (algorithm, [int(key) for key in keys], position, has_gauss, cached),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Put every generator where `random_state` found it; the GPU's only if the device is one now and was then."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    algorithm, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((algorithm, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        found = gpu_state(state["cuda"], index)
        if found is not None:
            torch.cuda.set_rng_state(found, device)


def gpu_state(saved: Tensor | Sequence[Tensor] | None, index: int) -> Tensor | None:
    """The generator's state for the GPU of that number, None where there is none.

    Older checkpoints have a list of all GPUs that were visible then; where it is too short, training was on another
    one, most likely the first.
    """
    if saved is None or isinstance(saved, Tensor):
        return saved
    return saved[index] if index < len(saved) else next(iter(saved), None)


def seed_everything(seed: int, process: int = 0) -> None:
    """Start every global generator from one seed, and another one for each of several processes."""
    if process > 0:
        seed = int(np.random.SeedSequence([seed, process]).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def save(path: Path, values: dict[str, Any]) -> None:
    """Write a checkpoint; a crash at any moment leaves the old or the new one.

    Raises:
        StorageError: it cannot be written, as where the disk is full; the old one stays, and training goes on from it.
    """
    try:
        with replacing(path) as temporary, temporary.open("r+b") as stream:
            torch.save({"schema": SCHEMA, **values}, stream)
    except RuntimeError as error:  # torch's, which hides the system's
        cause = _system_error(error)
        if cause is None:
            raise
        raise StorageError(path, cause) from error


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint without running code from it, onto the CPU.

    Raises:
        TrainingError: it is missing, damaged, or of another version.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not look at the checksums
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(damaged)
        values = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise TrainingError(f"There is no checkpoint {path}; give a folder in which `mvloc train` has run.") from None
    except Exception as error:  # unpickling raises whatever the bytes provoke
        raise TrainingError(
            f"The checkpoint {path} is damaged ({type(error).__name__}); delete it and train anew."
        ) from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise TrainingError(f"The checkpoint {path} is of another version of mvloc_ros; train anew.")
    return values


def _system_error(error: BaseException) -> OSError | None:
    """The refusal of the system that another error came from."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, OSError):
        found = found.__cause__ or found.__context__
    return found
