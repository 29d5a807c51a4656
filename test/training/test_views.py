# SPDX-License-Identifier: Apache-2.0
"""New views in training: poses follow the motion, draws keep their limits, runs go on exactly."""

from __future__ import annotations

import argparse
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mvloc_ros import interrupts
from mvloc_ros.cli import main
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.recordings import open_folder
from mvloc_ros.training import checkpoint, verbs
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import PosedFrames
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.options import AugmentationConfig
from mvloc_ros.training.presets import preset
from mvloc_ros.training.torch_quaternion import multiply, rotation_matrix
from mvloc_ros.training.trainer import Trainer
from mvloc_ros.training.views import NovelViews, RgbdCameras, check_projection, prepare_views
from mvloc_ros.training.views.camera_motion import Motion, draw_motion, move_target

CAMERAS = RgbdCameras(PinholeCamera(32, 24, 30.0, 30.0, 15.5, 11.5), PinholeCamera(32, 24, 33.0, 33.0, 15.5, 11.5))
IDENTITY = PoseNormalisation((0.0, 0.0, 0.0), 1.0, (0.0, 0.0, 0.0, 1.0))


def vectors(length: float) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float64, 3, elements=st.floats(-length, length))


def unit_quaternions() -> st.SearchStrategy[np.ndarray]:
    values = hnp.arrays(np.float64, 4, elements=st.floats(-1, 1))
    return values.filter(lambda q: np.linalg.norm(q) > 0.1).map(quaternion.normalise)


@settings(max_examples=100, deadline=None)
@given(unit_quaternions(), vectors(50.0), unit_quaternions(), vectors(2.0), unit_quaternions(), vectors(50.0))
def test_the_target_is_that_of_the_moved_pose(
    q: np.ndarray, p: np.ndarray, turn: np.ndarray, step: np.ndarray, reference: np.ndarray, offset: np.ndarray
) -> None:
    """Any pose, any motion, any normalisation: decoded, the new target is T_map_old T_old_new."""
    normalisation = PoseNormalisation(tuple(offset), 1.7, tuple(reference))  # type: ignore[arg-type]
    old, motion = se3.from_parts(p, q), se3.from_parts(step, turn)
    moved = Motion(torch.tensor(turn, dtype=torch.float32)[None], torch.tensor(step, dtype=torch.float32)[None])
    target = move_target(torch.from_numpy(normalisation.encode(old[None])), moved, normalisation)
    assert target.dtype == torch.float32
    found = normalisation.decode(target.numpy())[0]
    assert se3.translation_error(found, old @ motion) < 1e-4
    assert se3.rotation_error(found, old @ motion) < 1e-5
    back = move_target(target, moved.inverse(), normalisation)
    assert se3.translation_error(normalisation.decode(back.numpy())[0], old) < 1e-4


def test_no_motion_leaves_the_target() -> None:
    target = torch.tensor([[0.3, -0.2, 1.0, 0.1, 0.2, -0.1]])
    still = Motion(torch.tensor([[0.0, 0.0, 0.0, 1.0]]), torch.zeros(1, 3))
    torch.testing.assert_close(move_target(target, still, IDENTITY), target, rtol=0.0, atol=1e-7)


@settings(max_examples=50, deadline=None)
@given(unit_quaternions(), unit_quaternions())
def test_rotations_in_torch_agree_with_geometry(a: np.ndarray, b: np.ndarray) -> None:
    product = multiply(torch.tensor(a)[None], torch.tensor(b)[None])
    np.testing.assert_allclose(product.numpy()[0], quaternion.multiply(a, b), atol=1e-12)
    np.testing.assert_allclose(rotation_matrix(torch.tensor(a)[None])[0].numpy(), quaternion.to_matrix(a), atol=1e-12)


def test_motions_keep_their_limits_and_go_everywhere() -> None:
    torch.manual_seed(0)
    motion = draw_motion(2000, 15.0, 0.3, torch.device("cpu"))
    degrees = np.degrees(2 * quaternion.log(motion.quaternion.numpy()))
    for values, limit in ((degrees, 15.0), (motion.translation.numpy(), 0.3)):
        lengths = np.linalg.norm(values, axis=1)
        assert lengths.max() <= limit * (1 + 1e-5)
        assert np.median(lengths) == pytest.approx(limit / 2, rel=0.1)
        assert np.all(values.max(axis=0) > 0.8 * limit)
        assert np.all(values.min(axis=0) < -0.8 * limit)


def batch(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [
        torch.randint(0, 256, (count, 24, 32, 3), dtype=torch.uint8, generator=generator),
        1.0 + torch.rand(count, 24, 32, generator=generator),
        torch.ones(count, 2),
        0.3 * torch.randn(count, 6, generator=generator),
    ]


def views(clip_length: int = 1, **options: float) -> NovelViews:
    return NovelViews(AugmentationConfig(**options), CAMERAS, IDENTITY, clip_length)


def motions(before: torch.Tensor, after: torch.Tensor) -> np.ndarray:
    """T_old_new `[B, 4, 4]` that led from one batch of targets to another."""
    return se3.inverse(IDENTITY.decode(before.numpy())) @ IDENTITY.decode(after.numpy())


def test_a_share_of_the_frames_stays_as_recorded() -> None:
    torch.manual_seed(3)
    given_frames = batch(400)
    found = views(turn=10.0, shift=0.2, unmoved=0.4)(*given_frames)
    moved = (found[3] != given_frames[3]).any(dim=1)
    assert float(moved.float().mean()) == pytest.approx(0.6, abs=0.08)
    for before, after in zip(given_frames, found, strict=True):
        assert before.dtype == after.dtype
        assert torch.equal(before[~moved], after[~moved])
    assert all((found[i][moved] != given_frames[i][moved]).flatten(1).any(dim=1).all() for i in (0, 1))
    none = views(turn=10.0, shift=0.2, unmoved=1.0)(*given_frames)
    assert all(torch.equal(before, after) for before, after in zip(given_frames, none, strict=True))


@pytest.mark.parametrize("options", [{"turn": 10.0}, {"shift": 0.2}, {"turn": 5.0, "shift": 0.1}])
def test_motions_are_those_asked_for(options: dict[str, float]) -> None:
    torch.manual_seed(4)
    given_frames = batch(60)
    found = motions(given_frames[3], views(unmoved=0.0, **options)(*given_frames)[3])
    still = np.broadcast_to(np.eye(4), found.shape)
    angles, distances = np.degrees(se3.rotation_error(found, still)), se3.translation_error(found, still)
    for values, limit in ((angles, options.get("turn", 0.0)), (distances, options.get("shift", 0.0))):
        assert 0.8 * limit - 1e-4 <= values.max() <= limit + 1e-4


def test_the_global_generator_decides() -> None:
    given_frames = batch(8)
    found = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        found.append(views(turn=10.0, shift=0.2, unmoved=0.25)(*given_frames))
    assert all(torch.equal(a, b) for a, b in zip(found[0], found[1], strict=True))
    assert not torch.equal(found[0][3], found[2][3])


def test_a_frame_without_depth_is_turned_but_not_shifted() -> None:
    torch.manual_seed(7)
    given_frames = batch(20)
    given_frames[1][:10] = 0.0
    given_frames[2][:10, 1] = 0.0
    found = views(turn=10.0, shift=0.2, unmoved=0.0)(*given_frames)
    step = motions(given_frames[3], found[3])
    distances = np.linalg.norm(step[:, :3, 3], axis=1)
    assert distances[:10].max() < 1e-6
    assert distances[10:].min() > 1e-3
    assert se3.rotation_error(step[:10], np.broadcast_to(np.eye(4), (10, 4, 4))).min() > 1e-4
    assert torch.all(found[1][:10] == 0.0)


@pytest.mark.parametrize("missing", [[], [4]])
def test_the_frames_of_a_clip_move_as_one(missing: list[int]) -> None:
    """One motion in the camera's frame, as if the camera were mounted elsewhere: 5 clips of 3."""
    torch.manual_seed(8)
    given_frames = batch(15)
    given_frames[1][missing] = 0.0
    found = views(3, turn=10.0, shift=0.2, unmoved=0.4)(*given_frames)
    step = motions(given_frames[3], found[3]).reshape(5, 3, 4, 4)
    np.testing.assert_allclose(step, np.broadcast_to(step[:, :1], step.shape), atol=1e-5)
    distances = np.linalg.norm(step[:, 0, :3, 3], axis=1)
    still = np.all(np.abs(step[:, 0] - np.eye(4)) < 1e-6, axis=(1, 2))
    assert 1 <= still.sum() <= 4
    assert np.all((distances > 1e-3) | still | (np.arange(5) == (1 if missing else -1)))
    if missing:
        assert distances[1] < 1e-6, "a clip whose second frame has no depth is only turned"
    assert len(np.unique(step[~still, 0, 0, 1].round(6))) == (~still).sum()


def posed_frames(depth: bool) -> PosedFrames:
    color, metres, present, _ = (values.numpy() for values in batch(4))
    present[:, 1] = float(depth)
    poses = np.tile(np.eye(4), (4, 1, 1))
    return PosedFrames(color, metres * depth, present, poses, np.arange(4), ("a",) * 4)


def test_what_cannot_be_is_refused() -> None:
    config = TrainingConfig()
    assert prepare_views(config, None, posed_frames(True), IDENTITY) is None
    shifted = config.with_options({"shift": 0.3})
    with pytest.raises(TrainingError, match="--shift needs depth, and no training frame has any"):
        prepare_views(shifted, CAMERAS, posed_frames(False), IDENTITY)
    assert prepare_views(shifted, CAMERAS, posed_frames(True), IDENTITY) is not None
    assert prepare_views(config.with_options({"turn": 5.0}), CAMERAS, posed_frames(False), IDENTITY) is not None
    for options in ({"turn": -1.0}, {"shift": math.nan}, {"unmoved": 1.5}):
        with pytest.raises(TrainingError, match="must be at least"):
            config.with_options(options)


def test_runs_from_before_new_views_go_on_without() -> None:
    values = TrainingConfig().to_dict()
    for name in ("turn", "shift", "unmoved"):
        del values["augmentation"][name]
    assert TrainingConfig.from_dict(values) == TrainingConfig()
    assert (TrainingConfig().augmentation.turn, TrainingConfig().augmentation.shift) == (0.0, 0.0)


WORDS = ["--short-side", "32", "--width", "0.125", "--latent-size", "16", "--batch-size", "8", "--validation-gap", "2"]
VIEWS = ["--turn", "6", "--shift", "0.1", "--device", "cpu", "--validation-fraction", "0.6"]


def train(folder: Path, out: Path, *more: str) -> int:
    parser = argparse.ArgumentParser()
    verbs.add_train_arguments(parser)
    return verbs.run_train(parser.parse_args(["--data", str(folder), "--out", str(out), *WORDS, *VIEWS, *more]))


def test_an_interrupted_run_goes_on_exactly(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert train(tiny_folder, tmp_path / "whole", "--epochs", "2") == 0
    train_epoch = Trainer._train_epoch

    def interrupted(trainer: Trainer, *arguments: object) -> dict[str, float]:
        row = train_epoch(trainer, *arguments)  # type: ignore[arg-type]
        if trainer.progress.epoch == 1:
            raise KeyboardInterrupt
        return row

    monkeypatch.setattr(Trainer, "_train_epoch", interrupted)
    assert train(tiny_folder, tmp_path / "cut", "--epochs", "2") == interrupts.EXIT_CODE
    monkeypatch.undo()
    assert train(tiny_folder, tmp_path / "cut", "--epochs", "2") == 0
    whole, cut = (checkpoint.load(tmp_path / name / "last.pt") for name in ("whole", "cut"))
    assert all(torch.equal(value, cut["network"][name]) for name, value in whole["network"].items())
    plain = tmp_path / "plain"
    assert train(tiny_folder, plain, "--epochs", "2", "--unmoved", "1") == 0
    other = checkpoint.load(plain / "last.pt")["network"]
    assert not all(torch.equal(value, other[name]) for name, value in whole["network"].items())


@pytest.mark.parametrize("system", ["mapnet", "vidloc"])
def test_systems_of_clips_train_on_new_views(tiny_folder: Path, tmp_path: Path, system: str) -> None:
    clips = ["--system", system, "--clip-length", "2", "--clip-skip", "3", "--epochs", "1"]
    assert train(tiny_folder, tmp_path, *clips) == 0
    assert math.isfinite(checkpoint.load(tmp_path / "last.pt")["history"][0]["train/loss"])


def test_panoramas_are_not_moved(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(shutil.copytree(tiny_folder, tmp_path / "around"))
    path = root / "camera.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"depth_projection": "cylindrical"}))
    command = ["train", "--data", str(root), "--device", "cpu", "--epochs", "1", "--short-side", "32"]
    for number, options in enumerate((["--turn", "6"], ["--shift", "0.1"], ["--shift", "0.1", "--system", "atloc"])):
        out = tmp_path / str(number)
        assert main([*command, "--out", str(out), *options]) == 2
        assert "are panoramas, which --turn and --shift do not support" in capsys.readouterr().err
        assert not out.exists()
    folder = open_folder(root)
    turned = {"turn": 6.0}
    check_projection(preset("atloc", "small").with_options(turned), folder)  # of colour, which has its camera
    check_projection(preset("mvloc", "small"), folder)
    check_projection(preset("mvloc", "small").with_options(turned), open_folder(tiny_folder))
