# SPDX-License-Identifier: Apache-2.0
"""The declaration of further sensors, and the manifest that lists them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.model.bundle import BundleError, read_bundle, read_pair_bundle
from mvloc_ros.model.bundle_writer import manifest_text
from mvloc_ros.model.manifest import SCHEMA_VERSION, manifest_from_json, manifest_to_json
from mvloc_ros.model.manifest_checks import ManifestError
from mvloc_ros.model.modalities import Sensor, SensorInput, graph_inputs, modality_names, require_distinct, sensors_of

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
HERE = tuple(float(value) for value in np.eye(4).ravel())
REAR = (-1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0, -0.3, 0.0, 0.0, 0.0, 1.0)
DEMO = Path(__file__).resolve().parents[2] / "models" / "demo"


def sensor(**changes: Any) -> Sensor:
    return replace(Sensor("rear", "color", CAMERA, REAR), **changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "depth"}, "the sensor name 'depth' is not accepted"),
        ({"name": "present"}, "is not accepted"),
        ({"name": "pose"}, "is not accepted"),
        ({"name": "Rear"}, "is not accepted"),
        ({"name": "../x"}, "is not accepted"),
        ({"name": "a" * 33}, "is not accepted"),
        ({"name": ""}, "is not accepted"),
        ({"kind": "lidar"}, "the kind of sensor rear must be color, gray, depth, not 'lidar'"),
        ({"camera": replace(CAMERA, fx=1e6)}, "fx is 1e\\+06 pixels"),
        ({"T_reference_sensor": (2.0, *HERE[1:])}, "must be the 16 numbers of a rigid transform"),
        ({"T_reference_sensor": (*HERE[:3], 300.0, *HERE[4:])}, "its unit is the metre"),
        ({"depth_max_m": 3.0}, "is of kind color, which has no depth range"),
        ({"kind": "depth", "depth_min_m": 3.0, "depth_max_m": 2.0}, "needs 0 <= depth_min_m < depth_max_m"),
        ({"kind": "depth", "units_per_metre": 0.0}, "must be positive"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ManifestError, match=reason):
        sensor(**changes)


def test_plain_values_and_back() -> None:
    sensors = (sensor(), sensor(name="back", kind="depth", depth_min_m=0.2, depth_max_m=8.0, units_per_metre=5000.0))
    values = json.loads(json.dumps([item.to_dict() for item in sensors]))
    assert sensors_of(values) == sensors
    with pytest.raises(ManifestError, match="two sensors are called 'rear'"):
        require_distinct((sensor(), sensor()))
    with pytest.raises(ManifestError, match="7 sensors are declared"):
        require_distinct([sensor(name=f"s{i}") for i in range(7)])


def test_names_and_sizes() -> None:
    rear = sensor(camera=PinholeCamera(1280, 720, 900.0, 900.0, 640.0, 360.0))
    found = rear.input_at(120)
    assert (found.height, found.width, found.shape, found.dtype) == (120, 213, (120, 213, 3), np.uint8)
    depth = sensor(kind="depth").input_at(32)
    assert (depth.shape, depth.dtype) == ((32, 43), np.float32)
    assert sensor(kind="gray").input_at(32).blank().shape == (32, 43)
    assert modality_names((rear,)) == ("color", "depth", "rear")
    assert graph_inputs(("color", "depth", "rear", "side")) == ("color", "depth", "present", "rear", "side")
    assert graph_inputs(("color", "depth")) == ("color", "depth", "present")
    assert sensor().in_words == "rear (color, 0.3 m and 180 deg from the color camera)"


def test_a_depth_sensor_has_its_own_range_before_that_of_training() -> None:
    own = sensor(kind="depth", depth_max_m=20.0).with_range(0.1, 6.0)
    assert (own.depth_min_m, own.depth_max_m) == (0.1, 20.0)
    assert sensor().with_range(0.1, 6.0) == sensor()
    with pytest.raises(ManifestError, match="depth_min_m < depth_max_m"):
        sensor(kind="depth", depth_min_m=8.0).with_range(0.1, 6.0)


def test_the_manifest_lists_sensors_in_a_schema_of_its_own() -> None:
    pair = read_bundle(DEMO).manifest
    assert "sensors" not in manifest_to_json(pair, {})
    assert manifest_to_json(pair, {})["schema"] == json.loads((DEMO / "manifest.json").read_text())["schema"], (
        "older readers read pairs as before"
    )
    inputs = (
        SensorInput(sensor(), 32, 43),
        SensorInput(sensor(name="back", kind="depth", depth_min_m=0.1, depth_max_m=6.0), 32, 43),
    )
    manifest = replace(pair, sensors=inputs)
    values = json.loads(json.dumps(manifest_to_json(manifest, manifest.files)))
    assert values["schema"] == SCHEMA_VERSION == 4
    assert manifest_from_json(values) == manifest
    assert [(item.name, item.shape) for item in manifest.inputs][2:] == [("rear", (32, 43, 3)), ("back", (32, 43))]
    assert manifest_from_json({**values, "sensors": None}) == pair


@pytest.mark.parametrize(
    ("sensors", "reason"),
    [
        ({}, "sensors must be a list"),
        ([7], r"sensors\[0\] must be a mapping"),
        ([{"name": "rear"}], r"sensors\[0\].kind is missing"),
        ([{**SensorInput(sensor(), 32, 43).to_dict(), "height": 0}], "the input size of sensor rear is invalid"),
        ([{**SensorInput(sensor(), 32, 43).to_dict(), "kind": "depth"}], "sensor rear has no depth range"),
        ([SensorInput(sensor(), 32, 43).to_dict()] * 2, "two sensors are called 'rear'"),
        ([SensorInput(sensor(), 32, 43).to_dict()] * 7, "sensors lists 7, at most 6 are accepted"),
    ],
)
def test_a_damaged_list_of_sensors_is_said(sensors: object, reason: str) -> None:
    values = json.loads(json.dumps(manifest_to_json(read_bundle(DEMO).manifest, {})))
    with pytest.raises(ManifestError, match=reason):
        manifest_from_json({**values, "sensors": sensors})


def test_a_kept_bundle_of_a_pair_is_read_and_written_byte_for_byte() -> None:
    bundle = read_bundle(DEMO)
    assert bundle.manifest.sensors == ()
    kept, written = (
        json.loads(text) for text in ((DEMO / "manifest.json").read_text(), manifest_text(bundle.manifest))
    )
    assert list(written) == list(kept)
    # Of a scene map later versions state more.
    assert json.dumps({**written, "scene_map": {}, "digest": ""}) == json.dumps({**kept, "scene_map": {}, "digest": ""})
    assert [(item.name, item.kind) for item in bundle.manifest.inputs] == [("color", "color"), ("depth", "depth")]
    assert read_pair_bundle(DEMO) == bundle


def test_what_runs_pairs_only_refuses_more(tmp_path: Path) -> None:
    manifest = replace(read_bundle(DEMO).manifest, sensors=(SensorInput(sensor(), 32, 43),))
    for name in manifest.files:
        (tmp_path / name).write_bytes((DEMO / name).read_bytes())
    (tmp_path / "manifest.json").write_text(manifest_text(manifest), encoding="utf-8")
    assert read_bundle(tmp_path).manifest == manifest
    with pytest.raises(BundleError, match=r"takes the sensors rear besides color and depth, which maps and"):
        read_pair_bundle(tmp_path)
