# SPDX-License-Identifier: Apache-2.0
"""The figures of a report against values that follow from the inputs, and what is said where inputs are missing."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvloc_ros.cli import _parser, main
from mvloc_ros.drawing.canvas import Extent, raster, steps_between
from mvloc_ros.evaluation.wake_ups import WakeUpResult
from mvloc_ros.learn.report.accuracy import parts_of
from mvloc_ros.learn.report.evaluation_files import Evaluation
from mvloc_ros.learn.report.expected_error import expected_error
from mvloc_ros.learn.report.figures import figures_of
from mvloc_ros.learn.report.findings import find
from mvloc_ros.learn.report.next_commands import next_commands
from mvloc_ros.learn.report.place import Path2D
from mvloc_ros.learn.report.posing_file import Span
from mvloc_ros.learn.report.report import ReportError, ReportInputs, make_report
from mvloc_ros.learn.report.verdict import length, share, verdict_of
from mvloc_ros.localization.scene_map import MapPoints, SceneMap, read_scene_map
from mvloc_ros.mapping.grid_views import Views
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.model.bundle_writer import write_bundle

Report = tuple[str, dict[str, Any], Path]
Inputs = Callable[..., ReportInputs]


def made(inputs: ReportInputs) -> tuple[str, dict[str, Any]]:
    make_report(inputs)
    return inputs.out_html.read_text(), json.loads(inputs.out_json.read_text())


def figures(inputs: ReportInputs) -> dict[str, Any]:
    """As `make_report` computes them, without the time that pictures take."""
    findings = find(inputs)
    return json.loads(json.dumps(figures_of(findings, verdict_of(findings)), allow_nan=False))


def test_accuracy_is_of_all_held_out_frames(whole: Report):
    held = whole[1]["held_out"]
    assert (held["frames"], held["accepted"], held["right"], held["false"]) == (10, 8, 6, 1)
    assert held["right_share"] == pytest.approx(0.6)
    assert held["accepted_share"] == pytest.approx(0.8)
    errors = [0.01, 0.01, 0.02, 0.03, 0.1, 0.5, 0.02, 0.04]
    assert held["median_m"] == pytest.approx(np.median(errors), abs=1e-6)
    assert held["p95_m"] == pytest.approx(np.percentile(errors, 95), abs=1e-6)
    assert held["path_m"] == pytest.approx(0.8, abs=1e-6)  # the step of 1.6 m leads to another part
    assert held["training_frames"] == 0


def test_parts_end_where_the_recording_pauses(whole: Report):
    first, second = whole[1]["held_out"]["parts"]
    assert (first["frames"], first["accepted"], first["right"], first["false"]) == (5, 4, 4, 0)
    assert (second["frames"], second["accepted"], second["right"], second["false"]) == (5, 4, 2, 1)


def test_a_pause_of_a_second_ends_a_part():
    """`mvloc bag from-folder` puts a second between the sequences of a folder."""
    stamps = np.array([0, 1, 2, 12, 13, 14], dtype=np.int64) * 100_000_000
    none, truth = np.full(6, np.nan), np.tile(np.eye(4), (6, 1, 1))
    parts = parts_of(Evaluation(stamps, np.zeros(6, np.bool_), none, none, truth, {}))
    assert [part.tolist() for part in parts] == [[True] * 3 + [False] * 3, [False] * 3 + [True] * 3]


def test_baselines_stand_beside(whole: Report):
    rows = {row["name"]: row for row in whole[1]["held_out"]["comparison"]}
    assert set(rows) == {"this model, accepted poses", "constant pose", "nearest training pose (oracle)"}
    # The middle of the training poses is x = -0.7, y = 0, z = 1.
    truth = np.array([-1.0, -0.9, -0.8, -0.7, -0.6, 1, 1.1, 1.2, 1.3, 1.4])
    assert rows["constant pose"]["median_m"] == pytest.approx(np.median(np.hypot(truth + 0.7, 0.3)), abs=1e-3)


def test_loop_closures_and_what_was_left_out(whole: Report):
    posing = whole[1]["posing"]
    assert posing["loop_closures"]["count"] == 2
    assert posing["loop_closures"]["residual_m"] == {
        "median": pytest.approx(0.02), "p90": pytest.approx(0.028), "max": pytest.approx(0.03),
    }  # fmt: skip
    assert posing["rejected_loop_closures"] == 3
    (span,) = whole[1]["left_out"]
    assert (span["sequence"], span["frames"], span["reason"]) == ("seq-01", 6, "no <i>depth</i>")


def test_a_doubtful_map_is_said_first_and_takes_the_good_verdict_away(
    inputs: Inputs, evaluation_of: Callable[..., Path], posing: Path
):
    good = evaluation_of((0.01,) * 120, 4.0)
    assert figures(inputs(evaluation=good))["verdict"]["kind"] == "good"
    page, found = made(inputs(evaluation=good, posing=posing))
    assert found["verdict"]["kind"] == "partly"
    warnings = " ".join(found["verdict"]["warnings"])
    for words in ("2 maps that could not be joined", "disagree by 6.0 mm", "1 stretch (seq-01)", "34 of 40"):
        assert words in warnings
        assert page.index(words) < page.index("<h2>The place from above")


def test_a_map_that_nothing_checks_is_said(inputs: Inputs, posing: Path, tmp_path: Path):
    values = json.loads(posing.read_text())
    remark = "the floor and the IMU differ by 7.0 degrees; the IMU was taken"
    changed = {"consistency": None, "parts": 1, "loop_closures": [], "up_remarks": [remark]}
    (tmp_path / "posing.json").write_text(json.dumps({**values, **changed}))
    warnings = " ".join(figures(inputs(posing=tmp_path))["verdict"]["warnings"])
    assert f"{remark}." in warnings
    assert "nothing tells how far the poses drifted" in warnings
    assert "could not be joined" not in warnings


def test_a_span_of_time_counts_from_the_first_frame_though_it_has_no_pose():
    """Frames 5 to 9 of ten a second have poses; 0.7 s to 0.8 s are the frames 7 and 8."""
    numbers = np.arange(5, 10)
    path = Path2D("seq-01", numbers, 100.0 + 0.1 * numbers, np.tile(np.eye(4), (5, 1, 1)), np.zeros(5, bool))
    assert path.within(Span("seq-01", 0.7, 0.8, "few features")).tolist() == [False, False, True, True, False]


def test_false_poses_are_the_worst_verdict(inputs: Inputs, evaluation_of: Callable[..., Path]):
    verdict = figures(inputs(evaluation=evaluation_of((0.01,) * 119 + (0.5,), 4.0)))["verdict"]
    assert verdict["kind"] == "bad"
    assert "1 of 120 were false" in " ".join(verdict["sentences"])


@pytest.mark.parametrize(("false", "kind"), [(0, "good"), (3, "partly")])
def test_false_poses_after_waking_up_are_said_and_take_the_good_verdict_away(
    inputs: Inputs, evaluation_of: Callable[..., Path], false: int, kind: str
):
    folder = evaluation_of((0.01,) * 120, 4.0)
    report = json.loads((folder / "report.json").read_text())
    woken = WakeUpResult(20, 17, 2, (0.3, 0.5, 0.9), accepted=150, false_accepts=false, odometry_share=1.0)
    (folder / "report.json").write_text(json.dumps({**report, "wake_up": woken.values()}))
    found = figures(inputs(evaluation=folder))
    assert found["held_out"]["wake_ups"] == {
        "count": 20, "right": 17, "silent": 2, "accepted": 150, "false": false, "time_s": 0.5,
    }  # fmt: skip
    assert "17 found their place, half of them within 0.5 s; 2 got no pose" in " ".join(found["verdict"]["sentences"])
    assert ("3 of 150 poses that were accepted after waking up" in " ".join(found["verdict"]["warnings"])) == (
        false > 0
    )
    assert found["verdict"]["kind"] == kind


def test_held_out_frames_of_a_part_that_nothing_else_shows_say_nothing_of_the_rest(
    inputs: Inputs, evaluation_at: Callable[..., Path], room_bundle: Bundle
):
    training = room_bundle.training_trajectory()
    assert training is not None
    nothing = (None,) * 120
    east = np.array([training.poses[n % len(training)] for n in range(120)])
    east[:, 0, 3] += 2.2
    found = figures(inputs(evaluation=evaluation_at(east, nothing)))
    covered = found["coverage"]["held_out_frames"]
    assert covered["inside"] < 60
    assert found["verdict"]["kind"] == "unknown"
    told = " ".join(found["verdict"]["warnings"])
    assert f"Only {covered['inside']} of the 120 held-out frames have a training view within 0.75 m" in told


def test_held_out_frames_of_what_was_seen_are_judged(
    inputs: Inputs, evaluation_at: Callable[..., Path], room_bundle: Bundle
):
    training = room_bundle.training_trajectory()
    assert training is not None
    near = np.array([training.poses[n % len(training)] for n in range(120)])
    near[:, :2, 3] += 0.05
    found = figures(inputs(evaluation=evaluation_at(near, (None,) * 120)))
    assert found["verdict"]["kind"] == "bad"


def test_frames_of_the_training_are_not_held_out(
    inputs: Inputs, evaluation_at: Callable[..., Path], room_bundle: Bundle
):
    training = room_bundle.training_trajectory()
    assert training is not None
    found = figures(inputs(evaluation=evaluation_at(training.poses, (0.001,) * len(training))))
    assert found["held_out"]["training_frames"] == len(training)
    assert "not held out" in " ".join(found["verdict"]["warnings"])
    assert found["verdict"]["kind"] != "good"


def test_without_evaluation_nothing_is_claimed(inputs: Inputs):
    page, found = made(inputs())
    assert found["verdict"]["kind"] == "unknown"
    assert found["held_out"] is None
    assert "No accuracy is stated" in page
    assert found["posing"] is None


def test_a_small_evaluation_is_said_to_be_small(whole: Report):
    assert any("The evaluation is small (10 frames, 0.8 m)" in text for text in whole[1]["verdict"]["warnings"])


def test_an_evaluation_of_another_model_is_said(
    inputs: Inputs, evaluation_at: Callable[..., Path], held_out: np.ndarray
):
    found = figures(inputs(evaluation=evaluation_at(held_out, (0.01,) * len(held_out), "kitchen")))
    assert any("named kitchen" in text for text in found["verdict"]["warnings"])


def test_frames_of_another_place_are_said(inputs: Inputs, lying: tuple[Path, Path]):
    assert not any("learned from others" in text for text in figures(inputs())["verdict"]["warnings"])
    warnings = figures(inputs(posed=lying[1]))["verdict"]["warnings"]
    assert "Only 0 % of the model's training poses are poses of the posed frames" in warnings[0]


def test_a_bundle_without_map_gives_a_report_that_says_so(inputs: Inputs, room_bundle: Bundle, tmp_path: Path):
    files = {"model.onnx": room_bundle.model_path, "training_poses.tum": room_bundle.path / "training_poses.tum"}
    plain = write_bundle(tmp_path / "plain", replace(room_bundle.manifest, scene_map=None), files)
    page, found = made(inputs(bundle=plain.path))
    assert (found["map"], found["coverage"], found["expected_error_m"]) == (None, None, None)
    assert "has no scene map" in " ".join(found["verdict"]["warnings"])
    assert page.count("<img") == 1


@pytest.mark.parametrize("damage", ["{", '{"version": 2}', '{"version": 1, "sequences": 3}'])
def test_a_damaged_record_of_the_posing_is_one_sentence(damage: str, inputs: Inputs, tmp_path: Path):
    (tmp_path / "posing.json").write_text(damage)
    with pytest.raises(ReportError, match=r"posing.json cannot be used: .*run `mvloc pose` again\."):
        make_report(inputs(posing=tmp_path))
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("report.json", '"poses": 8', '"poses": 9', "different runs"),
        ("report.json", '"baselines"', '"other"', "baselines is missing"),
        ("frames.csv", "translation_m", "distance", "no column translation_m"),
        ("frames.csv", ",1,0.01", ",1,0.01x", "translation_m in line 2"),
    ],
)
def test_a_damaged_evaluation_is_one_sentence(
    file: str, old: str, new: str, words: str, inputs: Inputs, evaluation: Path, tmp_path: Path
):
    copy = tmp_path / "evaluation"
    shutil.copytree(evaluation, copy)
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new, 1))
    with pytest.raises(ReportError, match=words):
        make_report(inputs(evaluation=copy))


def test_the_commands_are_understood_and_name_this_place(inputs: Inputs, tmp_path: Path):
    commands = next_commands(inputs(name="my place; rm -rf", bundle=Path("models/my place"), grid=None))
    launch, replay, nav2 = (command.lines for command in commands)
    assert shlex.split(launch[0])[:5] == ["ros2", "launch", "mvloc_ros", "mvloc.launch.py", "model:=models/my place"]
    for line in (*replay, nav2[0]):
        words = shlex.split(line)
        assert words[0] == "mvloc"
        _parser().parse_args(words[1:])
    assert "map:=maps/my_place_rm_-rf/map.yaml" in nav2[1]
    (only,) = next_commands(inputs(grid=Path("maps/there")))[2].lines
    assert "map:=maps/there/map.yaml" in only


def test_the_topics_of_a_bag_are_in_the_commands(inputs: Inputs, posed_folder: Path, tmp_path: Path):
    bag = tmp_path / "bag"
    assert main(["bag", "from-folder", str(posed_folder), "--out", str(bag)]) == 0
    launch, replay, _ = next_commands(inputs(recordings=(str(bag),)))
    assert "color_topic:=/camera/color/image_raw depth_topic:=/camera/depth/image_raw" in launch.lines[0]
    assert replay.lines[0].startswith(f"mvloc replay {bag} --model")


def test_expected_errors_grow_with_what_the_surfaces_leave_open(room_bundle: Bundle):
    whole = read_scene_map(room_bundle)
    views = Views.of(room_bundle)
    assert views is not None
    in_room = expected_error(whole, views, room_bundle.manifest)
    content = whole.content(range(len(whole.tiles)))
    floor = content.normals[:, 2] > 0.9
    points = MapPoints(content.points[floor], content.normals[floor], content.brightness[floor])
    alone = SceneMap.from_points(points, whole.correction, whole.tile_m, whole.resolution_m)
    on_floor = expected_error(alone, views, room_bundle.manifest)
    # In the open only the height is determined: what is left is what the network is uncertain by.
    prior = np.sqrt(sum(room_bundle.manifest.residual_variance[:2]))
    assert prior < np.median(on_floor.sigma_m) < 1.05 * prior
    assert np.median(in_room.sigma_m) < 0.2 * prior
    seen = np.isfinite(in_room.of_points_m)
    assert 0.5 < seen.mean() <= 1.0
    assert (
        in_room.sigma_m.min()
        <= np.nanmin(in_room.of_points_m)
        <= np.nanmax(in_room.of_points_m)
        <= in_room.sigma_m.max()
    )


def test_a_map_that_lies_on_its_side_is_turned_upright(inputs: Inputs, lying: tuple[Path, Path]):
    upright, turned = figures(inputs()), figures(inputs(bundle=lying[0], posed=lying[1]))
    assert upright["map"]["is_upright"]
    assert not turned["map"]["is_upright"]
    assert any("z does not point up" in text for text in turned["verdict"]["warnings"])
    assert turned["coverage"]["free_m2"] == pytest.approx(upright["coverage"]["free_m2"], rel=0.1)
    assert turned["coverage"]["covered_share"] == pytest.approx(upright["coverage"]["covered_share"], abs=0.05)
    assert turned["map"]["extent_m"][2] == pytest.approx(upright["map"]["extent_m"][2], abs=0.05)


@pytest.mark.parametrize(("value", "text"), [(0.0021, "2.1 mm"), (0.0123, "1.2 cm"), (1.234, "1.23 m")])
def test_lengths_have_the_unit_that_people_use(value: float, text: str):
    assert length(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "100 %"), (0.9996, "more than 99.9 %"), (0.0, "0 %"), (0.0002, "less than 0.1 %")]
)
def test_a_share_is_not_rounded_to_all_or_nothing(value: float, text: str):
    assert share(value) == text


@pytest.mark.parametrize(("low", "high"), [(0.0021, 0.0043), (0.01, 0.5), (0.02, 12.0), (1e-3, 1e4)])
def test_the_steps_of_a_color_bar_hold_all_values_and_are_few(low: float, high: float):
    steps = steps_between(low, high)
    assert steps[0] <= low * (1.0 + 1e-9)
    assert steps[-1] >= high * (1.0 - 1e-9)
    assert 3 <= len(steps) <= 12
    assert steps == sorted(set(steps))


def test_the_highest_point_of_a_square_is_shown():
    extent = Extent(np.zeros(2), np.array([2.0, 1.0]))
    points = np.array([[0.5, 0.5, 2.0], [0.6, 0.4, 1.0], [1.5, 0.5, 0.0], [5.0, 0.5, 9.0]])
    image = raster(extent, points, np.array([20.0, 10.0, 5.0, 90.0]), 1.0)
    np.testing.assert_array_equal(image, [[20.0, 5.0]])


def test_a_square_is_drawn_where_its_points_are_also_far_from_the_low_corner():
    """The image is drawn over the extent, whose size need not be a multiple of the square's edge."""
    extent = Extent(np.array([-1.0, 2.0]), np.array([9.93, 7.07]))
    places = np.array([[x, y] for x in np.arange(-0.9, 9.9, 0.7) for y in (2.1, 4.5, 7.0)])
    points = np.column_stack([places, np.zeros(len(places))])
    image = raster(extent, points, np.arange(1.0, len(points) + 1.0), 0.08)
    for number, place in enumerate(places, start=1):
        row, column = np.argwhere(image == number)[0]
        drawn = extent.low + (np.array([column, row]) + 0.5) / image.shape[::-1] * extent.size
        assert np.abs(drawn - place).max() <= 0.0405, place
