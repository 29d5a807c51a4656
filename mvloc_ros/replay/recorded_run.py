# SPDX-License-Identifier: Apache-2.0
"""Reads a live run back from the recording of the node's outputs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mvloc_ros.geometry.stamp_text import SECOND_NS
from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.parameters.table import NodeParameters
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.damage import TopicLoss
from mvloc_ros.replay.errors import ReplayError
from mvloc_ros.replay.evaluated_parameters import evaluated
from mvloc_ros.replay.outcomes import REJECTED
from mvloc_ros.replay.played_recording import as_seen, read_played
from mvloc_ros.replay.played_time import read_references
from mvloc_ros.replay.recorded_status import RecordedStatuses
from mvloc_ros.replay.run import CollectedPoses, Floats, Run, header_stamp, pose_matrix
from mvloc_ros.replay.timeline import Timeline

STEPS = ("decode", "wait", "preprocess", "inference", "localization")
"""What is done with every frame that reaches the network, accepted or not."""
PUBLICATION_STEPS = ("publish", "callback_to_publication", "stamp_to_publication")
STEP_STAMP_TO_RECEIPT = "stamp_to_receipt"
PLAUSIBLE_AGE_S = 3600.0
"""Above this the stamps were not taken by the clock they are compared with."""


@dataclass(frozen=True)
class LiveOptions:
    """Topics, the recording that was played, and the node's parameters."""

    played_bag: Path | None = None
    tolerance_s: float = 0.0
    pose_topic: str = "/mvloc/pose"
    status_topic: str = "/mvloc/status"
    truth_topic: str = topics.GROUND_TRUTH
    parameters: NodeParameters = field(default_factory=evaluated)
    allow_damage: bool = False

    @property
    def covariance_topic(self) -> str:
        """The topic of the same poses with covariance, beside them in the node's namespace."""
        return f"{self.pose_topic}_with_covariance"


def read_live_run(bag: Path | str, model: Path | str | None, options: LiveOptions) -> Run:
    """Read poses, status messages and ground truth of a live run.

    Frames are those of the recording that was played, if it is named, and else those of the recorded
    ground truth; with a model of further sensors also those of which a status tells. Raises RecordingError for a bad
    recording, ReplayError where no ground truth tells what was played.
    """
    bundle = None if model is None else read_bundle(model)
    of_depth = bundle is not None and bundle.manifest.frames.pose_of == "depth"
    recorded = _read(Path(bag), options, RecordedStatuses("depth_received" if of_depth else "color_received"))
    frames_ns, truth, truth_frame = recorded.truth.stamps_ns, recorded.truth, recorded.truth_frame
    inputs: tuple[str, ...] = ()
    losses = recorded.losses
    if options.played_bag is not None:
        manifest = None if bundle is None else bundle.manifest
        bag_played, truth_topic = options.played_bag, options.truth_topic
        read = read_played(bag_played, manifest, options.parameters, truth_topic, options.allow_damage)
        played = as_seen(read, recorded.passes, recorded.truth, bag_played)
        frames_ns, truth, truth_frame = played.frames_ns, played.truth, played.truth_frame
        inputs, losses = played.notes, (*losses, *played.losses)
    if not len(frames_ns):
        raise ReplayError(
            f"{bag} holds no ground truth on {options.truth_topic}: record that topic too, or name the recording that "
            "was played with --played-bag."
        )
    sent = len(frames_ns)
    if bundle is not None and bundle.manifest.sensors:  # frames without the pair have stamps of their own
        frames_ns = np.union1d(frames_ns, recorded.statuses.stamps_ns)
    training = None if bundle is None else bundle.training_trajectory()
    statuses, last = recorded.statuses, recorded.statuses.last
    of_clock, latency = _plausible(recorded.latency_ms)
    tolerance_ns = round(options.tolerance_s * SECOND_NS)
    outcomes = statuses.outcomes(frames_ns, recorded.estimates.stamps_ns, tolerance_ns, sent)
    notes = (*recorded.notes, *of_clock, *inputs, *statuses.notes(outcomes))
    covariances = {stamp: value for stamp, value in recorded.covariances.items() if _is_covariance(value)}
    if len(covariances) < len(recorded.covariances):
        count = len(recorded.covariances) - len(covariances)
        notes = (*notes, f"{count} messages on {options.covariance_topic} have no positive definite covariance")
    return Run(
        source="live",
        recording=(options.played_bag or Path(bag)).name,
        model="" if last is None else last.model,
        backend="" if last is None else last.backend,
        frames_ns=frames_ns,
        truth=truth,
        estimates=recorded.estimates,
        latency_ms=latency,
        drops={} if last is None else statuses.drops(sent),
        training_poses=None if training is None else training.poses,
        tolerance_ns=tolerance_ns,
        notes=notes if last is not None else (*notes, f"no message on {options.status_topic}: drops are unknown"),
        covariances=covariances,
        network=recorded.network,
        network_of_accepted=bool(statuses.totals[REJECTED]),
        outcomes=outcomes,
        map_frame=recorded.map_frame or ("map" if bundle is None else bundle.manifest.frames.map),
        truth_frame=truth_frame,
        losses=losses,
        sensors=statuses.sensors,
    )


@dataclass(frozen=True, eq=False)
class _Recorded:
    truth: Trajectory
    estimates: Trajectory
    latency_ms: dict[str, dict[int, float]]
    statuses: RecordedStatuses
    covariances: dict[int, Floats]
    network: Trajectory | None
    notes: tuple[str, ...]
    truth_frame: str
    map_frame: str
    losses: tuple[TopicLoss, ...]
    passes: list[Timeline]


def _read(bag: Path, options: LiveOptions, statuses: RecordedStatuses) -> _Recorded:
    truth, estimates = CollectedPoses(options.truth_topic), CollectedPoses(options.pose_topic)
    latency: dict[str, dict[int, float]] = defaultdict(dict)
    covariances: dict[int, Floats] = {}
    network: dict[int, Floats] = {}
    refined = False
    with BagReader(bag, allow_damage=options.allow_damage) as reader:
        for topic, received_ns, message in reader.messages(_topics(reader, options)):
            stamp = header_stamp(message)
            if topic == options.truth_topic:
                truth.take(message)
            elif topic == options.pose_topic:
                estimates.take(message)
                latency[STEP_STAMP_TO_RECEIPT][stamp] = (received_ns - stamp) / 1e6
            elif topic == options.covariance_topic:
                covariances[stamp] = np.array(message.pose.covariance, dtype=np.float64).reshape(6, 6)
            else:
                statuses.take(message)
                # A recording brings its own definitions, and an older one lacks this field.
                if message.pose_valid and hasattr(message, "network_pose"):
                    T = pose_matrix(message.network_pose)
                    if T is not None:
                        refined |= message.refined
                        network[stamp] = T
                for step in _steps_of(message):
                    latency[step][stamp] = float(getattr(message, f"{step}_ms"))
        passes = read_references(reader)
        damage, losses = reader.damage_notes(), tuple(reader.losses.values())
    if statuses.accepted and not (estimates.poses or estimates.no_poses):
        raise ReplayError(
            f"{bag} has no message on {options.pose_topic}, and its statuses tell of {statuses.accepted} published "
            "poses: name the topic that these are on with --pose-topic, or record it."
        )
    return _Recorded(
        truth.stamped(),
        estimates.stamped(),
        dict(latency),
        statuses,
        covariances,
        Trajectory.collect(network) if refined else None,
        (*damage, *truth.notes(), *truth.step_notes(), *estimates.notes()),
        truth.frame(),
        estimates.frame(),
        losses,
        passes,
    )


def _topics(reader: BagReader, options: LiveOptions) -> tuple[str, ...]:
    """What is read; a topic that the user named must be there, and every one of its type."""
    # A node that accepted no pose published none, and its statuses say why.
    status = reader.topics.get(options.status_topic)
    reader.expect(options.pose_topic, topics.POSE, optional=status is not None and status.count > 0)
    unnamed = options.truth_topic == topics.GROUND_TRUTH or options.played_bag is not None
    reader.expect(options.truth_topic, topics.POSE, optional=unnamed)
    reader.expect(options.status_topic, topics.STATUS, optional=options.status_topic == LiveOptions.status_topic)
    # Named by nobody: another program may have something else under this name.
    covariance = reader.topics.get(options.covariance_topic)
    of_type = covariance is not None and covariance.type == topics.POSE_WITH_COVARIANCE
    read = (options.truth_topic, options.pose_topic, options.status_topic)
    return (*read, options.covariance_topic) if of_type else read


def _steps_of(status: Any) -> tuple[str, ...]:
    """The steps whose times a status tells: it may also be of silence, or of a frame whose processing failed."""
    if status.pose_valid:
        return (*STEPS, *PUBLICATION_STEPS)
    return STEPS if status.inference_ms > 0.0 else ()


def _is_covariance(matrix: Floats) -> bool:
    """Whether it is finite and positive definite: others use zeros, or NaN, for "unknown"."""
    return bool(np.all(np.isfinite(matrix)) and np.linalg.eigvalsh(0.5 * (matrix + matrix.T))[0] > 0.0)


def _plausible(latency: dict[str, dict[int, float]]) -> tuple[tuple[str, ...], dict[str, dict[int, float]]]:
    """Leave out ages of images whose stamps belong to another clock (a recording's, say)."""
    notes: list[str] = []
    kept: dict[str, dict[int, float]] = {}
    for step, values in latency.items():
        typical = float(np.median(list(values.values()))) if values else 0.0
        if step.startswith("stamp_to") and abs(typical) > PLAUSIBLE_AGE_S * 1e3:
            notes.append(f"{step} is left out: the image stamps are of another clock (play with --restamp now)")
        else:
            kept[step] = values
    return tuple(notes), kept
