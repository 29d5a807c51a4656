# SPDX-License-Identifier: Apache-2.0
"""Validation frames out of the training sequences."""

from __future__ import annotations

from collections.abc import Sequence

from mvloc_ros.recordings import FrameRecord
from mvloc_ros.recordings import train_test_split as split
from mvloc_ros.training.errors import TrainingError


def hold_out(
    records: Sequence[FrameRecord], fraction: float, gap: int
) -> tuple[tuple[FrameRecord, ...], tuple[FrameRecord, ...]]:
    """(training, validation): the last `fraction` of each sequence is validation.

    After a gap of `gap` unused frames; see `mvloc_ros.recordings.train_test_split.hold_out`.

    Raises:
        TrainingError: no sequence is long enough.
    """
    training, blocks = split.hold_out(records, fraction, gap)
    validation = [record for block in blocks for record in block]
    if not validation:
        raise TrainingError(
            f"None of the training sequences is long enough to hold out a share of {fraction:g} after a gap of {gap} "
            "frames; record more, or change --validation-fraction or --validation-gap."
        )
    return tuple(training), tuple(validation)
