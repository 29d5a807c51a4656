# SPDX-License-Identifier: Apache-2.0
"""What a command reports of the check, and when it stops there."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from mvloc_ros.recordings.agreement.check import check_agreement
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.frames import PosedFolder

_log = logging.getLogger(__name__)


def add_force_argument(parser: argparse.ArgumentParser) -> None:
    """`--force`, for a command that calls `require_agreement`."""
    parser.add_argument(
        "--force", action="store_true", help="continue even if poses and depth images contradict each other"
    )


def require_agreement(folder: PosedFolder, force: bool, name: Path | None = None) -> None:
    """Report how well the poses fit the depth images, and likely mistakes; `name` is the folder's name in the message.

    Raises:
        RecordingError: they contradict each other, and `force` does not overrule it.
    """
    found = check_agreement(folder)
    place = folder.root if name is None else name
    suspicion = found.suspicion()
    sentence = f"{place}: {found.text()}" + (f"; {suspicion}" if suspicion else "")
    if found.refused and not force:
        raise RecordingError(f"{sentence}. Correct this, or continue with --force.")
    _log.log(logging.WARNING if found.refused or found.questionable else logging.INFO, "%s", sentence)
