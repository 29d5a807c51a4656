# SPDX-License-Identifier: Apache-2.0
"""Sensors besides color and depth: read, augmented, trained, evaluated, exported and run."""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime
import pytest
import torch
from rig_folder import REAR, add_sensors, declare

from mvloc_ros.backends.backend import BackendError
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.backends.gpu import Gpu
from mvloc_ros.backends.network_file import OUTPUTS, require_network_file
from mvloc_ros.backends.tensorrt.engines import check, engine_key
from mvloc_ros.cli import main
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import read_tum
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.mapping import map as map_module
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame, FrameError
from mvloc_ros.model.modalities import Sensor
from mvloc_ros.model.preprocessing import resize_color, resize_depth
from mvloc_ros.model.validation_file import read_validation
from mvloc_ros.recordings import open_folder, read_color, read_depth
from mvloc_ros.recordings.from_folder import write_bag
from mvloc_ros.recordings.images import read_gray
from mvloc_ros.training import verbs
from mvloc_ros.training.augmentation import augment, augment_further, drop_modality
from mvloc_ros.training.checkpoint import BEST, LAST
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import ReadOptions, read_frames
from mvloc_ros.training.datasets.decoding import Decoding
from mvloc_ros.training.datasets.posed_frames import UnreadableFrame
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.folder_sensors import with_folder_sensors
from mvloc_ros.training.multi_sample import MultiSample
from mvloc_ros.training.networks.deployed import Deployed
from mvloc_ros.training.networks.mixed_precision import lower_precision
from mvloc_ros.training.networks.mvloc import MVLoc
from mvloc_ros.training.objective import Batch, GeometricLoss
from mvloc_ros.training.saved_run import read_saved_run
from mvloc_ros.training.systems import build_network
from mvloc_ros.training.trained_network import read_network

OPTIONS = ("--short-side", "32", "--width", "0.125", "--latent-size", "64", "--batch-size", "8", "--epochs", "1",
           "--validation-gap", "2", "--device", "cpu")  # fmt: skip


@pytest.fixture(scope="module")
def folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_sensors(tiny_folder, tmp_path_factory.mktemp("rig") / "wall")


@pytest.fixture
def config(tiny_config: TrainingConfig, folder: Path) -> TrainingConfig:
    return with_folder_sensors(tiny_config, folder)


@pytest.fixture
def sensors(config: TrainingConfig) -> tuple[Sensor, ...]:
    return config.input.sensors


def train_verb(data: Path, out: Path, *words: str) -> int:
    parser = argparse.ArgumentParser()
    verbs.add_train_arguments(parser)
    return verbs.run_train(parser.parse_args(["--data", str(data), "--out", str(out), *OPTIONS, *words]))


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "wall"
    assert train_verb(folder, out, "--test", "--stage", "both", "--stage2-epochs", "1", "--single-experts", "0.5") == 0
    return out


@pytest.fixture(scope="module")
def bundle(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    parser = argparse.ArgumentParser()
    verbs.add_export_arguments(parser)
    out = tmp_path_factory.mktemp("models") / "wall"
    words = [str(run), "--out", str(out), "--precision", "int8", "--precision-share", "1000"]
    assert verbs.run_export(parser.parse_args(words)) == 0
    return read_bundle(out)


def inputs(config: TrainingConfig, batch: int) -> list[torch.Tensor]:
    """Random color, depth, presence of all and further images."""
    generator = torch.Generator().manual_seed(7)
    images = [torch.randint(0, 256, (batch, 32, 43, 3), dtype=torch.uint8, generator=generator)]
    images.append(3.0 * torch.rand(batch, 32, 43, generator=generator))
    for sensor in config.input.sensors:
        shape = (batch, *sensor.input_at(32).shape)
        if sensor.kind == "depth":
            images.append(3.0 * torch.rand(shape, generator=generator))
        else:
            images.append(torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator))
    present = torch.ones(batch, len(images))
    return [*images[:2], present, *images[2:]]


def test_the_frames_are_those_of_the_files(folder: Path, config: TrainingConfig, tmp_path: Path) -> None:
    opened = open_folder(folder)
    assert [sensor.name for sensor in opened.sensors] == ["side", "rear", "rear_depth"]
    lacking = replace(opened.train[1], further=tuple(item for item in opened.train[1].further if item[0] != "rear"))
    records = (opened.train[0], lacking, *opened.train[2:5])
    reading = ReadOptions(tmp_path)
    fresh = read_frames(config.input, opened, records, "some", reading)
    kept = read_frames(config.input, opened, records, "some", reading)
    memory = read_frames(config.input, opened, records, "some", ReadOptions(None))
    assert len(list(tmp_path.glob("[0-9a-f]*"))) == 1
    for frames in (fresh, kept, memory):
        assert frames.digest() == fresh.digest()
        assert frames.modalities == ("color", "depth", "side", "rear", "rear_depth")
        assert frames.present.tolist() == [[1.0] * 5, [1.0, 1.0, 1.0, 0.0, 1.0], *[[1.0] * 5] * 3]
        for i, record in enumerate(records):
            found = record.images()
            np.testing.assert_array_equal(frames.further["side"][i], resize_color(read_gray(found["side"]), 32, 32))
            if "rear" in found:
                color = resize_color(read_color(found["rear"]), 32, 43)
                np.testing.assert_array_equal(frames.further["rear"][i], color)
            depth = resize_depth(read_depth(found["rear_depth"], 500.0), 32, 43)
            np.testing.assert_array_equal(frames.further["rear_depth"][i], depth)
    assert not fresh.further["rear"][1].any()
    assert fresh.chosen(np.array([0, 1, 0, 0, 1], dtype=bool)).further["side"].shape == (2, 32, 32)


def test_without_the_sensors_the_frames_and_their_cache_are_those_of_the_pair(
    folder: Path, tiny_folder: Path, tiny_config: TrainingConfig, config: TrainingConfig
) -> None:
    assert tiny_config.input.sensors == ()
    assert with_folder_sensors(tiny_config, tiny_folder) is tiny_config
    assert "sensors" not in tiny_config.to_dict()["input"]
    assert TrainingConfig.from_dict(tiny_config.to_dict()) == tiny_config
    assert TrainingConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    pair, rig = open_folder(tiny_folder), open_folder(folder)
    reading = ReadOptions(None)
    plain = read_frames(tiny_config.input, pair, pair.train[:6], "some", reading)
    ignored = read_frames(tiny_config.input, rig, rig.train[:6], "some", reading)
    assert plain.digest() == ignored.digest()
    assert plain.digest() != read_frames(config.input, rig, rig.train[:6], "some", reading).digest()


def test_which_sensors_are_used_is_said(
    folder: Path,
    tiny_config: TrainingConfig,
    config: TrainingConfig,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert with_folder_sensors(tiny_config, folder, "none").input.sensors == ()
    chosen = with_folder_sensors(tiny_config, folder, "rear_depth,side").input.sensors
    assert [sensor.name for sensor in chosen] == ["side", "rear_depth"], "in the order of the declaration"
    assert (chosen[1].depth_min_m, chosen[1].depth_max_m) == (tiny_config.input.min_depth, 8.0)
    with pytest.raises(TrainingError, match=r"--sensors 'front' is not declared in .*camera.json, which declares side"):
        with_folder_sensors(tiny_config, folder, "front")
    single = tiny_config.with_options({"single_experts": 0.0}, system="mvloc-c")
    assert with_folder_sensors(single, folder).input.sensors == (), "a system of the pair ignores them"
    with pytest.raises(TrainingError, match="mvloc-c takes color and depth only; use --sensors none"):
        with_folder_sensors(single, folder, "side")
    with pytest.raises(TrainingError, match=r"No training sequence|--validation-fraction"):
        train_verb(folder, tmp_path / "run", "--validation-fraction", "0.9", "--validation-gap", "500")
    printed = capsys.readouterr().out
    assert "modalities: color, depth, side (gray, 0 m and 0 deg from the color camera), rear (color, 0.3 m" in printed
    assert "color, 144 depth, 144 side, 144 rear and 144 rear_depth images" in printed
    with pytest.raises(TrainingError):
        train_verb(folder, tmp_path / "run", "--validation-fraction", "0.9", "--validation-gap", "500",
                   "--system", "atloc")  # fmt: skip
    assert "modalities: color; not used: side, rear, rear_depth." in capsys.readouterr().out


@pytest.mark.parametrize("shared", [False, True])
def test_the_network_has_an_expert_for_each(config: TrainingConfig, tiny_config: TrainingConfig, shared: bool) -> None:
    config = config.with_options({"share_encoders": shared})
    torch.manual_seed(0)
    pair = build_network(tiny_config)
    torch.manual_seed(0)
    network = build_network(config)
    assert isinstance(network, MVLoc)
    of_pair = pair.state_dict()
    names = set(network.state_dict())
    assert names >= set(of_pair), "a pair's weights keep their names"
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in of_pair.items())
    encoders = {name.split(".")[1] for name in names if name.startswith("further.")}
    assert encoders == ({"of_gray"} if shared else {"of_side", "of_rear", "of_rear_depth"})
    data = inputs(config, 4)
    network.eval()
    output = network(*data)
    assert output.expert_share.shape == (4, 6)
    torch.testing.assert_close(output.expert_share.sum(dim=1), torch.ones(4))
    for missing in range(5):
        present = data[2].clone()
        present[:, missing] = 0.0
        blank = list(data)
        blank[missing + (missing > 1)] = torch.zeros_like(blank[missing + (missing > 1)])
        found = [network(*images[:2], present, *images[3:]).pose for images in (data, blank)]
        torch.testing.assert_close(*found)
        assert not torch.allclose(found[0], output.pose, atol=1e-6), "every modality counts"
    before = network(*data).pose
    network.scale_latent(3.0)
    torch.testing.assert_close(network(*data).pose, before, rtol=1e-4, atol=1e-5)
    half = lower_precision(network, torch.bfloat16)
    assert {str(p.dtype) for name, p in half.named_parameters() if ".backbone." in name} == {"torch.bfloat16"}
    assert float((half(*data).pose - before).abs().max()) < 0.1


def test_each_modality_may_be_dropped_and_never_all(tiny_config: TrainingConfig, sensors: tuple[Sensor, ...]) -> None:
    options = {"drop_color": 0.5, "drop_depth": 0.25}
    config = tiny_config.with_options(options).augmentation
    torch.manual_seed(0)
    present = torch.ones(20_000, 5)
    present[:100] = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0])
    kept = drop_modality(present, config, sensors)
    assert float(kept.sum(dim=1).min()) >= 1.0
    assert torch.equal(kept[:100], present[:100]), "the only one stays"
    chances = (0.5, 0.25, 0.5, 0.5, 0.25)
    all_lost = float(np.prod(chances))
    for column, chance in enumerate(chances):
        assert float(1.0 - kept[100:, column].mean()) == pytest.approx(chance - all_lost, abs=0.015)


def test_further_images_are_changed_by_their_kind_and_the_pair_as_before(
    config: TrainingConfig, sensors: tuple[Sensor, ...], no_augmentation: dict[str, int]
) -> None:
    color, depth, present, *further = inputs(config, 6)
    torch.manual_seed(1)
    alone = augment(color, depth, present[:, :2], config.augmentation)
    torch.manual_seed(1)
    beside = augment(color, depth, present[:, :2], config.augmentation)
    changed = augment_further(further, sensors, config.augmentation)
    assert all(torch.equal(a, b) for a, b in zip(alone, beside, strict=True))
    for image, new in zip(further, changed, strict=True):
        assert (new.shape, new.dtype) == (image.shape, image.dtype)
        assert float((new != image).float().mean()) > 0.2
    none = config.with_options({**no_augmentation, "unmoved": 0.0}).augmentation
    for image, new in zip(further, augment_further(further, sensors, none), strict=True):
        torch.testing.assert_close(new.float(), image.float(), atol=1.0, rtol=0.0)


def test_the_terms_of_single_experts_are_of_every_modality_that_a_frame_has(config: TrainingConfig) -> None:
    torch.manual_seed(0)
    network = build_network(config.with_options({"dropout": 0.0}))
    assert isinstance(network, MVLoc)
    network.eval()
    color, depth, present, *further = inputs(config, 3)
    present[1, 2:] = 0.0
    present[2, 1:] = 0.0
    batch = Batch(color, depth, present, torch.randn(3, 6), tuple(further))

    def totals(weight: float, mask: torch.Tensor) -> torch.Tensor:
        stages = replace(
            config.stages, stage="2", samples=1, estimator="elbo", single_experts=weight, latent_warmup=0.0
        )
        objective = MultiSample(GeometricLoss(0.0, -3.0), stages, 10).eval()
        torch.manual_seed(5)
        result: torch.Tensor = objective(network, batch._replace(present=mask)).total
        return result.detach()

    # The frame with one modality is its own sub-sample; the others get the terms of what they have, and no other.
    extra = totals(1.0, present) - totals(0.0, present)
    assert extra[2] == 0.0
    assert bool((extra[:2] != 0.0).all())
    changed = batch._replace(further=tuple(torch.zeros_like(image) for image in further))
    batch = changed
    torch.testing.assert_close((totals(1.0, present) - totals(0.0, present))[1], extra[1])


def test_the_command_tells_the_errors_without_each_and_with_each_alone(run: Path) -> None:
    found = json.loads((run / "test.json").read_text())
    names = ("color", "depth", "side", "rear", "rear_depth")
    rows = [name for name, value in found.items() if isinstance(value, dict)]
    expected = ["test frames", "without depth", "without color", *(f"without {name}" for name in names[2:])]
    assert rows == [*expected, *(f"{name} alone" for name in names), "constant pose"]
    saved = read_saved_run(run / LAST)
    assert [sensor.name for sensor in saved.config.input.sensors] == list(names[2:])
    assert saved.config.input.sensors[1].pose.tolist() == REAR.tolist()


def test_the_same_command_resumes_and_another_choice_of_sensors_is_another_run(folder: Path, run: Path) -> None:
    before = read_network(run / BEST, half_weights=False).network.state_dict()
    assert train_verb(folder, run, "--stage", "both", "--stage2-epochs", "1", "--single-experts", "0.5") == 0
    after = read_network(run / BEST, half_weights=False).network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    with pytest.raises(TrainingError, match=r"with different values of .*(digest|sensors)"):
        train_verb(folder, run, "--stage", "both", "--stage2-epochs", "1", "--single-experts", "0.5",
                   "--sensors", "side")  # fmt: skip


def test_the_bundle_lists_the_sensors(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert json.loads((bundle.path / "manifest.json").read_text())["schema"] == 4
    assert [item.sensor.name for item in manifest.sensors] == ["side", "rear", "rear_depth"]
    assert [(item.height, item.width) for item in manifest.sensors] == [(32, 32), (32, 43), (32, 43)]
    assert manifest.sensors[2].sensor.depth_max_m == 8.0
    known = read_validation(bundle.path / "validation.csv")
    assert set(known.poses) == {"both"}, "with all modalities; what is known with fewer is not written"
    assert "--sensors" not in manifest.training["command"], "all that are declared is the default"
    further = [item.input for item in manifest.sensors]
    require_network_file(bundle.model_path, 32, 43, 64, further)
    with pytest.raises(BackendError, match="its input present is float32 1x5, but the manifest says float32 1x2"):
        require_network_file(bundle.model_path, 32, 43, 64)
    renamed = [*further[:2], replace(further[2], name="left_depth")]
    with pytest.raises(BackendError, match="its input left_depth is missing, but the manifest says float32 1x32x43"):
        require_network_file(bundle.model_path, 32, 43, 64, renamed)


@pytest.mark.parametrize("backend_name", ["onnxruntime", "torch"])
def test_backends_give_pytorchs_numbers_with_any_sensor_missing(
    bundle: Bundle, run: Path, config: TrainingConfig, backend_name: str
) -> None:
    trained = read_network(run / BEST, half_weights=False)
    deployed = Deployed(trained.network, trained.normalisation.reference).eval()
    color, depth, _, *further = inputs(config, 1)
    depth[0, :2] = torch.nan
    names = [item.sensor.name for item in bundle.manifest.sensors]
    backend = create_backend(backend_name, bundle, threads=1)
    for mask in product((0.0, 1.0), repeat=5):
        present = torch.tensor([mask])
        images = {name: image[0].numpy() for name, image in reversed(list(zip(names, further, strict=True)))}
        found = backend.run(color[0].numpy(), depth[0].numpy(), present[0].numpy(), images)
        with torch.inference_mode():
            expected = deployed(color, depth, present, *further)
        np.testing.assert_allclose(found.position, expected.pose[0, :3], atol=2e-5)
        np.testing.assert_allclose(found.latent_mean, expected.latent_mean[0], atol=2e-5)
        np.testing.assert_allclose(found.expert_share, expected.expert_share[0], atol=1e-5)
        assert found.expert_share.shape == (6,)
    backend.close()


class EngineByOnnxRuntime:
    """What TensorRT's check runs, with inputs by name; `swapped` exchanges two sensors, as a faulty builder might."""

    def __init__(self, bundle: Bundle, swapped: bool) -> None:
        self.session = onnxruntime.InferenceSession(str(bundle.model_path), providers=["CPUExecutionProvider"])
        self.swapped, self.present = swapped, []

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.present.append(inputs["present"][0].tolist())
        if self.swapped:
            inputs = {**inputs, "rear": inputs["color"]}
        return dict(zip(OUTPUTS, self.session.run(OUTPUTS, inputs), strict=True))


def test_a_new_engine_is_compared_with_every_sensor_alone_and_all(bundle: Bundle) -> None:
    engine = EngineByOnnxRuntime(bundle, swapped=False)
    check(engine, bundle, "fp32")  # type: ignore[arg-type]
    assert engine.present == [
        [1, 1, 1, 1, 1], [1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [1, 1, 1, 1, 1],
        [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1],
    ]  # fmt: skip
    with pytest.raises(BackendError, match="engine differs from ONNX Runtime"):
        check(EngineByOnnxRuntime(bundle, swapped=True), bundle, "fp32")  # type: ignore[arg-type]
    trt = ModuleType("tensorrt")
    trt.__version__ = "10.3.0"  # type: ignore[attr-defined]
    key = engine_key(trt, Gpu("A GPU", "9.0", "12.4", 132), bundle, "fp32")
    assert key.shapes == (
        "color 1x32x43x3", "depth 1x32x43", "present 1x5", "side 1x32x32", "rear 1x32x43x3", "rear_depth 1x32x43",
    )  # fmt: skip


def test_a_bundle_with_sensors_gets_a_map(
    bundle: Bundle,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(map_module, "hold_out", lambda records: (list(records), []))  # no trials: they take long
    shutil.copytree(bundle.path, tmp_path / "rig")
    words = ["map", str(tmp_path / "rig"), "--data", str(folder), "--without-threshold", "--force", "--min-frames", "1"]
    assert main([*words, "--no-calibration"]) == 0
    assert "no acceptance threshold" in capsys.readouterr().out
    made = read_bundle(tmp_path / "rig").manifest
    assert made.scene_map is not None
    assert made.sensors == bundle.manifest.sensors


def test_a_recording_of_the_folder_is_replayed_with_all_sensors(
    bundle: Bundle, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their topics are found by their standard names; the poses are those of the network on the folder's images."""
    opened = open_folder(folder)
    write_bag(opened, opened.test[:3], tmp_path / "bag", progress=False)
    words = ["replay", str(tmp_path / "bag"), "--model", str(bundle.path), "--out", str(tmp_path / "out")]
    assert main([*words, "--backend", "onnxruntime"]) == 0, capsys.readouterr().err
    notes = json.loads((tmp_path / "out" / "report.json").read_text())["notes"]
    for name in ("side", "rear", "rear_depth"):
        # The first frame is there before anything of the sensors is, and waits for none that may not exist.
        assert f"{name}: 2 of 3 images are in frames" in notes
    backend = create_backend("onnxruntime", bundle, threads=1)
    poses = read_tum(tmp_path / "out" / "estimate.tum").poses
    sensors = tuple((item.sensor, item.input) for item in bundle.manifest.sensors)
    decoding = Decoding(bundle.manifest.input.height, bundle.manifest.input.width, 1000.0, sensors=sensors)
    for record, T in list(zip(opened.test[:3], poses, strict=True))[1:]:
        found = decoding.read(record)
        assert not isinstance(found, UnreadableFrame)
        assert found.color is not None
        assert found.depth is not None
        output = backend.run(found.color, found.depth, np.ones(5, np.float32), found.further)
        np.testing.assert_allclose(T[:3, 3], bundle.position_in_map(output.position), atol=1e-4)
    backend.close()


def test_the_localizer_gives_the_network_what_training_gave_it(bundle: Bundle, folder: Path) -> None:
    """Its poses of whole frames, without each sensor, and of one alone, are those of the exported network."""
    record, spec = open_folder(folder).test[0], bundle.manifest.input
    assert record.color is not None
    assert record.depth is not None
    sensors = tuple((item.sensor, item.input) for item in bundle.manifest.sensors)
    found = Decoding(spec.height, spec.width, 1000.0, sensors=sensors).read(record)
    assert not isinstance(found, UnreadableFrame)
    paths = dict(record.further)
    frame = Frame(
        1,
        "camera",
        ColorImage(read_color(record.color), "rgb"),
        DepthImage(read_depth(record.depth, 1000.0), 1.0),
        further={
            "side": ColorImage(read_gray(paths["side"]), "mono"),
            "rear": ColorImage(read_color(paths["rear"]), "rgb"),
            "rear_depth": DepthImage(read_depth(paths["rear_depth"], 500.0), 1.0),
        },
    )
    backend = create_backend("onnxruntime", bundle, threads=1)
    localizer = Localizer(bundle, backend)
    localizer.warm_up()
    for missing in ((), ("side",), ("rear", "rear_depth"), ("color", "depth")):
        present = np.array([name not in missing for name in ("color", "depth", *paths)], np.float32)
        assert found.color is not None
        assert found.depth is not None
        output = backend.run(found.color, found.depth, present, found.further)
        given = replace(
            frame,
            color=None if "color" in missing else frame.color,
            depth=None if "depth" in missing else frame.depth,
            further={name: image for name, image in frame.further.items() if name not in missing},
        )
        estimate = localizer.process(given)
        np.testing.assert_allclose(estimate.pose.T[:3, 3], bundle.position_in_map(output.position), atol=1e-6)
        np.testing.assert_allclose(estimate.expert_share, output.expert_share, atol=1e-6)
        assert [name for name, used in estimate.further_used.items() if not used] == [
            name for name in missing if name in paths
        ]
        variance = np.array(bundle.manifest.residual_variance) * (9.0 if missing else 1.0)
        np.testing.assert_allclose(np.diag(estimate.pose.covariance), variance)
        assert estimate.is_complete == (not missing)
        assert estimate.remark == (
            f"no image of {', '.join(missing)}, for which no covariance was measured (9 times that with all is given)"
            if missing
            else ""
        )
    backend.close()


def test_an_image_of_a_further_sensor_that_cannot_be_used_costs_that_sensor_alone(bundle: Bundle) -> None:
    backend = create_backend("onnxruntime", bundle, threads=1)
    localizer = Localizer(bundle, backend)
    color, wide = ColorImage(np.full((48, 64, 3), 99, np.uint8), "rgb"), np.zeros((36, 64, 3), np.uint8)
    for further, why in (
        (
            {"rear": ColorImage(wide, "rgb")},
            "The rear image is 64x36, the model was trained",
        ),
        ({"rear": DepthImage(np.ones((48, 64), np.uint16), 0.001)}, "the rear image is a depth image"),
        ({"rear_depth": color}, "the rear_depth image is no depth image"),
        (
            {"rear_depth": DepthImage(np.zeros((48, 64), np.uint16), 0.001)},
            "the rear_depth image has 0.0% of its pixels between",
        ),
    ):
        estimate = localizer.process(Frame(1, "camera", color, None, further=further))
        assert (estimate.color_used, set(estimate.further_used.values())) == (True, {False})
        assert estimate.remark.startswith(why)
        with pytest.raises(FrameError, match=r"no image of color, depth, side, rear, rear_depth \("):
            localizer.process(Frame(1, "camera", None, None, further=further))
    gray = localizer.process(Frame(1, "camera", None, None, further={"side": ColorImage(color.pixels[:, 8:56], "rgb")}))
    assert gray.further_used == {"side": True, "rear": False, "rear_depth": False}
    backend.close()


def test_a_sensor_without_images_or_of_another_size_is_said(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "wall"
    shutil.copytree(folder, root)
    values = json.loads((root / "camera.json").read_text())["sensors"]
    declare(root, {**values, "left": values["side"]})
    with pytest.raises(Exception, match=r"declares the sensor left, but there is no image frame-N.left.EXT"):
        open_folder(root)
    declare(root, {"side": values["rear"]})
    with pytest.raises(Exception, match=r"has 32x32 pixels, but the intrinsics of the sensor side are for 64x48"):
        open_folder(root)
    assert se3.is_rigid(REAR)
