# SPDX-License-Identifier: Apache-2.0
"""The page: what the findings say, in the order in which a person asks."""

from __future__ import annotations

from collections.abc import Mapping

from mvloc_ros import __version__
from mvloc_ros.drawing import markup as html
from mvloc_ros.learn.report.accuracy import AccuracyOnHeldOut, HeldOut, Row
from mvloc_ros.learn.report.coverage import Coverage
from mvloc_ros.learn.report.figures import left_out, loop_figures, percentiles
from mvloc_ros.learn.report.findings import CoveredFrames, Findings
from mvloc_ros.learn.report.place import Place
from mvloc_ros.learn.report.verdict import Verdict, length, share
from mvloc_ros.recordings.held_out_blocks import REACH_DEG, REACH_M

PLAN, EXPECTED, HELD_OUT, COVERAGE = "plan", "expected_error", "held_out", "coverage"
"""Names of the pictures; those of the last three may be missing."""
_MOST_ROWS = 40


def page_of(findings: Findings, verdict: Verdict, pictures: Mapping[str, bytes]) -> str:
    """The page as HTML, with the pictures that there are (PNG, by the names above)."""
    name = findings.inputs.name
    body = "".join((
        f"<header><h1>{html.text(name)}: how well the robot will be localized</h1></header><main>",
        _verdict(verdict),
        _in_numbers(findings),
        _from_above(findings, pictures),
        _held_out(findings.accuracy, pictures.get(HELD_OUT)),
        _lost(findings, pictures.get(COVERAGE)),
        _left_out(findings.place),
        _loop_closures(findings.place),
        _next(findings),
        _about(findings),
        "</main>",
    ))  # fmt: skip
    return html.document(f"{name}: localization report", body)


def _verdict(verdict: Verdict) -> str:
    words = "".join(html.paragraph(sentence) for sentence in verdict.sentences)
    result = f'<div class="verdict {verdict.kind}"><strong>{html.text(verdict.headline)}</strong>{words}</div>'
    if verdict.warnings:
        result += f'<div class="warnings" role="note"><h2>Beware</h2>{html.listed(verdict.warnings)}</div>'
    return result


def _in_numbers(findings: Findings) -> str:
    pairs: list[tuple[object, object]] = []
    if findings.accuracy is not None:
        whole = findings.accuracy.whole
        pairs += [
            (share(whole.right_share), "of held-out frames accepted and right"),
            *_wake_up_number(findings.accuracy),
            (str(whole.false), f"false of {whole.accepted} accepted"),
        ]
        if whole.median_m is not None and whole.p95_m is not None:
            pairs += [(length(whole.median_m), "median error"), (length(whole.p95_m), "error of 95 % at most")]
    if findings.coverage is not None:
        pairs.append((share(findings.coverage.share), "of positions and headings covered"))
    return html.numbers(pairs) if pairs else ""


def _wake_up_number(accuracy: AccuracyOnHeldOut) -> list[tuple[object, object]]:
    found = accuracy.wake_ups
    if found is None:
        return []
    return [(f"{found.right} of {found.count}", "robots that wake up in these parts find their place")]


def _from_above(findings: Findings, pictures: Mapping[str, bytes]) -> str:
    place = findings.place
    frames, metres = sum(len(path.poses) for path in place.paths), sum(path.length_m for path in place.paths)
    axes = "Axes are the map's" if not place.is_turned else "The axes are turned so that up is up"
    caption = (
        f"The surfaces of the map by height (ceilings left out), and {frames} posed frames of {len(place.paths)} "
        "sequences "
        f"({metres:.1f} m), each with its number at its first frame. Dotted black: held out and evaluated. {axes}."
    )
    if place.posing is not None:
        caption += " Yellow: uncertain poses. Straight lines: loop closures, by their residual."
    parts = [html.figure(pictures[PLAN], "Plan of the place from above, with the paths of the recordings", caption)]
    expected = findings.expected
    found = None if expected is None else percentiles(expected.sigma_m)
    if expected is not None and found is not None and EXPECTED in pictures:
        caption = (
            "The same surfaces by the position error that the node states for a pose refined against what is in "
            "view (one "
            "standard deviation: how well these surfaces determine the pose, scaled by the errors measured when "
            "the map "
            "was calibrated; typical value of the training views that see a point). Gray: in none of the views "
            "that were "
            f"looked at. Over {len(expected.sigma_m)} training views: median {length(found['median'])}, 90 % below "
            f"{length(found['p90'])}. Where it is large, depth leaves a direction open (open halls, long "
            "corridors) and "
            "color, features and odometry must do."
        )
        parts.append(
            html.figure(pictures[EXPECTED], "Plan of the place, colored by the expected position error", caption)
        )
    return html.section("The place from above", *parts)


def _held_out(found: AccuracyOnHeldOut | None, picture: bytes | None) -> str:
    title = "Accuracy and acceptance on held-out parts"
    if found is None:
        return html.section(title, html.paragraph("Nothing was evaluated: see above."))
    parts = []
    if picture is not None:
        caption = "Each mark is one held-out frame, where the camera truly was."
        parts.append(
            html.figure(picture, "Plan with the held-out frames: accepted and right, wrong, or rejected", caption)
        )
    head = ("", "median error", "95 % below", "within 5 cm, 5 deg")
    parts.append(html.table(head, [_comparison(row) for row in found.comparison]))
    parts.append(
        html.paragraph(
            "Errors are of frames with a pose, the last column is of all frames. The baselines answer without looking: "
            "always the middle of the training poses, or the training pose nearest to the truth (an oracle).",
            "small",
        )
    )
    if len(found.parts) > 1:
        rows = [_part(number, part) for number, part in enumerate(found.parts[:_MOST_ROWS], 1)]
        of_parts = html.table(("held-out part", "frames", "accepted", "right", "median error"), rows)
        parts += ["<h3>Part by part</h3>", of_parts]
    if found.reasons:
        parts += ["<h3>Why frames gave no pose</h3>", html.table(("frames", "reason"), found.reasons[:_MOST_ROWS])]
    if found.without_truth:
        parts.append(
            html.paragraph(
                f"{found.without_truth} frames (as those before a held-out part) have no true pose and do not count.",
                "small",
            )
        )
    return html.section(title, *parts)


def _comparison(row: Row) -> tuple[str, ...]:
    return row.name, _errors(row.median_m, row.median_deg), _errors(row.p95_m, row.p95_deg), share(row.right_share)


def _errors(metres: float | None, degrees: float | None) -> str:
    return "-" if metres is None or degrees is None else f"{length(metres)}, {degrees:.2f} deg"


def _part(number: int, part: HeldOut) -> tuple[str, ...]:
    name = f"{number}: {part.end_s - part.start_s:.1f} s, {part.path_m:.1f} m"
    return (
        name,
        str(part.frames),
        share(part.accepted_share),
        share(part.right_share),
        _errors(part.median_m, part.median_deg),
    )


def _lost(findings: Findings, picture: bytes | None) -> str:
    title, found = "Where the robot would be lost", findings.coverage
    if found is None or picture is None:
        return html.section(title, html.paragraph(f"Not known: {findings.no_coverage}"))
    caption = (
        "Free space by the share of the camera's headings that a training view covers; red: none, blue: all. In the "
        "roses the red wedges are headings that no view covers: record there, looking that way."
    )
    parts = [
        html.figure(picture, "Plan of the free space, colored by the share of headings that are covered", caption),
        html.paragraph(_lost_words(found)),
        html.paragraph(
            f"Covered: a training view was taken within {REACH_M:g} m and {REACH_DEG:g} degrees, with nothing at the "
            "height of the cameras between. These limits were measured in two buildings: of single frames within them "
            "57 % were accepted, of others 9 %. A robot that is being tracked can "
            "cross such "
            "parts by odometry; one that wakes up there is lost.",
            "small",
        ),
    ]
    if findings.covered_frames is not None:
        parts.append(html.paragraph(_check_words(findings.covered_frames), "small"))
    return html.section(title, *parts)


def _lost_words(found: Coverage) -> str:
    return (
        f"Of {found.area_m2:.1f} m2 of free space, looked at in steps of {found.frame.resolution_m:g} m and 30 "
        "degrees, "
        f"{share(found.share)} of the positions and headings are covered; at {share(found.lost_positions)} of the "
        "positions "
        "no heading is."
    )


def _check_words(found: CoveredFrames) -> str:
    def said(count: int, accepted: int) -> str:
        return f"{accepted} of {count} accepted" if count else "there are none"

    return (
        f"The held-out frames here: covered, {said(found.inside, found.inside_accepted)}; not covered, "
        f"{said(found.outside, found.outside_accepted)}."
    )


def _left_out(place: Place) -> str:
    title, found = "What was left out, and why", left_out(place)
    if not found:
        return html.section(title, html.paragraph("Nothing: every frame of the posed folder has a pose and is in use."))
    rows = [
        (one["file"], "1", one["reason"])
        if "file" in one
        else (f"{one['sequence']}, {one['from_s']:.1f} to {one['to_s']:.1f} s", one["frames"], one["reason"])
        for one in found
    ]
    parts = [html.table(("where", "frames", "reason"), rows[:_MOST_ROWS])]
    if len(rows) > _MOST_ROWS:
        parts.append(html.paragraph(f"And {len(rows) - _MOST_ROWS} more: see the report as JSON."))
    return html.section(title, *parts)


def _loop_closures(place: Place) -> str:
    title, posing = "Loop closures", place.posing
    if posing is None:
        words = "The recording came with its poses, so none were made here: nothing checks them but the map."
        return html.section(title, html.paragraph(words))
    parts = []
    found = loop_figures(posing.loop_closures)
    if found["residual_m"] is None:
        parts.append(
            html.paragraph("There are none: no place was seen twice, so the drift of the path is not corrected.")
        )
    else:
        metres, degrees = found["residual_m"], found["residual_deg"]
        rows = [
            (name, length(metres[key]), f"{degrees[key]:.2f} deg")
            for name, key in (("median", "median"), ("90 % below", "p90"), ("largest", "max"))
        ]
        parts.append(html.table((f"{found['count']} loop closures", "residual", "residual"), rows))
    parts.append(html.paragraph(f"{posing.rejected_loop_closures} others were rejected, as they did not fit."))
    if posing.consistency_m is not None:
        median, p90 = posing.consistency_m
        words = f"Overlapping views differ in depth by {length(median)} at the median, {length(p90)} at 90 %."
        parts.append(html.paragraph(words))
    rows_of = [(one.name, f"{one.posed} of {one.frames}", f"{one.path_m:.1f} m") for one in posing.sequences]
    parts.append(html.table(("sequence", "frames with a pose", "path"), rows_of[:_MOST_ROWS]))
    return html.section(title, *parts)


def _next(findings: Findings) -> str:
    parts = []
    for command in findings.commands:
        parts += [
            f"<h3>{html.text(command.title)}</h3>",
            html.commands(command.lines),
            html.paragraph(command.remark, "small"),
        ]
    return html.section("What comes next", *parts)


def _about(findings: Findings) -> str:
    place, inputs = findings.place, findings.inputs
    rows = [
        ("model", f"{place.bundle.name}, {place.bundle.digest_in_words}"),
        ("map frame", place.bundle.manifest.frames.map),
        ("recordings", ", ".join(inputs.recordings) or "not named"),
    ]
    if place.scene_map is not None:
        resolution_m = place.scene_map.resolution_m
        rows.append(("scene map", f"{len(place.scene_map)} points, one in {100 * resolution_m:g} cm"))
    if place.posing is not None:
        rows.append(("direction of up", place.posing.up))
    if findings.evaluation is not None:
        rows.append(("evaluated recording", str(findings.evaluation.report.get("recording", ""))))
    parts = [html.table((), rows), html.listed(inputs.notes)]
    parts.append(
        html.paragraph(f"Made by mvloc_ros {__version__}; the same figures as JSON: {inputs.out_json.name}.", "small")
    )
    return html.section("About this report", *parts)
