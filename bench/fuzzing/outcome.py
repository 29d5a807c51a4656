# SPDX-License-Identifier: Apache-2.0
"""What became of an input, of all inputs of a kind, and which bars are missed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

HANG_S = 5.0
MOST_MIB = 1024.0
ACCEPTED, REFUSED = "accepted", "refused"
EXCEPTION, DIED, HANG, MEMORY, ALTERED, WORDS = "exception", "died", "hang", "memory", "altered", "words"
FAULTS = (EXCEPTION, DIED, HANG, MEMORY, ALTERED)
"""Results that miss a bar. WORDS is told beside them: a refusal whose text could disturb a log."""


@dataclass(frozen=True)
class Outcome:
    """One input.

    Attributes:
        kind, seed: which input it is.
        what: how it differs from a valid one.
        result: one of the names of this module.
        exception: its type and text; what cannot be, where that was accepted.
        stack: the last lines of where it was raised, the innermost last.
        seconds: that the readers took.
        peak_mib: largest resident memory of the process meanwhile.
    """

    kind: str
    seed: int
    what: str
    result: str
    exception: str = ""
    stack: tuple[str, ...] = ()
    seconds: float = 0.0
    peak_mib: float = 0.0

    @property
    def group(self) -> str:
        """What makes two findings the same fault: type and place of an exception, or the rule that was broken."""
        if self.result in (HANG, DIED, MEMORY):
            said, where = self.exception if self.result == DIED else "", ""
        else:
            said = self.exception.split(":")[0] if self.result in (EXCEPTION, WORDS) else self.exception
            where = self.stack[-1] if self.stack else ""
        return " ".join(filter(None, (self.kind, self.result, said, where)))

    def as_row(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def outcome_from(row: Mapping[str, Any]) -> Outcome:
    """The inverse of `Outcome.as_row`."""
    values = {item.name: row[item.name] for item in fields(Outcome)}
    return Outcome(**{**values, "stack": tuple(values["stack"])})


@dataclass
class Tally:
    """All inputs of a kind."""

    results: Counter[str] = field(default_factory=Counter)
    peak_mib: float = 0.0
    slowest_s: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """One more."""
        self.results[outcome.result] += 1
        self.peak_mib = max(self.peak_mib, outcome.peak_mib)
        self.slowest_s = max(self.slowest_s, outcome.seconds)

    @property
    def faults(self) -> int:
        """Inputs that miss a bar."""
        return sum(self.results[name] for name in FAULTS)


HEAD = (
    "kind",
    "inputs",
    "accepted",
    "refused",
    "exceptions",
    "died",
    "hangs",
    "peak MiB",
    "slowest s",
    "altered",
    "words",
)


def table(tallies: Mapping[str, Tally]) -> str:
    """A line for each kind, and one of all."""
    rows = [
        (
            name, sum(t.results.values()), t.results[ACCEPTED], t.results[REFUSED] + t.results[WORDS],
            t.results[EXCEPTION], t.results[DIED], t.results[HANG], f"{t.peak_mib:.0f}", f"{t.slowest_s:.2f}",
            t.results[ALTERED],
            t.results[WORDS],
        )
        for name, t in tallies.items()
    ]  # fmt: skip
    summed = [sum(int(row[i]) for row in rows) for i in range(1, len(HEAD)) if i not in (7, 8)]
    peak = max((t.peak_mib for t in tallies.values()), default=0.0)
    slowest = max((t.slowest_s for t in tallies.values()), default=0.0)
    rows.append(("all", *summed[:6], f"{peak:.0f}", f"{slowest:.2f}", *summed[6:]))
    widths = [max(len(str(row[i])) for row in (HEAD, *rows)) for i in range(len(HEAD))]
    return "\n".join(
        "  ".join(
            f"{cell!s:<{w}}" if i == 0 else f"{cell!s:>{w}}"
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in (HEAD, *rows)
    )


def groups(findings: Iterable[Outcome]) -> list[tuple[Outcome, int]]:
    """The first finding of each group, and how many it has; the largest first."""
    first: dict[str, Outcome] = {}
    counts = Counter[str]()
    for finding in findings:
        first.setdefault(finding.group, finding)
        counts[finding.group] += 1
    return [(first[group], count) for group, count in counts.most_common()]
