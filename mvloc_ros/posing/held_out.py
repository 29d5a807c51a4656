# SPDX-License-Identifier: Apache-2.0
"""Which of the frames that got a pose are held out for tests, and what is said of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mvloc_ros.posing.posed_folder import PosedFrame
from mvloc_ros.recordings.held_out_blocks import REACH_DEG, REACH_M, Block, choose_blocks
from mvloc_ros.recordings.held_out_file import TEST, UNUSED, Stretch

Posed = Mapping[str, Sequence[PosedFrame]]


def held_out_blocks(posed: Posed, share: float) -> list[Block]:
    """Stretches of frames in order of time; raises RecordingError for a share that cannot be."""
    poses = {name: np.array([frame.T_map_camera for frame in frames]) for name, frames in posed.items()}
    return choose_blocks(poses, share)


def stretches_of(blocks: Sequence[Block], posed: Posed) -> list[Stretch]:
    """The lines of held_out.txt."""
    lines = []
    for block in blocks:
        numbers = [frame.record.index for frame in posed[block.sequence]]
        lines.append(Stretch(block.sequence, numbers[block.first], numbers[block.last], TEST))
        if block.gap_first < block.first:
            lines.append(Stretch(block.sequence, numbers[block.gap_first], numbers[block.first - 1], UNUSED))
        if block.gap_last > block.last:
            lines.append(Stretch(block.sequence, numbers[block.last + 1], numbers[block.gap_last], UNUSED))
    return lines


def held_out_content(blocks: Sequence[Block], posed: Posed) -> list[dict[str, Any]]:
    """For posing.json."""
    found = []
    for block in blocks:
        frames = posed[block.sequence]
        found.append(
            {
                "sequence": block.sequence,
                "first": frames[block.first].record.index,
                "last": frames[block.last].record.index,
                "frames": block.last - block.first + 1,
                "covered": round(block.covered, 4),
            }
        )
    return found


def held_out_lines(content: Sequence[Mapping[str, Any]]) -> list[str]:
    """For the terminal."""
    if not content:
        return ["held out for tests: nothing yet, since the sequences are short; `mvloc train` takes their ends"]
    frames = sum(one["frames"] for one in content)
    covered = sum(one["frames"] * one["covered"] for one in content) / frames
    stretches = "1 stretch" if len(content) == 1 else f"{len(content)} stretches"
    return [
        f"held out for tests: {frames} frames in {stretches}; other frames were taken within {REACH_M:g} m and "
        f"{REACH_DEG:g} degrees of {covered:.0%} of them"
    ]
