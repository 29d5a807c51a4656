# SPDX-License-Identifier: Apache-2.0
"""Evaluates a run: joins poses with ground truth by their stamps, and computes errors and baselines.

Live and offline runs come here as the same value, so that their figures mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mvloc_ros.evaluation.baselines import constant_pose, nearest_training_poses
from mvloc_ros.evaluation.consistency import Consistency, consistency
from mvloc_ros.evaluation.matching import match
from mvloc_ros.evaluation.percentiles import Percentiles, percentiles
from mvloc_ros.evaluation.pose_errors import Accuracy, PoseErrors
from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.replay.errors import ReplayError
from mvloc_ros.replay.outcomes import ReasonCount, group_reasons
from mvloc_ros.replay.run import Floats, Run, Stamps


@dataclass(frozen=True, eq=False)
class NetworkAlone:
    """The network's own poses `[N, 4, 4]` and their errors `[N]`, where those that were published are refined.

    `label` says of which frames they are.
    """

    label: str
    poses: Floats
    translation_m: Floats
    rotation_deg: Floats
    accuracy: Accuracy


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """Per frame, in order of time, and in total.

    `truth` and `estimates` are [N, 4, 4] and NaN where there is none; so are the errors [N] and the
    latencies [N] per step. `stray_poses` are poses that belong to no frame. `accuracy` is None without
    ground truth; `baselines` is empty without training poses. `evaluated` [N] are the frames whose covariance was
    evaluated, `consistency` is None where there are none. `network` is None where nothing was refined.
    """

    run: Run
    stamps_ns: Stamps
    truth: Floats
    estimates: Floats
    translation_m: Floats
    rotation_deg: Floats
    step_ms: Mapping[str, Floats]
    accuracy: Accuracy | None
    baselines: Mapping[str, Accuracy]
    latency_ms: Mapping[str, Percentiles]
    stray_poses: int
    evaluated: npt.NDArray[np.bool_]
    consistency: Consistency | None
    network: NetworkAlone | None

    @property
    def frames(self) -> int:
        """Frames that were there to be localized."""
        return len(self.stamps_ns)

    @property
    def has_pose(self) -> npt.NDArray[np.bool_]:
        """[N]: which frames got a pose."""
        return _known(self.estimates)

    @property
    def poses(self) -> int:
        """Frames that got a pose."""
        return int(np.sum(self.has_pose))

    @property
    def reasons(self) -> tuple[ReasonCount, ...]:
        """Why frames have no pose, the most frequent reason first; empty where the run does not tell."""
        without = (int(stamp) for stamp in self.stamps_ns[~self.has_pose])
        return group_reasons(outcome for stamp in without if (outcome := self.run.outcomes.get(stamp)) is not None)

    @property
    def frames_with_truth(self) -> int:
        """Frames that could be evaluated; recall is a share of these."""
        return int(np.sum(_known(self.truth)))


def evaluate(run: Run) -> EvaluationResult:
    """Join and evaluate a run.

    Raises ReplayError where there are no frames, or poses or ground truth but no stamp in common with the frames:
    the figures would look like a failed localization, or be missing, and be a mistake of the set-up.
    """
    if not len(run.frames_ns):
        raise ReplayError(f"{run.recording} has no frame to evaluate: neither ground truth nor images.")
    with_truth = match(run.frames_ns, run.truth.stamps_ns, run.tolerance_ns)
    _require_common_stamps("ground truth", run.truth, run, with_truth, "name its topic with --truth-topic")
    truth = take(run.truth, with_truth)
    found = match(run.frames_ns, run.estimates.stamps_ns, run.tolerance_ns)
    estimates = take(run.estimates, found)
    _require_common_stamps("pose", run.estimates, run, found, "evaluate against the recording that was played")
    errors = PoseErrors.of(estimates, truth)
    known = _known(truth)
    steps = {name: _per_frame(run, values) for name, values in run.latency_ms.items()}
    covariances = _covariances(run, found)
    evaluated = known & _known(estimates) & _known(covariances)
    summaries = {name: summary for name, values in steps.items() if (summary := percentiles(values)) is not None}
    return EvaluationResult(
        run=run,
        stamps_ns=run.frames_ns,
        truth=truth,
        estimates=estimates,
        translation_m=errors.translation_m,
        rotation_deg=errors.rotation_deg,
        step_ms=steps,
        accuracy=errors.of_frames(known).accuracy() if known.any() else None,
        baselines=_baselines(run, truth[known]),
        latency_ms=summaries,
        stray_poses=len(run.estimates.stamps_ns) - int(np.sum(found >= 0)),
        evaluated=evaluated,
        consistency=consistency(pose_error(estimates[evaluated], truth[evaluated]), covariances[evaluated]),
        network=_network_alone(run, truth),
    )


def _network_alone(run: Run, truth: Floats) -> NetworkAlone | None:
    known = _known(truth)
    if run.network is None or not known.any():
        return None
    poses = take(run.network, match(run.frames_ns, run.network.stamps_ns, run.tolerance_ns))
    errors = PoseErrors.of(poses, truth)
    label = "the network, of accepted frames" if run.network_of_accepted else "the network alone"
    return NetworkAlone(label, poses, errors.translation_m, errors.rotation_deg, errors.of_frames(known).accuracy())


def _known(matrices: Floats) -> npt.NDArray[np.bool_]:
    """[N]: which of [N, D, D] are there, that is finite in every number."""
    return np.asarray(np.isfinite(matrices).all(axis=(1, 2)))


def take(poses: Trajectory, indices: npt.NDArray[np.int64]) -> Floats:
    """The poses [N, 4, 4] at the indices, NaN where the index is -1."""
    result = np.full((len(indices), 4, 4), np.nan)
    result[indices >= 0] = poses.poses[indices[indices >= 0]]
    return result


def _require_common_stamps(what: str, poses: Trajectory, run: Run, found: npt.NDArray[np.int64], remedy: str) -> None:
    if len(poses.stamps_ns) and not np.any(found >= 0):
        apart = min(int(np.min(np.abs(run.frames_ns - stamp))) for stamp in poses.stamps_ns)
        raise ReplayError(
            f"No {what} in {run.recording} has the stamp of a frame (the nearest is {apart / 1e9:.9f} s off): "
            f"{remedy}, or allow a difference with --tolerance."
        )


def _per_frame(run: Run, values: Mapping[int, float]) -> Floats:
    """Milliseconds [N], of frames without a pose as well; NaN where the step was not taken."""
    stamps = np.array(sorted(values), dtype=np.int64)
    found = match(run.frames_ns, stamps, run.tolerance_ns)
    return np.array([values[int(stamps[i])] if i >= 0 else np.nan for i in found], dtype=np.float64)


def _covariances(run: Run, found: npt.NDArray[np.int64]) -> Floats:
    """[N, 6, 6], NaN where the frame's pose has none; found by the stamp of the pose that the frame got."""
    result = np.full((len(found), 6, 6), np.nan)
    for frame, i in enumerate(found):
        covariance = run.covariances.get(int(run.estimates.stamps_ns[i])) if i >= 0 else None
        if covariance is not None:
            result[frame] = covariance
    return result


def _baselines(run: Run, truth: Floats) -> dict[str, Accuracy]:
    if run.training_poses is None or not len(run.training_poses) or not len(truth):
        return {}
    constant = np.broadcast_to(constant_pose(run.training_poses), truth.shape)
    nearest = nearest_training_poses(run.training_poses, truth)
    return {
        "constant_pose": PoseErrors.of(constant, truth).accuracy(),
        "nearest_training_pose": PoseErrors.of(nearest, truth).accuracy(),
    }
