# SPDX-License-Identifier: Apache-2.0
"""Writes the demo recording as a folder in the 7-Scenes layout, in several processes, and resumes interrupted ones."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from mvloc_ros.demo.frame_files import DEPTH_UNITS_PER_METRE, DemoError, pose_file, write_frame
from mvloc_ros.demo.further_sensors import measure_further, sensors_of
from mvloc_ros.demo.renderer import CAMERA, RgbdFrame, demo_renderer
from mvloc_ros.demo.sequence_plans import (
    RATE_HZ,
    SPLITS,
    TEST_FRAMES,
    TRAIN_FRAMES,
    TRAIN_SEQUENCES,
    SequencePlan,
    plan_test,
    plan_training,
)
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.json_text import parse_json
from mvloc_ros.limits import MOST_MANIFEST_BYTES
from mvloc_ros.model.modalities import Sensor
from mvloc_ros.recordings.camera_file import sensor_content
from mvloc_ros.storage import exclusive, write_file

# Increment it when the same poses give other images. With the fingerprint of the paths it prevents mixing frames of two
# versions of this program in a folder.
VERSION = 1
LICENCE = "Apache-2.0 (synthetic, made by mvloc_ros)"


@dataclass(frozen=True)
class _Job:
    """Consecutive frames of one sequence, few enough that all workers end at about the same time."""

    root: Path
    seed: int
    plan: SequencePlan
    first: int
    last: int
    sensors: tuple[Sensor, ...] = ()


def write_folder(
    root: Path | str,
    *,
    split: str = "both",
    frames: int | None = None,
    seed: int = 0,
    sensors: str = "",
    workers: int | None = None,
    progress: bool = True,
) -> int:
    """Render training sequences, the test sequence or both into a folder; returns the number of new frames.

    frames: total of each split (default: TRAIN_FRAMES, TEST_FRAMES). sensors: names of `further_sensors.SENSORS` with
    commas, besides the color and the depth camera. Frames that exist are kept. The result does not
    depend on `workers` (default: one for each core, at most 2). With both splits in the folder, TrainSplit.txt and
    TestSplit.txt say which is which; with one, there are no such files.
    Raises DemoError if the folder has another recording or the numbers are invalid.
    """  # fmt: skip
    root = Path(root)
    plans, further = _plans(split, frames, seed), sensors_of(sensors)
    root.mkdir(parents=True, exist_ok=True)
    with exclusive(root):
        _check_identity(root, seed, further)
        jobs = [job for plan in plans for job in _missing(root, seed, plan, further)]
        total = sum(job.last - job.first for job in jobs)
        count = min(workers or min(2, os.cpu_count() or 1), max(1, len(jobs)))
        shown = progress and total > 0
        with tqdm(total=total, desc=f"rendering {root.name}", unit=" frames", disable=not shown) as bar:
            for written in _run(jobs, count):
                bar.update(written)
        _write_split_files(root)
    return total


def render_sequence(plan: SequencePlan, seed: int, sensors: Sequence[Sensor] = ()) -> Iterator[RgbdFrame]:
    """The frames of one sequence with sensor noise, without writing them; with the images of further sensors."""
    renderer = demo_renderer()
    renderer.set_light(plan.light, plan.exposure)
    for index, pose in zip(plan.indices, plan.poses, strict=True):
        key = (seed, plan.number, index)
        frame = renderer.measure(pose, np.random.default_rng(key))
        yield replace(frame, further=measure_further(renderer, pose, sensors, key)) if sensors else frame


def _plans(split: str, frames: int | None, seed: int) -> list[SequencePlan]:
    if split not in SPLITS:
        raise DemoError(f"--split {split!r} is unknown; choose one of {', '.join(SPLITS)}.")
    if frames is not None and frames < 1:
        raise DemoError(f"--frames must be at least 1, not {frames}.")
    if seed < 0:
        raise DemoError(f"--seed must be at least 0, not {seed}.")
    plans = plan_training(seed, frames or TRAIN_FRAMES) if split != "test" else []
    return plans + ([plan_test(seed, frames or TEST_FRAMES)] if split != "train" else [])


def _check_identity(root: Path, seed: int, sensors: Sequence[Sensor]) -> None:
    """Write the identity of the recording, or check that it is unchanged."""
    drives = _fingerprint(seed)
    identity: dict[str, Any] = {"made_by": "mvloc demo render", "version": VERSION, "seed": seed, "drives": drives}
    if sensors:
        identity["sensors"] = [sensor.name for sensor in sensors]
    path = root / "demo.json"
    if path.is_file():
        try:
            found = parse_json(read_text(path, "demo's file", DemoError, MOST_MANIFEST_BYTES))
        except ValueError:
            found = None
        if found != identity:
            raise DemoError(
                f"{root} has a demo recording of another seed, version or choice of sensors; delete it or use another "
                "folder."
            )
    elif any(root.glob("seq-*")):
        raise DemoError(f"{root} has a recording that is not of `mvloc demo render`; use another folder.")
    write_file(path, json.dumps(identity, indent=2) + "\n")
    camera = CAMERA.to_dict()
    settings: dict[str, Any] = {
        "color": camera, "depth": camera, "depth_registered": True, "pose_of": "color", "rate_hz": RATE_HZ,
        "depth_units_per_metre": DEPTH_UNITS_PER_METRE, "licence": LICENCE,
    }  # fmt: skip
    if sensors:
        settings["sensors"] = {sensor.name: sensor_content(sensor) for sensor in sensors}
    write_file(root / "camera.json", json.dumps(settings, indent=2) + "\n")


def _fingerprint(seed: int) -> str:
    """A digest of paths, lights and choice of frames, to detect a changed program."""
    digest = hashlib.sha256()
    for plan in (*plan_training(seed, 2 * TRAIN_SEQUENCES), plan_test(seed, 2)):
        digest.update(repr((plan.number, plan.indices, plan.light, round(plan.exposure, 6))).encode())
        # Rounded, since the last bits of sine and cosine differ between machines; + 0 turns -0 into 0.
        digest.update((plan.poses.round(6) + 0.0).tobytes())
    return digest.hexdigest()[:16]


def _missing(root: Path, seed: int, plan: SequencePlan, sensors: tuple[Sensor, ...], chunk: int = 25) -> list[_Job]:
    """Jobs for the frames that are not complete."""
    folder = root / plan.name
    folder.mkdir(exist_ok=True)
    for unfinished in folder.glob(".frame-*"):
        unfinished.unlink(missing_ok=True)
    wanted = [place for place, index in enumerate(plan.indices) if not pose_file(folder, index).is_file()]
    jobs: list[_Job] = []
    for place in wanted:
        previous = jobs[-1] if jobs else None
        if previous and previous.last == place and place - previous.first < chunk:
            jobs[-1] = replace(previous, last=place + 1)
        else:
            jobs.append(_Job(root, seed, plan, place, place + 1, sensors))
    return jobs


def _run(jobs: Sequence[_Job], workers: int) -> Iterator[int]:
    """Execute the jobs, in this process or in several; yields the number of finished frames."""
    if workers <= 1:
        for job in jobs:
            yield from _render(job)
        return
    # spawn: a fork would copy the locks of other threads.
    with _no_interrupts():
        pool = multiprocessing.get_context("spawn").Pool(workers, _prepare_worker)
    with pool:
        yield from pool.imap_unordered(_render_all, jobs)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Processes started in this context ignore Ctrl-C, which a terminal sends to all: their parent ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _prepare_worker() -> None:
    """One thread per worker, since each has its own core."""
    cv2.setNumThreads(1)


def _render_all(job: _Job) -> int:
    return sum(_render(job))


def _render(job: _Job) -> Iterator[int]:
    """Render and write the frames of one job."""
    piece = slice(job.first, job.last)
    plan = job.plan
    part = SequencePlan(plan.number, plan.split, plan.light, plan.exposure, plan.indices[piece], plan.poses[piece])
    folder = job.root / plan.name
    for index, pose, frame in zip(part.indices, part.poses, render_sequence(part, job.seed, job.sensors), strict=True):
        write_frame(folder, index, frame, pose)
        yield 1


def _write_split_files(root: Path) -> None:
    """Write the split files if the folder has both splits."""
    numbers = sorted(int(folder.name.removeprefix("seq-")) for folder in root.glob("seq-*"))
    test_number = plan_test(0, 1).number
    train, test = [n for n in numbers if n != test_number], [n for n in numbers if n == test_number]
    if train and test:
        write_file(root / "TrainSplit.txt", "".join(f"sequence{n}\n" for n in train))
        write_file(root / "TestSplit.txt", "".join(f"sequence{n}\n" for n in test))
