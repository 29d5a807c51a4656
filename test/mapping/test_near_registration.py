# SPDX-License-Identifier: Apache-2.0
"""Where the camera is expected to a centimetre the likeliest pose is taken, and what the map lacks draws it nowhere."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.localization.hypotheses import Candidate, Search
from mvloc_ros.localization.inlier_residuals import fused, pull, support
from mvloc_ros.localization.judging import Refined
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.near_registration import REACH, of_points_alone, register_near
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.refinement import Refiner, quality
from mvloc_ros.localization.registration import STAGES, Source, register, stages_within
from mvloc_ros.localization.scene_map import read_scene_map
from mvloc_ros.localization.seen_frame import depth_views
from mvloc_ros.localization.sightings import Sightings
from mvloc_ros.localization.starts import BY_FEATURES, FEATURES, TRACKER, Start
from mvloc_ros.localization.tracker import Expectation
from mvloc_ros.mapping.build import Cameras, build_map
from mvloc_ros.mapping.map import make_spec
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.bundle_writer import add_scene_map
from mvloc_ros.recordings import open_folder

# Two walls and a floor along x, and a pillar at one of the walls that tells where along.
CORRIDOR = (
    ((-30.0, -1.2, -1.0), (30.0, -1.0, 3.0)),
    ((-30.0, 1.0, -1.0), (30.0, 1.2, 3.0)),
    ((-30.0, -1.2, -1.0), (30.0, 1.2, 0.0)),
    ((2.4, 0.88, -1.0), (2.7, 1.0, 3.0)),
)
# At the other wall, which it hides: more than half of what is seen then is not in the map.
CUPBOARD = ((1.6, -1.0, -1.0), (2.2, -0.4, 1.5))
INFLATION = 10.0


@pytest.fixture
def refiner(room, plain_bundle: Path, tmp_path: Path) -> Refiner:
    scene = room.Scene(room=None, boxes=CORRIDOR)
    poses = [room.looking(0.15 * i, 0.2 * j, 1.2, 0.15 * j, 0.2) for i in range(4) for j in (-1, 0, 1)]
    folder = open_folder(
        room.write_folder(tmp_path / "folder", scene, {"seq-01": poses, "seq-02": poses[:1]}, "seq-02")
    )
    cameras = Cameras.of(folder)
    scene_map = build_map(folder.train, cameras, room.options)
    shutil.copytree(plain_bundle, tmp_path / "bundle")
    spec = make_spec(scene_map, cameras, room.options, inflated=INFLATION)
    bundle = add_scene_map(read_bundle(tmp_path / "bundle"), scene_map.to_bytes(), spec)
    options = RefinementOptions(budget_ms=5000.0, threads=1)
    return Refiner(bundle.manifest, spec, read_scene_map(bundle), options)


def seen(refiner: Refiner, room, boxes: tuple, truth: np.ndarray) -> Source:
    frame = room.frame_of(room.Scene(room=None, boxes=boxes), truth)
    (view,) = depth_views(refiner.rig, frame.depth, {})
    source = Source.of(view.points.points, refiner.scene_map.resolution_m, 2000, 1)
    assert source is not None
    return source


OFF = ((0.02, 0.01, -0.01, 0.003, 0.004, -0.003), (-0.02, -0.01, 0.01, 0.0, -0.004, 0.003))


def errors(refiner: Refiner, room, boxes: tuple, off: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Of the pose near an expected one that is off by so much, and of that of generalised ICP from there, `[3]` m."""
    truth = room.looking(0.2, 0.05, 1.2, 0.03, 0.3)
    expected = Pose(0, moved(truth, np.array(off)), np.diag([0.02**2] * 3 + [0.005**2] * 3))
    source, target = seen(refiner, room, boxes, truth), refiner._maps.at(truth[:3, 3])
    resolution_m, length_m = refiner.scene_map.resolution_m, source.rays.typical_m
    near = register_near(source, target, expected, INFLATION, resolution_m, math.inf, 1)
    assert near.left_m == 0.0

    def error(T: np.ndarray) -> np.ndarray:
        hessian = support(source.points, target, T, resolution_m, 1, source.rays).hessian
        delta, _, _ = fused(pose_error(T, expected.T), hessian, expected.covariance, length_m, INFLATION)
        return pose_error(moved(expected.T, delta), truth)[:3]

    far = register(source, target, expected.T, resolution_m, math.inf, 1)
    return error(near.T_map_depth), error(far.T_map_depth)


@pytest.mark.parametrize("boxes", [CORRIDOR, (*CORRIDOR, CUPBOARD)], ids=["as mapped", "with a new cupboard"])
@pytest.mark.parametrize("off", OFF)
def test_the_pose_is_found_with_what_is_new_in_view_as_without(refiner, room, boxes, off):
    near, _ = errors(refiner, room, boxes, off)
    assert np.linalg.norm(near) < 0.5 * np.linalg.norm(off[:3])
    assert np.linalg.norm(near[1:]) < 0.006, "what the walls and the floor tell"


@pytest.mark.parametrize("off", OFF)
def test_what_is_new_draws_generalised_icp_away(refiner, room, off):
    """Why there is another one for what is near."""
    near, icp = errors(refiner, room, (*CORRIDOR, CUPBOARD), off)
    assert np.linalg.norm(icp) > 2.0 * np.linalg.norm(near)


def test_the_likeliest_pose_has_no_pull_left(refiner, room):
    truth = room.looking(0.2, 0.05, 1.2, 0.03, 0.3)
    source, target = seen(refiner, room, CORRIDOR, truth), refiner._maps.at(truth[:3, 3])
    resolution_m = refiner.scene_map.resolution_m
    vague = Pose(0, moved(truth, np.array([0.01, 0.01, 0.01, 0.003, 0.002, 0.001])), np.eye(6))
    found = register_near(source, target, vague, INFLATION, resolution_m, math.inf, 1)
    at = support(source.points, target, found.T_map_depth, resolution_m, 1, source.rays)
    step = np.linalg.solve(at.hessian + 1e-6 * np.eye(6), pull(at, target, found.T_map_depth))
    assert np.linalg.norm(step) < 2e-3


def test_no_step_begins_after_the_deadline(refiner, room):
    truth = room.looking(0.2, 0.05, 1.2, 0.03, 0.3)
    source, target = seen(refiner, room, CORRIDOR, truth), refiner._maps.at(truth[:3, 3])
    expected = Pose(0, truth, np.diag([1e-4] * 6))
    found = register_near(source, target, expected, INFLATION, refiner.scene_map.resolution_m, -math.inf, 1)
    assert (found.iterations, found.left_m) == (0, math.inf)
    np.testing.assert_array_equal(found.T_map_depth, truth)


# The pillar stands elsewhere, so that geometry tells the wrong place along the corridor.
MOVED = (*CORRIDOR[:3], ((2.7, 0.88, -1.0), (3.0, 1.0, 3.0)))


def by_features(truth: np.ndarray, off: np.ndarray) -> Start:
    """A start that is off by so much, told by what hangs on the corridor's walls, half of it too far to be measured."""
    rng = np.random.default_rng(3)
    side = np.where(rng.random(30) < 0.5, -1.0, 1.0)
    places = np.column_stack([rng.uniform(2.5, 9.0, 30), side, rng.uniform(0.3, 2.2, 30)])
    rays = (places - truth[:3, 3]) @ truth[:3, :3]
    depth = np.where(rays[:, 2] < 4.0, rays[:, 2], np.nan)
    sightings = Sightings(rays / rays[:, 2:], depth, places, np.eye(4))
    start = moved(truth, off)
    return Start(FEATURES, start, BY_FEATURES + sightings.covariance(start), sightings)


def result_of(refiner: Refiner, room, boxes: tuple, start: Start, truth: np.ndarray) -> Refined:
    frame = room.frame_of(room.Scene(room=None, boxes=boxes), truth)
    vague = Pose(0, moved(truth, np.array([5.0, 0.0, 0.0, 0.0, 0.0, 0.0])), np.diag([9.0] * 3 + [1.0] * 3))
    found = refiner.attempt(start, vague, frame.depth, None)
    assert found is not None
    return found


def test_where_what_was_moved_draws_the_pose_away_features_hold_it(refiner, room):
    truth = room.looking(0.2, 0.05, 1.2, 0.03, 0.3)
    start = by_features(truth, np.array([0.02, 0.01, 0.0, 0.0, 0.0, 0.004]))
    assert np.linalg.norm(pose_error(result_of(refiner, room, MOVED, start, truth).pose.T, truth)[:3]) < 0.05
    alone = replace(start, matches=None)
    assert pose_error(result_of(refiner, room, MOVED, alone, truth).pose.T, truth)[0] < -0.15, "what geometry says"
    assert np.linalg.norm(pose_error(result_of(refiner, room, CORRIDOR, start, truth).pose.T, truth)[:3]) < 0.03


def test_features_hold_a_pose_that_geometry_leaves_open_and_say_nothing_of_geometry(refiner, room):
    truth = room.looking(0.2, 0.05, 1.2, 0.03, 0.3)
    start = by_features(truth, np.zeros(6))
    bare = CORRIDOR[:3]
    with_features = result_of(refiner, room, bare, start, truth)
    without = result_of(refiner, room, bare, replace(start, matches=None), truth)
    assert max(without.evidence.observability, with_features.evidence.observability) < 0.1
    assert with_features.evidence.features > 0.6
    assert np.linalg.norm(pose_error(with_features.pose.T, truth)[:3]) < 0.03


matrices = st.lists(st.floats(-1.0, 1.0), min_size=36, max_size=36).map(lambda v: np.reshape(v, (6, 6)))
vectors = st.lists(st.floats(-1.0, 1.0), min_size=6, max_size=6).map(np.array)


@settings(deadline=None)
@given(told=matrices, known=matrices, delta=vectors)
def test_what_the_points_alone_tell_leads_to_the_likeliest_pose_again(told, known, delta):
    information, covariance = 100.0 * told @ told.T, 0.1 * known @ known.T + 0.01 * np.eye(6)
    # With the points' own optimum at `delta` the likeliest pose is this:
    likeliest = np.linalg.solve(information + np.linalg.inv(covariance), information @ delta)
    alone = of_points_alone(likeliest, information, covariance)
    again = np.linalg.solve(information + np.linalg.inv(covariance), information @ alone)
    # Where the points tell little next to the prior, that is taken for the whole.
    error = again - likeliest
    apart = float(error @ np.linalg.solve(covariance, error))
    assert apart <= 0.02 * float(likeliest @ np.linalg.solve(covariance, likeliest)) + 1e-9 + 0.9 * _weak(
        information, covariance, likeliest
    )


def _weak(information: np.ndarray, covariance: np.ndarray, likeliest: np.ndarray) -> float:
    """How much of a pose lies where the points tell less than a tenth of what the prior does, in its metric."""
    root = np.linalg.cholesky(covariance)
    shares, axes = np.linalg.eigh(root.T @ information @ root)
    return float(np.sum((axes.T @ np.linalg.solve(root, likeliest))[shares <= 0.1] ** 2))


def test_only_as_far_as_the_expected_pose_leaves_open_surfaces_are_looked_for(refiner, room):
    counts = {math.inf: 3, 0.16: 3, 0.15: 2, 0.11: 2, 0.1: 1, 0.0: 1}
    assert {reach_m: len(stages_within(reach_m, 0.02)) for reach_m in counts} == counts
    truth = room.looking(0.2, 0.05, 1.2, 0.03, 0.3)
    source, target = seen(refiner, room, CORRIDOR, truth), refiner._maps.at(truth[:3, 3])
    arguments = source, target, truth, refiner.scene_map.resolution_m, math.inf, 1
    assert register(*arguments, 0.0).iterations < register(*arguments).iterations
    assert STAGES[-1].distance > REACH, "within the last stage's"


def followed(localize, mapped, room, last: np.ndarray, truth: np.ndarray):
    """What a frame at a true pose leads to where the camera is expected, to a centimetre, at another."""
    frame = room.frame_of(room.Scene(), truth)
    _, localizer = localize(frame, truth, bundle=mapped)
    expected = Expectation(Pose(0, last, np.diag([0.01**2] * 3 + [0.004**2] * 3)), is_hint=False, by_odometry=True)
    start = Start(TRACKER, last, reach_m=0.03)
    network = Pose(0, truth, localizer.covariance)
    return localizer._refiner.attempt(start, network, frame.depth, frame.color.pixels, expected)


def test_a_pose_that_its_frame_refutes_does_not_follow_however_near_it_is_to_the_expected_one(localize, mapped, room):
    truth = room.path(20, 0.0)[5]
    right = followed(localize, mapped, room, moved(truth, np.array([0.01, -0.01, 0.0, 0.002, 0.0, 0.001])), truth)
    assert right.follows
    elsewhere = moved(truth, np.array([0.6, 0.5, 0.0, 0.0, 0.0, 0.9]))
    wrong = followed(localize, mapped, room, elsewhere, truth)
    assert np.linalg.norm(pose_error(wrong.pose.T, elsewhere)[:3]) < 0.1, "it stays near"
    assert not wrong.follows
    assert wrong.rejection


def test_what_follows_is_preferred_to_another_place_while_more_spoke_for_it(localize, mapped, room):
    truth = room.path(20, 0.0)[5]
    found = followed(localize, mapped, room, truth, truth)
    told = Candidate(found.pose, -2.0)
    weak = replace(found, rejection="score 0.8, 0.9 is asked for", is_weak=True, score=0.8, candidates=(told,))
    assert weak.follows
    elsewhere = replace(found, rejection="", follows=False, score=0.97)
    for known, preferred in ((8.0, weak), (1.9, elsewhere), (0.0, elsewhere)):
        search = Search(for_expected=known)
        assert max((weak, elsewhere), key=lambda one: quality(one, search)) is preferred, known
    ruled_out = replace(weak, is_weak=False)
    assert quality(elsewhere, Search(for_expected=8.0)) > quality(ruled_out, Search(for_expected=8.0))
    assert quality(elsewhere, None) > quality(weak, None)
