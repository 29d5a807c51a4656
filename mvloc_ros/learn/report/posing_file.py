# SPDX-License-Identifier: Apache-2.0
"""Reads `posing.json` and the covariances beside it: how the poses of a recording were made, and how sure they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.json_text import parse_json
from mvloc_ros.learn.report.inputs import ReportError
from mvloc_ros.model.manifest_checks import ManifestError, Section
from mvloc_ros.posing.posed_folder import POSING_FILE
from mvloc_ros.posing.summary import VERSION

T = TypeVar("T")


@dataclass(frozen=True)
class Span:
    """Consecutive frames of a sequence that were left out, or whose poses are uncertain.

    Attributes:
        sequence: its name.
        from_s, to_s: seconds from the first frame of the sequence on, posed or not.
        frames: how many; None where the file does not say.
        sigma_m: standard deviation of their positions; None for those that were left out.
        reason: in words.
    """

    sequence: str
    from_s: float
    to_s: float
    reason: str
    frames: int | None = None
    sigma_m: float | None = None


@dataclass(frozen=True)
class PosedSequence:
    """One sequence: frames of the recording, those that got a pose, and the length of the path in metres."""

    name: str
    recording: str
    frames: int
    posed: int
    path_m: float
    left_out: tuple[Span, ...]


@dataclass(frozen=True)
class LoopClosure:
    """Two frames (sequence, number in it) that see the same place, and how well the map agrees with that.

    The residuals are between the measured pose of one in the other and the one of the map.
    """

    first: tuple[str, int]
    second: tuple[str, int]
    residual_m: float
    residual_deg: float


@dataclass(frozen=True)
class Posing:
    """How poses were made; see `posing.json`.

    Attributes:
        parts: maps that could not be joined; the largest one is used.
        consistency_m: median and 90th percentile of depth differences between overlapping views; None: not measured.
        sigma_m: name (median, p90, max) -> standard deviation of the positions in metres.
        up: where the direction of z comes from.
        up_remarks: what makes it doubtful, each a sentence.
    """

    sequences: tuple[PosedSequence, ...]
    parts: int
    loop_closures: tuple[LoopClosure, ...]
    rejected_loop_closures: int
    consistency_m: tuple[float, float] | None
    low_confidence: tuple[Span, ...]
    sigma_m: dict[str, float]
    up: str
    up_remarks: tuple[str, ...] = ()


def read_posing(path: Path) -> Posing:
    """The content of a `posing.json`, or of the one in a folder.

    Raises:
        ReportError: it is missing, damaged, or of another version.
    """
    path = path / POSING_FILE if path.is_dir() else path
    text = read_text(path, "record of the posing", ReportError)
    try:
        values = Section.of(parse_json(text))
        if values.integer("version") != VERSION:
            raise ManifestError(f"it is of version {values.integer('version')}, this mvloc_ros reads {VERSION}")
        return _posing(values)
    except (ManifestError, ValueError) as error:
        raise ReportError(f"{path} cannot be used: {error}; run `mvloc pose` again.") from error


def _posing(values: Section) -> Posing:
    return Posing(
        sequences=_each(values, "sequences", _sequence),
        parts=values.integer("parts"),
        loop_closures=_each(values, "loop_closures", _loop_closure),
        rejected_loop_closures=values.integer("rejected_loop_closures"),
        consistency_m=values.optional("consistency", lambda found: (found.number("median_m"), found.number("p90_m"))),
        low_confidence=_each(values, "low_confidence", _low_confidence),
        sigma_m={} if values.values.get("sigma_m") is None else values.named_numbers("sigma_m"),
        up=values.text("up"),
        up_remarks=_remarks(values),
    )


def _remarks(values: Section) -> tuple[str, ...]:
    found = values.values.get("up_remarks", [])  # not in files of earlier versions
    if not isinstance(found, list) or not all(isinstance(line, str) for line in found):
        raise ManifestError("up_remarks must be a list of texts")
    return tuple(found)


def _sequence(values: Section) -> PosedSequence:
    name = values.text("name")

    def left_out(span: Section) -> Span:
        return Span(name, span.number("from_s"), span.number("to_s"), _text(span, "reason"), span.integer("frames"))

    return PosedSequence(
        name=name,
        recording=_text(values, "recording"),
        frames=values.integer("frames"),
        posed=values.integer("posed"),
        path_m=values.number("path_m"),
        left_out=_each(values, "left_out", left_out),
    )


def _low_confidence(values: Section) -> Span:
    return Span(
        values.text("sequence"),
        values.number("from_s"),
        values.number("to_s"),
        _text(values, "reason"),
        sigma_m=values.number("sigma_m"),
    )


def _loop_closure(values: Section) -> LoopClosure:
    return LoopClosure(
        _frame(values, "from"), _frame(values, "to"), values.number("residual_m"), values.number("residual_deg")
    )


def _frame(values: Section, key: str) -> tuple[str, int]:
    pair = values.value(key)
    if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str) or not isinstance(pair[1], int):
        raise ManifestError(f"{values.label(key)} must be a sequence and the number of a frame")
    return pair[0], pair[1]


def _text(values: Section, key: str) -> str:
    """Any text: names of files and reasons are shown escaped."""
    value = values.value(key)
    if not isinstance(value, str):
        raise ManifestError(f"{values.label(key)} must be a text")
    return value


def _each(values: Section, key: str, read: Callable[[Section], T]) -> tuple[T, ...]:
    found: Any = values.value(key)
    if not isinstance(found, list):
        raise ManifestError(f"{values.label(key)} must be a list")
    return tuple(read(Section.of(item, f"{values.label(key)}[{i}]")) for i, item in enumerate(found))
