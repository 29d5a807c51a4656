# SPDX-License-Identifier: Apache-2.0
"""What a command reports of the check, and when it stops there."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from mvloc_ros.recordings.agreement.across import check_across
from mvloc_ros.recordings.agreement.check import check_agreement
from mvloc_ros.recordings.agreement.explanations import Explanation
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.frames import PosedFolder

_log = logging.getLogger(__name__)

# A move that explains less is not the right one, and is not stated.
_FOUND = 0.9


def add_force_argument(parser: argparse.ArgumentParser) -> None:
    """`--force`, for a command that calls `require_agreement`."""
    parser.add_argument(
        "--force", action="store_true", help="continue even if poses and depth images contradict each other"
    )


def require_agreement(
    folder: PosedFolder, force: bool, name: Path | None = None, alternatives: Sequence[Explanation] = ()
) -> None:
    """Report how well the poses fit the depth images, and likely mistakes; `name` is the folder's name in the message.

    `alternatives`: as for `check_agreement`.

    Of several folders each is checked by itself, so that none hides among the others, and then against those before it.

    Raises:
        RecordingError: they contradict each other, and `force` does not overrule it.
    """
    for number, part in enumerate(folder.parts):
        require_agreement(part, force)
        if number:
            _require_same_frame(folder.parts[:number], part, force)
    if folder.parts:
        return
    found = check_agreement(folder, alternatives)
    place = folder.root if name is None else name
    suspicion = found.suspicion()
    sentence = f"{place}: {found.text()}" + (f"; {suspicion}" if suspicion else "")
    if found.refused and not force:
        raise RecordingError(f"{sentence}. Correct this, or continue with --force.")
    _log.log(logging.WARNING if found.refused or found.questionable else logging.INFO, "%s", sentence)


def _require_same_frame(others: Sequence[PosedFolder], part: PosedFolder, force: bool) -> None:
    """Report whether the poses of a folder are in the map frame of those before it; RecordingError as above."""
    found = check_across(others, part)
    before = ", ".join(str(other.root) for other in others)
    if found.skipped:
        sentence = f"whether {part.root} is in the map frame of {before} was not checked: {found.skipped}"
        _log.log(logging.WARNING if found.apart else logging.INFO, "%s", sentence)
        return
    sentence = (
        f"{found.share:.0%} of {found.points} points of {part.root} and {before} fit each other, in {found.pairs} "
        "pairs of frames"
    )
    if found.moved is not None:
        metres, degrees, share = found.moved
        sentence += f", and {share:.0%} would if the poses of one were moved"
        if share >= _FOUND:
            sentence += f" by about {metres:.1g} m and {degrees:.1g} degrees"
    if found.refused and not force:
        raise RecordingError(
            f"{sentence}: their poses are not in the same map frame, or they are of other places. Bring the poses "
            "into one frame, use one of the folders, or continue with --force."
        )
    if found.refused or found.questionable:
        _log.warning("%s: check that their poses are in the same map frame, unless much was moved", sentence)
    else:
        _log.info("%s", sentence)
