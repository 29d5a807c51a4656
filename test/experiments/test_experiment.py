# SPDX-License-Identifier: Apache-2.0
"""Whole experiments on tiny scenes: what is trained, found again, left empty, and written."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mvloc_ros.cli import main
from mvloc_ros.training.run_log import RunLog

Experiment = Callable[..., int]


@pytest.fixture(scope="module")
def experiment(scenes: Path, tiny: tuple[str, ...]) -> Experiment:
    """`mvloc experiment NAME` on Heads, with the runs and the results in a place; its exit code."""

    def run(name: str, place: Path, *options: str, data: Path = scenes / "heads") -> int:
        folders = ["--runs", str(place / "runs"), "--out", str(place / "out" / name)]
        return main(["experiment", name, "--data", str(data), *folders, *tiny, *options])

    return run


@pytest.fixture(scope="module")
def fusion(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished table 3 with both stages of mvloc."""
    place = tmp_path_factory.mktemp("fusion")
    assert experiment("table3", place, "--seeds", "1", "--stage", "both") == 0
    return place


def results(place: Path, name: str) -> list[dict[str, str]]:
    with (place / "out" / name / "results.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def of_all_seeds(place: Path, name: str, scene: str = "Heads", protocol: str = "both") -> dict[str, dict[str, str]]:
    rows = results(place, name)
    return {r["row"]: r for r in rows if r["seed"] == "all" and (r["scene"], r["protocol"]) == (scene, protocol)}


def written(place: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sorted((place / "runs").rglob("*.pt"))}


def weights(run: Path) -> torch.Tensor:
    network = torch.load(run / "last.pt", weights_only=True)["network"]
    return torch.cat([value.flatten().double() for value in network.values()])


LEARNED = ["mvloc-v", "mvloc-c", "mvloc-p", "mvloc (stage 1)", "mvloc (stage 1, as long as both)",
           "mvloc (stage 2, k=2, dreg)"]  # fmt: skip
BASELINES = ["constant pose", "image retrieval", "nearest training pose (oracle)"]


def test_a_table_has_every_row_with_its_runs(fusion: Path) -> None:
    runs = sorted(path.name for path in (fusion / "runs" / "heads").iterdir())
    assert runs == [
        "mvloc-c-seed0", "mvloc-p-stage2-seed0", "mvloc-seed0", "mvloc-seed0-2", "mvloc-stage2-seed0", "mvloc-v-seed0",
    ]  # fmt: skip
    rows = of_all_seeds(fusion, "table3")
    assert list(rows) == LEARNED + BASELINES
    for row in rows.values():
        assert row["frames"] == "12"
        assert 0.0 <= float(row["median_m_low"]) <= float(row["median_m_high"])
        assert row["median_m_spread"] == ""  # of one seed
    single = {row["row"]: row for row in results(fusion, "table3") if row["seed"] == "0" and row["scene"] == "Heads"}
    assert list(single) == LEARNED
    assert [Path(row["run"]).name for row in single.values()] == [
        "mvloc-v-seed0", "mvloc-c-seed0", "mvloc-p-stage2-seed0", "mvloc-seed0", "mvloc-seed0-2", "mvloc-stage2-seed0",
    ]  # fmt: skip
    assert [row["epochs"] for row in single.values()] == ["4", "4", "2", "2", "4", "2"], "stage 2 comes on top of 2"
    assert 1.0 <= float(single["mvloc (stage 2, k=2, dreg)"]["ess"]) <= 2.0
    assert rows["mvloc-v"]["published_median_m"] == "0.17"
    assert rows["mvloc (stage 2, k=2, dreg)"]["published_median_deg"] == "10.8"
    assert rows["mvloc (stage 1)"]["published_median_m"] == ""


def test_the_figures_are_those_of_the_frames(fusion: Path) -> None:
    with (fusion / "out" / "table3" / "frames.csv").open(encoding="utf-8", newline="") as stream:
        frames = list(csv.DictReader(stream))
    assert len(frames) == 12 * (len(LEARNED) + len(BASELINES))
    for label, row in of_all_seeds(fusion, "table3").items():
        errors = [float(frame["translation_m"]) for frame in frames if frame["row"] == label]
        assert float(row["median_m"]) == pytest.approx(np.median(errors), rel=1e-5)
        assert float(row["mean_m"]) == pytest.approx(np.mean(errors), rel=1e-5)
    oracle, retrieved = (of_all_seeds(fusion, "table3")[BASELINES[i]] for i in (2, 1))
    assert float(oracle["mean_m"]) <= float(retrieved["mean_m"])


def test_the_table_has_the_paper_s_layout(fusion: Path) -> None:
    text = (fusion / "out" / "table3" / "table3.md").read_text(encoding="utf-8")
    lines = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| ")]
    head = [cell.strip() for cell in lines[0]]
    assert head[:5] == ["Scene", "mvloc-v published", "mvloc-v", "mvloc-c published", "mvloc-c"]
    body = {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines[2:10]}
    assert list(body) == [
        "Chess", "Fire", "Heads", "Office", "Pumpkin", "Red Kitchen", "Stairs", "7-Scenes Average",
    ]  # fmt: skip
    assert body["Heads"][0] == "0.17 m, 12.8°"
    assert all(body["Heads"])
    assert body["Chess"][0] == "0.12 m, 4.09°"
    assert body["Chess"][1] == body["7-Scenes Average"][1] == "", "what was not run is empty"
    assert "not the official split" not in text
    assert "Heads: 12 training and 12 test frames instead of the 1000 and 1000 of the official split" in text
    row = next(line for line in text.splitlines() if line.startswith("| Heads | mvloc-v |"))
    assert row.split("|")[-4].strip() == "1.0", "independent blocks beside the intervals"
    assert "the mean of several poses (k > 1) can" in text, "the oracle is no bound for interpolation"
    picture = cv2.imread(str(fusion / "out" / "table3" / "table3.png"))
    assert picture.shape[1] == 1200


def test_the_same_command_trains_nothing_again(fusion: Path, experiment: Experiment) -> None:
    before, figures = written(fusion), results(fusion, "table3")
    assert experiment("table3", fusion, "--seeds", "1", "--stage", "both") == 0
    assert written(fusion) == before
    assert results(fusion, "table3") == figures


def test_other_values_are_another_run_in_a_folder_of_its_own(
    fusion: Path, experiment: Experiment, tmp_path: Path
) -> None:
    shutil.copytree(fusion / "runs", tmp_path / "runs")
    before = written(tmp_path)
    assert experiment("table3", tmp_path, "--seeds", "1", "--systems", "mvloc-v", "--learning-rate", "1e-3") == 0
    assert set(written(tmp_path)) - set(before) == {tmp_path / "runs" / "heads" / "mvloc-v-seed0-2" / "last.pt"}
    assert {path: time for path, time in written(tmp_path).items() if path in before} == before


def test_only_report_trains_nothing_and_leaves_empty_what_was_not_run(
    fusion: Path, experiment: Experiment, scenes: Path, tmp_path: Path
) -> None:
    # A run is known by its values, wherever it lies; this one is of one row and one of two seeds and scenes.
    shutil.copytree(fusion / "runs" / "heads" / "mvloc-c-seed0", tmp_path / "runs" / "elsewhere" / "x")
    before = written(tmp_path)
    assert experiment("table3", tmp_path, "--seeds", "2", "--stage", "both", "--only-report", data=scenes) == 0
    assert written(tmp_path) == before
    for row in results(tmp_path, "table3"):
        there = row["row"] in BASELINES and row["scene"] in ("Heads", "wall")
        there |= (row["scene"], row["row"]) == ("Heads", "mvloc-c") and row["seed"] != "1"
        assert bool(row["median_m"]) == bool(row["mean_deg"]) == there, row
    cells = json.loads((tmp_path / "out" / "table3" / "experiment.json").read_text(encoding="utf-8"))["cells"]
    empty = [cell for cell in cells if cell["scene"] == "wall" and cell["row"] in LEARNED]
    assert len(empty) == len(LEARNED)
    assert all(cell["figures"] is None and cell["seeds"] == [] for cell in empty)
    text = (tmp_path / "out" / "table3" / "table3.md").read_text(encoding="utf-8")
    assert "(1 of 2 seeds)" in text


def test_an_interrupted_run_goes_on_to_the_same_weights(
    fusion: Path, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    add = RunLog.add

    def interrupt(self: RunLog, row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt
        add(self, row)

    options = ("--seeds", "1", "--systems", "mvloc-v")
    with monkeypatch.context() as patched:
        patched.setattr(RunLog, "add", interrupt)
        assert experiment("table3", tmp_path, *options) == 130
    assert "run the same command again" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert experiment("table3", tmp_path, *options, "--only-report") == 0
    assert of_all_seeds(tmp_path, "table3")["mvloc-v"]["median_m"] == "", "it is not finished"
    assert experiment("table3", tmp_path, *options) == 0
    run = tmp_path / "runs" / "heads" / "mvloc-v-seed0"
    torch.testing.assert_close(weights(run), weights(fusion / "runs" / "heads" / run.name), rtol=0, atol=0)
    row = of_all_seeds(fusion, "table3")["mvloc-v"]
    assert of_all_seeds(tmp_path, "table3")["mvloc-v"]["median_m"] == row["median_m"]


def test_seeds_have_a_spread_and_clips_answer_for_every_frame(
    fusion: Path, experiment: Experiment, tmp_path: Path
) -> None:
    shutil.copytree(fusion / "runs", tmp_path / "runs")
    options = ("--seeds", "2", "--systems", "mvloc-v,vidloc", "--clip-length", "4", "--clip-skip", "2")
    assert experiment("table2", tmp_path, *options) == 0
    rows = results(tmp_path, "table2")
    color = {row["seed"]: row for row in rows if row["row"] == "mvloc-v" and row["scene"] == "Heads"}
    values = [float(color[seed]["median_m"]) for seed in ("0", "1")]
    assert float(color["all"]["median_m"]) == pytest.approx(np.mean(values), rel=1e-5)
    assert float(color["all"]["median_m_spread"]) == pytest.approx(np.std(values, ddof=1), rel=1e-4)
    assert values[0] != values[1]
    assert of_all_seeds(tmp_path, "table2")["vidloc"]["frames"] == "12"
    assert of_all_seeds(tmp_path, "table2")["vidloc"]["published_median_deg"] == ""
    with (tmp_path / "out" / "table2" / "frames.csv").open(encoding="utf-8", newline="") as stream:
        poses = [row["x"] for row in csv.DictReader(stream) if row["row"] == "vidloc" and row["seed"] == "0"]
    assert len(poses) == 12
    assert np.isfinite([float(x) for x in poses]).all()


def test_table4_tells_a_blank_image_from_a_dropped_expert(fusion: Path, experiment: Experiment) -> None:
    assert experiment("table4", fusion, "--seeds", "1", "--stage", "both", "--only-report") == 0
    protocols = ("both", "blank-depth", "dropped-depth", "blank-color", "dropped-color")
    rows = {name: of_all_seeds(fusion, "table4", protocol=name) for name in protocols}
    assert list(rows["both"]) == [*LEARNED[1:], *BASELINES]
    for label in LEARNED[1:]:
        assert rows["both"][label]["median_m"] == of_all_seeds(fusion, "table3")[label]["median_m"]
        assert len({rows[name][label]["mean_m"] for name in protocols}) == len(protocols)
    for name in protocols[1:]:
        assert rows[name]["constant pose"]["mean_m"] == ""
        assert float(rows[name]["image retrieval"]["mean_m"]) > 0.0
    text = (fusion / "out" / "table4" / "table4.md").read_text(encoding="utf-8")
    assert "## Median errors, depth missing: expert dropped" in text
    assert "relative to color and depth" in text


def test_figure3_shows_every_system(fusion: Path, experiment: Experiment) -> None:
    assert experiment("figure3", fusion, "--systems", "mvloc-v,atloc,mvloc", "--only-report") == 0
    picture = cv2.imread(str(fusion / "out" / "figure3" / "figure3_heads.png"))
    assert picture is not None
    thirds = np.array_split(picture, 3)
    ink = [np.mean(np.ptp(third.astype(int), axis=2) > 60) for third in thirds]
    assert ink[1] < 0.2 * min(ink[0], ink[2]), "atloc was not run"


def test_a_run_on_other_frames_of_the_same_name_is_neither_judged_nor_trained_on(
    fusion: Path, experiment: Experiment, write_scene: Callable[..., Path], tmp_path: Path, caplog
) -> None:
    """The folder was made again: the same names and numbers of everything, and other poses."""
    again = write_scene(tmp_path / "data" / "heads", names=("seq-02", "seq-01"))
    for path in again.rglob("*.pose.txt"):
        pose = np.loadtxt(path)
        pose[0, 3] *= 2.0
        np.savetxt(path, pose)
    shutil.copytree(fusion / "runs", tmp_path / "runs")
    before = written(tmp_path)
    options = ("--seeds", "1", "--systems", "mvloc-v")
    assert experiment("table3", tmp_path, *options, "--only-report", data=again) == 0
    assert of_all_seeds(tmp_path, "table3")["mvloc-v"]["median_m"] == ""
    foreign = tmp_path / "runs" / "heads" / "mvloc-v-seed0"
    said = [record.getMessage() for record in caplog.records if str(foreign) in record.getMessage()]
    assert len(said) == 1
    assert "was trained on other frames" in said[0]
    assert experiment("table3", tmp_path, *options, data=again) == 0
    assert {path: time for path, time in written(tmp_path).items() if path in before} == before
    assert set(written(tmp_path)) - set(before) == {foreign.with_name("mvloc-v-seed0-2") / "last.pt"}
    row = of_all_seeds(tmp_path, "table3")["mvloc-v"]
    assert row["median_m"] != of_all_seeds(fusion, "table3")["mvloc-v"]["median_m"]
    assert row["median_m"]


def test_what_a_folder_says_of_its_depth_holds_for_its_runs(
    experiment: Experiment, write_scene: Callable[..., Path], tmp_path: Path, capsys
) -> None:
    root = write_scene(tmp_path / "yard")
    (root / "camera.json").write_text('{"max_depth": 70, "depth_of_points": true}')
    options = ("--seeds", "1", "--stage", "both", "--systems", "mvloc-v,mvloc")
    assert experiment("table3", tmp_path, *options, data=root) == 0
    names = ("max_depth", "depth_of_points")
    stated = {
        path.parent.name: [json.loads(path.read_text(encoding="utf-8"))["config"]["input"][name] for name in names]
        for path in (tmp_path / "runs").rglob("config.json")
    }
    assert stated == {
        "mvloc-v-seed0": [6.0, False], "mvloc-seed0": [70.0, True], "mvloc-seed0-2": [70.0, True],
        "mvloc-stage2-seed0": [70.0, True],
    }  # fmt: skip
    rows = of_all_seeds(tmp_path, "table3", scene="yard")
    assert all(row["median_m"] for row in rows.values())
    assert f"depth range 0.1 to 70 m (from {root / 'camera.json'})" in capsys.readouterr().out
    before = written(tmp_path)
    assert experiment("table3", tmp_path, *options, data=root) == 0
    assert written(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--systems", "nonsense"], "nonsense"),
        (["--seeds", "0"], "--seeds"),
        (["--stage", "2"], "--stage both"),
        (["--epochs", "0"], "--epochs"),
        (["--scenes", "nowhere"], "nowhere"),
        (["--block-seconds", "0"], "--block-seconds"),
        (["--weights", "nowhere.pth"], "nowhere.pth"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_bad_requests_get_one_sentence(
    experiment: Experiment, tmp_path: Path, options: list[str], complaint: str, capsys
) -> None:
    assert experiment("table3", tmp_path, *options) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("mvloc experiment: ")
    assert complaint in error
    assert not (tmp_path / "out").exists()


def test_two_experiments_do_not_train_in_one_folder(experiment: Experiment, tmp_path: Path, capsys) -> None:
    (tmp_path / "runs").mkdir()
    descriptor = os.open(tmp_path / "runs", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert experiment("table3", tmp_path, "--seeds", "1", "--systems", "mvloc-v") == 2
    os.close(descriptor)
    assert f"runs is in use by process {os.getpid()} " in capsys.readouterr().err
