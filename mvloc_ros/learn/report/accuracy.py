# SPDX-License-Identifier: Apache-2.0
"""Accuracy and acceptance on held-out parts, computed from the frames of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.evaluation.pauses import pause_s
from mvloc_ros.evaluation.pose_errors import Accuracy, PoseErrors
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.learn.report.evaluation_files import Evaluation
from mvloc_ros.model.manifest_checks import ManifestError, Section

Array = NDArray[np.float64]

RIGHT_M, RIGHT_DEG = 0.05, 5.0
FALSE_M, FALSE_DEG = 0.20, 10.0
"""An accepted pose is right within the first two, and false beyond one of the others."""
_BASELINES = ("constant_pose", "nearest_training_pose")
# A frame at the same pose as a training frame is one of these.
_SAME_M, _SAME_RAD = 1e-4, 1e-4


@dataclass(frozen=True)
class HeldOut:
    """Figures of held-out frames that have a true pose.

    Attributes:
        frames, accepted, right, false: how many; right and false ones are among the accepted.
        median_m, p95_m, median_deg, p95_deg: errors of accepted poses; None where there are none.
        path_m: length of the true path.
        start_s, end_s: stamps of the first and the last frame.
    """

    frames: int
    accepted: int
    right: int
    false: int
    median_m: float | None
    p95_m: float | None
    median_deg: float | None
    p95_deg: float | None
    path_m: float
    start_s: float
    end_s: float

    @property
    def right_share(self) -> float:
        """Of all frames, those that are accepted and right."""
        return self.right / self.frames

    @property
    def accepted_share(self) -> float:
        """Of all frames, those that are accepted."""
        return self.accepted / self.frames

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "right_share": self.right_share, "accepted_share": self.accepted_share}


@dataclass(frozen=True)
class Row:
    """One line of the comparison: errors in metres and degrees, and the share of all frames within 5 cm and 5 deg."""

    name: str
    median_m: float | None
    p95_m: float | None
    median_deg: float | None
    p95_deg: float | None
    right_share: float


@dataclass(frozen=True)
class WakeUps:
    """What became of localizers that knew nothing, started at held-out frames; the limits are those of `WakeUpResult`.

    Attributes:
        count: how many were started.
        right, silent: those whose first pose was right, and those without one; the others' was wrong.
        accepted, false: accepted poses of all of them, and those that are far off.
        time_s: to the right first poses, median; None without any.
    """

    count: int
    right: int
    silent: int
    accepted: int
    false: int
    time_s: float | None


@dataclass(frozen=True, eq=False)
class AccuracyOnHeldOut:
    """All of an evaluation.

    Attributes:
        whole: of all frames with a true pose.
        parts: the same of each run of consecutive frames.
        wake_ups: of localizers that knew nothing at frames of these parts; None where none was started.
        comparison: this model, its network alone, and the baselines.
        reasons: (frames, in words) why frames have no pose, the most frequent first.
        training_frames: how many of the frames have the pose of a training frame, so that they are not held out.
        without_truth: frames that cannot be evaluated.
    """

    whole: HeldOut
    parts: tuple[HeldOut, ...]
    wake_ups: WakeUps | None
    comparison: tuple[Row, ...]
    reasons: tuple[tuple[int, str], ...]
    training_frames: int
    without_truth: int


def accuracy_of(evaluation: Evaluation, training: Trajectory | None) -> AccuracyOnHeldOut | None:
    """The figures; None where no frame has a true pose.

    Raises:
        ManifestError: a value of report.json is missing or of another kind; the caller names the file.
    """
    known = evaluation.has_truth
    if not known.any():
        return None
    parts = parts_of(evaluation)
    return AccuracyOnHeldOut(
        whole=_figures(evaluation, known),
        parts=tuple(_figures(evaluation, part) for part in parts),
        wake_ups=_wake_ups(evaluation.report),
        comparison=_comparison(evaluation, known),
        reasons=_reasons(evaluation.report),
        training_frames=0 if training is None else same_poses(evaluation.truth[known], training.poses),
        without_truth=int(np.sum(~known)),
    )


def is_right(evaluation: Evaluation) -> NDArray[np.bool_]:
    """`[N]`: accepted poses within 5 cm and 5 degrees."""
    near = (evaluation.translation_m <= RIGHT_M) & (evaluation.rotation_deg <= RIGHT_DEG)
    return np.asarray(evaluation.accepted & near)


def is_false(evaluation: Evaluation) -> NDArray[np.bool_]:
    """`[N]`: accepted poses beyond 0.2 m or 10 degrees."""
    far = (evaluation.translation_m > FALSE_M) | (evaluation.rotation_deg > FALSE_DEG)
    return np.asarray(evaluation.accepted & far)


def parts_of(evaluation: Evaluation) -> list[NDArray[np.bool_]]:
    """`[N]` each: the frames with a true pose, cut where the recording pauses."""
    index = np.flatnonzero(evaluation.has_truth)
    seconds = evaluation.stamps_ns[index] / 1e9
    steps = np.diff(seconds)
    least_s = pause_s(float(np.median(steps)) if len(steps) else 0.0)
    # A recording of several sequences has pauses of just a second (`from_folder`).
    cuts = np.flatnonzero((steps >= least_s - 1e-6) | (steps < 0.0)) + 1
    result = []
    for part in np.split(index, cuts):
        chosen = np.zeros(len(evaluation), dtype=bool)
        chosen[part] = True
        result.append(chosen)
    return result


def _wake_ups(report: Mapping[str, Any]) -> WakeUps | None:
    if report.get("wake_up") is None:
        return None
    values = Section(report).section("wake_up")
    count, right, silent = (values.integer(name) for name in ("count", "right", "without_pose"))
    times = None if values.value("time_s") is None else values.section("time_s")
    median = None if times is None else times.number("median")
    return WakeUps(count, right, silent, values.integer("accepted_poses"), values.integer("false_accepts"), median)


def _figures(evaluation: Evaluation, chosen: NDArray[np.bool_]) -> HeldOut:
    accepted = evaluation.accepted & chosen
    translation, rotation = evaluation.translation_m[accepted], evaluation.rotation_deg[accepted]
    steps = np.linalg.norm(np.diff(evaluation.truth[chosen, :3, 3], axis=0), axis=1)
    stamps = evaluation.stamps_ns[chosen] / 1e9
    return HeldOut(
        frames=int(chosen.sum()),
        accepted=int(accepted.sum()),
        right=int(np.sum(is_right(evaluation) & chosen)),
        false=int(np.sum(is_false(evaluation) & chosen)),
        median_m=_percentile(translation, 50),
        p95_m=_percentile(translation, 95),
        median_deg=_percentile(rotation, 50),
        p95_deg=_percentile(rotation, 95),
        path_m=float(steps[steps <= 1.0].sum()),  # longer ones lead from one part to another
        start_s=float(stamps[0]),
        end_s=float(stamps[-1]),
    )


def _percentile(values: Array, percent: float) -> float | None:
    return float(np.percentile(values, percent)) if len(values) else None


def _comparison(evaluation: Evaluation, known: NDArray[np.bool_]) -> tuple[Row, ...]:
    accepted = evaluation.accepted & known
    translation = np.where(accepted, evaluation.translation_m, np.nan)[known]
    rotation = np.where(accepted, evaluation.rotation_deg, np.nan)[known]
    rows = [_row("this model, accepted poses", PoseErrors(translation, rotation).accuracy())]
    report = Section(evaluation.report)
    if report.values.get("network_alone") is not None:
        rows.append(_stated(report.section("network_alone"), "its network alone"))
    baselines = report.section("baselines")
    names = {"constant_pose": "constant pose", "nearest_training_pose": "nearest training pose (oracle)"}
    rows += [_stated(baselines.section(name), names[name]) for name in _BASELINES if name in baselines.values]
    return tuple(rows)


def _row(name: str, accuracy: Accuracy) -> Row:
    t, r = accuracy.translation_m, accuracy.rotation_deg
    share = accuracy.recall["5cm_5deg"]
    if t is None or r is None:
        return Row(name, None, None, None, None, share)
    return Row(name, t.median, t.p95, r.median, r.p95, share)


def _stated(values: Section, name: str) -> Row:
    """A line of report.json. Raises ManifestError."""
    share = values.section("recall").number("5cm_5deg")
    if values.values.get("translation_m") is None:
        return Row(name, None, None, None, None, share)
    t, r = values.section("translation_m"), values.section("rotation_deg")
    return Row(name, t.number("median"), t.number("p95"), r.number("median"), r.number("p95"), share)


def _reasons(report: Mapping[str, Any]) -> tuple[tuple[int, str], ...]:
    found = report.get("reasons") or []
    if not isinstance(found, list):
        raise ManifestError("reasons must be a list")
    result = []
    for item in found:
        values = Section.of(item, "reasons")
        words = values.value("example" if values.integer("frames") == 1 else "reason")
        result.append((values.integer("frames"), f"{values.value('kind')}: {words}"))
    return tuple(result)


def same_poses(poses: Array, others: Array) -> int:
    """How many of poses `[N, 4, 4]` are among others `[M, 4, 4]`, to 0.1 mm and 0.1 mrad."""
    count = 0
    for pose in poses:
        near = others[np.linalg.norm(others[:, :3, 3] - pose[:3, 3], axis=1) <= _SAME_M]
        count += bool(len(near) and (se3.rotation_error(near, np.broadcast_to(pose, near.shape)) <= _SAME_RAD).any())
    return count
