# SPDX-License-Identifier: Apache-2.0
"""The first words of the report: how well the robot will be localized, where not, and what to beware of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mvloc_ros.foreign_text import shown
from mvloc_ros.learn.report.accuracy import (
    FALSE_DEG,
    FALSE_M,
    RIGHT_DEG,
    RIGHT_M,
    AccuracyOnHeldOut,
    HeldOut,
    WakeUps,
    same_poses,
)
from mvloc_ros.learn.report.findings import Findings
from mvloc_ros.learn.report.place import Place
from mvloc_ros.learn.report.posing_file import Posing
from mvloc_ros.localization.uncertainty import uncalibrated
from mvloc_ros.recordings.held_out_blocks import REACH_DEG, REACH_M

GOOD, PARTLY, BAD, UNKNOWN = "good", "partly", "bad", "unknown"
_WORDS = {
    GOOD: "Ready to try on the robot",
    PARTLY: "Works in parts of the place",
    BAD: "Not ready",
    UNKNOWN: "Not known how well it works",
}
_ELSEWHERE = ", where it was recorded; elsewhere it would be lost"
_MOSTLY = 0.5
# Of all held-out frames, those that must be accepted and right for the first two; and the share of false poses among
# the accepted from which the third is said.
_GOOD_SHARE, _PARTLY_SHARE, _MOST_FALSE = 0.9, 0.6, 0.005
_FEW_FRAMES, _FEW_METRES = 100, 3.0
_MOST_TRAINING = 0.1
_LEAST_INSIDE = 0.5
_LEAST_POSED = 0.9
_MOST_COMPARED, _LEAST_SAME = 500, 0.9
_BAD_MEDIAN_M, _BAD_P90_M, _BAD_SIGMA_M = 0.02, 0.05, 0.10


@dataclass(frozen=True)
class Verdict:
    """How good the place was learned.

    Attributes:
        kind: one of the constants above.
        headline: a few words.
        sentences: in plain words, from the figures.
        warnings: what makes the figures or the map doubtful, each a sentence.
    """

    kind: str
    headline: str
    sentences: tuple[str, ...]
    warnings: tuple[str, ...]


def verdict_of(findings: Findings) -> Verdict:
    """Judge; a warning of a wrong map or of false first poses takes away the best verdict."""
    serious = [
        *_origin_warnings(findings.place),
        *_posing_warnings(findings.place.posing),
        *_wake_up_warnings(findings.accuracy),
    ]
    others = _model_warnings(findings.place)
    evaluated = _evaluation_warnings(findings)
    kind = _kind(findings.accuracy)
    if kind in (PARTLY, BAD) and _leads_elsewhere(findings):
        kind = UNKNOWN
    if kind == GOOD and (serious or evaluated):
        kind = PARTLY if serious else UNKNOWN
    sentences = [*_accuracy_sentences(findings.accuracy), *_coverage_sentences(findings)]
    headline = _WORDS[kind]
    if kind == GOOD and findings.coverage is not None and findings.coverage.share < _MOSTLY:
        headline += _ELSEWHERE
    return Verdict(kind, headline, tuple(sentences), (*serious, *evaluated, *others))


def _leads_elsewhere(findings: Findings) -> bool:
    """Whether most held-out frames are of a part that no training view shows, so that few of them are right."""
    covered, accuracy = findings.covered_frames, findings.accuracy
    if covered is None or accuracy is None or accuracy.whole.right_share >= _GOOD_SHARE:
        return False
    if accuracy.whole.false > _MOST_FALSE * accuracy.whole.accepted:
        return False
    return covered.inside < _LEAST_INSIDE * (covered.inside + covered.outside)


def _kind(accuracy: AccuracyOnHeldOut | None) -> str:
    if accuracy is None:
        return UNKNOWN
    whole = accuracy.whole
    if whole.false > _MOST_FALSE * whole.accepted or whole.right_share < _PARTLY_SHARE:
        return BAD
    return GOOD if whole.right_share >= _GOOD_SHARE else PARTLY


def _accuracy_sentences(accuracy: AccuracyOnHeldOut | None) -> list[str]:
    if accuracy is None:
        return [
            "There is no evaluation on parts that were held out, so nothing here tells how often the poses are right."
        ]
    whole, right = accuracy.whole, f"{100 * RIGHT_M:g} cm and {RIGHT_DEG:g} degrees"
    lines = [
        f"On parts that were held out ({whole.frames} frames, {whole.path_m:.1f} m), {share(whole.right_share)} of the "
        f"frames gave an accepted pose within {right}{_without(whole)}",
    ]
    if whole.median_m is None or whole.p95_m is None:
        return [*lines, "No pose was accepted, so there is no error to state.", *_wake_up_sentences(accuracy.wake_ups)]
    lines.append(
        f"Of the accepted poses half are within {length(whole.median_m)} and 95 % within {length(whole.p95_m)}; "
        f"{_false(whole)}"
    )
    nearest = next((row for row in accuracy.comparison if row.name.startswith("nearest")), None)
    if nearest is not None and nearest.median_m is not None:
        lines.append(
            f"For comparison: the nearest training pose, which no method can know, is {length(nearest.median_m)} "
            "away at "
            "the median."
        )
    return [*lines, *_wake_up_sentences(accuracy.wake_ups)]


def _wake_up_sentences(found: WakeUps | None) -> list[str]:
    """How a localizer that knows nothing got on in the held-out parts."""
    if found is None:
        return []
    time = "" if found.time_s is None else f", half of them within {found.time_s:.1f} s"
    wrong = found.count - found.right - found.silent
    return [
        f"Of {found.count} robots that wake up in these parts knowing nothing, {found.right} found their place{time}; "
        f"{found.silent} got no pose before the part ended, {wrong or 'none'} a wrong one."
    ]


def _without(whole: HeldOut) -> str:
    return "." if whole.accepted == whole.frames else f"; {share(1.0 - whole.accepted_share)} gave none."


def _false(whole: HeldOut) -> str:
    limit = f"{100 * FALSE_M:g} cm or {FALSE_DEG:g} degrees"
    if whole.false:
        return f"{whole.false} of {whole.accepted} were false (beyond {limit})."
    return (
        f"none of {whole.accepted} was false (beyond {limit}), which leaves a rate of up to "
        f"{share(min(1.0, 3.0 / whole.accepted))} possible, and more as frames of a video are alike."
    )


def _coverage_sentences(findings: Findings) -> list[str]:
    found = findings.coverage
    if found is None:
        return [f"Where the robot would be lost is not known: {findings.no_coverage}"]
    return [
        f"A robot that wakes up at a random place of the free space ({found.area_m2:.0f} m2) and looks in a random "
        f"direction has a training view within {REACH_M:g} m and {REACH_DEG:g} degrees in {share(found.share)} of the "
        "cases; elsewhere expect it to be lost until it moves or turns."
    ]


def _origin_warnings(place: Place) -> list[str]:
    """Whether the bundle was learned from the posed frames: else the paths are in another frame than the map."""
    if place.training is None:
        return ["The bundle does not tell its training poses, so neither coverage nor its origin could be checked."]
    trained = place.training.poses[:: max(1, len(place.training) // _MOST_COMPARED)]
    found = same_poses(trained, np.concatenate([path.poses for path in place.paths]))
    if found >= _LEAST_SAME * len(trained):
        return []
    return [
        f"Only {share(found / len(trained))} of the model's training poses are poses of the posed frames: the model "
        "was learned from others, and the paths shown may not be in the frame of its map."
    ]


def _posing_warnings(posing: Posing | None) -> list[str]:
    """What makes the map itself doubtful."""
    if posing is None:
        return []
    lines = [f"{shown(remark, 300).rstrip('.')}." for remark in posing.up_remarks]
    if posing.parts > 1:
        lines.append(
            f"The recordings fell into {posing.parts} maps that could not be joined, and only the largest one is used: "
            "record a path that leads from one part to the next and back."
        )
    if posing.consistency_m is not None:
        median, p90 = posing.consistency_m
        if median > _BAD_MEDIAN_M or p90 > _BAD_P90_M:
            lines.append(
                f"Overlapping views disagree by {length(median)} (median; {length(p90)} at 90 %): the map may be "
                "bent or "
                "show walls twice; look at the picture from above."
            )
    else:
        lines.append(
            "No place was seen twice: nothing tells how far the poses drifted. Record a path that comes back to places."
        )
    if posing.low_confidence:
        names = sorted({span.sequence for span in posing.low_confidence})
        stretches = counted(len(posing.low_confidence), "stretch", "stretches")
        where = ", ".join(shown(name, 40) for name in names[:5])
        lines.append(
            f"The poses of {stretches} ({where}) are uncertain (marked in the picture from above): the map may be "
            "wrong there."
        )
    if (most := posing.sigma_m.get("p90", 0.0)) > _BAD_SIGMA_M:
        lines.append(f"A tenth of the poses has a standard deviation above {length(most)}.")
    frames, posed = (sum(getattr(one, name) for one in posing.sequences) for name in ("frames", "posed"))
    if frames and posed < _LEAST_POSED * frames:
        lines.append(f"Only {posed} of {frames} recorded frames got a pose; what was left out is listed below.")
    return lines


def _evaluation_warnings(findings: Findings) -> list[str]:
    """What makes the figures doubtful."""
    accuracy, evaluation = findings.accuracy, findings.evaluation
    if accuracy is None:
        why = "the evaluation has no true poses" if evaluation is not None else "no held-out part was evaluated"
        return [f"No accuracy is stated: {why}. Replay a recording with known poses before the robot relies on this."]
    lines, whole = [], accuracy.whole
    if whole.frames < _FEW_FRAMES or whole.path_m < _FEW_METRES:
        lines.append(
            f"The evaluation is small ({whole.frames} frames, {whole.path_m:.1f} m): its shares are rough. Record "
            "another "
            "drive and replay it."
        )
    if _leads_elsewhere(findings) and findings.covered_frames is not None:
        covered = findings.covered_frames
        lines.append(
            f"Only {covered.inside} of the {covered.inside + covered.outside} held-out frames have a training view "
            f"within {REACH_M:g} m and {REACH_DEG:g} degrees: the held-out part leads where the rest of the recordings "
            "was not, so it says nothing of what was seen, and the model does not know that part. Let the end of a "
            "drive repeat what was seen, or replay another drive."
        )
    if accuracy.training_frames > _MOST_TRAINING * whole.frames:
        lines.append(
            f"{accuracy.training_frames} of the {whole.frames} evaluated frames have the pose of a training "
            "frame: they "
            "are not held out, and the figures are too good."
        )
    model = evaluation.report.get("model") if evaluation is not None else None
    if model != findings.place.bundle.name:
        lines.append(
            f"The evaluation is of a model named {shown(model, 60)}, the bundle is "
            f"{shown(findings.place.bundle.name, 60)}: "
            "check that they are the same."
        )
    return lines


def _wake_up_warnings(accuracy: AccuracyOnHeldOut | None) -> list[str]:
    found = None if accuracy is None else accuracy.wake_ups
    if found is None or not found.false:
        return []
    return [
        f"{found.false} of {found.accepted} poses that were accepted after waking up are false: places here look "
        "alike, and a robot that wakes up where no view was taken may be put to the wrong one. Start it where the "
        "recordings were, give it an initial pose, or record such places."
    ]


def _model_warnings(place: Place) -> list[str]:
    spec = place.bundle.manifest.scene_map
    if spec is None or place.scene_map is None:
        return [place.no_map]
    lines = []
    if spec.acceptance is None:
        lines.append(
            "The map has no acceptance threshold, as there were too few trials to set it: no refined pose is "
            "accepted on "
            "its own."
        )
    if words := uncalibrated(place.bundle.manifest, refined=True):
        lines.append(f"{words[0].upper()}{words[1:]}.")
    if place.bundle.manifest.keyframes is None:
        lines.append("The bundle has no keyframes: a robot that wakes up depends on the network alone.")
    if place.is_turned:
        lines.append(
            "z does not point up in this map: the pictures are turned upright, and an occupancy grid for Nav2 "
            "cannot be "
            "made of it."
        )
    return lines


def counted(count: int, one: str, many: str) -> str:
    """A number with its noun."""
    return f"{count} {one if count == 1 else many}"


def length(metres: float) -> str:
    """Metres in the unit that people would use, with two or three digits."""
    if metres < 0.01:
        return f"{1e3 * metres:.1f} mm"
    return f"{1e2 * metres:.1f} cm" if metres < 1.0 else f"{metres:.2f} m"


def share(value: float) -> str:
    """A share in percent, never rounded to all or nothing where it is not."""
    if 0.0 < value < 0.001:
        return "less than 0.1 %"
    return "more than 99.9 %" if 0.999 < value < 1.0 else f"{100.0 * value:.1f} %".replace(".0 %", " %")
