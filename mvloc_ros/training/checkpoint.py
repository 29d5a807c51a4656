# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: everything that decides how training goes on, written whole or not at all."""

from __future__ import annotations

import os
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from mvloc_ros.file_reader import ReadError, open_regular
from mvloc_ros.limits import MOST_CHECKPOINT_BYTES
from mvloc_ros.storage import StorageError, replacing
from mvloc_ros.training.errors import TrainingError

SCHEMA = 1
_NUMPY_KEYS = 624  # of numpy's generator, the Mersenne Twister
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
    """Put every generator where `random_state` found it; the GPU's only if the device is one now and was then.

    Raises:
        ValueError: it is not what `random_state` gives.
    """
    try:
        _restore_random_state(state, device)
    except (AttributeError, IndexError, KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError("its state of the random generators is none") from error


def _restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    algorithm, keys, position, has_gauss, cached = state["numpy"]
    if not 0 <= position <= _NUMPY_KEYS:  # numpy does not look
        raise ValueError(position)
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
        with open_regular(path, MOST_CHECKPOINT_BYTES) as stream:
            require_plain_archive(stream)
            with zipfile.ZipFile(stream) as archive:  # torch does not look at the checksums
                damaged = archive.testzip()
            if damaged is not None:
                raise zipfile.BadZipFile(damaged)
            stream.seek(0)
            values = torch.load(stream, map_location="cpu", weights_only=True)
    except ReadError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise TrainingError(
                f"There is no checkpoint {path}; give a folder in which `mvloc train` has run."
            ) from None
        raise TrainingError(f"The checkpoint {error} Give a folder in which `mvloc train` has run.") from error
    except Exception as error:  # unpickling raises whatever the bytes provoke
        raise TrainingError(
            f"The checkpoint {path} is damaged ({type(error).__name__}); delete it and train again."
        ) from error
    schema = values.get("schema") if isinstance(values, dict) else None
    if not isinstance(schema, int) or schema != SCHEMA:  # a tensor, for one, cannot be compared
        raise TrainingError(f"The checkpoint {path} is of another version of mvloc_ros; train again.")
    return values


def require_plain_archive(stream: BinaryIO) -> None:
    """Raise BadZipFile where an archive is none of PyTorch's, whose entries are not compressed and do not overlap.

    So no archive becomes larger in memory than its file is.
    """
    size = stream.seek(0, os.SEEK_END)
    with zipfile.ZipFile(stream) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise zipfile.BadZipFile("it is compressed")
    if sum(max(entry.file_size, entry.compress_size) for entry in entries) > size:
        raise zipfile.BadZipFile("its entries are larger than the file")
    stream.seek(0)


def _system_error(error: BaseException) -> OSError | None:
    """The refusal of the system that another error came from."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, OSError):
        found = found.__cause__ or found.__context__
    return found
