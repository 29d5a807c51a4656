# SPDX-License-Identifier: Apache-2.0
"""Building a map: surfaces where they are, nothing that moved, the camera's distortion, and what is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mvloc_ros.geometry.trajectory import Trajectory, write_tum
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE, DepthCamera
from mvloc_ros.localization.scene_map import read_scene_map
from mvloc_ros.mapping.build import MapOptions
from mvloc_ros.mapping.distortion import measure
from mvloc_ros.mapping.errors import MappingError
from mvloc_ros.mapping.fusion import PosedDepth, fuse
from mvloc_ros.mapping.map import add_map, check_cameras, check_depth, hold_out
from mvloc_ros.mapping.surface_points import thin
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.bundle_writer import write_bundle
from mvloc_ros.model.frame import DepthImage
from mvloc_ros.recordings import open_folder

NONE = np.zeros(CORRECTION_SHAPE, np.float32)


def to_surface(points: np.ndarray, scene) -> np.ndarray:
    """Distance of points [N, 3] from the nearest face of the scene's boxes."""
    distances = []
    for box in (scene.room, *scene.boxes):
        low, high = np.array(box)
        outside = np.maximum(np.maximum(low - points, points - high), 0.0)
        inside = np.minimum(points - low, high - points).min(axis=1)
        distances.append(np.where(inside > 0, inside, np.linalg.norm(outside, axis=1)))
    return np.min(distances, axis=0)


def test_points_lie_on_the_surfaces_and_normals_look_at_the_room(mapped, room):
    scene_map = read_scene_map(mapped)
    content = scene_map.content(scene_map.tiles_near((0, 0, 0), 10.0))
    assert len(content.points) == mapped.manifest.scene_map.points > 5000
    distances = to_surface(content.points, room.Scene())
    assert np.median(distances) < 0.002
    assert np.quantile(distances, 0.95) < 0.03, "edges are rounded, by less than a cube"
    east = np.abs(content.points[:, 0] - 2.0) < 0.01
    assert np.count_nonzero(east) > 200
    assert np.median(content.normals[east] @ [-1.0, 0.0, 0.0]) > 0.99
    assert content.brightness.min() >= 1
    assert len(set(content.brightness)) > 20


def test_the_manifest_tells_what_the_map_is(mapped):
    spec = mapped.manifest.scene_map
    assert (spec.resolution_m, spec.tile_m, spec.depth_min_m, spec.depth_max_m) == (0.04, 4.0, 0.3, 4.5)
    np.testing.assert_array_equal(spec.extrinsic(), np.eye(4))
    assert (mapped.path / spec.file).stat().st_size < 1e6
    summary = spec.acceptance.summary
    assert summary["right"]["accepted"] >= 0.9
    assert summary["rescued"]["accepted"] >= 0.9
    wrong = [summary[kind]["accepted"] for kind in ("shuffled", "shuffled, at its pose", "mirrored")]
    assert max(wrong) <= 0.05
    assert summary.get("blocked, wrong", {"accepted": 0.0})["accepted"] <= 0.05
    assert summary["blocked, wrong"]["trials"] + summary.get("blocked, right", {"trials": 0})["trials"] >= 10
    assert read_bundle(mapped.path).manifest == mapped.manifest


def test_what_moved_is_not_in_the_map(room):
    scene, rng = room.Scene(), np.random.default_rng(0)
    frames = []
    for i, T in enumerate(room.path(12, 0.0)):
        # Somebody who walks along the eastern wall is at each place in one frame.
        x = -0.6 + 0.1 * i
        walker = ((0.2, x, 0.0), (0.5, x + 0.09, 1.7))
        depth, _ = replace(scene, boxes=(*scene.boxes, walker)).render(T, room.camera)
        millimetres = np.rint(1e3 * (depth + 0.002 * rng.standard_normal(depth.shape))).astype(np.uint16)
        frames.append(PosedDepth(DepthImage(millimetres, 0.001), None, T))
    camera = DepthCamera(room.camera, 0.3, 4.5, NONE)
    cubes = fuse(frames, camera, room.camera, np.eye(4), 0.04)
    far = to_surface(cubes.points, scene) > 0.06
    assert np.count_nonzero(far) > 100, "the walker was seen"
    kept = cubes.chosen(cubes.frames >= 3)
    assert np.count_nonzero(to_surface(kept.points, scene) > 0.06) < 0.02 * np.count_nonzero(far)
    assert np.all(np.isnan(cubes.brightness))
    assert np.all(thin(kept, 0.04).brightness == 0)


def test_the_cameras_distortion_is_found(room):
    scene = room.Scene()
    columns = np.arange(room.camera.width)
    bands = 4e-3 * np.sin(2 * np.pi * columns / 80)
    frames = []
    for T in room.path(24, 0.2):
        depth, _ = scene.render(T, room.camera)
        frames.append(PosedDepth(DepthImage((1.0 / (1.0 / depth - bands)).astype(np.float32), 1.0), None, T))
    camera = DepthCamera(room.camera, 0.3, 4.5, NONE)
    for _ in range(3):
        cubes = fuse(frames, camera, room.camera, np.eye(4), 0.04)
        content = thin(cubes.chosen(cubes.frames >= 2), 0.04)
        camera = replace(camera, correction=camera.correction + measure(frames, camera, content))
    centres = 4e-3 * np.sin(2 * np.pi * (np.arange(32) + 0.5) * 5 / 80)
    found = np.median(camera.correction[6:18], axis=0)
    assert np.corrcoef(found, centres)[0, 1] > 0.9
    assert np.std(found[4:-4] - centres[4:-4]) < 0.5 * np.std(centres)


def test_a_perfect_camera_needs_no_correction(room):
    frames = [PosedDepth(DepthImage(room.Scene().render(T, room.camera)[0], 1.0), None, T) for T in room.path(10, 0.2)]
    camera = DepthCamera(room.camera, 0.3, 4.5, NONE)
    content = thin(fuse(frames, camera, room.camera, np.eye(4), 0.04), 0.04)
    assert np.abs(measure(frames, camera, content)).max() < 1e-3


def test_held_out_frames_are_the_ends_of_the_training_sequences(folder):
    train = open_folder(folder).train
    seen, held = hold_out(train)
    assert [(r.sequence, r.index) for r in held] == [(s, i) for s in ("seq-01", "seq-02") for i in range(54, 60)]
    assert len(seen) == 2 * 49
    assert not {r.sequence for r in seen} & {"seq-03"}


def test_a_map_replaces_the_one_before(mapped, folder, room, tmp_path):
    shutil.copytree(mapped.path, tmp_path / "bundle")
    again = add_map(tmp_path / "bundle", folder, replace(room.options, resolution_m=0.05))
    assert again.manifest.scene_map.file != mapped.manifest.scene_map.file
    assert [p.name for p in again.path.glob("scene_map-*")] == [again.manifest.scene_map.file]
    assert not list(again.path.glob(".*"))


def test_a_folder_of_other_cameras_is_refused(tiny_bundle, folder, tmp_path):
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    with pytest.raises(MappingError, match=r"poses of .* are of the depth camera"):
        add_map(tmp_path / "bundle", folder, MapOptions())


def test_impossible_options_are_refused():
    with pytest.raises(MappingError, match="resolution"):
        MapOptions(resolution_m=1.0)
    with pytest.raises(MappingError, match="range"):
        MapOptions(near_m=3.0, far_m=1.0)
    for count in (-1, 1000):
        with pytest.raises(MappingError, match="--keyframe-features"):
            MapOptions(keyframe_features=count)
    for millimetres in ({"resolution_m": 20.0, "tile_m": 4000.0}, {"resolution_m": 1e-6}, {"far_m": 1e300}):
        with pytest.raises(MappingError, match=r"--tile at most 1000 meters|at most 10000 meters"):
            MapOptions(**millimetres)


def test_depth_in_a_wrong_unit_gives_no_map(folder, plain_bundle, tmp_path):
    shutil.copytree(plain_bundle, tmp_path / "bundle")
    shutil.copytree(folder, tmp_path / "folder")
    settings = (folder / "camera.json").read_text()
    (tmp_path / "folder" / "camera.json").write_text(settings[:-1] + ', "depth_units_per_metre": 1000000}')
    with pytest.raises(MappingError, match="check the unit"):
        add_map(tmp_path / "bundle", tmp_path / "folder", replace(MapOptions(), resolution_m=0.04))


def test_depth_is_looked_at_before_a_map_is_built(folder, tmp_path, caplog, capsys):
    check_depth(open_folder(folder), 0.3, 4.5, "mvloc map")
    assert "values a metre (" in capsys.readouterr().out
    assert not caplog.records
    check_depth(open_folder(folder), 0.001, 0.01, "mvloc map")
    assert "100% of the measured depth" in caplog.text
    shutil.copytree(folder, tmp_path / "blind")
    for path in (tmp_path / "blind").glob("*/*depth.png"):
        cv2.imwrite(str(path), np.zeros_like(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))
    with pytest.raises(MappingError, match=r"has no usable depth: no pixel is measured; mvloc map needs depth images"):
        check_depth(open_folder(tmp_path / "blind"), 0.3, 4.5, "mvloc map")


def test_the_folder_of_another_scene_is_refused_before_anything_is_built(plain_bundle, folder, tmp_path):
    """Its cameras are the same; where the model was trained it was not."""
    bundle = read_bundle(plain_bundle)
    poses = np.array([frame.T_map_camera for frame in open_folder(folder).train])
    stamps = np.arange(len(poses), dtype=np.int64)
    for shift, is_refused in ((0.0, False), (0.3, True)):
        moved = poses.copy()
        moved[:, 0, 3] += shift
        write_tum(tmp_path / "poses.tum", Trajectory(stamps, moved))
        files = {"model.onnx": bundle.model_path, "training_poses.tum": tmp_path / "poses.tum"}
        other = write_bundle(tmp_path / f"moved{shift}", bundle.manifest, files)
        with (
            pytest.raises(MappingError, match=r"Only 0% of the training poses .*another recording")
            if is_refused
            else nullcontext()
        ):
            check_cameras(other, open_folder(folder))


HIDDEN = """
import sys
sys.modules["small_gicp"] = None  # as where it is not installed
import mvloc_ros.node.localization_node, mvloc_ros.replay.offline, mvloc_ros.doctor.models
from mvloc_ros.geometry.trajectory import Trajectory, write_tum
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.bundle_writer import write_bundle
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.scene_map import SceneMapError

bundle = read_bundle(sys.argv[1])
print(Localizer(bundle, None, RefinementOptions(mode="auto")).map_problem)
try:
    Localizer(bundle, None, RefinementOptions(mode="required"))
except SceneMapError as error:
    print("refused:", error)
"""


def test_without_small_gicp_the_network_is_left_and_what_to_install_is_said(mapped):
    said = subprocess.run(
        [sys.executable, "-c", HIDDEN, str(mapped.path)], capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()
    assert said[-2].startswith("poses are the network's alone: ")
    assert said[-1].startswith("refused: ")
    assert all("pip install small_gicp" in line for line in said[-2:])


def test_panoramas_give_no_map(folder, plain_bundle, tmp_path):
    shutil.copytree(plain_bundle, tmp_path / "bundle")
    shutil.copytree(folder, tmp_path / "folder")
    settings = (folder / "camera.json").read_text()
    (tmp_path / "folder" / "camera.json").write_text(settings[:-1] + ', "depth_projection": "cylindrical"}')
    with pytest.raises(MappingError, match="are panoramas, which `mvloc map` cannot"):
        add_map(tmp_path / "bundle", tmp_path / "folder", MapOptions())
