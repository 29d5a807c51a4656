# SPDX-License-Identifier: Apache-2.0
"""The root of the errors that a user can cause and mend.

Every package derives its own class from `MvlocError` and raises it with one sentence: what happened,
where, and what to do. The command line and the node print that sentence without a traceback; so does
the command line with a file that the system refuses (OSError). Any other exception is a defect of this
project and keeps its traceback.
"""

from __future__ import annotations


class MvlocError(ValueError):
    """Bad input or a missing prerequisite, said in one sentence that names the remedy."""
