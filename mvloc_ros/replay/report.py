# SPDX-License-Identifier: Apache-2.0
"""Writes an evaluation: report.json, frames.csv, trajectories in TUM format, the pictures, and a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mvloc_ros.evaluation.baselines import NEAREST_MEASURE
from mvloc_ros.evaluation.pose_errors import Accuracy
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import Trajectory, write_tum
from mvloc_ros.replay.errors import ReplayError
from mvloc_ros.replay.evaluation import EvaluationResult, NetworkAlone
from mvloc_ros.replay.outcomes import Outcome
from mvloc_ros.replay.plots import save_trajectory_figure
from mvloc_ros.replay.plots_covariance import save_covariance_figure
from mvloc_ros.replay.run import Floats
from mvloc_ros.replay.sensor_figures import figure_values, sensor_columns, sensor_numbers
from mvloc_ros.replay.start_counts import count_starts
from mvloc_ros.replay.table import text_table
from mvloc_ros.storage import replacing, write_file

SCHEMA = 1
_OUTCOME_COLUMNS = ("outcome", "reason", "state", "score", "refined", "remark", "start", "starts")


def write_report(result: EvaluationResult, out: Path | str) -> str:
    """Write all files into the folder `out` and return the table for the terminal."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / "frames.csv", _frames_csv(result))
        _write_trajectory(folder / "estimate.tum", result, result.estimates)
        _write_trajectory(folder / "ground_truth.tum", result, result.truth)
        with replacing(folder / "trajectory.png") as path:
            save_trajectory_figure(result, path)
        evaluated = result.consistency
        if evaluated is None:
            (folder / "covariance.png").unlink(missing_ok=True)  # of an earlier run with the same --out
        else:
            name = result.run.recording
            with replacing(folder / "covariance.png") as path:
                save_covariance_figure(evaluated, name, path)
        # Last: where the report is, the rest is too.
        write_file(folder / "report.json", json.dumps(report_values(result), indent=2) + "\n")
    except OSError as error:
        raise ReplayError(f"The report cannot be written to {folder} ({error.strerror}): change --out.") from error
    return text_table(result) + f"\nwritten to {folder}"


def report_values(result: EvaluationResult) -> dict[str, Any]:
    """The content of report.json. Of the frames with truth, errors are of those with a pose, recall is of all."""
    run = result.run
    return {
        "schema": SCHEMA,
        "source": run.source,
        "recording": run.recording,
        "model": run.model,
        "backend": run.backend,
        "frames": result.frames,
        "frames_with_truth": result.frames_with_truth,
        "poses": result.poses,
        "stray_poses": result.stray_poses,
        "drops": dict(run.drops),
        "messages_lost": [asdict(loss) for loss in run.losses],
        "reasons": [asdict(reason) for reason in result.reasons],
        "starts": None if (starts := count_starts(run.outcomes.values())) is None else asdict(starts),
        **_accuracy_values(result.accuracy),
        "network_alone": None if result.network is None else _network_values(result.network),
        "baselines": {name: _baseline_values(name, value) for name, value in result.baselines.items()},
        "covariance": None if result.consistency is None else result.consistency.to_dict(),
        "latency_ms": {step: asdict(summary) for step, summary in result.latency_ms.items()},
        **figure_values(run),
        "wake_up": None if run.wake_up is None else run.wake_up.values(),
        "map_frame": run.map_frame,
        "truth_frame": run.truth_frame,
        "notes": [*run.frame_notes, *run.notes],
    }


def _accuracy_values(accuracy: Accuracy | None) -> dict[str, Any]:
    if accuracy is None:
        return {"translation_m": None, "rotation_deg": None, "recall": None}
    return accuracy.to_dict()


def _network_values(network: NetworkAlone) -> dict[str, Any]:
    return {"meaning": network.label, **network.accuracy.to_dict()}


def _baseline_values(name: str, accuracy: Accuracy) -> dict[str, Any]:
    meaning = {
        "constant_pose": "per-axis median position and mean rotation of the training poses",
        "nearest_training_pose": f"oracle: the training pose nearest to the truth by {NEAREST_MEASURE}",
    }
    return {"meaning": meaning[name], **accuracy.to_dict()}


def _frames_csv(result: EvaluationResult) -> str:
    """One row a frame; a cell is empty where there is no pose or no measurement, or nothing is known."""
    axes = ("x", "y", "z", "qx", "qy", "qz", "qw")
    header = ["stamp_ns", "pose", "translation_m", "rotation_deg"]
    header += [f"truth_{axis}" for axis in axes] + [f"estimate_{axis}" for axis in axes]
    header += [f"{step}_ms" for step in result.step_ms]
    nees = _nees(result)
    sensors = result.run.sensors
    header += [*_OUTCOME_COLUMNS, *nees, *sensor_columns(sensors)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    for i, stamp in enumerate(result.stamps_ns):
        numbers = [result.translation_m[i], result.rotation_deg[i]]
        numbers += [*_parts(result.truth[i]), *_parts(result.estimates[i])]
        numbers += [values[i] for values in result.step_ms.values()]
        outcome = result.run.outcomes.get(int(stamp))
        last = _cells([*(values[i] for values in nees.values()), *sensor_numbers(sensors, outcome)])
        writer.writerow([int(stamp), int(result.has_pose[i]), *_cells(numbers), *_outcome_cells(outcome), *last])
    return stream.getvalue()


def _cells(numbers: Iterable[float]) -> list[str]:
    return [f"{value:.9g}" if np.isfinite(value) else "" for value in numbers]


def _outcome_cells(outcome: Outcome | None) -> list[str]:
    """Of `_OUTCOME_COLUMNS`; `refined` is 0 or 1."""
    if outcome is None:
        return [""] * len(_OUTCOME_COLUMNS)
    score = f"{outcome.score:.3g}" if np.isfinite(outcome.score) else ""
    refined = "" if outcome.refined is None else str(int(outcome.refined))
    starts = str(outcome.starts) if outcome.start else ""
    return [outcome.kind, outcome.reason, outcome.state, score, refined, outcome.remark, outcome.start, starts]


def _nees(result: EvaluationResult) -> dict[str, Floats]:
    """Column -> `[N]`, NaN where no covariance was evaluated."""
    columns = {}
    for block, values in ({} if result.consistency is None else result.consistency.nees).items():
        columns[f"nees_{block}"] = np.full(result.frames, np.nan)
        columns[f"nees_{block}"][result.evaluated] = values
    return columns


def _parts(pose: Floats) -> list[float]:
    if not np.isfinite(pose).all():
        return [float("nan")] * 7
    position, orientation = se3.to_parts(pose)
    return [*map(float, position), *map(float, orientation)]


def _write_trajectory(path: Path, result: EvaluationResult, poses: Floats) -> None:
    known = np.isfinite(poses[:, 0, 0])
    write_tum(path, Trajectory(result.stamps_ns[known], poses[known]))
