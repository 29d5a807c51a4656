# SPDX-License-Identifier: Apache-2.0
"""Which records of a folder a system is trained, validated and judged on."""

from __future__ import annotations

from collections.abc import Sequence

from mvloc_ros.recordings import FrameRecord, PosedFolder
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.datasets import hold_out


def visible(config: TrainingConfig, records: Sequence[FrameRecord]) -> tuple[FrameRecord, ...]:
    """The records that show the system something: those with colour, for one that sees colour alone."""
    return tuple(r for r in records if SYSTEMS[config.system].uses_depth or r.color is not None)


def split_records(
    config: TrainingConfig, folder: PosedFolder
) -> tuple[tuple[FrameRecord, ...], tuple[FrameRecord, ...]]:
    """Training and validation records, out of the folder's training sequences; all and none with a share of 0.

    Raises:
        TrainingError: no sequence is long enough.
    """
    validation, records = config.validation, visible(config, folder.train)
    if validation.validation_fraction == 0.0:
        return records, ()
    return hold_out(records, validation.validation_fraction, validation.validation_gap)
