# SPDX-License-Identifier: Apache-2.0
"""Which frames of a folder a system is trained, validated and evaluated on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.recordings import FrameRecord, PosedFolder
from mvloc_ros.recordings import train_test_split as split
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
