# SPDX-License-Identifier: Apache-2.0
"""Evaluates the finished runs and writes the result folder of an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mvloc_ros.experiments.errors import ExperimentError
from mvloc_ros.experiments.evaluate_rows import EvaluatedRow, Evaluator
from mvloc_ros.experiments.markdown_tables import markdown
from mvloc_ros.experiments.result_files import experiment_json, frames_csv, results_csv
from mvloc_ros.experiments.result_plots import save_figures, save_trajectories
from mvloc_ros.experiments.results import Plan, Results
from mvloc_ros.experiments.scenes import Part
from mvloc_ros.storage import replacing, write_file
from mvloc_ros.training.config import TrainingConfig


def report(plan: Plan, evaluator: Evaluator, seen: TrainingConfig, out: Path) -> str:
    """Evaluate all finished runs and the baselines, write the folder `out`, and return the tables.

    Args:
        plan: of the experiment.
        evaluator: of the runs.
        seen: input configuration of the baselines.
        out: folder, created, or its files replaced.

    Raises:
        MvlocError: a run or the data cannot be used, or the folder cannot be written.
    """
    results, evaluated = Results(plan), []
    for scene in plan.scenes:
        of_scene = list(evaluator.rows(scene, plan.rows, plan.seeds))
        if plan.baselines:
            of_scene += evaluator.baselines(scene, seen)
        results.add(scene, of_scene)
        evaluated += of_scene
        scene.release_images()
    text = markdown(results)
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_file(out / "frames.csv", frames_csv(evaluated))
        write_file(out / "results.csv", results_csv(results, evaluated))
        _write_plots(results, evaluated, out)
        write_file(out / f"{plan.name}.md", text)
        # Last, so that if it exists, the results are complete.
        write_file(out / "experiment.json", experiment_json(results))
    except OSError as error:
        raise ExperimentError(f"The results cannot be written to {out} ({error.strerror}); change --out.") from error
    return text


def _write_plots(results: Results, evaluated: Sequence[EvaluatedRow], out: Path) -> None:
    name = results.plan.name
    with replacing(out / f"{name}.png") as path:
        save_figures(results, path)
    for scene in results.plan.scenes if name == "figure3" else ():
        shown = [item for item in evaluated if item.scene == scene.name]
        for part in scene.parts:
            with replacing(out / f"{name}_{_plain(part)}.png") as path:
                save_trajectories(results, part, shown, path)


def _plain(part: Part) -> str:
    return "_".join(part.label.lower().replace("(", "").replace(")", "").split())
