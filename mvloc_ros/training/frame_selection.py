# SPDX-License-Identifier: Apache-2.0
"""Which frames of a folder a system is trained, validated and evaluated on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.recordings import FrameRecord, PosedFolder
from mvloc_ros.recordings import train_test_split as split
from mvloc_ros.recordings.held_out_blocks import choose_blocks
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.trained_network import TrainedNetwork


def usable_records(config: TrainingConfig, records: Sequence[FrameRecord]) -> tuple[FrameRecord, ...]:
    """The records that show the system something: those with colour, for one that sees colour alone."""
    return tuple(r for r in records if SYSTEMS[config.system].uses_depth or r.color is not None)


def split_records(
    config: TrainingConfig, folder: PosedFolder
) -> tuple[tuple[FrameRecord, ...], tuple[FrameRecord, ...]]:
    """Training and validation records, out of the folder's training sequences; all and none with a share of 0.

    Raises:
        TrainingError: no sequence is long enough.
    """
    validation, records = config.validation, usable_records(config, folder.train)
    if validation.validation_fraction == 0.0:
        return records, ()
    if validation.validation_split == "blocks":
        return hold_out_stretches(records, validation.validation_fraction)
    return hold_out(records, validation.validation_fraction, validation.validation_gap)


def hold_out(
    records: Sequence[FrameRecord], fraction: float, gap: int
) -> tuple[tuple[FrameRecord, ...], tuple[FrameRecord, ...]]:
    """(training, validation): the last `fraction` of each sequence, after `gap` unused frames, is validation.

    Raises:
        TrainingError: no sequence is long enough.
    """
    training, blocks = split.hold_out(records, fraction, gap)
    if not blocks:
        raise TrainingError(
            f"No training sequence is long enough to hold out a share of {fraction:g} after a gap of {gap} frames; "
            "record more, or change --validation-fraction or --validation-gap."
        )
    return tuple(training), tuple(record for block in blocks for record in block)


def hold_out_stretches(
    records: Sequence[FrameRecord], fraction: float
) -> tuple[tuple[FrameRecord, ...], tuple[FrameRecord, ...]]:
    """(training, validation): stretches of each sequence that the rest shows as well are validation.

    The frames around a stretch, as far as the camera moved little from its end, are neither.

    Raises:
        TrainingError: no sequence is long enough.
    """
    in_time = sorted(records, key=lambda record: (record.sequence, record.stamp_ns))
    sequences = {name: list(group) for name, group in groupby(in_time, key=lambda record: record.sequence)}
    poses = {name: np.array([record.T_map_camera for record in frames]) for name, frames in sequences.items()}
    blocks = choose_blocks(poses, fraction)
    if not blocks:
        raise TrainingError(
            f"No training sequence is long enough to hold out stretches of a share of {fraction:g}; record more, or "
            "use --validation-split ends."
        )
    held = {block.sequence: set[int]() for block in blocks}
    unused = {block.sequence: set[int]() for block in blocks}
    for block in blocks:
        held[block.sequence].update(range(block.first, block.last + 1))
        unused[block.sequence].update(range(block.gap_first, block.gap_last + 1))
    validation = [record for name, at in held.items() for i, record in enumerate(sequences[name]) if i in at]
    training = [
        record for name, frames in sequences.items() for i, record in enumerate(frames) if i not in unused.get(name, ())
    ]
    return tuple(training), tuple(validation)


def trained_records(network: TrainedNetwork, folder: PosedFolder, *, refitted: bool) -> list[FrameRecord]:
    """The records that a network was trained on; `refitted`: with the validation frames."""
    config = network.config
    records = usable_records(config, folder.train) if refitted else split_records(config, folder)[0]
    unreadable = {(sequence, index) for sequence, index in network.run["data"].get("lost", [])}
    return [record for record in records if (record.sequence, record.index) not in unreadable]


def training_poses(network: TrainedNetwork, folder: PosedFolder, *, refitted: bool) -> NDArray[np.float64]:
    """T_map_camera of those records, `[N, 4, 4]`."""
    records = trained_records(network, folder, refitted=refitted)
    return np.array([record.T_map_camera for record in records], dtype=np.float64)
