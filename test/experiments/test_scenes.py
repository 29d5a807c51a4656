# SPDX-License-Identifier: Apache-2.0
"""Which folders are scenes, which test frames are rows, and which runs are of a scene."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mvloc_ros.experiments.errors import ExperimentError
from mvloc_ros.experiments.runs import RunFolder
from mvloc_ros.experiments.scenes import Scene, Truth, check_labels, find_scenes, members
from mvloc_ros.experiments.table_rows import make_rows
from mvloc_ros.training.presets import preset
from mvloc_ros.training.train import train

Writer = Callable[..., Path]


def test_a_folder_is_a_scene_or_holds_some(scenes: Path, tmp_path: Path) -> None:
    assert [scene.name for scene in find_scenes(scenes / "wall", None, 0.2)] == ["wall"]
    assert [scene.name for scene in find_scenes(scenes, None, 0.2)] == ["heads", "wall"]
    assert [scene.name for scene in find_scenes(scenes, ["wall", "heads", "wall"], 0.2)] == ["wall", "heads"]
    for data, names in ((scenes, ["nowhere"]), (tmp_path, None), (tmp_path / "nowhere", None)):
        with pytest.raises(ExperimentError):
            find_scenes(data, names, 0.2)


def test_a_scene_is_one_row_and_its_split_is_compared_with_the_official_one(
    scenes: Path, write_scene: Writer, tmp_path: Path
) -> None:
    (heads,) = Scene("heads", scenes / "heads", 0.2).parts
    assert (heads.label, heads.paper, heads.official) == ("Heads", "Heads", True)
    (wall,) = Scene("wall", scenes / "wall", 0.2).parts
    assert (wall.label, wall.paper, wall.official) == ("wall", None, False)
    # The official test sequence, and one more for training.
    root = write_scene(tmp_path / "more" / "heads", names=("seq-02", "seq-03", "seq-01"))
    (more,) = Scene("heads", root, 0.2).parts
    assert (more.sequences, more.trained, more.official) == (("seq-01",), ("seq-02", "seq-03"), False)
    other = Scene("Red_Kitchen", write_scene(tmp_path / "Red_Kitchen"), 0.2)
    (kitchen,) = other.parts
    assert (kitchen.label, kitchen.official) == ("Red Kitchen", False)
    with pytest.raises(ExperimentError, match="Red Kitchen"):
        check_labels([other, Scene("redkitchen", other.root, 0.2)])


def test_traversals_of_robotcar_are_a_row_each(write_scene: Writer, tmp_path: Path) -> None:
    tests = ("seq-2014-06-23-15-36-04", "seq-2014-06-23-15-41-25")
    trained = ("seq-2014-06-26-08-53-56", "seq-2014-06-26-09-24-58")
    root = write_scene(tmp_path / "loop", names=(*trained, *tests))
    (root / "TrainSplit.txt").write_text("".join(f"{name}\n" for name in trained))
    (root / "TestSplit.txt").write_text("".join(f"{name}\n" for name in tests))
    scene = Scene("loop", root, 0.2)
    assert [part.label for part in scene.parts] == ["LOOP1 (2014-06-23-15-41-25)", "LOOP2 (2014-06-23-15-36-04)"]
    truth = Truth.of(scene.test_frames(preset("mvloc", "small").with_options({"short_side": 32})))
    picked = [members(truth, part) for part in scene.parts]
    assert sorted([*picked[0], *picked[1]]) == list(range(24))
    assert {truth.sequences[i] for i in picked[0]} == {tests[1]}
    assert [part.official for part in scene.parts] == [True, True]
    (root / "TrainSplit.txt").write_text(f"{trained[0]}\n")
    assert [part.official for part in Scene("loop", root, 0.2).parts] == [False, False], "one of two traversals"


def test_runs_of_mvloc_train_on_all_frames_are_found_and_others_are_not(scenes: Path, tmp_path: Path) -> None:
    values = {"short_side": 32, "width": 0.125, "latent_size": 64, "epochs": 1, "stage2_epochs": 2, "samples": 2}
    values |= {"stage": "both", "batch_size": 8}
    rows = [row for row in make_rows(["mvloc"], "small", values) if "as long as both" not in row.label]
    config = preset("mvloc", "small").with_options({**values, "validation_fraction": 0.25, "validation_gap": 0})
    run = tmp_path / "runs" / "mine"
    train(config, scenes / "wall", run, "cpu", None, 0.2, refit=True)
    wall, runs = Scene("wall", scenes / "wall", 0.2), RunFolder(tmp_path / "runs")
    # What was trained with frames held out is another run than its refit on all frames.
    first, second = (runs.find(wall, row.config, "") for row in rows)
    assert first is not None
    assert second is not None
    assert (first.folder, second.folder) == (run / "refit" / "stage1", run / "refit")
    assert first.finished
    assert second.finished
    assert second.last["train/ess"] >= 1.0
    assert runs.find(wall, rows[0].config, "of other weights") is None
    assert runs.find(wall, rows[1].config, "of other weights") is None
    assert runs.find(wall, rows[0].config.with_options({}, seed=1), "") is None
    assert runs.find(Scene("heads", scenes / "heads", 0.2), rows[0].config, "") is None
    assert runs.find(Scene("wall", scenes / "wall", 0.3), rows[0].config, "") is None
    assert runs.new(wall, rows[1].config) == tmp_path / "runs" / "wall" / "mvloc-stage2-seed0"
    # A second stage whose first is gone is none: nobody knows what it is of.
    (run / "refit" / "stage1" / "config.json").unlink()
    assert runs.find(wall, rows[1].config, "") is None


def test_a_folder_decides_the_depth_range_as_in_mvloc_train(write_scene: Writer, tmp_path: Path) -> None:
    root = write_scene(tmp_path / "yard")
    (root / "camera.json").write_text('{"max_depth": 70}')
    for system, given, metres in (("mvloc", (), 70.0), ("mvloc", ("max_depth",), 6.0), ("atloc", (), 6.0)):
        scene = Scene("yard", root, 0.2, given=given)
        config = scene.adapt(preset(system, "small"))
        assert config.input.max_depth == metres
        assert scene.adapt(config) == config
