# SPDX-License-Identifier: Apache-2.0
"""Reading a live run back: what the node published, against what was played."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rosbags.typesys import get_types_from_msg
from status_message import status_of

from mvloc_ros.cli import main
from mvloc_ros.errors import MvlocError
from mvloc_ros.geometry import se3
from mvloc_ros.recordings import RecordingError, topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.bag_writer import BagWriter
from mvloc_ros.recordings.message_builder import MessageBuilder
from mvloc_ros.replay import played_time
from mvloc_ros.replay.errors import ReplayError
from mvloc_ros.replay.evaluation import evaluate
from mvloc_ros.replay.live import NodeOptions
from mvloc_ros.replay.outcomes import Outcome, group_reasons
from mvloc_ros.replay.played_time import moved_by, read_references
from mvloc_ros.replay.recorded_run import LiveOptions, read_live_run
from mvloc_ros.replay.run import pose_matrix
from mvloc_ros.replay.table import text_table
from mvloc_ros.replay.timeline import Timeline

OFFSET = 1_700_000_000_000_000_000
TRANSPORT_NS = 40_000_000


@pytest.fixture
def live_bag(tmp_path: Path) -> Callable[..., Path]:
    """What the recorder stores when `played` ran through a node that errs by 1 cm along x."""

    def write(
        played: Path,
        name: str = "live",
        rate: float = 1.0,
        offset: int = OFFSET,
        truth: bool = True,
        told: bool = True,
        lost_truth: tuple[int, ...] = (),
        lost_pose: tuple[int, ...] = (),
        status: bool = True,
        refined: bool = False,
        rejected: int = 0,
        silent: tuple[int, ...] = (),
        said: Callable[[int], dict[str, object]] = lambda index: {},
        definition: str = "",
    ) -> Path:
        """`definition` is another one of the status than this version's."""
        path = tmp_path / name
        with BagReader(played) as reader, BagWriter(path) as writer:
            build = MessageBuilder(writer.store)
            if definition:
                writer.store.register(get_types_from_msg(definition, topics.STATUS))
            for topic, kind in (
                (topics.GROUND_TRUTH, topics.POSE),
                ("/mvloc/pose", topics.POSE),
                ("/mvloc/status", topics.STATUS),
                (played_time.TOPIC, played_time.TYPE),
            ):
                writer.add_topic(topic, kind)
            if told and offset:
                start = reader.start_ns
                timeline = Timeline(start, 0, start + offset, rate)
                writer.write(played_time.TOPIC, start + offset, reference(writer.store, timeline))
            for index, (_, before, message) in enumerate(reader.messages((topics.GROUND_TRUTH,))):
                stamp = reader.start_ns + offset + round((before - reader.start_ns) / rate)
                pose = pose_matrix(message.pose)
                if truth and index not in lost_truth:
                    # The recorder stores the very bytes that were played, but for the stamp.
                    message.header = build.header(stamp, "map")
                    writer.write(topics.GROUND_TRUTH, stamp, message)
                valid = index not in lost_pose
                if valid:
                    error = se3.from_parts(np.array([0.01, 0, 0]), np.array([0, 0, 0, 1.0]))
                    writer.write("/mvloc/pose", stamp + TRANSPORT_NS, build.pose(stamp, "map", error @ pose))
                if status and index not in silent:
                    far = build.pose(stamp, "map", se3.from_parts(np.array([0.3, 0, 0]), [0, 0, 0, 1.0]) @ pose).pose
                    more = {"network_pose": far, "refined": refined, "rejected": rejected}
                    told = status_message(writer.store, stamp, valid, index, **{**more, **said(index)})
                    writer.write("/mvloc/status", stamp + TRANSPORT_NS, told)
        return path

    return write


def reference(store, timeline: Timeline):
    """As the player says it, but of the recording's own classes."""
    time, kind = store.types["builtin_interfaces/msg/Time"], store.types[played_time.TYPE]
    build = MessageBuilder(store)
    message = kind(header=build.header(0, ""), time_ref=time(sec=0, nanosec=0), source="")
    return played_time.fill_reference(message, timeline)


def status_message(store, stamp: int, valid: bool, index: int, **more):
    values = {
        "pose_valid": valid,
        "decode_ms": 1.0,
        "inference_ms": 0.0 if index == 6 and not valid else 10.0 + index,
        "stamp_to_publication_ms": 30.0 if stamp > OFFSET else 1e12,
        "color_received": index + 1,
        "dropped_busy": index // 2,
        "model": "tiny",
        "backend": "arithmetic",
    }
    return status_of(store, stamp, **{**values, **more})


def test_a_live_run_is_joined_by_its_own_stamps(camera_bag, live_bag, tiny_bundle: Path):
    result = evaluate(read_live_run(live_bag(camera_bag(), lost_pose=(3,)), tiny_bundle, LiveOptions()))
    assert (result.frames, result.poses, result.run.source) == (8, 7, "live")
    np.testing.assert_allclose(result.translation_m, [0.01] * 3 + [np.nan] + [0.01] * 4)
    assert dict(result.run.drops) == {"unpaired": 0, "busy": 3, "invalid": 0, "failed": 0, "not_received": 0}
    assert (result.run.model, result.run.backend) == ("tiny", "arithmetic")
    assert result.latency_ms["inference"].max == pytest.approx(17.0)
    assert result.latency_ms["stamp_to_publication"].p95 == pytest.approx(30.0)
    assert result.latency_ms["stamp_to_receipt"].p50 == pytest.approx(40.0)
    assert result.accuracy.recall["5cm_5deg"] == pytest.approx(7 / 8)


def test_the_networks_own_poses_are_judged_beside_refined_ones(camera_bag, live_bag, tiny_bundle: Path):
    played = camera_bag()
    run = read_live_run(live_bag(played, lost_pose=(3,), refined=True), tiny_bundle, LiveOptions())
    network = evaluate(run).network
    np.testing.assert_allclose(network.translation_m, [0.3] * 3 + [np.nan] + [0.3] * 4)
    assert network.accuracy.translation_m.median == pytest.approx(0.3)
    assert read_live_run(live_bag(played, "plain"), tiny_bundle, LiveOptions()).network is None


def test_rejected_frames_took_their_time_and_their_network_poses_are_unknown(camera_bag, live_bag, tiny_bundle: Path):
    # Of frame 6 nothing is known: its processing failed.
    live = live_bag(camera_bag(), lost_pose=(3, 6), refined=True, rejected=1)
    result = evaluate(read_live_run(live, tiny_bundle, LiveOptions()))
    np.testing.assert_allclose(result.step_ms["inference"], [10, 11, 12, 13, 14, 15, np.nan, 17])
    np.testing.assert_array_equal(np.isnan(result.step_ms["stamp_to_publication"]), ~result.has_pose)
    assert "the network, of accepted frames" in text_table(result)
    assert result.network.accuracy.translation_m.median == pytest.approx(0.3)


def test_the_played_recordings_cameras_and_depth_are_looked_at_as_offline(camera_bag, live_bag, tiny_bundle: Path):
    played = camera_bag()
    run = read_live_run(live_bag(played), tiny_bundle, LiveOptions(played_bag=played))
    assert "depth: 0.001 m a unit (REP 118), median 1.35 m, 100% of the pixels measured" in run.notes
    assert any(note.startswith("no camera_info is beside /camera/depth/image_raw") for note in run.notes)
    values = NodeOptions(("depth_unit_m:=0.01", "depth_unit_m:=0.1", "rescale_input:=True")).parameters()
    assert (values.depth_unit_m, values.rescale_input, values.gate) == (0.1, True, False)


@pytest.mark.parametrize("rate", [1.0, 2.0, 0.3])
def test_the_played_recording_knows_frames_whose_truth_was_lost(camera_bag, live_bag, tiny_bundle: Path, rate: float):
    played = camera_bag()
    live = live_bag(played, rate=rate, lost_truth=(0, 4), lost_pose=(0, 4))
    without = evaluate(read_live_run(live, tiny_bundle, LiveOptions()))
    assert (without.frames, without.poses) == (6, 6), "two frames are unknown to the live recording"
    result = evaluate(read_live_run(live, tiny_bundle, LiveOptions(played_bag=played)))
    assert (result.frames, result.poses, result.stray_poses) == (8, 6, 0)
    np.testing.assert_allclose(result.translation_m[result.has_pose], 0.01)


def test_truth_comes_from_the_played_recording_where_it_was_not_recorded(camera_bag, live_bag, tiny_bundle: Path):
    played = camera_bag()
    live = live_bag(played, truth=False, offset=0)
    with pytest.raises(ReplayError, match="--played-bag"):
        read_live_run(live, tiny_bundle, LiveOptions())
    result = evaluate(read_live_run(live, tiny_bundle, LiveOptions(played_bag=played)))
    assert result.poses == 8
    assert "stamp_to_publication" not in result.latency_ms
    assert any("of another clock" in note for note in result.run.notes)


def test_recorded_poses_that_are_none_are_left_out_and_counted(camera_bag, live_bag, tmp_path: Path):
    spoilt = tmp_path / "spoilt"
    with BagReader(live_bag(camera_bag())) as reader, BagWriter(spoilt) as writer:
        for topic in reader.topics.values():
            writer.add_topic(topic.name, topic.type)
        seen: Counter[str] = Counter()
        for topic, stamp, message in reader.messages():
            seen[topic] += 1
            if (topic, seen[topic]) in (("/mvloc/pose", 3), (topics.GROUND_TRUTH, 6)):
                message.pose.orientation.x = float("nan")
            writer.write(topic, stamp, message)
    result = evaluate(read_live_run(spoilt, None, LiveOptions()))
    notes = " ".join(result.run.notes)
    assert "messages on /mvloc/pose hold no pose" in notes
    assert f"messages on {topics.GROUND_TRUTH} hold no pose" in notes
    assert (result.frames, result.poses, result.stray_poses) == (7, 6, 1)
    np.testing.assert_allclose(result.translation_m[result.has_pose], 0.01)


@pytest.mark.parametrize("with_played", [True, False])
def test_truth_in_another_frame_than_the_poses_is_said(camera_bag, live_bag, tmp_path: Path, with_played: bool):
    def elsewhere(topic, index, message):
        if topic == topics.GROUND_TRUTH:
            message.header.frame_id = "mocap"
        return message

    played = camera_bag("played", spoil=elsewhere)
    live = tmp_path / "renamed"
    with BagReader(live_bag(played)) as reader, BagWriter(live) as writer:
        for topic in reader.topics.values():
            writer.add_topic(topic.name, topic.type)
        for topic, stamp, message in reader.messages():
            writer.write(topic, stamp, elsewhere(topic, 0, message))
    run = read_live_run(live, None, LiveOptions(played_bag=played if with_played else None))
    assert (run.map_frame, run.truth_frame) == ("map", "mocap")
    assert "the estimates are in 'map', the ground truth is in 'mocap'" in text_table(evaluate(run))


def test_another_recording_is_not_taken_for_the_played_one(camera_bag, live_bag, tiny_bundle: Path):
    live = live_bag(camera_bag("a"))

    def elsewhere(topic, index, message):
        if topic == topics.GROUND_TRUTH:
            message.pose.position.x += 1.0
        return message

    with pytest.raises(ReplayError, match="is not that of"):
        read_live_run(live, tiny_bundle, LiveOptions(played_bag=camera_bag("b", spoil=elsewhere)))


def test_a_recording_that_was_played_twice_is_evaluated_by_its_first_pass(camera_bag, live_bag, tiny_bundle: Path):
    played = camera_bag()
    once, twice = live_bag(played), played.parent / "twice"
    with BagReader(once) as reader, BagWriter(twice) as writer:
        for topic in reader.topics.values():
            writer.add_topic(topic.name, topic.type)
        for raw in reader.raw():
            writer.write_raw(raw.topic, raw.stamp_ns, raw.data)
        second = Timeline(5_000_000_123, 0, OFFSET + 7_000_000_123, 1.0)
        writer.write(played_time.TOPIC, reader.end_ns + 1, reference(writer.store, second))
    result = evaluate(read_live_run(twice, tiny_bundle, LiveOptions(played_bag=played)))
    assert (result.frames, result.poses) == (8, 8)
    assert "the recording was played 2 times; the first pass is evaluated" in result.run.notes


def test_how_the_player_moved_the_stamps_is_read_back_to_the_nanosecond(live_bag, camera_bag):
    played = camera_bag()
    for rate in (1.0, 2.0, 0.3):
        with BagReader(live_bag(played, f"rate {rate}", rate=rate)) as reader:
            (timeline,) = read_references(reader)
        stamps = 5_000_000_123 + np.array([0, 33_333_333, 3_599_999_999_999], dtype=np.int64)
        expected = [5_000_000_123 + OFFSET + round((stamp - 5_000_000_123) / rate) for stamp in stamps.tolist()]
        assert moved_by([timeline])(stamps).tolist() == expected


def test_a_run_whose_stamps_were_moved_without_a_word_is_refused(camera_bag, live_bag, tiny_bundle: Path):
    played = camera_bag()
    live = live_bag(played, told=False)
    with pytest.raises(ReplayError, match=f"--restamp, {played_time.TOPIC} must be recorded too"):
        read_live_run(live, tiny_bundle, LiveOptions(played_bag=played))


def test_a_recording_without_truth_still_tells_which_frames_have_a_pose(camera_bag, live_bag, tiny_bundle: Path):
    live = live_bag(camera_bag(), truth=False, lost_pose=(3,))
    result = evaluate(read_live_run(live, tiny_bundle, LiveOptions(played_bag=camera_bag("bare", truth=False))))
    assert (result.frames, result.poses, result.frames_with_truth) == (8, 7, 0)


def test_topics_of_another_type_and_missing_truth_are_named(camera_bag, live_bag, tiny_bundle: Path):
    played, bare = camera_bag(), camera_bag("bare", truth=False)
    live = live_bag(played)
    for options, words in (
        (LiveOptions(truth_topic="/mvloc/status"), "/mvloc/status .* is of type mvloc_ros/msg/LocalizationStatus, not"),
        (LiveOptions(status_topic="/mvloc/pose"), "/mvloc/pose .* is of type geometry_msgs/msg/PoseStamped, not"),
        (LiveOptions(truth_topic="/nope"), "no message on /nope"),
        (LiveOptions(status_topic="/nope"), "no message on /nope"),
        (LiveOptions(truth_topic="/nope", played_bag=bare), "bare has no message on /nope"),
        (LiveOptions(truth_topic=topics.COLOR_IMAGE, played_bag=played), "is of type sensor_msgs/msg/Image, not"),
    ):
        with pytest.raises(MvlocError, match=words):
            read_live_run(live, tiny_bundle, options)


def test_a_run_without_status_or_poses(camera_bag, live_bag, tiny_bundle: Path, tmp_path: Path):
    run = read_live_run(live_bag(camera_bag(), status=False), None, LiveOptions())
    assert dict(run.drops) == {}
    assert any("drops are unknown" in note for note in run.notes)
    assert run.training_poses is None
    unknown = read_live_run(live_bag(camera_bag("third"), "lost", status=False, lost_pose=(3,)), None, LiveOptions())
    assert kinds(unknown) == [*["accepted"] * 3, "unknown", *["accepted"] * 4]
    nothing = live_bag(camera_bag("other"), "none", status=False, lost_pose=tuple(range(8)))
    with pytest.raises(RecordingError, match="no message on /mvloc/pose"):
        read_live_run(nothing, None, LiveOptions())


FAR = "the pose is {:.2f} m from the pose 0.1 s before, 0.50 m are allowed"


def rejected_all(index: int) -> dict[str, object]:
    reason = FAR.format(1 + index) if index < 6 else "only 3% of the depth image fits the scene map"
    last = {"last_rejection": reason, "rejected": index + 1, "dropped_busy": 0}
    return {"state": 3, "reason": f"{reason}; no depth image", "score": 0.25, "inference_ms": 9.0, **last}


def test_a_run_in_which_every_pose_was_rejected_says_why(camera_bag, live_bag, tmp_path: Path, capsys):
    live = live_bag(camera_bag(), lost_pose=tuple(range(8)), said=rejected_all)
    out = tmp_path / "out"
    assert main(["evaluate", str(live), "--out", str(out)]) == 1
    printed = capsys.readouterr()
    assert printed.err == (
        "0 of 8 frames gave an accepted pose (6 rejected: the pose is N m from the pose N s before, N m are allowed; "
        "2 rejected: only N% of the depth image fits the scene map).\n"
    )
    assert "frames 8, poses 0 (0.0%)" in printed.out
    assert "no pose of 8 frames, and why:" in printed.out
    reasons = json.loads((out / "report.json").read_text())["reasons"]
    assert [(reason["kind"], reason["frames"]) for reason in reasons] == [("rejected", 6), ("rejected", 2)]
    assert reasons[0]["example"] == FAR.format(1)
    rows = list(csv.DictReader((out / "frames.csv").open()))
    assert [row["reason"] for row in rows[:6]] == [FAR.format(1 + index) for index in range(6)]
    row = rows[7]
    shown = [row[name] for name in ("pose", "outcome", "state", "score", "refined", "remark")]
    assert shown == ["0", "rejected", "LOST", "0.25", "0", "no depth image"]


def test_poses_on_another_topic_are_no_run_without_poses(camera_bag, live_bag):
    live = live_bag(camera_bag())
    with pytest.raises(ReplayError, match=r"tell of 8 published poses: name the topic .* --pose-topic"):
        read_live_run(live, None, LiveOptions(pose_topic="/elsewhere"))


def kinds(run) -> list[str]:
    return [run.outcomes[int(stamp)].kind for stamp in run.frames_ns]


def test_frames_that_no_status_tells_of_get_the_cause_that_was_counted(camera_bag, live_bag, tiny_bundle: Path):
    def busy(index: int) -> dict[str, object]:
        return {"dropped_busy": 2 if index > 3 else 0, "color_received": 8}

    played = camera_bag()
    run = read_live_run(live_bag(played, lost_pose=(3, 4), silent=(3, 4), said=busy), None, LiveOptions())
    assert kinds(run) == ["accepted"] * 3 + ["busy"] * 2 + ["accepted"] * 3

    def two_causes(index: int) -> dict[str, object]:
        return {"dropped_busy": 1, "dropped_unpaired": int(index > 4), "color_received": 8}

    run = read_live_run(live_bag(played, "two", lost_pose=(1, 4), silent=(1, 4), said=two_causes), None, LiveOptions())
    assert kinds(run) == ["accepted", "busy", "accepted", "accepted", "unpaired", *["accepted"] * 3]

    def at_once(index: int) -> dict[str, object]:
        return {"dropped_busy": 1, "dropped_unpaired": 1, "color_received": 8}

    run = read_live_run(live_bag(played, "at_once", lost_pose=(1, 4), silent=(1, 4), said=at_once), None, LiveOptions())
    assert kinds(run)[1] == kinds(run)[4] == "busy or unpaired", "it is open, and no guess is made"

    def never_came(index: int) -> dict[str, object]:
        return {"dropped_busy": 0, "color_received": min(index + 1, 7)}

    run = read_live_run(live_bag(played, "lost", lost_pose=(7,), silent=(7,), said=never_came), None, LiveOptions())
    assert kinds(run)[7] == "not_received"
    run = read_live_run(
        live_bag(played, "open", lost_pose=(5,), silent=(5,), said=lambda i: {"dropped_busy": 0, "color_received": 8}),
        None,
        LiveOptions(),
    )
    assert kinds(run)[5] == "unknown"


def test_failed_frames_and_poses_that_were_not_recorded_are_told_apart(camera_bag, live_bag):
    def said(index: int) -> dict[str, object]:
        words = {6: "TF does not tell where 'camera_1' is", 2: "colour alone"}.get(index, "")
        return {
            "reason": words,
            "pose_valid": index != 6,
            "state": 3 if index == 6 else 2,
            "dropped_failed": index // 6,
        }

    run = read_live_run(live_bag(camera_bag(), lost_pose=(3, 6), said=said), None, LiveOptions())
    assert kinds(run) == [*["accepted"] * 3, "not_recorded", "accepted", "accepted", "failed", "accepted"]
    outcomes = [run.outcomes[int(stamp)] for stamp in run.frames_ns]
    assert (outcomes[6].reason, outcomes[6].refined) == ("TF does not tell where 'camera_1' is", None)
    assert (outcomes[2].reason, outcomes[2].remark, outcomes[2].state) == ("", "colour alone", "DEGRADED")
    assert "1 of 7 poses were published as DEGRADED: colour alone" in run.notes
    assert "5 of 7 poses were published as DEGRADED: the status does not say why" in run.notes


def test_what_an_idle_node_said_is_told_where_frames_did_not_get_to_it(camera_bag, live_bag):
    idle = {"reason": "no publisher on /depth", "decode_ms": 0.0, "inference_ms": 0.0, "pose_valid": False}

    def said(index: int) -> dict[str, object]:
        return {**idle, "dropped_busy": 0, "dropped_unpaired": index + 1}

    every = tuple(range(8))
    # Statuses of silence have stamps of their own, which belong to no frame.
    run = read_live_run(live_bag(camera_bag(), lost_pose=every, said=said), None, LiveOptions())
    assert kinds(run) == ["unpaired"] * 8
    assert "while it processed nothing the node said: no publisher on /depth" in run.notes


def test_counters_of_a_node_that_was_activated_again_add_up(camera_bag, live_bag):
    def again(index: int) -> dict[str, object]:
        return {"dropped_busy": (5, 6, 7, 8, 0, 1, 2, 2)[index], "color_received": (1, 2, 3, 4, 1, 2, 3, 4)[index]}

    run = read_live_run(live_bag(camera_bag(), said=again), None, LiveOptions())
    assert (run.drops["busy"], run.drops["not_received"]) == (10, 0)


def test_what_a_node_counted_before_the_recording_began_is_not_of_the_run(camera_bag, live_bag):
    def running(index: int) -> dict[str, object]:
        return {"published": 900 + index, "dropped_busy": 500 + index // 4, "color_received": 1500 + index}

    run = read_live_run(live_bag(camera_bag(), said=running), None, LiveOptions())
    assert run.drops["busy"] == 1
    assert "not_received" not in run.drops
    assert any("active before the recording began" in note for note in run.notes)


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        ("0.53 m from (1.2, -3e-05), 16UC1 of 640x480", "N m from (N, N), 16UC1 of N"),
        ("only 12% of camera_1, rgb8", "only N% of camera_1, rgb8"),
        ("5 of 3.", "N of N."),
    ],
)
def test_reasons_are_grouped_without_their_numbers(words: str, pattern: str):
    (group,) = group_reasons([Outcome("rejected", words), Outcome("rejected", words)])
    assert (group.reason, group.frames, group.example) == (pattern, 2, words)


CURRENT = Path(__file__).resolve().parents[2] / "msg" / "LocalizationStatus.msg"


@pytest.mark.parametrize("before", ["# FURTHER SENSORS", "# TRUST"])
def test_statuses_with_the_fields_of_earlier_versions_are_read(camera_bag, live_bag, tmp_path, before: str):
    """Without those of further sensors, and further back without scores and what follows but counters."""
    text = CURRENT.read_text()
    older = text.split(before)[0]
    if "# COUNTERS" not in older:
        latency = text.split("# LATENCY")[1].split("# FURTHER SENSORS")[0]
        lines = [line for line in latency.splitlines() if "uint64 rejected" not in line and "refinement_ms" not in line]
        older += "# LATENCY" + "\n".join(lines)

    played = camera_bag()
    live = live_bag(played, lost_pose=(3,), definition=older)
    with BagReader(live) as reader:
        status = next(message for _, _, message in reader.messages(("/mvloc/status",)))
    assert not hasattr(status, "sensors")
    assert hasattr(status, "score") == ("network_pose" in older)
    run = read_live_run(live, None, LiveOptions(played_bag=played))
    assert run.sensors == ()
    assert kinds(run).count("accepted") == 7
    assert main(["evaluate", str(live), "--played-bag", str(played), "--out", str(tmp_path / "out")]) == 0
    rows = list(csv.DictReader((tmp_path / "out" / "frames.csv").open()))
    assert not any(name.endswith("_share") for name in rows[0])


def test_statuses_whose_arrays_of_sensors_are_of_different_lengths_are_read(camera_bag, live_bag):
    def said(index: int) -> dict[str, object]:
        rest = {"sensor_shares": np.array([0.1], np.float32), "sensor_skews": np.array([0.01])}
        return {"sensors": ["rear", "thermal"], **rest, "sensors_received": np.array([index], np.uint64)}

    run = read_live_run(live_bag(camera_bag(), said=said), None, LiveOptions())
    assert run.sensors == ("rear", "thermal")
    assert kinds(run) == ["accepted"] * 8
    assert {tuple(outcome.skews_s.items()) for outcome in run.outcomes.values()} == {(("rear", 0.01),)}
    assert not any(outcome.shares for outcome in run.outcomes.values())
