# SPDX-License-Identifier: Apache-2.0
"""Each value of a manifest: refused, with its name, where it is of another kind or makes no sense."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from manifests import edit_manifest
from mutations import damaged_bytes, damaged_values, to_text

from mvloc_ros.model.bundle import Bundle, BundleError, read_bundle
from mvloc_ros.model.bundle_writer import write_bundle
from mvloc_ros.model.manifest import FrameSpec, InputSpec, PositionSpec
from mvloc_ros.model.manifest_checks import ManifestError

EYE = np.eye(4).ravel().tolist()
COVARIANCE = np.diag([0.01, 0.01, 0.01, 0.001, 0.001, 0.001])
SCENE_MAP = {
    "file": "scene_map-0.npz", "sha256": "0" * 64, "resolution_m": 0.02, "tile_m": 4.0, "points": 100,
    "depth_min_m": 0.3, "depth_max_m": 4.5, "T_color_depth": EYE, "inflation": 20.0,
    "acceptance": {"bias": -5.0, "weights": {"fit": 1.0}, "typical": {"fit": 0.9}, "threshold": 0.9,
                   "false_accept_rate": 0.005, "summary": {}},
    "calibration": {"scale": 0.1, "floor_m": 0.001, "floor_rad": 0.0, "record": {"frames": 10}},
}  # fmt: skip
CALIBRATION = {"both": COVARIANCE.ravel().tolist(), "color_only": None, "depth_only": None, "record": {}}
PRECISION = {"file": "model.onnx", "frames": 7, "difference_m": [0.001, 0.002], "difference_deg": [0.01, 0.02]}


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A bundle whose manifest has every section."""
    copy = Path(shutil.copytree(tiny_bundle, tmp_path / "model"))

    def complete(values: dict[str, Any]) -> None:
        values |= {"scene_map": SCENE_MAP, "calibration": CALIBRATION, "precisions": {"fp16": PRECISION}}
        values |= {"T_color_depth": EYE, "residual_variance_color_only": [0.1] * 6, "schema": 3}
        values["input"]["depth_of_points"] = True
        values["training"]["validation"] = {"translation_m": 0.1, "rotation_deg": 2.0}

    edit_manifest(copy, complete)
    return copy


def test_every_section_is_read_where_it_makes_sense(bundle: Path):
    manifest = read_bundle(bundle).manifest
    assert manifest.scene_map.acceptance.weights == {"fit": 1.0}
    assert manifest.calibration.both[:2] == (0.01, 0.0)
    assert manifest.precisions["fp16"].frames == 7
    assert manifest.input.depth_of_points


def put(*path: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change that sets one value."""

    def change(values: Any) -> None:
        for key in path[:-1]:
            values = values[key]
        values[path[-1]] = value

    return change


def covariance(**changes: float) -> list[float]:
    matrix = COVARIANCE.copy()
    for place, value in changes.items():
        matrix[int(place[1]), int(place[2])] = value
    return matrix.ravel().tolist()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("schema", value=True), "has no schema version"),
        (put("schema", value=1.0), "has no schema version"),
        (put("input", "height", value=12.7), "input.height must be a whole number, not 12.7"),
        (put("input", "height", value=True), "input.height must be a whole number, not True"),
        (put("input", "height", value=2**63), "input.height must be a whole number"),
        (put("input", "width", value=2**30), "the input size is invalid: 1073741824x12 pixels"),
        (put("input", "depth_max_m", value=1e300), "input needs 0 <= depth_min_m < depth_max_m <= 10000"),
        (put("input", "depth_min_m", value=-0.1), "input needs 0 <= depth_min_m"),
        (put("input", "depth_of_points", value="false"), "input.depth_of_points must be true or false, not 'false'"),
        (put("depth_registered", value="false"), "depth_registered must be true or false, not 'false'"),
        (put("depth_registered", value=1), "depth_registered must be true or false, not 1"),
        (put("latent_dim", value=0), "latent_dim must be from 1 to 65536, not 0"),
        (put("latent_dim", value="256"), "latent_dim must be a whole number, not '256'"),
        (put("position", "scale_m", value=-1.0), r"position.scale_m must be from 1e-07 to 1e\+07 m, not -1"),
        (put("position", "scale_m", value="2.0"), "position.scale_m must be a number, not '2.0'"),
        (put("position", "scale_m", value=10**399), "position.scale_m is too large"),
        (put("position", "offset_m", value=[1e12, 0, 0]), r"position.offset_m must be from -1e\+08 to 1e\+08 m"),
        (put("position", "offset_m", value="123"), "position.offset_m needs 3 values, not '123'"),
        (put("position", value=[]), "position must be a mapping, not a list"),
        (put("frames", "map", value=""), "frames.map must be a name, not ''"),
        (put("frames", "map", value="/map"), "frames.map is '/map', not a TF frame name"),
        (put("frames", "map", value="my map"), "frames.map is 'my map', not a TF frame name"),
        (put("frames", "map", value="map\n"), "frames.map must be a name"),
        (put("frames", "map", value="map\0"), "frames.map has control characters"),
        (put("frames", "map", value="map\ud800"), "frames.map has control characters"),
        (put("frames", "map", value="m" * 256), "frames.map has 256 characters, at most 255"),
        (put("frames", "map", value=7), "frames.map must be a text, not 7"),
        (put("color_camera", "fx", value=0.5), "color_camera.fx is 0.5 pixels, invalid for an image of 64 pixels"),
        (put("depth_camera", "fy", value=1e6), r"depth_camera.fy is 1e\+06 pixels, invalid"),
        (put("color_camera", "cx", value=-5000.0), "color_camera.cx is -5000 pixels, invalid"),
        (put("color_camera", "fx", value=-60.0), "focal lengths must be positive"),
        (put("color_camera", "width", value=64.5), "color_camera.width must be a whole number, not 64.5"),
        (put("color_camera", "width", value=2**40), "at most 67108864 pixels"),
        (put("residual_variance", value=[0.01] * 5), "residual_variance needs 6 values, not 5"),
        (put("residual_variance", 0, value=1e40), r"residual_variance must be positive .* m\^2, not 1e\+40"),
        (put("residual_variance", 5, value=1e4), r"residual_variance must be positive .* rad\^2, not 10000"),
        (put("residual_variance", 5, value=-1e-4), "residual_variance must be positive"),
        (put("residual_variance_color_only", 3, value=True), "residual_variance_color_only must be a number, not True"),
        (put("T_color_depth", 0, value=1.1), "T_color_depth must be the 16 numbers of a rigid transform"),
        (put("T_color_depth", 3, value=25.0), r"T_color_depth puts the two cameras 25 m apart.*unit is the metre"),
        (put("T_color_depth", value=EYE[:12]), "T_color_depth needs 16 values, not 12"),
        (put("licence", value="x" * 10_001), "licence has 10001 characters, at most 10000"),
        (put("preset", value="\x1b[31m"), "preset has control characters"),
        (put("files", "model.onnx", "sha256", value="abc"), "digest of model.onnx must be a SHA-256"),
        (put("files", "model.onnx", "sha256", value="G" * 64), "digest of model.onnx must be a SHA-256"),
        (put("files", ".hidden", value={"sha256": "0" * 64}), "not a plain file name"),
        (put("files", "a\0b", value={"sha256": "0" * 64}), "control characters"),
        (put("files", value={str(n): {"sha256": "0" * 64} for n in range(1001)}), "1001 files are listed"),
        (put("precisions", "fp16", "file", value="../model.onnx"), "not a plain file name"),
        (put("precisions", "fp16", "frames", value=-1), "frames of a precision must be from 0"),
        (put("precisions", "fp16", "difference_m", value=[0.2, 0.1]), "difference_m of a precision needs 0 <= median"),
        (put("precisions", "fp16", "difference_m", value=[0.1]), "difference_m needs 2 values, not 1"),
        (put("training", "validation", value=5), "training.validation must be a mapping, not 5"),
        (put("training", "validation", "rotation_deg", value="2"), "training.validation.rotation_deg must be a number"),
        (put("scene_map", "resolution_m", value=1e-6), "scene_map.resolution_m must be from 0.001 to 10 m"),
        (put("scene_map", "tile_m", value=1e9), "scene_map.tile_m must be from 0.02 to 1000 m"),
        (put("scene_map", "points", value=2**40), r"scene_map.points must be from 1 to 6.71089e\+07"),
        (put("scene_map", "points", value=0), "scene_map.points must be from 1"),
        (put("scene_map", "inflation", value=1e300), r"scene_map.inflation must be from 1 to 1e\+09"),
        (put("scene_map", "depth_max_m", value=0.1), "scene_map needs 0 <= depth_min_m"),
        (put("scene_map", "file", value=""), "scene_map.file is '', not a plain file name"),
        (put("scene_map", "file", value="a/b"), "scene_map.file is 'a/b', not a plain file name"),
        (put("scene_map", "sha256", value=""), "scene_map.sha256 must be a SHA-256"),
        (put("scene_map", "T_color_depth", 7, value=-21.0), "scene_map.T_color_depth puts the two cameras 21 m apart"),
        (put("scene_map", "acceptance", "weights", value={}), "weights and typical values of the same names"),
        (put("scene_map", "acceptance", "weights", "fit", value=-1), "acceptance.weights.fit must be from 0"),
        (put("scene_map", "acceptance", "typical", "fit", value=2), "acceptance.typical.fit must be from 0 to 1"),
        (put("scene_map", "acceptance", "threshold", value=1.0), "threshold must be between 0 and 1, not 1"),
        (put("scene_map", "acceptance", "false_accept_rate", value=2.0), "false_accept_rate must be from 0 to 1"),
        (put("scene_map", "calibration", "scale", value=0.0), "scene_map.calibration.scale must be from 1e-09"),
        (put("scene_map", "calibration", "floor_m", value=-0.1), "scene_map.calibration.floor_m must be from 0"),
        (put("scene_map", "calibration", "floor_rad", value=7.0), "scene_map.calibration.floor_rad must be from 0"),
        (put("scene_map", "calibration", "record", value=None), "scene_map.calibration.record must be a mapping"),
        (put("calibration", "both", value=None), "calibration.both needs 36 values, not None"),
        (put("calibration", "both", value=covariance(d00=0.0)), "diagonal of calibration.both must be positive"),
        (put("calibration", "both", value=covariance(d33=200.0)), r"diagonal of calibration.both .* rad\^2, not 200"),
        (put("calibration", "both", value=covariance(d01=0.005)), "calibration.both must be symmetric"),
        (put("calibration", "both", value=covariance(d01=1e300, d10=1e300)), "calibration.both must be symmetric"),
        (put("calibration", "depth_only", value=[1.0] * 36), "calibration.depth_only must be .* positive definite"),
        (put("calibration", "color_only", value=[1.0] * 35), "calibration.color_only needs 36 values, not 35"),
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_refused_by_its_name(bundle: Path, change: Callable, words: str):
    edit_manifest(bundle, change)
    with pytest.raises(BundleError, match=words) as refused:
        read_bundle(bundle)
    assert str(bundle) in str(refused.value)


def test_asymmetry_counts_relative_to_the_variances(bundle: Path):
    """Deviations of micrometres: an absolute tolerance would not see that these are no covariance."""
    small = 1e-12 * np.eye(6)
    small[0, 1] = 9e-13
    edit_manifest(bundle, put("calibration", "both", value=small.ravel().tolist()))
    with pytest.raises(BundleError, match="must be symmetric"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PositionSpec((float("nan"), 0.0, 0.0), 1.0), "offset_m"),
        (lambda: PositionSpec((0.0, 0.0, 0.0), float("inf")), "scale_m"),
        (lambda: InputSpec(0, 16, 0.1, 6.0), "the input size is invalid"),
        (lambda: FrameSpec("", "color"), "frames.map"),
    ],
)
def test_what_no_reader_would_accept_cannot_be_made(make: Callable, words: str):
    with pytest.raises(ManifestError, match=words):
        make()


def test_a_number_that_is_not_finite_is_never_written(bundle: Path, tmp_path: Path):
    found = read_bundle(bundle)
    found.manifest.training["seconds"] = float("nan")  # type: ignore[index]
    files = {name: bundle / name for name in found.manifest.files}
    with pytest.raises(BundleError, match=r"cannot be written: Out of range float.*training"):
        write_bundle(tmp_path / "again", found.manifest, files)
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"schema": Infinity}', "Infinity is not a number in JSON"),
        ('{"schema": 1' + "0" * 5000 + "}", "a number has 5001 digits"),
        ('{"schema": 1e999}', "the number 1e999 is too large"),
        ("[" * 100_000, "nested deeper than 64"),
        ('{"schema": 1, "schema": 2}', "'schema' occurs twice"),
        ("[1]", "has no schema version"),
        ('{"schema": "\xff', "Cannot read"),
        ("", "Cannot read"),
        (" " * (5 << 20), "at most 4194304 are accepted"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_manifest_is_refused(bundle: Path, text: str, words: str):
    (bundle / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError, match=words):
        read_bundle(bundle)


def outcome(bundle: Path) -> Bundle | BundleError:
    """What reading gives; any other exception fails the test."""
    try:
        return read_bundle(bundle)
    except BundleError as error:
        refusal = error
    assert str(refusal).endswith(".")
    assert len(str(refusal)) < 1000
    return refusal


def test_damaged_values_are_refused_or_make_sense(bundle: Path):
    path = bundle / "manifest.json"
    values = json.loads(path.read_text())
    del values["digest"]
    found = []
    for seed in range(400):
        path.write_text(to_text(damaged_values(values, seed)))
        found.append(outcome(bundle))
        if isinstance(found[-1], Bundle):
            manifest = found[-1].manifest
            numbers = (*manifest.residual_variance, *manifest.position.offset_m, manifest.position.scale_m)
            assert np.isfinite(numbers).all()
            assert min(manifest.residual_variance) > 0
    refused = sum(isinstance(one, BundleError) for one in found)
    assert 200 < refused < 390  # what is free-form may be anything


def test_a_damaged_byte_of_a_manifest_is_noticed_where_it_has_its_digest(bundle: Path):
    """Since the digest is over all values: what still loads has the same ones."""
    path = bundle / "manifest.json"
    content, before = path.read_bytes(), read_bundle(bundle).manifest
    for seed in range(250):
        path.write_bytes(damaged_bytes(content, seed))
        if isinstance(found := outcome(bundle), Bundle) and found.digest:
            assert found.manifest == before
