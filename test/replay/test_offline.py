# SPDX-License-Identifier: Apache-2.0
"""The offline run and its report, with a model whose answers are known."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mvloc_ros.cli import main
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.projection import unproject
from mvloc_ros.geometry.trajectory import read_tum
from mvloc_ros.localization.estimate import PoseEstimate
from mvloc_ros.localization.localizer import Localizer, Seen
from mvloc_ros.recordings import RecordingError, topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.bag_writer import BagWriter
from mvloc_ros.recordings.message_builder import MessageBuilder
from mvloc_ros.replay import offline
from mvloc_ros.replay.errors import ReplayError
from mvloc_ros.replay.evaluated_parameters import evaluated
from mvloc_ros.replay.evaluation import evaluate
from mvloc_ros.replay.offline import OfflineOptions, run_offline
from mvloc_ros.replay.report import write_report
from mvloc_ros.replay.table import text_table

QUIET = OfflineOptions(evaluated(["threads:=1"]), progress=False)


def quiet(*overrides: str) -> OfflineOptions:
    return OfflineOptions(evaluated(["threads:=1", *overrides]), progress=False)


def test_every_pair_is_localized_with_the_known_error(camera_bag, tiny_bundle: Path):
    result = evaluate(run_offline(camera_bag(), tiny_bundle, QUIET))
    assert (result.frames, result.poses) == (8, 8)
    assert dict(result.run.drops) == {"unpaired": 0, "invalid": 0, "failed": 0, "rejected": 0}
    np.testing.assert_allclose(result.translation_m, 0.01 * np.arange(8), atol=1e-4)
    np.testing.assert_allclose(result.rotation_deg, np.arange(8), atol=1e-6)
    assert result.accuracy.recall == {"5cm_5deg": 6 / 8, "10cm_5deg": 6 / 8}
    assert set(result.baselines) == {"constant_pose", "nearest_training_pose"}
    for step in ("decode", "preprocess", "inference", "localization", "total"):
        assert result.latency_ms[step].p50 > 0
    steps = sum(result.step_ms[step] for step in ("decode", "preprocess", "inference", "localization"))
    assert np.all(result.step_ms["total"] >= steps - 1e-6)


def test_pairs_need_not_have_equal_stamps(camera_bag, tiny_bundle: Path):
    result = evaluate(run_offline(camera_bag(skew_ns=5_000_000), tiny_bundle, QUIET))
    assert result.poses >= 7, "the last pair may wait for a better partner"
    strict = quiet("pair_tolerance:=0.001")
    run = run_offline(camera_bag("apart", skew_ns=5_000_000), tiny_bundle, strict)
    assert len(run.estimates.stamps_ns) == 0
    assert run.drops["unpaired"] == 16


PERIOD = 33_333_333


@pytest.mark.parametrize(("after_s", "rejected"), [(1.0, {0, 1, 5, 6}), (1.5, {0, 1})])
def test_after_a_pause_nothing_is_known_of_the_pose(camera_bag, tiny_bundle: Path, after_s: float, rejected: set[int]):
    """Three poses that agree are needed to begin with: at the start, and after a pause that is long enough."""
    steady = "gate:=true gate_initial_fixes:=3 gate_max_jump:=100.0 gate_max_turn:=180.0 gate_max_mahalanobis:=1e6"
    bag = camera_bag(frames=9, pause=(5, 1_000_000_000 - PERIOD))
    run = run_offline(bag, tiny_bundle, replace(quiet(*steady.split()), restart_after_s=after_s))
    without = {index for index, stamp in enumerate(run.frames_ns) if stamp not in run.estimates.stamps_ns}
    assert without == rejected, run.outcomes


def test_bad_frames_are_counted_and_do_not_end_the_run(camera_bag, tiny_bundle: Path):
    def spoil(topic, index, message):
        if topic == topics.COLOR_IMAGE and index == 2:
            message.encoding = "unheard"
        if topic == topics.DEPTH_IMAGE and index == 4:
            return None
        return message

    result = evaluate(run_offline(camera_bag(spoil=spoil), tiny_bundle, QUIET))
    assert result.poses == 6
    assert list(np.flatnonzero(~result.has_pose)) == [2, 4]
    assert result.run.drops["invalid"] == 1
    assert result.run.drops["unpaired"] == 2, "the depth image of frame 2 and the colour image of frame 4"
    assert result.accuracy.recall["10cm_5deg"] == pytest.approx(4 / 8)


def test_damaged_messages_are_counted_and_do_not_end_the_run(camera_bag, tiny_bundle: Path, tmp_path: Path):
    damaged = tmp_path / "damaged"
    cut = {
        (topics.COLOR_IMAGE, 2): 30,
        (topics.DEPTH_IMAGE, 4): 40,
        (topics.COLOR_IMAGE, 6): 1,
        (topics.GROUND_TRUTH, 3): 30,
    }
    with BagReader(camera_bag()) as reader, BagWriter(damaged) as writer:
        for topic in reader.topics.values():
            writer.add_topic(topic.name, topic.type)
        seen: Counter[str] = Counter()
        for raw in reader.raw():
            writer.write_raw(raw.topic, raw.stamp_ns, raw.data[: cut.get((raw.topic, seen[raw.topic]))])
            seen[raw.topic] += 1
    run = run_offline(damaged, tiny_bundle, QUIET)
    assert run.drops["invalid"] == 3
    assert run.drops["unpaired"] == 3
    result = evaluate(run)
    assert (result.frames, result.poses, result.frames_with_truth) == (7, 5, 6), "one image has lost its stamp too"
    assert any("hold no pose" in note for note in run.notes)


def test_a_recording_without_images_is_named(camera_bag, tiny_bundle: Path):
    with pytest.raises(RecordingError, match="no message on /rgb"):
        run_offline(camera_bag(), tiny_bundle, OfflineOptions(color_topic="/rgb", progress=False))


def test_a_truth_topic_that_is_named_is_there_and_of_poses(camera_bag, tiny_bundle: Path):
    bag = camera_bag()
    with pytest.raises(RecordingError, match="no message on /mocap/pose"):
        run_offline(bag, tiny_bundle, replace(QUIET, truth_topic="/mocap/pose"))
    with pytest.raises(RecordingError, match=r"/tf_static .* is of type tf2_msgs/msg/TFMessage, not geometry_msgs"):
        run_offline(bag, tiny_bundle, replace(QUIET, truth_topic=topics.TF_STATIC))


def test_the_report_is_complete(camera_bag, tiny_bundle: Path, tmp_path: Path):
    result = evaluate(run_offline(camera_bag(), tiny_bundle, QUIET))
    out = tmp_path / "out" / "deep"
    table = write_report(result, out)
    assert "frames 8, poses 8 (100.0%)" in table
    assert "nearest training pose (oracle)" in table
    report = json.loads((out / "report.json").read_text())
    assert (report["frames"], report["poses"], report["source"], report["model"]) == (8, 8, "offline", "bundle")
    assert report["translation_m"]["median"] == pytest.approx(0.035, abs=1e-4)
    assert report["rotation_deg"]["p95"] == pytest.approx(6.65, abs=1e-3)
    assert set(report["latency_ms"]["inference"]) == {"p50", "p95", "p99", "max"}
    assert "oracle" in report["baselines"]["nearest_training_pose"]["meaning"]
    rows = list(csv.DictReader((out / "frames.csv").open()))
    assert len(rows) == 8
    assert int(rows[3]["stamp_ns"]) == int(result.stamps_ns[3])
    assert float(rows[3]["translation_m"]) == pytest.approx(0.03, abs=1e-4)
    estimate = read_tum(out / "estimate.tum")
    np.testing.assert_array_equal(estimate.stamps_ns, result.stamps_ns)
    np.testing.assert_allclose(estimate.poses, result.estimates, atol=1e-8)
    picture = cv2.imread(str(out / "trajectory.png"))
    assert picture.shape == (1050, 1500, 3)
    # The estimate's blue (BGR 178, 114, 0) is drawn.
    assert np.any(np.all(np.abs(picture.astype(int) - (178, 114, 0)) < 12, axis=2))
    assert not list(out.glob(".*")), "no temporary file stays"


def test_a_report_of_a_run_without_poses_or_truth(camera_bag, tiny_bundle: Path, tmp_path: Path):
    strict = quiet("pair_tolerance:=0.0")
    no_poses = evaluate(run_offline(camera_bag("a", skew_ns=1000), tiny_bundle, strict))
    assert "poses 0 (0.0%)" in write_report(no_poses, tmp_path / "a_out")
    no_truth = evaluate(run_offline(camera_bag("b", truth=False), tiny_bundle, QUIET))
    assert "no ground truth" in write_report(no_truth, tmp_path / "b_out")
    assert json.loads((tmp_path / "b_out" / "report.json").read_text())["translation_m"] is None
    assert (tmp_path / "b_out" / "trajectory.png").stat().st_size > 10_000


def test_truth_a_microsecond_off_needs_a_tolerance(camera_bag, tiny_bundle: Path, tmp_path: Path):
    def later(topic, index, message):
        if topic == topics.GROUND_TRUTH:
            message.header.stamp.nanosec += 1000
        return message

    words = ["replay", str(camera_bag(spoil=later)), "--model", str(tiny_bundle), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert main([*words, "--tolerance", "0.00001"]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["frames"], report["frames_with_truth"]) == (8, 8)


@pytest.mark.parametrize("frame", ["mocap", ""])
def test_truth_in_another_frame_than_the_map_is_said(camera_bag, tiny_bundle: Path, tmp_path: Path, frame: str):
    def elsewhere(topic, index, message):
        if topic == topics.GROUND_TRUTH:
            message.header.frame_id = frame
        return message

    said = f"note: the estimates are in 'map', the ground truth is in {frame!r}" if frame else "is in no named frame"
    table = write_report(evaluate(run_offline(camera_bag("a", spoil=elsewhere), tiny_bundle, QUIET)), tmp_path / "a")
    assert said in table
    report = json.loads((tmp_path / "a" / "report.json").read_text())
    assert (report["map_frame"], report["truth_frame"]) == ("map", frame)
    assert "the ground truth is in" in report["notes"][0]
    same = write_report(evaluate(run_offline(camera_bag("b"), tiny_bundle, QUIET)), tmp_path / "b")
    assert "the ground truth is in" not in same


def test_truth_whose_frame_changes_is_refused(camera_bag, tiny_bundle: Path):
    def changing(topic, index, message):
        if topic == topics.GROUND_TRUTH and index >= 4:
            message.header.frame_id = "odom"
        return message

    with pytest.raises(ReplayError, match=r"frame_id of /ground_truth/pose changes from 'map' to 'odom' at "):
        run_offline(camera_bag(spoil=changing), tiny_bundle, QUIET)


def test_a_jump_of_the_truth_is_said(camera_bag, tiny_bundle: Path):
    def jumping(topic, index, message):
        if topic == topics.GROUND_TRUTH and index >= 4:
            message.pose.position.x += 50.0
        return message

    notes = run_offline(camera_bag(spoil=jumping), tiny_bundle, QUIET).notes
    assert any(note.startswith("/ground_truth/pose: 1 step exceeds ") for note in notes)


def test_truth_that_is_no_pose_is_left_out_and_counted(camera_bag, tiny_bundle: Path, tmp_path: Path):
    def lost(topic, index, message):
        if topic == topics.GROUND_TRUTH and index == 2:
            message.pose.orientation.w = message.pose.orientation.z = 0.0
        if topic == topics.GROUND_TRUTH and index == 3:
            message.pose.position.y = float("nan")
        return message

    result = evaluate(run_offline(camera_bag(spoil=lost), tiny_bundle, QUIET))
    assert list(np.flatnonzero(np.isnan(result.translation_m))) == [2, 3]
    table = write_report(result, tmp_path)
    assert f"2 messages on {topics.GROUND_TRUTH} hold no pose and are left out" in table
    report = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    assert (report["frames_with_truth"], report["covariance"]["frames"]) == (6, 6)


def test_a_report_that_cannot_be_written_is_said(camera_bag, tiny_bundle: Path, tmp_path: Path):
    result = evaluate(run_offline(camera_bag(), tiny_bundle, QUIET))
    (tmp_path / "file").write_text("")
    with pytest.raises(ReplayError, match="cannot be written"):
        write_report(result, tmp_path / "file" / "out")


class Doubtful(Localizer):
    """Refines all poses and accepts every second one."""

    def judge(self, seen: Seen, *context: object) -> PoseEstimate:
        second = seen.frame.stamp_ns % 2 == 0  # start and period of the recording are odd
        return replace(super().judge(seen, *context), refined=not second, rejection="not this one" if second else "")


def test_rejected_frames_are_in_the_networks_row_and_in_the_times(camera_bag, tiny_bundle: Path, monkeypatch):
    monkeypatch.setattr(offline, "Localizer", Doubtful)
    result = evaluate(run_offline(camera_bag(), tiny_bundle, QUIET))
    assert (result.poses, result.run.drops["rejected"]) == (4, 4)
    np.testing.assert_allclose(result.network.translation_m, 0.01 * np.arange(8), atol=1e-4)
    assert result.network.accuracy.recall["5cm_5deg"] == 6 / 8
    assert np.all(result.step_ms["total"] > 0)
    assert "the network alone " in text_table(result)


@pytest.mark.parametrize(("without", "x", "y", "z"), [("color", 0, 1, 0), ("depth", 1, 0, 1)])
def test_a_lost_sensor_is_left_out(tiny_bundle: Path, camera_bag, without: str, x: int, y: int, z: int):
    run = run_offline(camera_bag(), tiny_bundle, replace(QUIET, without=without))
    assert run.source == f"offline, without {without}"
    metres = 1.0 + 0.1 * np.arange(8)
    expected = np.stack([10 + 2 * x * 20 * np.arange(8) / 255, 20 + 2 * y * metres, np.full(8, 30 + 2 * z)], axis=-1)
    np.testing.assert_allclose(run.estimates.poses[:, :3, 3], expected, atol=1e-4)


def test_every_frame_without_a_pose_has_its_reason(camera_bag, tiny_bundle: Path, monkeypatch, tmp_path: Path):
    def spoil(topic: str, index: int, message):
        if (topic, index) == (topics.DEPTH_IMAGE, 2):
            return None
        if (topic, index) in ((topics.COLOR_IMAGE, 4), (topics.DEPTH_IMAGE, 6)):
            message.encoding = "nonsense8"
        return message

    monkeypatch.setattr(offline, "Localizer", Doubtful)
    result = evaluate(run_offline(camera_bag(spoil=spoil), tiny_bundle, QUIET))
    write_report(result, tmp_path)
    rows = list(csv.DictReader((tmp_path / "frames.csv").open()))
    assert [row["outcome"] for row in rows] == [
        "accepted", "rejected", "unpaired", "rejected", "invalid", "rejected", "unpaired", "rejected",
    ]  # fmt: skip
    assert rows[1]["reason"] == "not this one"
    assert rows[2]["reason"] == "the nearest depth image is 0.033333 s away, 0.02 s are allowed"
    assert "nonsense8" in rows[4]["reason"]
    assert rows[6]["reason"].startswith("its depth image cannot be used: ")
    assert [(rows[0][name], rows[1][name]) for name in ("reason", "refined")] == [("", "not this one"), ("1", "0")]
    reasons = json.loads((tmp_path / "report.json").read_text())["reasons"]
    assert sum(reason["frames"] for reason in reasons) == 7
    assert (reasons[0]["kind"], reasons[0]["reason"], reasons[0]["frames"]) == ("rejected", "not this one", 4)
    assert "      4  rejected: not this one" in text_table(result)


def test_an_offline_run_without_a_pose_says_so(camera_bag, tiny_bundle: Path, tmp_path: Path, capsys):
    bag = camera_bag(skew_ns=15_000_000)
    words = ["--sync-tolerance", "0.001", "--threads", "1", "--out", str(tmp_path / "out")]
    assert main(["replay", str(bag), "--model", str(tiny_bundle), *words]) == 1
    assert (
        capsys.readouterr()
        .err.strip()
        .endswith(
            "0 of 8 frames gave an accepted pose (8 unpaired: the nearest depth image is N s away, N s are allowed)."
        )
    )


def with_infos(bag: Path, out: Path, camera: PinholeCamera) -> Path:
    """The recording, with camera_info of both images."""
    with BagReader(bag) as reader, BagWriter(out) as writer:
        for topic in reader.topics.values():
            writer.add_topic(topic.name, topic.type)
        build = MessageBuilder(writer.store)
        for name in (topics.COLOR_INFO, topics.DEPTH_INFO):
            writer.add_topic(name, topics.CAMERA_INFO)
        for raw in reader.raw():
            if raw.topic == topics.COLOR_IMAGE:
                for name in (topics.COLOR_INFO, topics.DEPTH_INFO):
                    writer.write(name, raw.stamp_ns, build.camera_info(raw.stamp_ns, topics.COLOR_FRAME, camera))
            writer.write_raw(raw.topic, raw.stamp_ns, raw.data)
    return out


TRAINED = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)  # of the tiny bundle


def test_another_camera_is_told_as_by_the_node(camera_bag, tiny_bundle: Path, tmp_path: Path):
    longer = replace(TRAINED, fx=84.0, fy=84.0)
    bag = with_infos(camera_bag(), tmp_path / "tele", longer)
    assert main(["replay", str(bag), "--model", str(tiny_bundle), "--out", str(tmp_path / "out")]) == 0
    notes = json.loads((tmp_path / "out" / "report.json").read_text())["notes"]
    for kind in ("colour", "depth"):
        words = f"the {kind} camera's focal length is 1.40 times the training's"
        assert any(note.startswith(words) for note in notes)
    rescaled = run_offline(bag, tiny_bundle, quiet("rescale_input:=true"))
    assert any("the colour camera sees 51% of what the training camera saw" in note for note in rescaled.notes)


def test_the_training_camera_is_no_finding_and_a_wrong_size_is_one(camera_bag, tiny_bundle: Path, tmp_path: Path):
    same = run_offline(with_infos(camera_bag(), tmp_path / "same", TRAINED), tiny_bundle, QUIET)
    assert same.notes == ("depth: 0.001 m a unit (REP 118), median 1 m, 100% of the pixels measured",)
    other = run_offline(with_infos(camera_bag("b"), tmp_path / "size", TRAINED.scaled_to(128, 96)), tiny_bundle, QUIET)
    assert "the depth images are 64x48, but their camera_info is for 128x96; check the driver" in other.notes
    none = run_offline(camera_bag("c"), tiny_bundle, QUIET)
    assert any("no camera_info is beside /camera/color/image_raw: its images are taken" in note for note in none.notes)
    with pytest.raises(ReplayError, match="leave out --rescale-input"):
        run_offline(camera_bag("d"), tiny_bundle, quiet("rescale_input:=true"))


def test_rescaled_images_show_what_the_training_camera_saw(camera_bag, tiny_bundle: Path, tmp_path: Path):
    """A camera of twice the pixels and the same lens in the middle, with other things around it."""

    def wide(topic, index, message):
        if topic == topics.GROUND_TRUTH:
            return message
        channels = 3 if topic == topics.COLOR_IMAGE else 2
        inner = np.asarray(message.data).reshape(48, 64, channels)
        image = np.full((96, 128, channels), 33, np.uint8)
        image[24:72, 32:96] = inner
        message.width, message.height, message.step = 128, 96, 128 * channels
        message.data = image.reshape(-1)
        return message

    bag = with_infos(camera_bag(spoil=wide), tmp_path / "wide", PinholeCamera(128, 96, 60.0, 60.0, 63.5, 47.5))
    result = evaluate(run_offline(bag, tiny_bundle, quiet("rescale_input:=true")))
    np.testing.assert_allclose(result.translation_m, 0.01 * np.arange(8), atol=1e-3)
    assert evaluate(run_offline(bag, tiny_bundle, QUIET)).translation_m.min() > 0.05


def test_depth_in_another_unit_is_noticed_and_can_be_stated(camera_bag, tiny_bundle: Path):
    def tenths(topic, index, message):
        if topic == topics.DEPTH_IMAGE:
            values = np.asarray(message.data).view(np.uint16) * np.uint16(10)
            values[:5] = 65535  # nothing seen: 6.5 m in this unit, which the model would take for a measurement
            message.data = values.view(np.uint8)
        return message

    bag = camera_bag(spoil=tenths)
    notes = " | ".join(run_offline(bag, tiny_bundle, QUIET).notes)
    assert "depth: 0.001 m a unit (REP 118), median 10 m" in notes
    stated = run_offline(bag, tiny_bundle, quiet("depth_unit_m:=1e-4"))
    assert any("depth: 0.0001 m a unit (by --depth-unit-m), median 1 m" in note for note in stated.notes)
    np.testing.assert_allclose(evaluate(stated).translation_m, 0.01 * np.arange(8), atol=1e-3)


class CloudMessages(MessageBuilder):
    """Adds what the project's own recordings do not have."""

    def cloud(self, header: object, points: np.ndarray) -> object:
        field = self._types["sensor_msgs/msg/PointField"]
        data = np.ascontiguousarray(points, np.float32)
        return self._types[topics.POINT_CLOUD](
            header=header, height=1, width=len(data), fields=[field(n, 4 * i, 7, 1) for i, n in enumerate("xyz")],
            is_bigendian=False, point_step=12, row_step=12 * len(data), data=data.view(np.uint8).reshape(-1),
            is_dense=True,
        )  # fmt: skip


def clouds_of(bag: Path, out: Path) -> Path:
    """The recording with each depth image as the points of its pixels, in the camera's frame."""
    with BagReader(bag) as reader, BagWriter(out) as writer:
        for topic in reader.topics.values():
            writer.add_topic(topic.name, topics.POINT_CLOUD if topic.name == topics.DEPTH_IMAGE else topic.type)
        messages = CloudMessages(writer.store)
        for topic, stamp, message in reader.messages():
            if topic != topics.DEPTH_IMAGE:
                writer.write(topic, stamp, message)
                continue
            metres = np.asarray(message.data).view(np.uint16).reshape(48, 64) / 1000.0
            writer.write(topic, stamp, messages.cloud(message.header, unproject(metres, TRAINED)))
    return out


def test_clouds_are_projected_as_in_the_node(camera_bag, tiny_bundle: Path, tmp_path: Path):
    def of_the_color_camera(topic, index, message):
        message.header.frame_id = topics.COLOR_FRAME if topic == topics.DEPTH_IMAGE else message.header.frame_id
        return message

    bag = clouds_of(camera_bag(spoil=of_the_color_camera), tmp_path / "clouds")
    result = evaluate(run_offline(bag, tiny_bundle, QUIET))
    assert result.poses == 8
    np.testing.assert_allclose(result.translation_m, 0.01 * np.arange(8), atol=1e-3)


def test_compressed_colour_is_found_beside_the_topic_that_is_named(camera_bag, tiny_bundle: Path, tmp_path: Path):
    bag, out = camera_bag(), tmp_path / "compressed"
    with BagReader(bag) as reader, BagWriter(out) as writer:
        for topic in reader.topics.values():
            if topic.name != topics.COLOR_IMAGE:
                writer.add_topic(topic.name, topic.type)
        writer.add_topic(f"{topics.COLOR_IMAGE}/compressed", topics.COMPRESSED_IMAGE)
        for topic, stamp, message in reader.messages():
            if topic != topics.COLOR_IMAGE:
                writer.write(topic, stamp, message)
                continue
            png = cv2.imencode(".png", np.asarray(message.data).reshape(48, 64, 3)[..., ::-1])[1].reshape(-1)
            kind = writer.store.types[topics.COMPRESSED_IMAGE]
            writer.write(f"{topic}/compressed", stamp, kind(message.header, "rgb8; png compressed bgr8", png))
    result = evaluate(run_offline(out, tiny_bundle, QUIET))
    np.testing.assert_allclose(result.translation_m, 0.01 * np.arange(8), atol=1e-3)


def test_a_recording_of_colour_alone_needs_a_word_and_is_then_localized_by_single_images(camera_bag, tiny_bundle: Path):
    def blind(topic, index, message):
        return None if topic == topics.DEPTH_IMAGE else message

    bag = camera_bag(frames=60, spoil=blind)
    with pytest.raises(RecordingError, match="A recording of color images alone is read with --without depth"):
        run_offline(bag, tiny_bundle, QUIET)
    run = run_offline(bag, tiny_bundle, replace(QUIET, without="depth"))
    accepted = [outcome for outcome in run.outcomes.values() if outcome.kind == "accepted"]
    assert len(accepted) >= 60 - 0.7 * 30  # all but those of the wait
    assert {outcome.remark.split(";")[0] for outcome in accepted} == {
        "no depth image has come on /camera/depth/image_raw yet"
    }


def test_the_nodes_own_parameter_file_is_taken(camera_bag, tiny_bundle: Path, tmp_path: Path, capsys):
    file = tmp_path / "robot.yaml"
    file.write_text("/**:\n  ros__parameters:\n    gate: true\n    gate_max_jump: 0.05\n    gate_initial_fixes: 100\n")
    words = ["replay", str(camera_bag()), "--model", str(tiny_bundle), "--out", str(tmp_path / "out")]
    assert main([*words, "--params-file", str(file)]) == 1
    assert "no pose has been accepted yet" in capsys.readouterr().err
    assert main([*words, "--params-file", str(file), "--parameter", "gate_initial_fixes:=1"]) == 0
    assert main([*words, "--parameter", "gate_max_jumpp:=1.0"]) == 2
    assert "the nearest name is gate_max_jump" in capsys.readouterr().err
