# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: the complete state of a training, written atomically."""

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

from mvloc_ros.file_reader import ReadError, digest_file, open_regular
from mvloc_ros.limits import MOST_CHECKPOINT_BYTES
from mvloc_ros.storage import StorageError, replacing
from mvloc_ros.training.errors import TrainingError

SCHEMA = 1
_NUMPY_KEYS = 624  # of the Mersenne Twister of numpy
LAST, BEST = "last.pt", "best.pt"  # in a run folder: the last epoch, and the best on the validation frames
REFIT = "refit"  # folder in a run folder: the training on all training frames, including the validation frames


def random_state(device: torch.device) -> dict[str, Any]:
    """State of the global random generators of Python, numpy, torch on the CPU and, for a GPU, on the device.

    Not of other GPUs, which the run does not use and another machine may lack.
    """
    algorithm, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        # As plain integers, since a checkpoint is loaded without unpickling arbitrary classes.
        "numpy": (algorithm, [int(key) for key in keys], position, has_gauss, cached),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Restore the state that `random_state` returned; that of the GPU only if the device was and is a GPU.

    Raises:
        ValueError: it is not a state that `random_state` returns.
    """
    try:
        _restore_random_state(state, device)
    except (AttributeError, IndexError, KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError("its random generator state is invalid") from error


def _restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    algorithm, keys, position, has_gauss, cached = state["numpy"]
    if not 0 <= position <= _NUMPY_KEYS:  # numpy does not check this
        raise ValueError(position)
    np.random.set_state((algorithm, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        found = gpu_state(state["cuda"], index)
        if found is not None:
            torch.cuda.set_rng_state(found, device)


def gpu_state(saved: Tensor | Sequence[Tensor] | None, index: int) -> Tensor | None:
    """The generator state for the GPU with that index, None if there is none.

    Older checkpoints have a list for all visible GPUs; if it is too short, the training used another one, most likely
    the first.
    """
    if saved is None or isinstance(saved, Tensor):
        return saved
    return saved[index] if index < len(saved) else next(iter(saved), None)


def seed_everything(seed: int, process: int = 0) -> None:
    """Seed all global random generators; each of several processes gets a different seed."""
    if process > 0:
        seed = int(np.random.SeedSequence([seed, process]).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def save(path: Path, values: dict[str, Any]) -> None:
    """Write a checkpoint atomically: after a crash there is the old or the new one.

    Raises:
        StorageError: it cannot be written, for example on a full disk; the old one remains.
    """
    try:
        with replacing(path) as temporary, temporary.open("r+b") as stream:
            torch.save({"schema": SCHEMA, **values}, stream)
    except RuntimeError as error:  # of torch, which hides the error of the system
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
            with zipfile.ZipFile(stream) as archive:  # torch does not verify the checksums
                damaged = archive.testzip()
            if damaged is not None:
                raise zipfile.BadZipFile(damaged)
            stream.seek(0)
            values = torch.load(stream, map_location="cpu", weights_only=True)
    except ReadError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise TrainingError(f"There is no checkpoint {path}; give a run folder of `mvloc train`.") from None
        raise TrainingError(f"The checkpoint {error} Give a run folder of `mvloc train`.") from error
    except Exception as error:  # unpickling damaged bytes raises any exception
        raise TrainingError(
            f"The checkpoint {path} is damaged ({type(error).__name__}); delete it and train again."
        ) from error
    schema = values.get("schema") if isinstance(values, dict) else None
    if not isinstance(schema, int) or schema != SCHEMA:  # a tensor cannot be compared
        raise TrainingError(f"The checkpoint {path} is of another version of mvloc_ros; train again.")
    return values


def digest(path: Path) -> str:
    """SHA-256 of a checkpoint, or of another file of weights. Raises ReadError where it cannot be read."""
    return digest_file(path, MOST_CHECKPOINT_BYTES)


def require_plain_archive(stream: BinaryIO) -> None:
    """Raise BadZipFile for an archive that PyTorch does not write: with compressed or overlapping entries.

    So an archive never needs more memory than its file size.
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
    """The OSError that caused another error."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, OSError):
        found = found.__cause__ or found.__context__
    return found
