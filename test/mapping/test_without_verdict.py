# SPDX-License-Identifier: Apache-2.0
"""No verdict is no reason to accept a pose: what cannot be verified, or with nothing to verify it by."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from mvloc_ros import cli
from mvloc_ros.geometry import se3
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.scene_map import SceneMapError
from mvloc_ros.mapping.errors import MappingError
from mvloc_ros.mapping.map import add_map
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.bundle_writer import replace_manifest
from mvloc_ros.model.frame import ColorImage, DepthImage, FrameError

SECOND = 1_000_000_000
PERIOD_NS = 33_333_333
# The network errs by so much, and its covariance says 5 cm and 2 degrees.
ASTRAY = np.array([0.6, 0.5, -0.2, 0.0, 0.1, 0.3])


@pytest.fixture
def truth(room) -> np.ndarray:
    return room.path(6, 0.57)[2]


def all_at(frame, metres: float):
    """The frame with depth of one distance everywhere."""
    values = np.full(frame.depth.values.shape, round(1000 * metres), np.uint16)
    return replace(frame, depth=DepthImage(values, 0.001))


def in_centimetres(frame):
    """The frame as a driver gives it that writes centimetres into 16UC1."""
    return replace(frame, depth=DepthImage((frame.depth.values // 10).astype(np.uint16), 0.001))


def without_threshold(bundle):
    spec = replace(bundle.manifest.scene_map, acceptance=None)
    return replace(bundle, manifest=replace(bundle.manifest, scene_map=spec))


@pytest.mark.parametrize("near", [lambda frame: all_at(frame, 0.2), in_centimetres], ids=["hand", "centimetres"])
def test_depth_nearer_than_the_maps_is_a_blocked_view_however_long(localize, room, truth, near):
    scene = room.Scene()
    first, localizer = localize(room.frame_of(scene, truth, 0), truth)
    assert first.rejection == ""
    for i in range(1, 100):
        frame = replace(near(room.frame_of(scene, truth, seed=i)), stamp_ns=i * SECOND // 5)
        estimate, _ = localize(frame, moved(truth, ASTRAY), localizer=localizer)
        assert "100% of the depth image is nearer than the 0.3 m" in estimate.rejection
    # The accepted pose is where it was.
    np.testing.assert_array_equal(localizer.tracker._accepted.pose.T, first.pose.T)
    with pytest.raises(FrameError, match=r"required: 100% of the depth image is nearer"):
        localize(near(room.frame_of(scene, truth)), truth, mode="required")


@pytest.mark.parametrize(("columns", "is_blocked"), [(32, False), (128, True)])
def test_a_hand_nearer_than_the_maps_range_hides_what_is_behind_it(localize, room, truth, mapped, columns, is_blocked):
    """The rest of the depth image fits the map, and the score takes everything."""
    spec = mapped.manifest.scene_map
    acceptance = replace(spec.acceptance, threshold=1e-6, bias=50.0)
    bundle = replace(mapped, manifest=replace(mapped.manifest, scene_map=replace(spec, acceptance=acceptance)))
    frame = room.frame_of(room.Scene(), truth)
    depth = frame.depth.values.copy()
    depth[:, :columns] = 200
    estimate, _ = localize(replace(frame, depth=DepthImage(depth, 0.001)), truth, bundle=bundle, starts=1)
    assert estimate.details is not None, "it is judged"
    assert ("in front of most of the scene" in estimate.rejection) == is_blocked


@pytest.mark.parametrize("what", ["no depth", "all zeros", "too far", "outside of the map"])
def test_a_pose_without_a_verdict_is_rejected_until_there_was_none_for_the_stated_time(localize, room, truth, what):
    scene = room.Scene()
    _, localizer = localize(room.frame_of(scene, truth, 0), truth, starts=1)
    found = []
    for i in range(1, 60):
        frame = replace(room.frame_of(scene, truth, seed=i), stamp_ns=i * SECOND // 10)
        frame = {
            "no depth": replace(frame, depth=None),
            "all zeros": all_at(frame, 0.0),
            "too far": all_at(frame, 5.5),
            "outside of the map": frame,
        }[what]
        T = room.looking(60.0, 0.0, 1.0, 0.0, 0.0) if what == "outside of the map" else moved(truth, ASTRAY)
        estimate, _ = localize(frame, T, localizer=localizer)
        assert not estimate.refined
        assert np.isnan(estimate.score)
        assert estimate.remark, "a state of less than was asked for"
        found.append(estimate.rejection)
    assert all("could not be verified (" in text for text in found[:49])
    assert not any(found[49:]), "from 5 s on"
    # Depth is back, and with it the verdict: the next frame without one waits again.
    again, _ = localize(replace(room.frame_of(scene, truth), stamp_ns=6 * SECOND), truth, localizer=localizer)
    assert (again.refined, again.rejection) == (True, "")
    silent = replace(room.frame_of(scene, truth), depth=None, stamp_ns=6 * SECOND + 1)
    assert localize(silent, truth, localizer=localizer)[0].rejection


def test_where_verification_rejects_poses_unverified_ones_do_not_take_over(localize, room, truth):
    other = room.Scene(((-2.5, -2.0, -0.2), (1.4, 1.9, 2.9)), ())
    localizer = None
    for i in range(20):
        frame = room.frame_of(other, truth, i * SECOND, seed=i)
        judged, localizer = localize(frame, truth, localizer=localizer, starts=1)
        assert judged.rejection
        silent = replace(frame, depth=None, stamp_ns=i * SECOND + SECOND // 2)
        assert "could not be verified" in localize(silent, truth, localizer=localizer)[0].rejection


@pytest.mark.parametrize("depth_m", [None, 5.5, 0.2])
def test_a_covered_lens_is_rejected_also_where_depth_says_nothing(localize, room, truth, depth_m):
    frame = room.frame_of(room.Scene(), truth)
    frame = replace(frame, color=ColorImage(np.full_like(frame.color.pixels, 7), "rgb"))
    frame = replace(frame, depth=None) if depth_m is None else all_at(frame, depth_m)
    estimate, _ = localize(frame, truth, unverified_after_s=0.0)
    assert "the colour image shows nothing" in estimate.rejection


def test_a_pose_that_the_time_budget_left_to_the_network_is_judged_all_the_same(localize, room, truth):
    frame = room.frame_of(room.Scene(), truth)
    right, _ = localize(frame, truth, budget_ms=1e-6)
    wrong, _ = localize(frame, moved(truth, ASTRAY), budget_ms=1e-6, unverified_after_s=0.0)
    assert (right.details.iterations, right.rejection) == (0, "")
    assert right.score > 0.5
    assert wrong.rejection


def test_a_map_without_a_threshold_gives_no_accepted_pose(localize, room, truth, mapped):
    bundle = without_threshold(mapped)
    frame = room.frame_of(room.Scene(), truth)
    for one in (frame, replace(frame, depth=None), all_at(frame, 5.5)):
        estimate, localizer = localize(one, truth, bundle=bundle, unverified_after_s=0.0)
        assert "no acceptance threshold" in estimate.rejection
        assert "mvloc map" in estimate.rejection
        assert localizer.map_problem == estimate.rejection
    with pytest.raises(SceneMapError, match="No pose would be accepted: the scene map has no acceptance threshold"):
        localize(frame, truth, bundle=bundle, mode="required")
    assert localize(frame, truth, bundle=bundle, mode="off")[0].rejection == ""


def test_a_covariance_that_nothing_was_measured_for_is_said(localize, room, truth, mapped, plain_bundle):
    frame = room.frame_of(room.Scene(), truth)
    assert "covariances of refined poses are not calibrated" in localize(frame, truth, bundle=mapped)[0].remark
    plain = read_bundle(plain_bundle)
    assert localize(frame, truth, bundle=plain)[0].remark == ""
    unmeasured = replace(plain, manifest=replace(plain.manifest, training={"validation_frames": 0}))
    assert "no frames were held out" in localize(frame, truth, bundle=unmeasured)[0].remark


def test_a_single_repeated_depth_image_is_accepted_with_the_motion_in_its_covariance(localize, room, truth):
    scene, step = room.Scene(), np.array([0.0, 0.012, 0.0, 0.0, 0.0, 0.02])
    poses = [moved(truth, i * step) for i in range(5)]
    frames = [room.frame_of(scene, T, i * PERIOD_NS, seed=i) for i, T in enumerate(poses)]
    localizer, found = None, []
    for i in range(5):
        frame = frames[i] if i < 3 else replace(frames[i], depth=frames[2].depth)
        estimate, localizer = localize(frame, poses[i], localizer=localizer)
        found.append(estimate)
    assert [bool(e.rejection) for e in found] == [False, False, False, False, True]
    assert "to the last bit for 0.07 s" in found[4].rejection
    grown = np.diag(found[3].pose.covariance - found[2].pose.covariance)
    assert grown[:3].min() > 0.8 * 0.012**2
    assert grown[3:].min() > 0.8 * 0.02**2
    assert se3.translation_error(found[3].pose.T, poses[3]) < 3 * np.sqrt(np.trace(found[3].pose.covariance[:3, :3]))
    # The accepted pose is of the moment of the depth image.
    assert localizer.tracker._accepted.pose.stamp_ns == 2 * PERIOD_NS


def shortened(folder, path, frames: int):
    """A copy of the folder with so few frames in each sequence."""
    shutil.copytree(folder, path)
    for name in ("seq-01", "seq-02"):
        for file in path.glob(f"{name}/frame-*"):
            if int(file.name[6:12]) >= frames:
                file.unlink()
    return path


def test_a_map_for_which_no_threshold_is_found_is_refused_and_kept_only_on_request(
    plain_bundle, folder, room, tmp_path, caplog
):
    bundle = shutil.copytree(plain_bundle, tmp_path / "bundle")
    short = shortened(folder, tmp_path / "short", 20)
    before = (bundle / "manifest.json").read_bytes()
    with pytest.raises(
        MappingError, match=r"4 held-out frames \d+ ended .* 30 of each are needed.*--without-threshold"
    ):
        add_map(bundle, short, room.options)
    assert (bundle / "manifest.json").read_bytes() == before
    kept = add_map(bundle, short, room.options, without_threshold=True)
    assert kept.manifest.scene_map.acceptance is None
    assert "all poses are rejected" in caplog.text


def test_with_a_network_that_errs_by_metres_keyframes_tell_right_from_wrong(
    plain_bundle, folder, room, localize, truth, tmp_path, capsys
):
    """Its own trials end wrong; those that start at keyframes and their features set the threshold."""
    bundle = read_bundle(shutil.copytree(plain_bundle, tmp_path / "bundle"))
    replace_manifest(bundle, replace(bundle.manifest, residual_variance=(9.0,) * 3 + (1.0,) * 3))
    words = ("map", str(bundle.path), "--data", str(folder), "--resolution", "0.04", "--min-frames", "2")
    assert cli.main([*words, "--no-depth-correction"]) == 0
    assert "features, right" in capsys.readouterr().out
    mapped = read_bundle(bundle.path)
    astray = moved(truth, np.array([2.0, -1.5, 0.5, 0.2, 0.1, 1.5]))
    found, _ = localize(room.frame_of(room.Scene(), truth), astray, bundle=mapped)
    assert found.rejection == ""
    assert se3.translation_error(found.pose.T, truth) < 0.03
    elsewhere = room.Scene(((-2.5, -2.0, -0.2), (1.4, 1.9, 2.9)), ())
    assert localize(room.frame_of(elsewhere, truth), astray, bundle=mapped)[0].rejection
