# SPDX-License-Identifier: Apache-2.0
"""From a run to a bundle that ONNX Runtime runs as PyTorch does."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.recordings import open_folder
from mvloc_ros.training import checkpoint, export, validation_errors, verbs
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import COLOR, DEPTH, PosedFrames, load_frames
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.frame_selection import hold_out
from mvloc_ros.training.missing_modality import single_modality_poses
from mvloc_ros.training.networks.deployed import Deployed
from mvloc_ros.training.networks.mvloc import MVLoc
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.predict import residual_variance
from mvloc_ros.training.systems import build_network
from mvloc_ros.training.train import train
from mvloc_ros.training.trained_network import TrainedNetwork


@pytest.fixture(scope="module")
def run(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory, tiny_config: TrainingConfig) -> Path:
    out = tmp_path_factory.mktemp("runs") / "wall"
    train(tiny_config, tiny_folder, out, "cpu", None, 0.2)
    return out


def export_verb(*words: str) -> int:
    parser = argparse.ArgumentParser()
    verbs.add_export_arguments(parser)
    return verbs.run_export(parser.parse_args(list(words)))


@pytest.fixture(scope="module")
def bundle(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("models") / "wall"
    assert export_verb(str(run), "--out", str(out), "--precision", "int8", "--precision-share", "0.5") == 0
    return read_bundle(out)


@pytest.fixture(scope="module")
def validation(tiny_folder: Path) -> PosedFrames:
    folder = open_folder(tiny_folder)
    return load_frames(hold_out(folder.train, 0.1, 2)[1], 32, 43, 1000.0, "validation")


@pytest.mark.parametrize("present", [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)])
def test_the_backend_gives_pytorchs_numbers(
    bundle: Bundle, run: Path, validation: PosedFrames, tiny_config: TrainingConfig, present: tuple[float, float]
) -> None:
    values = checkpoint.load(run / "best.pt")
    network = MVLoc(tiny_config.network, tiny_config.input)
    network.load_state_dict(values["network"])
    deployed = Deployed(network, tuple(values["normalisation"]["reference"])).eval()
    mask = np.array(present, dtype=np.float32)
    backend = create_backend("onnxruntime", bundle, threads=1)
    for i in range(3):
        color, depth = validation.color[i], validation.depth[i]
        found = backend.run(color, depth, mask)
        with torch.inference_mode():
            expected = deployed(*(torch.from_numpy(value[None]) for value in (color, depth, mask)))
        np.testing.assert_allclose(found.position, expected.pose[0, :3], atol=1e-5)
        np.testing.assert_allclose(found.log_quaternion, expected.pose[0, 3:], atol=1e-5)
        np.testing.assert_allclose(found.latent_mean, expected.latent_mean[0], atol=1e-5)
        np.testing.assert_allclose(found.latent_log_variance, expected.latent_log_variance[0], atol=1e-5)
        np.testing.assert_allclose(found.expert_share, expected.expert_share[0], atol=1e-6)
        assert found.expert_share.sum() == pytest.approx(1.0, abs=1e-5)
        assert np.all(found.expert_share[1:][mask == 0.0] == 0.0)
    backend.close()


def test_the_bundle_reproduces_the_validation_errors(bundle: Bundle, validation: PosedFrames) -> None:
    backend = create_backend("onnxruntime", bundle, threads=1)
    both = np.ones(2, dtype=np.float32)
    outputs = [backend.run(c, d, both) for c, d in zip(validation.color, validation.depth, strict=True)]
    estimates = se3.from_parts(
        np.stack([bundle.position_in_map(output.position) for output in outputs]),
        quaternion.exp(np.stack([output.log_quaternion for output in outputs])),
    )
    translation, rotation = PoseErrors.of(estimates, validation.poses).medians()
    said = bundle.manifest.training["validation"]
    assert translation == pytest.approx(said["translation_m"], abs=1e-4)
    assert rotation == pytest.approx(said["rotation_deg"], abs=1e-2)
    np.testing.assert_allclose(
        bundle.manifest.residual_variance, residual_variance(estimates, validation.poses), rtol=1e-2
    )


@pytest.mark.parametrize(("name", "present"), [("color", (1.0, 0.0)), ("depth", (0.0, 1.0))])
def test_the_manifest_tells_the_errors_of_one_modality(
    bundle: Bundle, validation: PosedFrames, name: str, present: tuple[float, float]
) -> None:
    backend = create_backend("onnxruntime", bundle, threads=1)
    mask = np.array(present, dtype=np.float32)
    outputs = [backend.run(c, d, mask) for c, d in zip(validation.color, validation.depth, strict=True)]
    backend.close()
    estimates = se3.from_parts(
        np.stack([bundle.position_in_map(output.position) for output in outputs]),
        quaternion.exp(np.stack([output.log_quaternion for output in outputs])),
    )
    said = getattr(bundle.manifest, f"residual_variance_{name}_only")
    np.testing.assert_allclose(said, residual_variance(estimates, validation.poses), rtol=1e-2)
    assert not np.allclose(said, bundle.manifest.residual_variance, rtol=1e-2)


def test_a_network_that_sees_no_depth_has_no_residual_of_depth_alone(
    tiny_config: TrainingConfig, validation: PosedFrames
) -> None:
    off = dict.fromkeys(("drop_color", "drop_depth", "degrade_color", "degrade_depth", "single_experts"), 0.0)
    config = tiny_config.with_options(off, system="mvloc-v")
    normalisation = PoseNormalisation.fit(validation.poses)
    network = TrainedNetwork(build_network(config), normalisation, config, {}, 1, 0.0)
    assert single_modality_poses(network, validation, DEPTH) is None
    colour = single_modality_poses(network, validation, COLOR)
    assert colour is not None
    assert np.all(np.isfinite(colour))
    blind = replace(validation, present=np.zeros_like(validation.present))
    assert single_modality_poses(network, blind, COLOR) is None


def test_the_manifest_tells_the_training_and_no_path(bundle: Bundle, tiny_folder: Path) -> None:
    manifest = bundle.manifest
    assert (manifest.input.height, manifest.input.width) == (32, 43)
    assert (manifest.system, manifest.preset, manifest.latent_dim) == ("mvloc", "small", 64)
    assert (manifest.frames.pose_of, manifest.licence) == ("color", "CC0-1.0")
    training = manifest.training
    assert training["data"] == tiny_folder.name
    assert training["frames"] == 2 * (48 - 5 - 2)
    assert training["sequences"] == ["seq-01", "seq-02"]
    assert training["command"].startswith(f"mvloc train --data {tiny_folder.name} --out")
    assert "--epochs 2 --batch-size 8" in training["command"]
    assert training["covariance_of"] == "the validation frames"
    assert str(tiny_folder.parent) not in (bundle.path / "manifest.json").read_text()
    assert sorted(path.name for path in bundle.path.iterdir()) == [
        "manifest.json",
        "model.onnx",
        "model_int8.onnx",
        "training_poses.tum",
        "validation.csv",
    ]
    trajectory = bundle.training_trajectory()
    assert trajectory is not None
    assert len(trajectory) == training["frames"]


def test_the_int8_network_is_another_one_and_says_how_far_off_it_is(bundle: Bundle, validation: PosedFrames) -> None:
    both = np.ones(2, dtype=np.float32)
    positions = []
    for precision in ("fp32", "int8"):
        backend = create_backend("onnxruntime", bundle, threads=1, precision=precision)
        outputs = [backend.run(c, d, both) for c, d in zip(validation.color, validation.depth, strict=True)]
        positions.append(np.stack([bundle.position_in_map(output.position) for output in outputs]))
        backend.close()
    distances = np.linalg.norm(positions[0] - positions[1], axis=1)
    spec = bundle.manifest.precisions["int8"]
    assert spec.frames == len(validation)
    assert spec.difference_m == pytest.approx((np.median(distances), np.max(distances)), rel=1e-3)
    assert 0.0 < spec.difference_m[0] < 0.5 * bundle.manifest.training["validation"]["translation_m"]


def test_residual_variance_is_the_mean_square_with_outliers_clipped() -> None:
    rng = np.random.default_rng(0)
    truth = np.tile(np.eye(4), (4000, 1, 1))
    sigma = np.array([0.1, 0.2, 0.3, 0.01, 0.02, 0.03])
    errors = rng.normal(size=(4000, 6)) * sigma
    estimates = se3.from_parts(errors[:, :3], quaternion.exp(errors[:, 3:] / 2))
    np.testing.assert_allclose(pose_error(estimates, truth), errors, atol=1e-9)
    np.testing.assert_allclose(residual_variance(estimates, truth), sigma**2, rtol=0.08)
    estimates[0, :3, 3] = 1000.0
    np.testing.assert_allclose(residual_variance(estimates, truth), sigma**2, rtol=0.08)
    assert np.all(residual_variance(truth, truth) == 1e-8)


def test_a_graph_that_disagrees_is_not_shipped(
    run: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph of the unchanged network, while PyTorch's has another weight: as after a faulty export."""

    def faulty(deployed: Deployed, size: tuple[int, int], path: Path, _further: object) -> None:
        path.write_bytes(bundle.model_path.read_bytes())
        with torch.no_grad():
            deployed.network.regressor.position[3].bias += 0.01

    monkeypatch.setattr(export, "write_onnx", faulty)
    with pytest.raises(TrainingError, match=r"wrong by (1\.\de-02|9\.\de-03).*no bundle was written"):
        export.export(run, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_pose_difference_knows_both_signs() -> None:
    nearly = np.array([[0, 0, 0, np.pi / 2 - 1e-7, 0, 0]], dtype=np.float32)
    assert export.pose_difference(nearly, -nearly) < 1e-6
    assert export.pose_difference(nearly, nearly + 0.01) > 1e-3
    assert export.pose_difference(nearly, np.full((1, 6), np.nan, dtype=np.float32)) == float("inf")


def test_what_is_missing_is_named(run: Path, tmp_path: Path, tiny_folder: Path) -> None:
    with pytest.raises(TrainingError, match=r"There is no checkpoint .*mvloc train"):
        export_verb(str(tmp_path), "--out", str(tmp_path / "model"))
    other = tmp_path / "other"
    for source in tiny_folder.rglob("*"):
        target = other / source.relative_to(tiny_folder)
        if source.is_dir():
            target.mkdir(parents=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    moved = json.loads((run / "config.json").read_text())["data"]
    assert moved["name"] == tiny_folder.name
    last = sorted((other / "seq-01").glob("*.color.png"))
    last[-1].write_bytes(last[0].read_bytes())
    with pytest.raises(TrainingError, match="not the data that"):
        export_verb(str(run), "--out", str(tmp_path / "model"), "--data", str(other))


def test_a_network_that_gives_nan_is_not_exported(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its covariance would be NaN, which no reader accepts."""
    monkeypatch.setattr(validation_errors, "residual_variance", lambda *_: np.full(6, np.nan))
    with pytest.raises(
        TrainingError,
        match=r"not written, because its manifest would be rejected.*residual_variance must be positive and fin",
    ):
        export.export(run, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
