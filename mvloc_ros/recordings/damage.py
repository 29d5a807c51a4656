# SPDX-License-Identifier: Apache-2.0
"""Messages lost, by a recording's own counts: how many, reported, and refused above a limit."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass

from mvloc_ros.foreign_text import shown
from mvloc_ros.limits import MOST_LOST_SHARE

ALLOW_DAMAGE = "--allow-damage"
COUNTS_UNKNOWN = "the recording states no counts of messages, so whether some are lost is not known"
_SHOWN = 3


@dataclass(frozen=True)
class TopicLoss:
    """A topic of whose messages `read` were read and `stated` are named by the recording; the two differ."""

    topic: str
    read: int
    stated: int

    @property
    def share(self) -> float:
        """Of the stated messages, the part that was not read; 0 where there were more."""
        return max(0, self.stated - self.read) / max(1, self.stated)

    def text(self) -> str:
        """For the terminal and the report, without a full stop."""
        if self.read > self.stated:
            return f"messages: {self.read} read, the recording's own counts name {self.stated}, {shown(self.topic)}"
        lost = self.stated - self.read
        return f"messages lost: {lost} of {self.stated} ({_percent(self.share)}), {shown(self.topic)}"


def refusal(losses: Iterable[TopicLoss], problems: Iterable[str], are_known: bool) -> str:
    """Why a recording is refused, empty where it is not: a loss above the limit, or damage of an unknown extent."""
    heavy = sorted((loss for loss in losses if loss.share > MOST_LOST_SHARE), key=lambda loss: -loss.share)
    found = list(problems)
    reasons = [loss.text() for loss in heavy[:_SHOWN]]
    if len(heavy) > _SHOWN:
        reasons.append(f"and {len(heavy) - _SHOWN} more topics")
    if found and (heavy or not are_known):
        reasons.append(found[0])
    return "; ".join(reasons)


def add_allow_damage_argument(parser: argparse.ArgumentParser) -> None:
    """The flag that all commands have which read recordings."""
    parser.add_argument(
        ALLOW_DAMAGE,
        action="store_true",
        help="read what is left of a damaged recording, also where more than "
        f"{_percent(MOST_LOST_SHARE)}% of a topic's messages are lost; the loss is printed and reported in any case",
    )


def _percent(share: float) -> str:
    """Two digits, or whole percents."""
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.2g} %"
