# SPDX-License-Identifier: Apache-2.0
"""The tables in Markdown, in the layout of the paper: one row per scene, one column per system."""

from __future__ import annotations

from mvloc_ros.evaluation.baselines import NEAREST_MEASURE
from mvloc_ros.experiments import published
from mvloc_ros.experiments.missing_images import BOTH, Protocol
from mvloc_ros.experiments.results import Results
from mvloc_ros.experiments.scenes import Part
from mvloc_ros.experiments.table_cells import STATISTICS, Cell, Figure
from mvloc_ros.experiments.table_rows import budget

FEW_BLOCKS = 10.0  # with fewer blocks an interval is unreliable


def markdown(results: Results) -> str:
    """The document: command, medians and means, their intervals, and notes."""
    plan = results.plan
    lines = [f"# {plan.name}", "", *_preamble(results), ""]
    for protocol in plan.protocols:
        for statistic in STATISTICS:
            if len(plan.protocols) > 1:
                lines.append(f"## {statistic.capitalize()} errors, {protocol.label}")
            else:
                lines.append(f"## {statistic.capitalize()} errors")
            lines += ["", *_table(results, protocol, statistic), ""]
    if len(plan.protocols) > 1:
        lines += ["## Median errors, relative to color and depth", "", *_ratios(results), ""]
    lines += ["## Row by row, with 95 % intervals", "", *_row_by_row(results), "", "## Notes", "", *_notes(results)]
    return "\n".join(lines) + "\n"


def _preamble(results: Results) -> list[str]:
    plan = results.plan
    return [
        "```",
        plan.command,
        "```",
        "",
        "Errors are position, rotation. `±` is the standard deviation over seeds; a cell with fewer seeds than "
        "planned states their number. Cells that were not run are empty.",
    ]


def _table(results: Results, protocol: Protocol, statistic: str) -> list[str]:
    columns = []
    for label in results.plan.labels:
        if any(results.published_errors(label, scene, statistic, protocol) for scene in _paper_scenes(results)):
            columns.append((label, True))
        columns.append((label, False))
    head = [f"{_system_name(results, label)} published" if printed else label for label, printed in columns]
    lines = _row(["Scene", *head]), _row(["---"] * (1 + len(columns)))
    body = []
    for name, part in _table_rows(results):
        cells = []
        for label, printed in columns:
            if printed:
                cell = results.published_errors(label, part.paper if part else name, statistic, protocol)
                cells.append("" if cell is None else cell.text)
            elif part is None:
                cells.append(_average(results, name, label, statistic, protocol))
            else:
                cells.append(_measured(results, results.cell(part, label, protocol), statistic))
        # A scene of the paper without data and published errors would be an empty line.
        if any(cells) or (part is not None and part.sequences):
            body.append(_row([_row_name(name, part), *cells]))
    return [*lines, *body]


def _table_rows(results: Results) -> list[tuple[str, Part | None]]:
    """Names and parts; the average of a group follows its scenes and has no part."""
    rows: list[tuple[str, Part | None]] = []
    parts = results.parts()
    for i, part in enumerate(parts):
        rows.append((part.label, part))
        group = published.group_of(part.paper) if part.paper else None
        after = parts[i + 1].paper if i + 1 < len(parts) else None
        if group and after not in group.scenes:
            rows.append((f"{group.name} {published.AVERAGE}", None))
    return rows


def _row_name(name: str, part: Part | None) -> str:
    other = part is not None and part.paper is not None and part.sequences and not part.official
    return f"{name} (other split)" if other else name


def _paper_scenes(results: Results) -> list[str]:
    return [part.paper for part in results.parts() if part.paper]


def _system_name(results: Results, label: str) -> str:
    return results.plan.published_as(label) or label


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _measured(results: Results, cell: Cell | None, statistic: str) -> str:
    if cell is None:
        return ""
    metres, degrees = cell.figures[f"{statistic}_m"], cell.figures[f"{statistic}_deg"]
    text = f"{_with_spread(metres, 3)} m, {_with_spread(degrees, 2)}°"
    few = cell.seeds and len(cell.seeds) < results.plan.seeds
    return f"{text} ({len(cell.seeds)} of {results.plan.seeds} seeds)" if few else text


def _with_spread(figure: Figure, digits: int) -> str:
    spread = "" if figure.spread is None else f" ± {figure.spread:.{digits}f}"
    return f"{figure.value:.{digits}f}{spread}"


def _average(results: Results, name: str, label: str, statistic: str, protocol: Protocol) -> str:
    group = next(group for group in published.GROUPS if name == f"{group.name} {published.AVERAGE}")
    metres = results.average(group, label, f"{statistic}_m", protocol)
    degrees = results.average(group, label, f"{statistic}_deg", protocol)
    return "" if metres is None or degrees is None else f"{metres:.3f} m, {degrees:.2f}°"


def _ratios(results: Results) -> list[str]:
    lines = [_row(["Scene", "test images", *results.plan.labels]), _row(["---"] * (2 + len(results.plan.labels)))]
    for part in results.parts():
        for protocol in results.plan.protocols[1:]:
            cells = []
            for label in results.plan.labels:
                full, less = results.cell(part, label, BOTH), results.cell(part, label, protocol)
                if full is None or less is None:
                    cells.append("")
                    continue
                cells.append(f"{_ratio(less, full, 'median_m')}, {_ratio(less, full, 'median_deg')}")
            if any(cells):
                lines.append(_row([part.label, protocol.label, *cells]))
    return lines


def _ratio(less: Cell, full: Cell, name: str) -> str:
    whole = full.figures[name].value
    return f"{less.figures[name].value / whole:.2f}" if whole > 0.0 else "-"


def _row_by_row(results: Results) -> list[str]:
    several = len(results.plan.protocols) > 1
    head = ["Scene", *(["test images"] if several else []), "row"]
    head += [f"{statistic}{what}" for statistic in STATISTICS for what in ("", ", 95 %")] + [
        "blocks",
        "published",
        "seeds",
    ]
    lines = [_row(head), _row(["---"] * len(head))]
    for part in results.parts():
        for protocol in results.plan.protocols:
            for label in results.plan.labels:
                cell = results.cell(part, label, protocol)
                if cell is None:
                    continue
                figures = []
                for statistic in STATISTICS:
                    metres, degrees = cell.figures[f"{statistic}_m"], cell.figures[f"{statistic}_deg"]
                    figures.append(f"{_with_spread(metres, 3)} m, {_with_spread(degrees, 2)}°")
                    figures.append(f"{_span(metres, 3)} m, {_span(degrees, 2)}°")
                named = [_row_name(part.label, part), *([protocol.label] if several else []), label]
                printed = _published_text(results, label, part, protocol)
                blocks = f"{cell.blocks:.0f}" if cell.blocks >= FEW_BLOCKS else f"{cell.blocks:.1f}"
                lines.append(_row([*named, *figures, blocks, printed, str(len(cell.seeds) or "")]))
    return lines


def _published_text(results: Results, label: str, part: Part, protocol: Protocol) -> str:
    for statistic in STATISTICS:
        if cell := results.published_errors(label, part.paper, statistic, protocol):
            return f"{cell.text} ({statistic})"
    return ""


def _span(figure: Figure, digits: int) -> str:
    return f"{figure.low:.{digits}f} to {figure.high:.{digits}f}"


def _notes(results: Results) -> list[str]:
    blocks = results.plan.blocks
    size = f"{blocks.frames} frames" if blocks.frames is not None else f"{blocks.seconds:g} s"
    notes = [
        f"Intervals: circular block bootstrap over the test frames of each sequence, blocks of {size}, "
        f"{blocks.resamples} resamples, seed {blocks.seed}. They cover the choice of frames, not of seeds; `blocks` is "
        "how many independent blocks the test frames are.",
        "Every system was trained on all training frames with fixed values; the network of the last epoch is "
        "evaluated, and nothing was selected with test frames.",
        "Image retrieval: weighted mean pose of the k most similar training frames, without learning; k is chosen on "
        "held-out training frames. The nearest training pose uses the truth: no retrieval that answers with the pose "
        f"of one training frame (k = 1) can have a smaller {NEAREST_MEASURE}; the mean of several poses (k > 1) can.",
    ]
    notes += _budget_notes(results)
    for part in results.parts():
        cells = [cell for key, cell in results.cells.items() if key[0] == part.label]
        if not cells:
            continue
        if part.paper and not part.official:
            notes.append(
                f"{part.label}: trained on {', '.join(part.trained)} and evaluated on {cells[0].frames} frames of "
                f"{', '.join(part.sequences)}, which is not the official split ({_official_text(part.paper)}), so the "
                "published errors are not comparable."
            )
        whole = published.official_frames(part.paper) if part.paper and part.official else None
        if whole is not None and part.frames != whole:
            notes.append(
                f"{part.label}: {part.frames[0]} training and {part.frames[1]} test frames instead of the "
                f"{whole[0]} and {whole[1]} of the official split, so the published errors are not comparable."
            )
        if cells[0].blocks < FEW_BLOCKS:
            notes.append(
                f"{part.label}: only {cells[0].blocks:.1f} blocks of test frames; its intervals are unreliable."
            )
        notes += sorted({f"{part.label}, {cell.row}: {cell.note}." for cell in cells if cell.note})
    if any(published.group_of(scene) is published.GROUPS[1] for scene in _paper_scenes(results)):
        notes.append(
            "The paper calls its RobotCar errors medians, but those of MapNet are the means published by its authors; "
            "so they are compared with our means."
        )
    return [f"- {note}" for note in notes]


def _official_text(scene: str) -> str:
    split = published.OFFICIAL_SPLITS[scene]
    return f"training: {', '.join(split.train)}; test: {', '.join(split.test)}"


def _budget_notes(results: Results) -> list[str]:
    budgets: dict[str, list[str]] = {}
    for row in results.plan.rows:
        budgets.setdefault(budget(row.config), []).append(row.label)
    return [f"Budget: {text}: {', '.join(labels)}." for text, labels in budgets.items()]
