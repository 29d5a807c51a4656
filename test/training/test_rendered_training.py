# SPDX-License-Identifier: Apache-2.0
"""Training with rendered views: their share of each step, their only source, exact resuming, and what is refused."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mvloc_ros import interrupts
from mvloc_ros.cli import main
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.model.modalities import Sensor
from mvloc_ros.recordings import open_folder
from mvloc_ros.recordings.held_out_file import HELD_OUT_FILE, Stretch, held_out_text
from mvloc_ros.training import checkpoint, verbs
from mvloc_ros.training.batches import Batches
from mvloc_ros.training.cache import array_folder
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import PosedFrames, ReadOptions
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.presets import preset
from mvloc_ros.training.processes import Processes
from mvloc_ros.training.rendering import Rendering, check_renderable, render_pool
from mvloc_ros.training.train import TrainingData, read_data, scaled_cameras
from mvloc_ros.training.trainer import Trainer

CPU = torch.device("cpu")
CONFIG = preset("mvloc", "small").with_options({"short_side": 32, "validation_gap": 2, "validation_fraction": 0.3})
IN_MEMORY = ReadOptions(cache=None)


def read(root: Path) -> TrainingData:
    return read_data(CONFIG, root, 0.2, IN_MEMORY, force=True)  # painted frames contradict their poses


def pool_of(data: TrainingData, cache: Path | None = None, seed: int = 0, count: int = 8) -> PosedFrames:
    rendering = Rendering(count, seed, scaled_cameras(data.folder, CONFIG))
    return render_pool(rendering, data.training, CPU, cache, is_main=False)


def paint_over(root: Path, sequence: str, numbers: range) -> None:
    """Frames of nothing else than green, a hand before the camera."""
    for number in numbers:
        stem = root / sequence / f"frame-{number:06d}"
        cv2.imwrite(f"{stem}.color.png", np.full((48, 64, 3), (0, 255, 0), np.uint8))
        cv2.imwrite(f"{stem}.depth.png", np.full((48, 64), 500, np.uint16))


def test_frames_that_are_held_out_contribute_no_pixel(tiny_folder: Path, tmp_path: Path) -> None:
    """Validation frames, test sequences and stretches of held_out.txt may change as they like."""
    root = Path(shutil.copytree(tiny_folder, tmp_path / "wall"))
    held = Stretch("seq-02", 10, 19, "test"), Stretch("seq-02", 8, 9, "unused")
    (root / HELD_OUT_FILE).write_text(held_out_text(held))
    for name in ("TrainSplit.txt", "TestSplit.txt"):
        (root / name).unlink()
    shutil.rmtree(root / "seq-03")
    before = read(root)
    assert before.validation is not None
    trained = {(name, stamp) for name, stamp in zip(before.training.sequences, before.training.stamps_ns, strict=True)}
    first = pool_of(before)
    paint_over(root, "seq-02", range(8, 20))
    for sequence in ("seq-01", "seq-02"):
        stamps = [r.stamp_ns for r in before.folder.train if r.sequence == sequence]
        last = [
            r.index for r in before.folder.train if r.sequence == sequence and (sequence, r.stamp_ns) not in trained
        ]
        assert len(last) > len(stamps) // 4
        paint_over(root, sequence, range(min(last), max(last) + 1))
    changed = read(root)
    assert changed.validation is not None
    assert changed.validation.digest() != before.validation.digest()
    second = pool_of(changed)
    assert first.digest() == second.digest()
    green = (first.color == (0, 255, 0)).all(axis=-1)
    assert not green.any()
    paint_over(root, "seq-01", range(3, 6))
    assert pool_of(read(root)).digest() != first.digest(), "training frames do contribute"


def test_test_sequences_contribute_no_pixel(tiny_folder: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(tiny_folder, tmp_path / "wall"))
    first = pool_of(read(root))
    paint_over(root, "seq-03", range(48))
    assert pool_of(read(root)).digest() == first.digest()


def test_the_pool_is_that_of_its_seed_from_the_cache_and_anew(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With any number of threads, and where the cache cannot be written."""
    data = read(tiny_folder)
    first = pool_of(data, tmp_path / "cache")
    cached = pool_of(data, tmp_path / "cache")
    assert isinstance(cached.color, np.memmap)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(5)))
    (tmp_path / "file").write_text("no folder")
    for other in (cached, pool_of(data, tmp_path / "file")):
        assert other.digest() == first.digest()
        assert other.sequences == first.sequences
        np.testing.assert_array_equal(other.poses, first.poses)
        np.testing.assert_array_equal(other.depth, first.depth)
    assert pool_of(data, seed=1).digest() != first.digest()
    assert len(array_folder.open_stored(next((tmp_path / "cache").glob("[0-9a-f]*"))).arrays) == 3  # type: ignore[union-attr]


def test_a_step_has_its_share_of_rendered_views(tiny_folder: Path, no_augmentation: dict[str, int]) -> None:
    """In each micro-batch too; each view is used as often as every other, or once less."""
    data = read(tiny_folder)
    pool = pool_of(data)
    normalisation = PoseNormalisation.fit(data.training.poses)
    config = CONFIG.with_options({**no_augmentation, "rendered": 0.25, "batch_size": 16, "accumulate": 2})
    batches = Batches(data.training, normalisation, config, CPU, Processes(), None, pool)
    targets = torch.from_numpy(normalisation.encode(pool.poses))
    plain = Batches(data.training, normalisation, config, CPU, Processes())
    assert batches.steps_per_epoch == plain.steps_per_epoch
    used = torch.zeros(len(pool), dtype=torch.int64)
    for part in batches.epoch():
        assert part.share == 0.5
        same = (part.batch.target[:, None] == targets[None]).all(dim=2)
        assert int(same.sum()) == 2
        used += same.sum(dim=0)
        for frame, view in same.nonzero().tolist():
            assert np.array_equal(part.batch.color[frame].numpy(), pool.color[view])
            assert np.array_equal(part.batch.depth[frame].numpy(), pool.depth[view])
    assert int(used.max() - used.min()) <= 1
    torch.manual_seed(5)
    expected = [part.batch.target for part in plain.epoch()]
    torch.manual_seed(5)
    without = Batches(data.training, normalisation, config.with_options({"rendered": 0.0}), CPU, Processes())
    assert all(torch.equal(a, part.batch.target) for a, part in zip(expected, without.epoch(), strict=True))


WORDS = ["--short-side", "32", "--width", "0.125", "--latent-size", "16", "--batch-size", "8", "--validation-gap", "2"]
VIEWS = ["--rendered", "0.5", "--rendered-views", "8", "--device", "cpu", "--validation-fraction", "0.3"]


def train(folder: Path, out: Path, *more: str) -> int:
    parser = argparse.ArgumentParser()
    verbs.add_train_arguments(parser)
    return verbs.run_train(parser.parse_args(["--data", str(folder), "--out", str(out), *WORDS, *VIEWS, *more]))


def test_an_interrupted_run_goes_on_exactly_and_with_the_same_views_only(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also when its views were deleted from the cache and are rendered again."""
    options = ["--epochs", "2", "--turn", "5"]
    assert train(tiny_folder, tmp_path / "whole", *options) == 0
    assert "one camera for color and depth (registered); poses of the color camera" in capsys.readouterr().out
    train_epoch = Trainer._train_epoch

    def interrupted(trainer: Trainer, *arguments: object) -> dict[str, float]:
        row = train_epoch(trainer, *arguments)  # type: ignore[arg-type]
        if trainer.progress.epoch == 1:
            raise KeyboardInterrupt
        return row

    monkeypatch.setattr(Trainer, "_train_epoch", interrupted)
    assert train(tiny_folder, tmp_path / "cut", *options) == interrupts.EXIT_CODE
    monkeypatch.undo()
    for other in (["--rendered", "0.25"], ["--rendered", "0"]):
        with pytest.raises(TrainingError, match="different values of"):
            train(tiny_folder, tmp_path / "cut", *options, *other)
    assert train(tiny_folder, tmp_path / "cut", *options, "--cache", str(tmp_path / "empty")) == 0
    whole, cut = (checkpoint.load(tmp_path / name / "last.pt") for name in ("whole", "cut"))
    assert all(torch.equal(value, cut["network"][name]) for name, value in whole["network"].items())
    assert whole["run"]["data"]["rendered_digest"] == cut["run"]["data"]["rendered_digest"]
    assert train(tiny_folder, tmp_path / "plain", *options, "--rendered", "0") == 0
    plain = checkpoint.load(tmp_path / "plain" / "last.pt")
    assert "rendered_digest" not in plain["run"]["data"]
    assert not all(torch.equal(value, plain["network"][name]) for name, value in whole["network"].items())


def test_a_refit_renders_its_own_views(tiny_folder: Path, tmp_path: Path) -> None:
    """From all training frames, of which it trains on the validation frames too."""
    assert train(tiny_folder, tmp_path, "--epochs", "1", "--refit", "--refit-epochs", "1") == 0
    first, second = (checkpoint.load(tmp_path / name)["run"]["data"] for name in ("last.pt", "refit/last.pt"))
    assert first["rendered_digest"] != second["rendered_digest"]


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({"depth_projection": "cylindrical"}, [], "are panoramas, which --rendered does not support"),
        ({"depth_of_points": True}, [], "is sparse points.*of which --rendered cannot make surfaces"),
        ({}, ["--system", "mapnet"], "trained on clips, and rendered views are single frames; remove --rendered"),
        ({}, ["--rendered", "0.95"], "--rendered 0.95 must be at least 0 and at most 0.9"),
    ],
)
def test_what_cannot_be_rendered_is_refused(
    tiny_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, object],
    options: list[str],
    message: str,
) -> None:
    root = Path(shutil.copytree(tiny_folder, tmp_path / "folder"))
    path = root / "camera.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    command = ["train", "--data", str(root), "--device", "cpu", "--out", str(tmp_path / "run"), "--epochs", "1"]
    assert main([*command, "--short-side", "32", "--rendered", "0.5", *options]) == 2
    error = capsys.readouterr().err
    assert pytest.importorskip("re").search(message, error), error
    assert not (tmp_path / "run").exists()


def test_further_sensors_are_refused(tiny_folder: Path) -> None:
    thermal = Sensor(
        "thermal", "gray", PinholeCamera(32, 24, 30.0, 30.0, 15.5, 11.5), tuple(np.eye(4).ravel().tolist())
    )
    config = CONFIG.with_options({"sensors": (thermal,), "rendered": 0.5})
    folder = open_folder(tiny_folder)
    with pytest.raises(TrainingError, match=r"further sensors \(thermal\); remove it, or use --sensors none"):
        check_renderable(config, folder)
    check_renderable(config.with_options({"rendered": 0.0}), folder)


def test_frames_without_depth_are_refused(tiny_folder: Path) -> None:
    data = read(tiny_folder)
    rendering = Rendering(12, 0, scaled_cameras(data.folder, CONFIG))
    with pytest.raises(TrainingError, match="needs frames with color and depth, and no training frame has both"):
        render_pool(rendering, data.training.without(1), CPU, None, is_main=False)


def test_runs_from_before_rendered_views_go_on_without() -> None:
    values = TrainingConfig().to_dict()
    for name in ("rendered", "rendered_views"):
        del values["augmentation"][name]
    assert TrainingConfig.from_dict(values).augmentation.rendered == 0.0
