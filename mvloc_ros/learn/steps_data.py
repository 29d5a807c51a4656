# SPDX-License-Identifier: Apache-2.0
"""The first steps: recordings become folders of frames, and get poses where they have none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mvloc_ros.learn.errors import LearnError
from mvloc_ros.learn.given import Given
from mvloc_ros.learn.job import Job
from mvloc_ros.learn.step import Step, Values
from mvloc_ros.posing.pose import pose_folders
from mvloc_ros.recordings import digests, open_folder, open_folders
from mvloc_ros.recordings.agreement import require_agreement
from mvloc_ros.recordings.bare_folder import open_bare_folder
from mvloc_ros.recordings.contents import bare_contents_text, contents_text
from mvloc_ros.recordings.errors import NoPosesError
from mvloc_ros.recordings.posed_links import pose_by_trajectory
from mvloc_ros.recordings.to_dataset.bag_to_folder import to_dataset
from mvloc_ros.recordings.to_dataset.dataset_options import DatasetOptions
from mvloc_ros.recordings.to_dataset.pose_source import NO_POSES, PoseOptions
from mvloc_ros.recordings.train_test_split import TEST_FRACTION

_OPTIONS, _TEST_FRACTION = "options of recordings", "test fraction"


def read_step(job: Job) -> Step:
    """Every recording as a folder of frames, checked."""

    def inputs() -> Values:
        about: Values = {_OPTIONS: digests.of_values(_conversion_values(job))}
        about |= {_TEST_FRACTION: job.options.test_fraction, "force": job.options.force}
        for one in job.given:
            trajectory = one.trajectory
            named = (
                [] if trajectory is None else [digests.of_file(trajectory.path), trajectory.format, trajectory.frame]
            )
            about[f"recording {one.folder.name}"] = [digests.of_folder(one.path), *named]
        return about

    def stale(changed: Sequence[str]) -> list[Path]:
        names = {name.removeprefix("recording ") for name in changed if name.startswith("recording ")}
        every = bool({_OPTIONS, _TEST_FRACTION} & set(changed))
        made = [one.folder for one in job.given if not one.in_place and (every or one.folder.name in names)]
        return [path for folder in made for path in (folder, folder.with_name(f".{folder.name}.partial"))]

    def work() -> None:
        for one in job.given:
            _read(job, one)
        _require_all_or_none(job)
        if not job.poses_are_made:
            _check_together(job)

    def outputs() -> Values:
        return {one.folder.name: [job.has_poses(one), digests.of_folder(one.folder)] for one in job.given}

    return Step("read", "read and check", inputs, work, outputs, stale)


def poses_step(job: Job) -> Step:
    """Poses of recordings that have none."""

    def inputs() -> Values:
        options = asdict(job.options.posing)
        del options["threads"]
        options["origin"] = list(options["origin"])  # as JSON has it
        return {"assumptions": options} | {
            f"frames {one.folder.name}": digests.of_folder(one.folder) for one in job.given
        }

    def work() -> None:
        print(pose_folders([one.folder for one in job.given], job.places.posed, job.options.posing).text)
        _check_together(job)

    return Step(
        "poses",
        "poses",
        inputs,
        work,
        lambda: {"posed": digests.of_folder(job.places.posed)},
        lambda _: [job.places.posed],
        lambda: "" if job.poses_are_made else "the recordings have them",
        "mvloc pose",
    )


def _check_together(job: Job) -> None:
    """Print what is trained on, and refuse poses that contradict the depth, or recordings in several map frames."""
    folder = open_folders(job.folders, job.options.test_fraction)
    print(f"{contents_text(folder)}.")
    require_agreement(folder, job.options.force)


def _read(job: Job, one: Given) -> None:
    options = job.options
    if not one.is_folder:
        _convert(job, one)
    elif one.trajectory is not None:
        poses = options.conversion.poses
        lines = pose_by_trajectory(
            open_bare_folder(one.path),
            one.trajectory,
            one.folder,
            extrinsic=poses.T_pose_camera,
            how=poses.interpolation,
            force=options.force,
        )
        print(f"{one.path}:\n" + "\n".join(lines))
    elif job.has_poses(one):
        print(f"{contents_text(open_folder(one.path, options.test_fraction))}.")
    else:
        print(f"{bare_contents_text(open_bare_folder(one.path))}.")


def _convert(job: Job, one: Given) -> None:
    """A recording of messages as a folder: with its poses, or those of a trajectory, else without."""
    options = job.options
    conversion = replace(options.conversion, test_fraction=options.test_fraction)
    poses = replace(conversion.poses, trajectory=one.trajectory, map_alone=True)
    conversion = replace(conversion, poses=poses)
    if poses.source == NO_POSES:
        conversion = without_poses(conversion)
    try:
        summary = to_dataset(one.path, one.folder, conversion, force=options.force, allow_damage=options.allow_damage)
    except NoPosesError:
        print(f"{one.path} has no poses, so that they are made from the images.")
        conversion = without_poses(conversion)
        summary = to_dataset(one.path, one.folder, conversion, force=options.force, allow_damage=options.allow_damage)
    print(summary.text())


def without_poses(conversion: DatasetOptions) -> DatasetOptions:
    """The same for a folder without poses."""
    kept = PoseOptions(source=NO_POSES, max_gap_ns=conversion.poses.max_gap_ns, limits=conversion.poses.limits)
    return replace(conversion, poses=kept, test_fraction=TEST_FRACTION)


def _require_all_or_none(job: Job) -> None:
    """Poses that are made here are in a map of their own: with those of some recordings they do not fit."""
    with_poses = [str(one.path) for one in job.given if job.has_poses(one)]
    without = [str(one.path) for one in job.given if not job.has_poses(one)]
    if with_poses and without:
        raise LearnError(
            f"{', '.join(with_poses)} has poses and {', '.join(without)} has none: give --poses none, so that the "
            "poses of all are made in one map, or give those without poses a --trajectory in the map of the others."
        )


def _conversion_values(job: Job) -> dict[str, Any]:
    """The options of recordings, as values of JSON."""
    values = asdict(job.options.conversion)
    T = job.options.conversion.poses.T_pose_camera
    values["poses"]["T_pose_camera"] = None if T is None else T.tolist()
    if not job.options.conversion.sensors:
        del values["sensors"]  # as of runs from before there was the choice
    return {**values, "allow_damage": job.options.allow_damage}
