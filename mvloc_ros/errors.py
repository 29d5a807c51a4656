# SPDX-License-Identifier: Apache-2.0
"""The base class of the errors that a user can cause and fix.

Every package derives its own class from `MvlocError` and raises it with one sentence: what happened,
where, and what to do. The command line and the node print that sentence without a traceback; so does
the command line with a file that the system refuses (OSError). Any other exception is a defect of this
project and keeps its traceback.
"""

from __future__ import annotations

from mvloc_ros.foreign_text import shown
from mvloc_ros.limits import MOST_ERROR_CHARACTERS


class MvlocError(ValueError):
    """Bad input or a missing prerequisite: one sentence with the cause and the remedy.

    As text it is one line of bounded length: file names and other text from outside cannot reach a terminal or a log
    as control characters, wherever the sentence is printed.
    """

    def __str__(self) -> str:
        return shown(super().__str__(), MOST_ERROR_CHARACTERS)
