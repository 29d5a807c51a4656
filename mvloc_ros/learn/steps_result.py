# SPDX-License-Identifier: Apache-2.0
"""The last steps: how well the bundle localizes frames that it has not seen, the grid, and the report."""

from __future__ import annotations

from pathlib import Path

from mvloc_ros.learn.job import Job
from mvloc_ros.learn.report.inputs import ReportInputs
from mvloc_ros.learn.step import Step, Values
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.recordings import digests, open_folders
from mvloc_ros.recordings.from_folder import has_odometry, select_frames, with_lead_in, write_bag

LEAD_IN_S = 5.0
"""A localizer has this time to find its pose in what it knows before a held-out part begins, as a robot that drives."""
WAKE_UPS = 20
BUDGET_MS = 10_000.0
"""For refining one pose in the evaluation: what a machine that is busy now can do in the node's time says little."""


def evaluation_step(job: Job) -> Step:
    """`mvloc replay` of the test frames."""
    places, options = job.places, job.options

    def inputs() -> Values:
        about = {
            "bundle": _digest(job.evaluated),
            "test fraction": options.test_fraction,
            "refinement, ms": BUDGET_MS,
            "followed": f"with odometry where there is any, from {LEAD_IN_S:g} s before",
            "wake-ups": WAKE_UPS,
        }
        return {**about, **job.data()}

    def work() -> None:
        from mvloc_ros.evaluation.pauses import pause_s
        from mvloc_ros.replay.evaluated_parameters import evaluated
        from mvloc_ros.replay.evaluation import evaluate
        from mvloc_ros.replay.offline import OfflineOptions, run_offline
        from mvloc_ros.replay.outcomes import no_pose_sentence
        from mvloc_ros.replay.report import write_report
        from mvloc_ros.replay.wake_ups import OVERRIDES

        folder = open_folders(job.folders, options.test_fraction)
        frames = with_lead_in(folder, select_frames(folder, "test"), LEAD_IN_S)
        write_bag(folder, frames, places.test_bag, force=True)
        is_followed = has_odometry(folder)
        values = evaluated([*(OVERRIDES if is_followed else ()), f"refine_budget_ms:={BUDGET_MS}"])
        posed = [frame for frame in folder.test if (frame.depth if folder.pose_of == "depth" else frame.color)]
        starts = min(WAKE_UPS, len(posed))
        run = OfflineOptions(parameters=values, wake_ups=starts, restart_after_s=pause_s(1.0 / folder.rate_hz))
        print(_how_followed(is_followed))
        result = evaluate(run_offline(places.test_bag, job.evaluated, run))
        print(write_report(result, places.evaluation))
        print(budget_note())
        if not result.poses:
            print(no_pose_sentence(result.frames, result.reasons))

    def outputs() -> Values:
        files = {name: digests.of_file(places.evaluation / name) for name in ("report.json", "frames.csv")}
        return {**files, "test bag": digests.of_folder(places.test_bag)}

    return Step("evaluation", "evaluation", inputs, work, outputs, verb="mvloc replay")


def _how_followed(by_odometry: bool) -> str:
    """How the poses of the evaluation are followed, and from where."""
    told = (
        "with the recording's odometry and the node's gate, as on the robot"
        if by_odometry
        else "without odometry (the data have none, or do not state where the camera is on the robot): a robot that "
        "has it follows its pose through frames that are rejected here"
    )
    return (
        f"followed from {LEAD_IN_S:g} s before each held-out part on, as far as it was recorded, {told}; the robots "
        "that wake up know nothing when they start in these parts"
    )


def budget_note() -> str:
    """What the evaluation assumes of the time."""
    from mvloc_ros.replay.evaluated_parameters import evaluated

    return (
        f"evaluated with up to {BUDGET_MS / 1e3:g} s for refining each pose (the node's refine_budget_ms is "
        f"{evaluated().refine_budget_ms:g} ms by default), so that the figures do not depend on how busy this machine "
        "is: a machine that needs longer than the node's time accepts fewer poses"
    )


def grid_step(job: Job) -> Step:
    """`mvloc grid`."""
    places = job.places

    def work() -> None:
        from mvloc_ros.mapping.grid import grid_of, summary
        from mvloc_ros.mapping.grid_cells import GridOptions
        from mvloc_ros.mapping.grid_files import write_grid

        made = grid_of(places.out, GridOptions())
        print("\n".join(summary(made)))
        write_grid(places.grid, made)

    return Step(
        "grid",
        "occupancy grid",
        lambda: {"bundle": _digest(places.out)},
        work,
        lambda: {"grid": digests.of_folder(places.grid)},
        verb="mvloc grid",
    )


def report_step(job: Job) -> Step:
    """One page with everything that was found."""
    places = job.places
    page, values = places.report

    def inputs() -> Values:
        about: Values = {
            "bundle": _digest(places.out),
            "evaluation": digests.of_file(places.evaluation / "report.json"),
        }
        if job.options.grid:
            about["grid"] = digests.of_folder(places.grid)
        said = job.options.conversion
        if named := [*filter(None, (said.color, said.depth)), *(f"{one.name}:={one.topic}" for one in said.sensors)]:
            about["topics"] = named
        return {**about, "recordings": [str(one.path) for one in job.given], **job.data()}

    def work() -> None:
        from mvloc_ros.learn.report.report import make_report

        make_report(report_inputs(job))

    return Step(
        "report",
        "report",
        inputs,
        work,
        lambda: {path.name: digests.of_file(path) for path in (page, values)},
    )


def report_inputs(job: Job) -> ReportInputs:
    """The files that the report is made of."""
    places = job.places
    page, values = places.report
    return ReportInputs(
        name=places.out.name,
        recordings=tuple(str(one.path) for one in job.given),
        posed=job.folders[0],
        bundle=places.out,
        evaluation=places.evaluation,
        posing=places.posed / "posing.json" if job.poses_are_made else None,
        grid=places.grid if job.options.grid else None,
        out_html=page,
        out_json=values,
        notes=_notes(job),
        topics=job.options.conversion,
    )


def _notes(job: Job) -> tuple[str, ...]:
    """What the page should say beside the figures, each a sentence."""
    folder = open_folders(job.folders, job.options.test_fraction)
    notes = [
        f"The poses were {budget_note()}.",
        f"The poses were {_how_followed(has_odometry(folder))}.",
    ]
    if job.holds_out:
        notes.append(
            "The figures are of the map without the held-out frames; the bundle has the map of all frames, with the "
            "thresholds by its own trials and the covariances of the other one."
        )
    if len(job.folders) > 1:
        names = ", ".join(path.name for path in job.folders)
        notes.append(f"The model is of {names}; the paths shown are those of {job.folders[0].name} alone.")
    return tuple(notes)


def _digest(bundle: Path) -> str:
    return read_bundle(bundle).digest
