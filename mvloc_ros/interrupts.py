# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM, however often they come: one orderly exit, with its exit code.

One Ctrl-C often arrives as several signals: a terminal sends it to the whole process group, and the parent of the
process (a shell, `ros2 launch`) forwards it.
"""

from __future__ import annotations

import signal
import time

SIGNALS = (signal.SIGINT, signal.SIGTERM)
EXIT_CODE = 130  # of an interrupted command
QUIET_S = 2.0
"""For this long after a signal another one counts as a repetition; a later one interrupts the clean-up too."""


class _Noted:
    """When the last signal came that was no repetition, on the monotonic clock."""

    time_s = -QUIET_S


def is_repeated() -> bool:
    """Whether a signal that has come now repeats one that was noted; notes it if not. For signal handlers."""
    now = time.monotonic()
    if now - _Noted.time_s < QUIET_S:
        return True
    _Noted.time_s = now
    return False


def unwind_once() -> None:
    """Let a signal raise KeyboardInterrupt in the main thread, once: repeated ones must not interrupt the clean-up.

    A SIGINT that the process was started to ignore (in the background of a script) stays ignored.
    """
    for number in SIGNALS:
        if number == signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _unwind)


def ignore() -> None:
    """Ignore signals from now on, as the process ends anyway: its exit code is the one that it gives itself.

    Python takes its handlers away before it has ended, and a signal that comes then would end it with the signal as its
    exit status. So does Python itself where a KeyboardInterrupt has passed through `exec` of a text (which dataclasses
    and message definitions are made by), although it was caught: the next such text takes that mark away.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    exec("")


def _unwind(*_: object) -> None:
    if not is_repeated():
        raise KeyboardInterrupt
