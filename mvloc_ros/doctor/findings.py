# SPDX-License-Identifier: Apache-2.0
"""A finding of `mvloc doctor`: a level, a fact, and a remedy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How much a finding matters. An ERROR keeps the node from working."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warn"
    ERROR = "ERROR"


@dataclass(frozen=True)
class Finding:
    """One line of the report: `fact` is what was seen, `remedy` what to do; empty where there is nothing to do."""

    level: Level
    subject: str
    fact: str
    remedy: str = ""


def ok(subject: str, fact: str) -> Finding:
    """Nothing to do."""
    return Finding(Level.OK, subject, fact)


def note(subject: str, fact: str, remedy: str = "") -> Finding:
    """Information; the node works without."""
    return Finding(Level.NOTE, subject, fact, remedy)


def warning(subject: str, fact: str, remedy: str) -> Finding:
    """The node works, but worse than it could."""
    return Finding(Level.WARNING, subject, fact, remedy)


def error(subject: str, fact: str, remedy: str) -> Finding:
    """The node does not work."""
    return Finding(Level.ERROR, subject, fact, remedy)


def as_text(sections: dict[str, list[Finding]]) -> str:
    """One screen: a heading for each section, a line for each finding, its remedy below it."""
    lines = []
    for heading, findings in sections.items():
        lines.append(heading)
        for finding in findings:
            lines.append(f"  {finding.level.value:<5}  {finding.subject}: {finding.fact}")
            if finding.remedy:
                lines.append(f"         -> {finding.remedy}")
    counts = {level: sum(f.level is level for found in sections.values() for f in found) for level in Level}
    lines.append(f"{counts[Level.ERROR]} error(s), {counts[Level.WARNING]} warning(s).")
    return "\n".join(lines)


def as_json(sections: dict[str, list[Finding]]) -> dict[str, list[dict[str, str]]]:
    """The same for machines."""
    return {
        heading: [{"level": f.level.value, "subject": f.subject, "fact": f.fact, "remedy": f.remedy} for f in findings]
        for heading, findings in sections.items()
    }
