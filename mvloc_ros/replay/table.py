# SPDX-License-Identifier: Apache-2.0
"""An evaluation as text for the terminal."""

from __future__ import annotations

from mvloc_ros.evaluation.pose_errors import Accuracy
from mvloc_ros.replay.evaluation import EvaluationResult
from mvloc_ros.replay.sensor_figures import figure_lines
from mvloc_ros.replay.start_counts import count_starts

_MOST_REASONS = 10
_NAMES = {"constant_pose": "constant pose", "nearest_training_pose": "nearest training pose (oracle)"}


def text_table(result: EvaluationResult) -> str:
    """Frames and drops, errors beside the baselines, latencies."""
    run = result.run
    lines = [
        f"{run.source} run over {run.recording}"
        + (f", model {run.model}" if run.model else "")
        + (f", {run.backend}" if run.backend else ""),
        f"frames {result.frames}, poses {result.poses} ({result.poses / result.frames:.1%})"
        + (f", {result.stray_poses} poses of no frame" if result.stray_poses else "")
        + _truth_count(result),
    ]
    if run.drops:
        lines.append("dropped: " + ", ".join(f"{cause} {count}" for cause, count in run.drops.items()))
    lines += [*_reason_lines(result), *_start_lines(result), *figure_lines(run)]
    lines += ["", *_error_lines(result), *_covariance_lines(result), *_latency_lines(result)]
    lines += [] if run.wake_up is None else ["", run.wake_up.text()]
    return "\n".join([*lines, *(f"note: {note}" for note in (*run.frame_notes, *run.notes))])


def _truth_count(result: EvaluationResult) -> str:
    """How many frames the errors and recalls are of, where that is not all of them."""
    count = result.frames_with_truth
    return "" if count in (0, result.frames) else f", {count} frames have ground truth and are evaluated"


def _reason_lines(result: EvaluationResult) -> list[str]:
    """Why frames have no pose, the most frequent reasons first."""
    reasons = result.reasons
    if not reasons:
        return []
    lines = [f"no pose of {result.frames - result.poses} frames, and why:"]
    lines += [f"{reason.frames:>7}  {reason.text()}" for reason in reasons[:_MOST_REASONS]]
    left = reasons[_MOST_REASONS:]
    rest = f"{sum(reason.frames for reason in left):>7}  for {len(left)} more reasons: see report.json"
    return [*lines, rest] if left else lines


def _start_lines(result: EvaluationResult) -> list[str]:
    """Where the refinement that gave the poses started."""
    starts = count_starts(result.run.outcomes.values())
    if starts is None or not starts.accepted:
        return []
    each = [f"{one.start} {one.accepted}" for one in starts.by_start if one.accepted]
    return [f"accepted refined poses by start: {', '.join(each)}; {starts.rescued} after another start had failed"]


def _error_lines(result: EvaluationResult) -> list[str]:
    if result.accuracy is None:
        return ["no ground truth: no errors"]
    rows = [("this run", result.accuracy)]
    if result.network is not None:
        rows = [("this run, refined", result.accuracy), (result.network.label, result.network.accuracy)]
    rows += [(_NAMES[name], value) for name, value in result.baselines.items()]
    head = f"{'error':32}{'median':>20}{'mean':>20}{'p95':>20}{'5cm/5deg':>10}{'10cm/5deg':>11}"
    return [head, *(_error_line(name, value) for name, value in rows)]


def _error_line(name: str, accuracy: Accuracy) -> str:
    t, r = accuracy.translation_m, accuracy.rotation_deg
    cells = ["-"] * 3
    if t is not None and r is not None:
        pairs = ((t.median, r.median), (t.mean, r.mean), (t.p95, r.p95))
        cells = [f"{metres:.3f} m {degrees:6.2f} deg" for metres, degrees in pairs]
    recall = accuracy.recall
    figures = "".join(f"{cell:>20}" for cell in cells)
    return f"{name:32}{figures}{recall['5cm_5deg']:>10.1%}{recall['10cm_5deg']:>11.1%}"


def _covariance_lines(result: EvaluationResult) -> list[str]:
    if result.consistency is None:
        return []
    heads = ("ANEES", "95 % bounds", "in 50 %", "in 68 %", "in 95 %", "AUSE")
    lines = ["", f"{'covariance':32}" + "".join(f"{head:>14}" for head in heads)]
    for name, block in result.consistency.blocks.items():
        low, high = block.bounds
        cells = [f"{block.anees:.2f}", f"{low:.2f} to {high:.2f}"]
        cells += [f"{share:.1%}" for share in block.coverage.values()]
        cells.append("" if block.ause is None else f"{block.ause:.3f}")
        evaluated = ", ".join(word for word in (f"{name} ({block.dof} dof)", block.verdict) if word)
        lines.append(f"{evaluated:32}" + "".join(f"{cell:>14}" for cell in cells))
    return lines


def _latency_lines(result: EvaluationResult) -> list[str]:
    if not result.latency_ms:
        return []
    lines = ["", f"{'latency, ms':32}{'p50':>10}{'p95':>10}{'p99':>10}{'max':>10}"]
    for step, times in result.latency_ms.items():
        name = step.replace("_", " ")
        lines.append(f"{name:32}{times.p50:>10.2f}{times.p95:>10.2f}{times.p99:>10.2f}{times.max:>10.2f}")
    return lines
