# SPDX-License-Identifier: Apache-2.0
"""One wall, a corridor: what the geometry leaves open keeps the network's estimate and its variance."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.localization.inlier_residuals import support
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.starts import NEAR_KEYFRAME, NETWORK, TRACKER, Start
from mvloc_ros.localization.tracker import Expectation
from mvloc_ros.mapping.build import Cameras, build_map
from mvloc_ros.mapping.map import make_spec
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.model.bundle_writer import add_scene_map
from mvloc_ros.recordings import open_folder

WALL = (((2.0, -30.0, -30.0), (2.2, 30.0, 30.0)),)
# Two walls and a floor, which all run along x.
CORRIDOR = (
    ((-30.0, -1.2, -1.0), (30.0, -1.0, 3.0)),
    ((-30.0, 1.0, -1.0), (30.0, 1.2, 3.0)),
    ((-30.0, -1.2, -1.0), (30.0, 1.2, 0.0)),
)


@pytest.fixture
def bundle_of(room, plain_bundle: Path, tmp_path: Path):
    """Builds the bundle of a scene that was seen from given poses."""

    def build(boxes: tuple, poses: list[np.ndarray]) -> Bundle:
        scene = room.Scene(room=None, boxes=boxes)
        walks = {"seq-01": poses, "seq-02": poses[:1]}
        folder = open_folder(room.write_folder(tmp_path / "folder", scene, walks, test="seq-02"))
        cameras = Cameras.of(folder)
        scene_map = build_map(folder.train, cameras, room.options)
        shutil.copytree(plain_bundle, tmp_path / "bundle")
        # The noise of these images is independent, unlike a real camera's.
        spec = make_spec(scene_map, cameras, room.options, inflated=10.0)
        return add_scene_map(read_bundle(tmp_path / "bundle"), scene_map.to_bytes(), spec)

    return build


def test_across_a_single_wall_the_pose_is_refined_and_along_it_the_networks(bundle_of, room, localize):
    poses = [room.looking(0.1 * i, 0.3 * j, 1.2, 0.1 * j, 0.0) for i in range(3) for j in (-1, 0, 1)]
    bundle = bundle_of(WALL, poses)
    truth = room.looking(0.05, 0.1, 1.2, 0.05, 0.03)
    # x is across the wall, and rotations about y and z tilt it; y, z and the rotation about x are along it.
    off = np.array([0.06, 0.05, -0.04, 0.03, 0.04, -0.03])
    frame = room.frame_of(room.Scene(room=None, boxes=WALL), truth)
    estimate, localizer = localize(frame, moved(truth, off), bundle=bundle)
    left = pose_error(estimate.pose.T, truth)
    assert estimate.details.determined == 3
    assert np.abs(left[[0, 4, 5]] / off[[0, 4, 5]]).max() < 0.2
    np.testing.assert_allclose(left[[1, 2]], off[[1, 2]], atol=0.01)
    np.testing.assert_allclose(left[3], off[3], atol=0.005)
    share = np.diag(estimate.pose.covariance) / np.diag(localizer.covariance)
    assert share[[0, 4, 5]].max() < 0.2
    assert share[[1, 2, 3]].min() > 0.9


def test_the_verdict_is_about_the_pose_that_is_stated(bundle_of, room, localize):
    """Along a wall registration stays where it started, and the pose is the prior's: colour tells which is right."""
    poses = [room.looking(0.1 * i, 0.3 * j, 1.2, 0.1 * j, 0.0) for i in range(3) for j in (-1, 0, 1)]
    truth = room.looking(0.05, 0.1, 1.2, 0.05, 0.03)
    frame = room.frame_of(room.Scene(room=None, boxes=WALL), truth)
    _, localizer = localize(frame, truth, bundle=bundle_of(WALL, poses))
    refiner = localizer._refiner
    off = moved(truth, np.array([0.0, 0.12, 0.1, 0.0, 0.0, 0.0]))
    network = Pose(0, off, localizer.covariance)
    without = refiner.attempt(Start(NETWORK, truth), network, frame.depth, None)
    assert without.evidence.observability == 0.0
    np.testing.assert_allclose(pose_error(without.pose.T, off)[[1, 2]], 0.0, atol=0.01)
    again = support(without.support.points, refiner._maps.at(off[:3, 3]), without.pose.T, refiner._resolution_m, 1)
    np.testing.assert_array_equal(without.support.nearest, again.nearest)
    np.testing.assert_allclose(without.support.hessian, again.hessian)
    seen = refiner.attempt(Start(NETWORK, truth), network, frame.depth, localizer.prepared(frame.color.pixels))
    assert np.linalg.norm(pose_error(seen.pose.T, truth)[[1, 2]]) < 0.05


def test_where_the_network_contradicts_the_last_accepted_pose_is_the_prior(bundle_of, room, localize):
    """Else a network that fails would have what one wall leaves open, however well the start was known."""
    poses = [room.looking(0.1 * i, 0.3 * j, 1.2, 0.1 * j, 0.0) for i in range(3) for j in (-1, 0, 1)]
    truth = room.looking(0.05, 0.1, 1.2, 0.05, 0.03)
    frame = room.frame_of(room.Scene(room=None, boxes=WALL), truth)
    _, localizer = localize(frame, truth, bundle=bundle_of(WALL, poses))
    failed = Pose(0, moved(truth, np.array([0.0, 0.5, -0.3, 0.4, 0.0, 0.0])), localizer.covariance)
    last = moved(truth, np.array([0.01, 0.02, -0.01, 0.01, 0.0, 0.01]))
    expected = Expectation(Pose(0, last, np.diag([0.0009] * 6)), is_hint=False)
    found = localizer._refiner.attempt(Start(TRACKER, last), failed, frame.depth, None, expected)
    assert np.linalg.norm(pose_error(found.pose.T, last)[:3]) < 0.04
    assert np.abs(pose_error(found.pose.T, last)[3:]).max() < 0.03
    variances = np.diag(found.pose.covariance)
    assert 0.0005 < variances[1] < 0.0012, "of the last accepted pose, along the wall"
    # A hint is a place to look, no evidence.
    hint = Expectation(expected.pose, is_hint=True)
    hinted = localizer._refiner.attempt(Start(TRACKER, last), failed, frame.depth, None, hint)
    assert np.linalg.norm(pose_error(hinted.pose.T, last)[:3]) > 0.3


def test_a_network_that_knows_nothing_is_no_prior_for_what_was_found_from_elsewhere(bundle_of, room, localize):
    """Else it would shift a pose that was found from a keyframe, or from the last accepted one, along the wall."""
    poses = [room.looking(0.1 * i, 0.3 * j, 1.2, 0.1 * j, 0.0) for i in range(3) for j in (-1, 0, 1)]
    truth = room.looking(0.05, 0.1, 1.2, 0.05, 0.03)
    frame = room.frame_of(room.Scene(room=None, boxes=WALL), truth)
    _, localizer = localize(frame, truth, bundle=bundle_of(WALL, poses))
    vague = Pose(0, moved(truth, np.array([1.0, 2.0, 0.5, 0.1, 0.2, 1.0])), np.diag([4.0] * 3 + [1.0] * 3))
    near = moved(truth, np.array([0.02, 0.03, -0.02, 0.01, 0.0, 0.01]))
    expected = Expectation(Pose(0, near, np.diag([0.0009] * 6)), is_hint=False)
    for start, known in ((Start(TRACKER, near), expected), (Start("retrieval 1", near, NEAR_KEYFRAME), None)):
        found = localizer._refiner.attempt(start, vague, frame.depth, None, known)
        assert np.linalg.norm(pose_error(found.pose.T, near)[:3]) < 0.04


def test_one_wall_out_of_nowhere_is_rejected(bundle_of, room, localize):
    """A network that knows nothing and a keyframe that looks alike leave open where along the wall it is."""
    poses = [room.looking(0.1 * i, 0.3 * j, 1.2, 0.1 * j, 0.0) for i in range(3) for j in (-1, 0, 1)]
    truth = room.looking(0.05, 0.1, 1.2, 0.05, 0.03)
    frame = room.frame_of(room.Scene(room=None, boxes=WALL), truth)
    estimate, localizer = localize(frame, truth, bundle=bundle_of(WALL, poses))
    vague = Pose(0, truth, np.diag([4.0] * 3 + [1.0] * 3))
    color = localizer.prepared(frame.color.pixels)
    start = Start("retrieval 1", truth, NEAR_KEYFRAME)
    found = localizer._refiner.attempt(start, vague, frame.depth, color)
    assert "determines the pose in all directions" in found.rejection
    expected = Expectation(Pose(0, truth, np.diag([0.0009] * 6)), is_hint=False)
    followed = localizer._refiner.attempt(Start(TRACKER, truth), vague, frame.depth, color, expected)
    assert followed.follows
    assert "determines the pose in all directions" not in followed.rejection
    # The tracker learns of it, unless something else than the verdict rejects the pose.
    told = [replace(estimate, details=each, rejection=each.rejection).fix().follows for each in (found, followed)]
    assert told == [False, True]
    assert not replace(estimate, details=followed, rejection="the depth image is frozen").fix().follows


def test_along_a_corridor_the_pose_is_the_networks(bundle_of, room, localize):
    poses = [room.looking(0.15 * i, 0.2 * j, 1.2, 0.15 * j, 0.2) for i in range(4) for j in (-1, 0, 1)]
    bundle = bundle_of(CORRIDOR, poses)
    truth = room.looking(0.2, 0.05, 1.2, 0.03, 0.15)
    off = np.array([0.06, 0.05, -0.04, 0.03, 0.04, -0.03])
    frame = room.frame_of(room.Scene(room=None, boxes=CORRIDOR), truth)
    estimate, localizer = localize(frame, moved(truth, off), bundle=bundle)
    left = pose_error(estimate.pose.T, truth)
    assert estimate.details.determined == 5
    assert left[0] == pytest.approx(off[0], abs=0.01)
    assert np.abs(left[1:] / off[1:]).max() < 0.25
    share = np.diag(estimate.pose.covariance) / np.diag(localizer.covariance)
    assert share[0] > 0.9
    assert share[1:].max() < 0.3
