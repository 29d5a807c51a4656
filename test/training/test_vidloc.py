# SPDX-License-Identifier: Apache-2.0
"""VidLoc: which frames a pose may depend on, windows for evaluation, runs from training to `mvloc test`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mvloc_ros.geometry import se3
from mvloc_ros.recordings import open_folder
from mvloc_ros.training import checkpoint, verbs
from mvloc_ros.training.clip_objective import RecurrentObjective
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import PosedFrames, load_frames, windows
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.export import export
from mvloc_ros.training.frame_selection import split_records
from mvloc_ros.training.networks.vidloc import CausalVidLoc, VidLoc
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.objective import Batch, GeometricLoss, MeanObjective
from mvloc_ros.training.options import ClipConfig, InputConfig, NetworkConfig
from mvloc_ros.training.predict import predict

NETWORK = NetworkConfig(width=0.125, latent_size=16, dropout=0.0)
NEUTRAL = PoseNormalisation((0.0, 0.0, 0.0), 1.0, (0.0, 0.0, 0.0, 1.0))


def clip(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    color = torch.randint(0, 256, (count, 32, 40, 3), dtype=torch.uint8, generator=generator)
    return color, 0.2 + 5.0 * torch.rand(count, 32, 40, generator=generator), torch.ones(count, 2)


def frames(lengths: list[int]) -> PosedFrames:
    """Random frames of several sequences, shuffled among each other."""
    names = [f"seq-{i}" for i, length in enumerate(lengths) for _ in range(length)]
    stamps = [10 * j + 7 for length in lengths for j in range(length)]
    order = np.random.default_rng(0).permutation(len(names))
    color, depth, present = (value.numpy() for value in clip(len(names)))
    return PosedFrames(
        color,
        depth,
        present,
        np.tile(np.eye(4), (len(names), 1, 1)),
        np.array(stamps, np.int64)[order],
        tuple(names[i] for i in order),
    )


@pytest.mark.parametrize("kind", [VidLoc, CausalVidLoc])
def test_which_frames_a_pose_depends_on(kind: type[VidLoc]) -> None:
    torch.manual_seed(0)
    network = kind(NETWORK, InputConfig()).eval()
    color, depth, present = clip(6)
    with torch.inference_mode():
        before = network(color, depth, present)
        color[3] = 255 - color[3]
        after = network(color, depth, present)
    changed = (before.pose != after.pose).any(dim=1).tolist()
    assert changed == ([False] * 3 + [True] * 3 if kind.causal else [True] * 6)
    assert before.pose.shape == (6, 6)
    assert before.latent_mean.shape == (6, 16)


def test_a_missing_image_has_no_part(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = VidLoc(NETWORK, InputConfig()).eval()
    color, depth, present = clip(4)
    for missing in (0, 1):
        mask = present.clone()
        mask[:, missing] = 0.0
        with torch.inference_mode():
            one = network(color, depth, mask)
            other = network(255 - color if missing == 0 else color, depth if missing == 0 else 1.0 + depth, mask)
        assert torch.equal(one.pose, other.pose)
        assert torch.all(one.expert_share[:, 1 + missing] == 0.0)
    with torch.inference_mode():
        dropped = network(color, depth, torch.tensor([1.0, 0.0]).expand(4, 2)).pose
        invalid = network(color, torch.zeros_like(depth), present).pose
    torch.testing.assert_close(dropped, invalid)


def test_the_objective_keeps_clips_apart() -> None:
    torch.manual_seed(0)
    network = VidLoc(NETWORK, InputConfig()).eval()
    batch = Batch(*clip(8), torch.randn(8, 6))
    found = RecurrentObjective(GeometricLoss(0.1, -1.0), length=4)(network, batch).total
    by_itself = MeanObjective(GeometricLoss(0.1, -1.0))
    for part in (slice(0, 4), slice(4, 8)):
        expected = by_itself(network, Batch(*(value[part] for value in batch))).total
        torch.testing.assert_close(found[part], expected)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=3), st.integers(2, 9), st.integers(1, 7), st.booleans())
def test_windows_answer_for_every_frame_once(lengths: list[int], length: int, skip: int, causal: bool) -> None:
    names = [f"seq-{i}" for i, count in enumerate(lengths) for _ in range(count)]
    stamps = np.array([10 * j for count in lengths for j in range(count)], np.int64)
    empty = np.zeros((len(names), 1, 1, 3), np.uint8)
    data = PosedFrames(
        empty, empty[..., 0].astype(np.float32), np.ones((len(names), 2), np.float32), np.eye(4), stamps, tuple(names)
    )
    found = windows(data, length, skip, causal)
    answered = np.concatenate([window.frames[window.answers] for window in found])
    assert sorted(answered) == list(range(len(names)))
    for window in found:
        assert len({names[i] for i in window.frames}) == 1
        assert np.all(np.diff(stamps[window.frames]) == 10 * skip)
        assert len(window.frames) <= length
        first = stamps[window.frames[0]] // 10
        count = lengths[int(names[window.frames[0]][4:])]
        if causal:
            assert len(window.frames[window.answers]) == 1
            assert window.frames[window.answers][0] == window.frames[-1]
            assert len(window.frames) == length or first < skip, "all of the past that a clip has, or all there is"
        else:
            chain = len(range(first % skip, count, skip))
            assert len(window.frames) == min(length, chain), "never shorter than in training without need"


@pytest.mark.parametrize("kind", [VidLoc, CausalVidLoc])
def test_evaluation_looks_at_windows_in_time(kind: type[VidLoc]) -> None:
    """Against each sequence put in order by hand; frames lie shuffled in memory."""
    torch.manual_seed(0)
    network = kind(NETWORK, InputConfig()).eval()
    data = frames([5, 3])
    device = torch.device("cpu")
    found = predict(network, data, NEUTRAL, device, 3, ClipConfig(clip_length=4, clip_skip=1))
    members = [i for _, i in sorted((data.stamps_ns[i], i) for i in range(8) if data.sequences[i] == "seq-0")]
    parts = (data.color[members], data.depth[members], data.present[members])
    color, depth, present = (torch.from_numpy(value) for value in parts)
    with torch.inference_mode():
        first = network(color[:4], depth[:4], present[:4]).pose
        last = network(color[1:], depth[1:], present[1:]).pose
    expected = NEUTRAL.decode(torch.cat([first, last[3:]]).numpy())
    assert se3.translation_error(found[members], expected).max() < 1e-5
    assert se3.rotation_error(found[members], expected).max() < 1e-5


@pytest.fixture(scope="module")
def run(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("runs") / "wall"
    parser = argparse.ArgumentParser()
    verbs.add_train_arguments(parser)
    options = (
        "--system vidloc-causal --short-side 32 --width 0.125 --latent-size 16 --batch-size 12 --clip-length 4 "
        "--clip-skip 2 --epochs 6 --validation-gap 2 --device cpu --test"
    )
    assert verbs.run_train(parser.parse_args(["--data", str(tiny_folder), "--out", str(out), *options.split()])) == 0
    return out


def test_from_training_to_the_test_frames(run: Path, tiny_folder: Path) -> None:
    history = checkpoint.load(run / "last.pt")["history"]
    assert history[-1]["train/loss"] < history[0]["train/loss"]
    found = json.loads((run / "test.json").read_text())
    assert (found["system"], found["stage"], found["data"]) == ("vidloc-causal", 1, tiny_folder.name)
    row = found["test frames"]["all"]
    assert row["frames"] == 48
    assert found["test frames"]["sequences"] == {"seq-03": row}
    values = checkpoint.load(run / "best.pt")
    network = CausalVidLoc(NetworkConfig(width=0.125, latent_size=16, dropout=0.2), InputConfig(short_side=32))
    network.load_state_dict(values["network"])
    normalisation = PoseNormalisation.from_dict(values["normalisation"])
    test = load_frames(open_folder(tiny_folder).test, 32, 43, 1000.0, "test")
    for label, presence in (("test frames", (1, 1)), ("without depth", (1, 0)), ("without color", (0, 1))):
        test.present[:] = presence
        poses = predict(network, test, normalisation, torch.device("cpu"), 12, ClipConfig(4, 2))
        errors = se3.translation_error(poses, test.poses)
        assert found[label]["all"]["median_m"] == pytest.approx(np.median(errors), rel=1e-4), label
        assert found[label]["all"]["mean_m"] == pytest.approx(np.mean(errors), rel=1e-4), label
    trained = split_records(TrainingConfig.from_dict(values["run"]["config"]), open_folder(tiny_folder))[0]
    middle = np.median([record.T_map_camera[:3, 3] for record in trained], axis=0)
    constant = np.linalg.norm(test.poses[:, :3, 3] - middle, axis=1)
    assert found["constant pose"]["all"]["median_m"] == pytest.approx(np.median(constant), rel=1e-4)
    assert len({found[label]["all"]["mean_m"] for label in ("test frames", "without depth", "without color")}) == 3


def test_no_bundle_of_clips(run: Path, tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"A bundle needs a network of single frames, and vidloc-causal needs clips; use"
    ):
        export(run, tmp_path / "bundle")
