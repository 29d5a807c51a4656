# SPDX-License-Identifier: Apache-2.0
"""Depth that is single points: its folder says so; training, bundle and localizer keep the nearest of each pixel."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.cli import main
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.bundle_writer import write_bundle
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame
from mvloc_ros.model.manifest import manifest_from_json, manifest_to_json
from mvloc_ros.recordings import open_folder, read_color
from mvloc_ros.recordings.images import read_depth_raw
from mvloc_ros.training.datasets import ReadOptions
from mvloc_ros.training.datasets.decoding import Decoding
from mvloc_ros.training.datasets.load_frames import load_decoded
from mvloc_ros.training.export import make_manifest
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.presets import preset

TINY = [
    "--short-side", "32", "--width", "0.125", "--latent-size", "16", "--epochs", "1", "--batch-size", "8",
    "--validation-gap", "2", "--device", "cpu",
]  # fmt: skip
# One pixel of these in each of the 12 x 16 that the images shrink to, and never the middle one.
POINTS = np.zeros((48, 64), bool)
POINTS[::4, ::4] = True


@pytest.fixture
def points(tiny_folder: Path, tmp_path: Path) -> Path:
    """The recording as a LIDAR would give it: every sixteenth pixel has depth."""
    root = Path(shutil.copytree(tiny_folder, tmp_path / "points"))
    for path in root.rglob("*.depth.png"):
        depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.where(POINTS, depth, 0).astype(np.uint16))
    path = root / "camera.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"depth_of_points": True}))
    return root


def test_no_point_is_lost_and_the_caches_of_surfaces_stay(points: Path) -> None:
    folder = open_folder(points)
    records = folder.train[:3]
    assert folder.depth_of_points
    kept = load_decoded(records, Decoding(12, 16, 1000.0, depth_of_points=True), "some", ReadOptions(None))
    sampled = load_decoded(records, Decoding(12, 16, 1000.0), "some", ReadOptions(None))
    # The first of the twelve rows saw nothing.
    assert [np.count_nonzero(depth) for depth in kept.depth] == [11 * 16] * 3
    assert np.count_nonzero(sampled.depth) == 0
    assert Decoding(12, 16, 1000.0).describe().keys() < Decoding(12, 16, 1.0, depth_of_points=True).describe().keys()


def test_training_and_export_take_the_folder_s_word_unless_the_command_line_has_another(
    points: Path, tmp_path: Path
) -> None:
    run, out = tmp_path / "run", tmp_path / "model"
    assert main(["train", "--data", str(points), "--out", str(run), *TINY]) == 0
    stored = json.loads((run / "config.json").read_text())["config"]["input"]
    assert stored["depth_of_points"] is True
    assert main(["export", str(run), "--out", str(out)]) == 0
    manifest = read_bundle(out).manifest
    assert manifest.input.depth_of_points
    assert "--depth-of-points" in manifest.training["command"]
    other = ["--out", str(tmp_path / "other"), *TINY, "--no-depth-of-points"]
    assert main(["train", "--data", str(points), *other]) == 0
    stored = json.loads((tmp_path / "other" / "config.json").read_text())["config"]["input"]
    assert stored["depth_of_points"] is False


def test_the_node_sees_the_points_that_training_saw(points: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    folder = open_folder(points)
    config = preset("mvloc", "small").with_options({"depth_of_points": True})
    normalisation = PoseNormalisation.fit(np.stack([record.T_map_camera for record in folder.train]))
    written = make_manifest(folder, config, normalisation, (12, 16), np.ones(6), {})
    written = replace(written, latent_dim=4)  # of the network that is put in
    bundle = write_bundle(tmp_path / "model", written, {"model.onnx": tiny_bundle / "model.onnx"})
    assert bundle.manifest == replace(written, files=bundle.manifest.files)
    records = folder.train[:4]
    frames = load_decoded(records, Decoding(12, 16, 1000.0, depth_of_points=True), "some", ReadOptions(None))
    backend = create_backend("onnxruntime", bundle, threads=1)
    seen: list[np.ndarray] = []
    run = backend.run
    backend.run = lambda color, depth, present, *_: (seen.append(depth), run(color, depth, present))[1]
    localizer = Localizer(bundle, backend)
    for record in records:
        color = ColorImage(read_color(record.color), "rgb")
        localizer.process(Frame(1, "camera", color, DepthImage(read_depth_raw(record.depth), 0.001)))
    backend.close()
    for depth, trained in zip(seen, frames.depth, strict=True):
        np.testing.assert_allclose(depth, trained, rtol=1e-6)
        assert np.count_nonzero(depth) == 11 * 16


def test_only_bundles_of_points_need_a_reader_that_knows_them(tiny_bundle: Path) -> None:
    manifest = read_bundle(tiny_bundle).manifest
    values = manifest_to_json(manifest, {})
    assert (values["schema"], "depth_of_points" in values["input"]) == (1, False)
    assert not manifest_from_json(values).input.depth_of_points
    values = manifest_to_json(replace(manifest, input=replace(manifest.input, depth_of_points=True)), {})
    assert values["schema"] == 3
    assert manifest_from_json(values).input.depth_of_points
