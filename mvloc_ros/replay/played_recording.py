# SPDX-License-Identifier: Apache-2.0
"""The recording that was played to a live node: its frames and ground truth, at the stamps that the node saw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.model.manifest import Manifest
from mvloc_ros.parameters.table import NodeParameters
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.damage import TopicLoss
from mvloc_ros.replay import played_time
from mvloc_ros.replay.camera_findings import camera_findings
from mvloc_ros.replay.errors import ReplayError
from mvloc_ros.replay.image_topics import ImageTopics, present_image_topics
from mvloc_ros.replay.played_time import moved_by
from mvloc_ros.replay.recorded_depth import recorded_depth_notes
from mvloc_ros.replay.run import CollectedPoses, Stamps
from mvloc_ros.replay.timeline import Timeline


@dataclass(frozen=True, eq=False)
class PlayedRecording:
    """Stamps of the played images and their ground truth, as the live run saw them, and what the recording lacks.

    `notes` are remarks on damage, cameras and depth.
    """

    frames_ns: Stamps
    truth: Trajectory
    truth_frame: str
    notes: tuple[str, ...]
    losses: tuple[TopicLoss, ...]


def read_played(
    bag: Path, manifest: Manifest | None, values: NodeParameters, truth_topic: str, allow_damage: bool
) -> PlayedRecording:
    """Read the recording, with its own stamps.

    Args:
        bag: the recording.
        manifest: of the model, with which cameras and depth are compared; None: they are not.
        values: the parameters of the node.
        truth_topic: of the ground truth; one that was named must be there.
        allow_damage: read what is left of a damaged recording.

    Raises:
        RecordingError: the recording cannot be read, or lacks the topic of the ground truth that was named.
    """
    truth, frames = CollectedPoses(truth_topic), set[int]()
    notes: list[str] = []
    with BagReader(bag, allow_damage=allow_damage) as reader:
        reader.expect(truth_topic, topics.POSE, optional=truth_topic == topics.GROUND_TRUTH)
        named = topics.COLOR_IMAGE, topics.DEPTH_IMAGE
        if manifest is None:
            values = values.having({"sensor_topics": ""})  # whose names are the model's
        sensors = () if manifest is None else [item.sensor.name for item in manifest.sensors]
        images, values = present_image_topics(reader, *named, values, sensors)
        carrier = images.names.get("color" if manifest is None else manifest.frames.pose_of, "")
        for raw in reader.raw((carrier, truth_topic)):
            if raw.topic == carrier:
                frames.add(reader.header_stamp(raw))
            else:
                truth.take(reader.decode_or_leave_out(raw))
        notes += [f"the played recording: {note}" for note in reader.damage_notes()]
        losses = tuple(reader.losses.values())
        if manifest is not None:
            notes += _inputs(reader, images, manifest, values)
    played = truth.stamped()
    stamps = np.array(sorted(frames), dtype=np.int64) if frames else played.stamps_ns
    return PlayedRecording(stamps, played, truth.frame(), tuple(notes), losses)


def as_seen(played: PlayedRecording, passes: list[Timeline], recorded_truth: Trajectory, bag: Path) -> PlayedRecording:
    """The recording with the stamps that the player gave it.

    Args:
        played: with its own stamps.
        passes: what the player said; nothing where stamps were not moved.
        recorded_truth: of the live run, by which it is seen that this recording was played.
        bag: its path, for words.

    Raises:
        ReplayError: another recording was played.
    """
    move = moved_by(passes)
    truth = Trajectory(move(played.truth.stamps_ns), played.truth.poses)
    if len(truth.stamps_ns) and len(recorded_truth.stamps_ns):
        _require_same(truth, recorded_truth, bag, is_moved=bool(passes))
    notes = played.notes
    if len(passes) > 1:
        notes = (*notes, f"the recording was played {len(passes)} times; the first pass is evaluated")
    return PlayedRecording(move(played.frames_ns), truth, played.truth_frame, notes, played.losses)


def _inputs(reader: BagReader, images: ImageTopics, manifest: Manifest, values: NodeParameters) -> list[str]:
    clouds = values.depth_source == "cloud"
    found = camera_findings(reader, images, manifest, rescale=values.rescale_input, clouds=clouds).texts
    return found + recorded_depth_notes(reader, images.depth, manifest, values.depth_unit_m)


def _require_same(played: Trajectory, recorded: Trajectory, bag: Path, is_moved: bool) -> None:
    """That the ground truth of both is the same, at the stamps that it is at. Raises ReplayError."""
    _, in_played, in_recorded = np.intersect1d(played.stamps_ns, recorded.stamps_ns, return_indices=True)
    same = np.all(np.isclose(played.poses[in_played], recorded.poses[in_recorded], atol=1e-6), axis=(1, 2))
    if np.count_nonzero(same) >= 0.5 * len(recorded.stamps_ns):
        return
    how = "" if is_moved else f"; where it was played with --restamp, {played_time.TOPIC} must be recorded too"
    raise ReplayError(f"The recorded ground truth is not that of {bag}: name the recording that was played{how}.")
