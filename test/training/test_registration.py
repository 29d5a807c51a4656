# SPDX-License-Identifier: Apache-2.0
"""Raw depth carried into the colour camera: the same in training, in the bundle and at run time, or not at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.cli import main
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.bundle_writer import write_bundle
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame, FrameError
from mvloc_ros.recordings import open_folder, read_color
from mvloc_ros.recordings.images import read_depth_raw
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import ReadOptions, read_frames
from mvloc_ros.training.datasets.decoding import Decoding
from mvloc_ros.training.datasets.load_frames import load_decoded, registration
from mvloc_ros.training.export import make_manifest
from mvloc_ros.training.frame_selection import split_records
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.options import InputConfig
from mvloc_ros.training.presets import preset

TINY = [
    "--short-side", "32", "--width", "0.125", "--latent-size", "16", "--epochs", "1", "--batch-size", "8",
    "--validation-gap", "2", "--device", "cpu", "--register-depth",
]  # fmt: skip
DEPTH = {"width": 64, "height": 48, "fx": 72.0, "fy": 72.0, "cx": 31.5, "cy": 23.5}
T_COLOR_DEPTH = [[1, 0, 0, -0.3], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def state(folder: Path, **changes: object) -> Path:
    path = folder / "camera.json"
    values = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in values.items() if value is not None}))
    return folder


@pytest.fixture
def raw(tiny_folder: Path, tmp_path: Path) -> Path:
    """The recording as if its depth camera stood 0.3 m to the left of the colour camera, with a narrower view."""
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "raw"))
    return state(folder, depth=DEPTH, depth_registered=False, T_color_depth=T_COLOR_DEPTH)


def train(folder: Path, *more: str) -> int:
    return main(["train", "--data", str(folder), "--out", str(folder.parent / "run"), *TINY, *more])


def test_depth_lands_where_the_colour_camera_sees_it(raw: Path) -> None:
    """The wall is parallel to the image at z: its picture shrinks by 60/72 and moves by 60 * 0.3 / z pixels."""
    folder = open_folder(raw)
    config = InputConfig(short_side=48, register_depth=True)
    frames = read_frames(config, folder, folder.train[:12], "some", ReadOptions(None))
    assert frames.depth.shape == (12, 48, 64)
    for depth, record in zip(frames.depth, folder.train[:12], strict=True):
        assert record.depth is not None
        z = float(read_depth_raw(record.depth)[-1, -1]) / 1000.0
        np.testing.assert_allclose(depth[depth > 0.0], z, rtol=1e-6)
        columns = np.flatnonzero((depth > 0.0).any(axis=0))
        left, right = (31.5 + 60.0 / 72.0 * (u - 31.5) - 60.0 * 0.3 / z for u in (0, 63))
        assert columns[0] == pytest.approx(max(0.0, left), abs=1.0)
        assert columns[-1] == pytest.approx(right, abs=1.0)
        rows = np.flatnonzero((depth > 0.0).any(axis=1))
        top, bottom = (23.5 + 60.0 / 72.0 * (v - 23.5) for v in (4, 47))  # the first four rows saw nothing
        assert (rows[0], rows[-1]) == (pytest.approx(top, abs=1.0), pytest.approx(bottom, abs=1.0))
        assert (depth[rows[0] + 1 : rows[-1], columns[0] + 1 : columns[-1]] > 0.0).all(), "without holes"


def test_without_the_option_depth_stays_as_it_is(raw: Path, tiny_folder: Path) -> None:
    given, plain = open_folder(raw), open_folder(tiny_folder)
    one = read_frames(InputConfig(short_side=32), given, given.train[:3], "some", ReadOptions(None))
    other = read_frames(InputConfig(short_side=32), plain, plain.train[:3], "some", ReadOptions(None))
    np.testing.assert_array_equal(one.depth, other.depth)


def test_the_node_registers_as_training_did(raw: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    """What the manifest of a trained run makes the localizer give the network; the network itself is arithmetic."""
    folder = open_folder(raw)
    config = preset("mvloc", "small").with_options({"register_depth": True})
    normalisation = PoseNormalisation.fit(np.stack([record.T_map_camera for record in folder.train]))
    written = make_manifest(folder, config, normalisation, (12, 16), np.ones(6), {})
    written = replace(written, latent_dim=4)  # of the network that is put in
    bundle = write_bundle(tmp_path / "model", written, {"model.onnx": tiny_bundle / "model.onnx"})
    manifest = bundle.manifest
    assert manifest == replace(written, files=manifest.files)
    assert manifest.depth_registered
    np.testing.assert_array_equal(np.reshape(manifest.T_color_depth, (4, 4)), T_COLOR_DEPTH)
    assert manifest.depth_camera.to_dict() == DEPTH
    assert json.loads((bundle.path / "manifest.json").read_text())["schema"] == 2

    records = folder.train[:4]
    # The tiny network's size, smaller than a trained one may be.
    decoding = Decoding(12, 16, 1000.0, registration=registration(config.input, folder, 12, 16))
    frames = load_decoded(records, decoding, "some", ReadOptions(None))
    backend = create_backend("onnxruntime", bundle, threads=1)
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    run = backend.run
    backend.run = lambda color, depth, present, *_: (seen.append((color, depth)), run(color, depth, present))[1]
    localizer = Localizer(bundle, backend)
    for record in records:
        color = ColorImage(read_color(record.color), "rgb")
        localizer.process(Frame(1, "camera", color, DepthImage(read_depth_raw(record.depth), 0.001)))
    backend.close()
    for i, (color, depth) in enumerate(seen):
        np.testing.assert_array_equal(color, frames.color[i])
        # 65535 is no measurement in files; on a topic it is 65 m, beyond what the network takes.
        np.testing.assert_allclose(np.where(depth < 6.0, depth, 0.0), frames.depth[i], rtol=1e-6)
        assert 0.0 < np.count_nonzero(depth) < depth.size
    with pytest.raises(FrameError, match="the model was trained on the aspect ratio 16:12"):
        localizer.process(Frame(1, "camera", None, DepthImage(np.ones((48, 48), np.uint16), 0.001)))


def test_training_registers_where_it_is_asked_to(raw: Path) -> None:
    assert train(raw) == 0
    stored = json.loads((raw.parent / "run" / "config.json").read_text())
    assert stored["config"]["input"]["register_depth"] is True
    folder, config = open_folder(raw), InputConfig(short_side=32, register_depth=True)
    size = stored["data"]["frames"]
    frames = read_frames(
        config, folder, split_records(TrainingConfig.from_dict(stored["config"]), folder)[0], "x", ReadOptions()
    )
    assert (len(frames), frames.digest()) == (size, stored["data"]["digest"])


def test_a_bundle_that_does_not_register_stays_schema_1(tiny_bundle: Path) -> None:
    values = json.loads((tiny_bundle / "manifest.json").read_text())
    assert values["schema"] == 1
    assert "T_color_depth" not in values
    assert read_bundle(tiny_bundle).manifest.T_color_depth is None


def said(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err.replace("\r", "\n")
    (line,) = [line for line in error.splitlines() if line.startswith("mvloc ")]
    assert "Traceback" not in error
    return line


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"depth_registered": True}, "is already registered to its color; remove --register-depth"),
        ({"T_color_depth": None}, "state T_color_depth in its camera.json"),
        ({"depth_projection": "cylindrical"}, "are panoramas, which cannot be registered"),
        ({"T_color_depth": [[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}, "must be a rigid transform"),
        ({"T_color_depth": [1, 2, 3]}, "T_color_depth must be a rigid transform"),
        ({"T_color_depth": "near"}, "T_color_depth must be a rigid transform"),
    ],
)
def test_what_cannot_be_registered_is_said(raw: Path, changes: dict[str, object], words: str, capsys) -> None:
    state(raw, **changes)
    assert train(raw) == 2
    assert words in said(capsys)


def test_seven_scenes_has_a_default_that_other_cameras_do_not_get(tiny_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "raw"))
    state(folder, depth_registered=False)
    assert open_folder(folder).T_color_depth is None
    (folder / "camera.json").unlink()
    extrinsic = open_folder(folder).T_color_depth
    assert extrinsic is not None
    np.testing.assert_allclose(np.linalg.norm(extrinsic[:3, 3]), 0.0256, atol=1e-4)


def test_registered_depth_has_its_edges_where_colour_has_them(shared_data: Path) -> None:
    """On real frames: the colour gradient at the edges of depth, as a multiple of the image's mean gradient."""
    import cv2

    folder = open_folder(shared_data / "redkitchen")

    def sharpness(register: bool) -> float:
        config = InputConfig(short_side=240, register_depth=register)
        frames = read_frames(config, folder, folder.train[::60], "some", ReadOptions(None))
        ratios = []
        for color, depth in zip(frames.color, frames.depth, strict=True):
            gray = cv2.GaussianBlur(cv2.cvtColor(color, cv2.COLOR_RGB2GRAY), (0, 0), 1.0).astype(np.float32)
            gradient = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
            inverse = 1.0 / np.where(depth > 0.0, depth, np.nan)
            edges = np.zeros(depth.shape, dtype=bool)
            edges[:, 1:-1] = np.abs(inverse[:, 2:] - inverse[:, :-2]) > 0.03
            ratios.append(gradient[edges].mean() / gradient.mean())
        return float(np.mean(ratios))

    raw, registered = sharpness(False), sharpness(True)
    assert registered > 1.3 * raw, (registered, raw)
