# SPDX-License-Identifier: Apache-2.0
"""Judges what there is and writes the folder of an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mvloc_ros.experiments.errors import ExperimentError
from mvloc_ros.experiments.files import experiment_json, frames_csv, results_csv
from mvloc_ros.experiments.judging import Judge, Judged
from mvloc_ros.experiments.plots import save_figures, save_trajectories
from mvloc_ros.experiments.results import Plan, Results
from mvloc_ros.experiments.scenes import Part
from mvloc_ros.experiments.tables import markdown
from mvloc_ros.storage import replacing, write_file
from mvloc_ros.training.config import TrainingConfig


def report(plan: Plan, judge: Judge, seen: TrainingConfig, out: Path) -> str:
    """Judge all finished runs and the baselines, write the folder `out`, and return the tables.

    Args:
        plan: what was asked for.
        judge: knows the runs.
        seen: how the baselines see the images.
        out: folder, made or its files replaced.

    Raises:
        MvlocError: a run or the data do not serve, or the folder cannot be written.
    """
    results, judged = Results(plan), []
    for scene in plan.scenes:
        of_scene = list(judge.rows(scene, plan.rows, plan.seeds))
        if plan.baselines:
            of_scene += judge.baselines(scene, seen)
        results.add(scene, of_scene)
        judged += of_scene
        scene.forget()
    text = markdown(results)
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_file(out / "frames.csv", frames_csv(judged))
        write_file(out / "results.csv", results_csv(results, judged))
        _pictures(results, judged, out)
        write_file(out / f"{plan.name}.md", text)
        # Last: where it is, the rest is too.
        write_file(out / "experiment.json", experiment_json(results))
    except OSError as error:
        raise ExperimentError(f"The results cannot be written to {out} ({error.strerror}): change --out.") from error
    return text


def _pictures(results: Results, judged: Sequence[Judged], out: Path) -> None:
    name = results.plan.name
    with replacing(out / f"{name}.png") as path:
        save_figures(results, path)
    for scene in results.plan.scenes if name == "figure3" else ():
        shown = [item for item in judged if item.scene == scene.name]
        for part in scene.parts:
            with replacing(out / f"{name}_{_plain(part)}.png") as path:
                save_trajectories(results, part, shown, path)


def _plain(part: Part) -> str:
    return "_".join(part.label.lower().replace("(", "").replace(")", "").split())
