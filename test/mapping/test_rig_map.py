# SPDX-License-Identifier: Apache-2.0
"""A map from a front and a rear RGB-D camera, what its trials see, and a wrong extrinsic that is found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from box_rig import REAR, add_rear, declare, rear_inputs, rear_sensors
from box_room import FURNITURE, Scene

from mvloc_ros.backends.backend import NetworkOutput
from mvloc_ros.geometry import se3
from mvloc_ros.mapping import map as map_module
from mvloc_ros.mapping.build import Cameras, build_map, posed_depths
from mvloc_ros.mapping.bundle_sensors import folder_sensors
from mvloc_ros.mapping.errors import MappingError
from mvloc_ros.mapping.extrinsics import SensorOffset, measure_offsets, offset_lines, warnings_of
from mvloc_ros.mapping.further_depth import eyes_of
from mvloc_ros.mapping.fusion import PosedDepth, fuse
from mvloc_ros.mapping.map import add_map, make_spec
from mvloc_ros.mapping.trial_images import Device, Images, devices_of, lost_in
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.model.bundle_writer import add_scene_map, write_bundle
from mvloc_ros.model.frame import DepthImage
from mvloc_ros.model.modalities import Sensor
from mvloc_ros.recordings import open_folder

WESTERN = (((-2.0, -0.5, 0.9), (-1.7, -0.1, 1.15)), ((-2.0, 0.1, 1.2), (-1.8, 0.45, 1.5)))
SCENE = Scene(boxes=(*FURNITURE, *WESTERN))
TURN = np.array([0.0, np.sin(np.radians(1.5)), 0.0, np.cos(np.radians(1.5))])
OFF = se3.from_parts(np.array([0.03, 0.0, 0.04]), TURN)
"""5 cm and 3 degrees."""


def walk(room, count: int, phase: float) -> list[np.ndarray]:
    """Half of it looks the other way, so that the front camera sees all that the rear one does."""
    east = np.eye(4)
    east[0, 3] = 0.6
    poses = [east @ T for T in room.path(count, phase)]
    return [T @ REAR if i % 2 else T for i, T in enumerate(poses)]


@pytest.fixture(scope="module")
def recorded(room, tmp_path_factory) -> Path:
    """A folder with a rear camera that is declared where it is."""
    walks = {"seq-01": walk(room, 60, 0.0), "seq-02": walk(room, 60, 1.7), "seq-03": walk(room, 6, 0.33)}
    root = tmp_path_factory.mktemp("rig") / "room"
    return add_rear(room.write_folder(root, SCENE, walks, test="seq-03"), SCENE, room.camera)


@pytest.fixture(scope="module")
def bundle(room, plain_bundle, tmp_path_factory) -> Bundle:
    """Of a network that takes the rear camera as well, without a map."""
    plain = read_bundle(plain_bundle)
    manifest = replace(plain.manifest, sensors=rear_inputs(room.camera), residual_variance=(0.0025,) * 6)
    return write_bundle(tmp_path_factory.mktemp("bundle") / "rig", manifest, {"model.onnx": plain.model_path})


@pytest.fixture
def guessing(monkeypatch, room) -> None:
    """No network runs: one that answers with the middle of the room."""

    class Guess(room.Guess):
        def run(self, *given: object) -> NetworkOutput:
            return replace(super().run(*given), expert_share=np.full(5, 0.2, np.float32))

    monkeypatch.setattr(map_module, "create_backend", lambda *_: Guess())


def test_the_map_has_what_both_cameras_measure(room, recorded, bundle):
    folder = open_folder(recorded)
    sensors = folder_sensors(bundle, folder)
    pair, rig = (build_map(folder.train[::2], Cameras.of(folder, of), room.options) for of in ((), sensors))
    # Every other frame looks east, so the pair alone never saw the western wall's furniture.
    assert len(rig) > 1.15 * len(pair)
    grays = np.concatenate([rig.content([i]).brightness for i in range(len(rig.tiles))])
    assert np.mean(grays > 0) > 0.95, (
        "the rear color camera gives the brightness of what the rear depth camera measures"
    )


def test_without_further_sensors_a_folder_that_has_them_gives_the_pairs_map(room, recorded):
    folder = open_folder(recorded)
    assert Cameras.of(folder).sensors == ()
    record = folder.train[0]
    assert [frame.eye for frame in posed_depths(record, Cameras.of(folder))] == [None]


def test_a_surface_that_two_sensors_see_at_one_moment_is_observed_once(room):
    depth = DepthImage(SCENE.render(room.path(1, 0.0)[0], room.camera)[0], 1.0)
    sensor = Sensor("other", "depth", room.camera, tuple(np.eye(4).ravel()), 0.1, 6.0)
    (eye,) = eyes_of((sensor,), room.camera, 0.3, 4.5)
    first = PosedDepth(depth, None, np.eye(4))
    camera = eye.depth
    for continues, frames in ((True, 1.0), (False, 2.0)):
        both = [first, PosedDepth(depth, None, np.eye(4), eye, continues)]
        assert np.all(fuse(both, camera, room.camera, np.eye(4), 0.04).frames == frames)


def test_trials_take_a_third_of_the_frames_without_a_sensor_in_turn(recorded, bundle):
    folder = open_folder(recorded)
    cameras = Cameras.of(folder, folder_sensors(bundle, folder))
    devices = devices_of(cameras)
    assert devices == (Device("color", "depth"), Device("rear", "rear_depth"))
    lost = [lost_in(number, cameras, devices) for number in range(18)]
    assert lost[1] == lost[2] == frozenset()
    assert set(lost[::3]) == {
        frozenset(names)
        for names in (("color", "depth"), ("color",), ("depth",), ("rear", "rear_depth"), ("rear",), ("rear_depth",))
    }
    assert not any(lost_in(number, Cameras.of(folder), devices) for number in range(18))
    images = Images.of(folder.train[0], cameras)
    assert set(images.further) == {"rear", "rear_depth"}
    assert set(images.without({"rear"}).further) == {"rear_depth"}
    assert images.without({"color", "depth"}).depth is None
    turned = images.turned().further["rear_depth"].values
    np.testing.assert_array_equal(turned[::-1, ::-1], images.further["rear_depth"].values)


def test_a_bundle_gets_a_map_and_a_threshold_with_all_sensors(room, recorded, bundle, tmp_path, guessing):
    shutil.copytree(bundle.path, tmp_path / "rig")
    made = add_map(tmp_path / "rig", recorded, room.options)
    spec = made.manifest.scene_map
    assert spec.acceptance is not None
    assert spec.acceptance.summary["right"]["accepted"] > 0.9
    assert [item.sensor.name for item in made.manifest.sensors] == ["rear", "rear_depth"]


def test_the_maps_sensors_are_where_the_folder_has_them(room, recorded, bundle, tmp_path, guessing, monkeypatch):
    folder = copied(recorded, tmp_path)
    declare(folder, rear_sensors(room.camera, REAR @ OFF))
    shutil.copytree(bundle.path, tmp_path / "rig")
    monkeypatch.setattr(map_module, "hold_out", lambda records: (list(records), []))  # no trials: they take long
    made = add_map(tmp_path / "rig", folder, room.options, without_threshold=True)
    np.testing.assert_allclose(made.manifest.sensors[1].sensor.pose, REAR @ OFF)
    with pytest.raises(MappingError, match="elsewhere than the map"):
        measure_offsets(made.path, recorded, min_frames=2)


def test_a_sensor_that_the_folder_lacks_is_refused(room, recorded, bundle, tmp_path):
    folder = copied(recorded, tmp_path)
    declare(folder, rear_sensors(room.camera)[:1])
    with pytest.raises(MappingError, match="declares no sensor rear_depth of kind depth"):
        folder_sensors(bundle, open_folder(folder))


def copied(folder: Path, place: Path) -> Path:
    shutil.copytree(folder, place / "room")
    return place / "room"


@pytest.fixture
def offsets_of(room, recorded, bundle, tmp_path) -> Callable[[np.ndarray], list[SensorOffset]]:
    """The offsets where the rear camera is declared at a place."""

    def measure(T: np.ndarray) -> list[SensorOffset]:
        folder = copied(recorded, tmp_path)
        declare(folder, rear_sensors(room.camera, T))
        opened = open_folder(folder)
        cameras = Cameras.of(opened)
        scene_map = build_map(opened.train, cameras, room.options)
        manifest = replace(bundle.manifest, sensors=rear_inputs(room.camera, T))
        given = write_bundle(tmp_path / "rig", manifest, {"model.onnx": bundle.model_path})
        made = add_scene_map(given, scene_map.to_bytes(), make_spec(scene_map, cameras, room.options))
        return measure_offsets(made.path, folder, min_frames=2)

    return measure


def test_a_wrong_extrinsic_is_found_and_corrected(offsets_of):
    pair, rear = offsets_of(REAR @ OFF)
    assert (pair.name, rear.name) == ("depth", "rear_depth")
    assert not pair.is_wrong
    assert rear.metres == pytest.approx(0.05, abs=0.01)
    assert rear.degrees == pytest.approx(3.0, abs=0.4)
    left = se3.inverse(REAR) @ rear.T_corrected
    assert np.linalg.norm(left[:3, 3]) < 0.008
    assert np.degrees(np.linalg.norm(se3.rotation_vector(left[:3, :3]))) < 0.3
    (sentence,) = warnings_of([pair, rear])
    assert sentence.startswith("The sensor rear_depth is ")
    assert f"[[{rear.T_corrected[0, 0]:.6f}, " in sentence
    assert "run `mvloc map` again" in sentence


def test_a_right_extrinsic_is_silent(offsets_of):
    offsets = offsets_of(REAR)
    assert all(one.frames >= 10 for one in offsets)
    assert max(one.metres for one in offsets) < 0.006
    assert max(one.degrees for one in offsets) < 0.25
    assert warnings_of(offsets) == []
    lines = offset_lines(offsets)
    assert len(lines) == 3
    assert "offset" in lines[2]
