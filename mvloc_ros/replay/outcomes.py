# SPDX-License-Identifier: Apache-2.0
"""What became of each frame: an accepted pose, or the reason why there is none; and the reasons, counted."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

ACCEPTED = "accepted"
REJECTED = "rejected"
FAILED = "failed"
UNPAIRED = "unpaired"
BUSY = "busy"
INVALID = "invalid"
NOT_RECEIVED = "not_received"
NOT_RECORDED = "not_recorded"
UNKNOWN = "unknown"

WORDS = {
    REJECTED: "the status does not say why",
    FAILED: "the status does not say why",
    UNPAIRED: "no image of the other kind came within the tolerance of its stamp",
    BUSY: "replaced by a newer frame before the node had finished the one in work",
    INVALID: "the image could not be used; the node's log says why",
    NOT_RECEIVED: "no image with its stamp reached the node",
    NOT_RECORDED: "its pose was published, as its status says, and is not in the recording",
    UNKNOWN: "no status tells of this frame",
}
"""What is said of a frame of which only the kind is known."""

# Not the digits of a word such as 16UC1 or rgb8; "640x480" is one number.
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?:x\d+)*(?![\w])")


@dataclass(frozen=True)
class Outcome:
    """Of one frame.

    Attributes:
        kind: one of the constants above, or several joined by " or " where the counters do not tell which.
        reason: why it gave no accepted pose, in words; empty for one that did.
        remark: what else the status says of it: why a pose is DEGRADED, or that a jump was confirmed.
        state: of the node after the frame (TRACKING, ...); empty where no status tells.
        score: of the pose's verification, 0 to 1; NaN where nothing verified it.
        refined: whether the pose was refined; None where it is not known.
        start: where the refinement that gave the pose started ("network", "tracker", "retrieval N", "draw"); empty
            where there was none, or it is not known.
        starts: how many starts were tried.
        refinement_ms: wall time of refinement and verification.
        shares: of an accepted pose, expert -> its share, `prior` included; empty for a model of the pair, and where it
            is not known.
        skews_s: further sensor -> stamp of its image minus that of the frame; of those that the frame has.
    """

    kind: str
    reason: str = ""
    remark: str = ""
    state: str = ""
    score: float = math.nan
    refined: bool | None = None
    start: str = ""
    starts: int = 0
    refinement_ms: float = math.nan
    shares: Mapping[str, float] = field(default_factory=dict)
    skews_s: Mapping[str, float] = field(default_factory=dict)

    @staticmethod
    def without_words(kind: str) -> Outcome:
        """Of a frame of which only the kind is known."""
        return Outcome(kind, "" if kind == ACCEPTED else WORDS[kind])


@dataclass(frozen=True)
class ReasonCount:
    """Frames that have no pose for the same reason: numbers in the words are an N, `example` has those of the first."""

    kind: str
    reason: str
    frames: int
    example: str

    def text(self) -> str:
        """For the reader: the numbers too where it is a single frame's."""
        return f"{self.kind}: {self.example if self.frames == 1 else self.reason}"


def group_reasons(outcomes: Iterable[Outcome]) -> tuple[ReasonCount, ...]:
    """The reasons of frames without a pose, the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for outcome in outcomes:
        group = outcome.kind, _NUMBER.sub("N", outcome.reason)
        counts[group] += 1
        examples.setdefault(group, outcome.reason)
    return tuple(
        ReasonCount(kind, reason, count, examples[kind, reason]) for (kind, reason), count in counts.most_common()
    )


def no_pose_sentence(frames: int, reasons: tuple[ReasonCount, ...], most: int = 3) -> str:
    """That none of the frames gave an accepted pose, and the most frequent reasons."""
    said = "; ".join(f"{reason.frames} {reason.text()}" for reason in reasons[:most])
    more = f"; and {len(reasons) - most} more reasons" if len(reasons) > most else ""
    return f"0 of {frames} frames gave an accepted pose ({said or 'nothing tells why'}{more})."
