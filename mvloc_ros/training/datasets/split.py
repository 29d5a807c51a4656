# SPDX-License-Identifier: Apache-2.0
"""Validation frames out of the training sequences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from mvloc_ros.recordings import FrameRecord
from mvloc_ros.training.errors import TrainingError


def hold_out(
    records: Sequence[FrameRecord], fraction: float, gap: int
) -> tuple[tuple[FrameRecord, ...], tuple[FrameRecord, ...]]:
    """(training, validation): the last `fraction` of each sequence is validation.

    In one block and after a gap of `gap` unused frames: neighbours in a video are nearly equal, so
    frames drawn at random would measure memory. A sequence too short to give a validation frame and
    keep a training frame is trained on whole.

    Raises:
        TrainingError: no sequence is long enough.
    """
    training: list[FrameRecord] = []
    validation: list[FrameRecord] = []
    in_time = sorted(records, key=lambda record: (record.sequence, record.stamp_ns))
    for _, group in groupby(in_time, key=lambda record: record.sequence):
        sequence = list(group)
        held = round(len(sequence) * fraction)
        last_trained = len(sequence) - held - gap
        if held < 1 or last_trained < 1:
            training += sequence
            continue
        training += sequence[:last_trained]
        validation += sequence[-held:]
    if not validation:
        raise TrainingError(
            f"None of the training sequences is long enough to hold out a share of {fraction:g} after a gap of {gap} "
            "frames; record more, or change --validation-fraction or --validation-gap."
        )
    return tuple(training), tuple(validation)
