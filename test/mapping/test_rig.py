# SPDX-License-Identifier: Apache-2.0
"""Poses registered by a front and a rear RGB-D camera together, by one of them, and by ones that contradict each other.

The map is of the whole room, seen by one camera that looks both ways.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from box_rig import REAR, rear_images, rear_inputs
from box_room import FURNITURE, Scene

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.localization.judging import Refined
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.refinement import Refiner
from mvloc_ros.localization.unverified import Unrefined
from mvloc_ros.mapping.build import Cameras, build_map
from mvloc_ros.mapping.map import make_spec
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.frame import ColorImage, DepthImage
from mvloc_ros.recordings import open_folder

WESTERN = (((-2.0, -0.5, 0.9), (-1.7, -0.1, 1.15)), ((-2.0, 0.1, 1.2), (-1.8, 0.45, 1.5)))
COVARIANCE = np.diag([0.0025] * 3 + [0.0012] * 3)
OFF = np.array([0.05, -0.04, 0.03, 0.02, 0.03, -0.02])
SCENE = Scene(boxes=(*FURNITURE, *WESTERN))
"""With something to see in the west, too."""


def walk(room: SimpleNamespace, count: int, phase: float) -> list[np.ndarray]:
    """The room's walk, further from the wall behind."""
    east = np.eye(4)
    east[0, 3] = 0.6
    return [east @ T for T in room.path(count, phase)]


@pytest.fixture(scope="module")
def rig_of(room, plain_bundle, tmp_path_factory) -> Callable[[np.ndarray], Refiner]:
    """Makes what refines by both cameras, of which the rear one is declared at a place."""
    poses = [*walk(room, 50, 0.0), *(room.looking(-1.4 + 0.05 * i, -0.95, 1.3, np.pi, 0.0) for i in range(5))]
    walks = {"seq-01": [*poses, *(T @ REAR for T in poses)], "seq-02": poses[:1]}
    folder = open_folder(room.write_folder(tmp_path_factory.mktemp("rig") / "room", SCENE, walks, test="seq-02"))
    cameras = Cameras.of(folder)
    scene_map = build_map(folder.train, cameras, room.options)
    spec = make_spec(scene_map, cameras, room.options, inflated=3.0)
    manifest = read_bundle(plain_bundle).manifest

    def make(T_declared: np.ndarray) -> Refiner:
        known = replace(manifest, sensors=rear_inputs(room.camera, T_declared))
        return Refiner(known, spec, scene_map, RefinementOptions(threads=1, budget_ms=60_000.0, starts=1))

    return make


@pytest.fixture(scope="module")
def refiner(rig_of) -> Refiner:
    return rig_of(REAR)


@pytest.fixture
def images(room) -> Callable[[np.ndarray], SimpleNamespace]:
    """Both cameras' images of a pose."""

    def see(T: np.ndarray) -> SimpleNamespace:
        front = room.frame_of(SCENE, T)
        return SimpleNamespace(color=front.color.pixels, depth=front.depth, further=rear_images(SCENE, T, room.camera))

    return see


def refine(refiner: Refiner, T: np.ndarray, **images: object) -> Refined | Unrefined:
    given = {"depth": None, "color": None, "further": {}, **images}
    return refiner.refine(
        Pose(1_000, moved(T, OFF), COVARIANCE), given["depth"], given["color"], None, further=given["further"]
    )


def errors(found: Refined, T: np.ndarray) -> tuple[float, float]:
    return float(se3.translation_error(found.pose.T, T)), float(np.degrees(se3.rotation_error(found.pose.T, T)))


def is_near(found: Refined, T: np.ndarray, metres: float, degrees: float) -> bool:
    position, rotation = errors(found, T)
    return position < metres and rotation < degrees


def wall_at(distance_m: float, like: DepthImage) -> DepthImage:
    return DepthImage(np.full_like(like.values, round(distance_m / like.metres_per_unit)), like.metres_per_unit)


def test_both_together_find_the_pose_and_each_says_what_it_sees(refiner, room, images):
    for T in walk(room, 4, 0.57):
        seen = images(T)
        found = refine(refiner, T, **vars(seen))
        assert is_near(found, T, 0.01, 0.5)
        assert found.remark == found.rejection == ""
        assert [one.name for one in found.sensors] == ["depth", "rear_depth"]
        assert min(one.support for one in found.sensors) > 0.85
        assert sum(one.points for one in found.sensors) == len(found.support.points) <= 3000


def test_a_pair_of_a_rig_is_the_pair_alone(refiner, room, images, rig_of):
    """What the rear camera is declared as changes nothing where its images are missing."""
    T = walk(room, 4, 0.57)[1]
    seen = images(T)
    one, other = (refine(r, T, color=seen.color, depth=seen.depth) for r in (refiner, rig_of(np.eye(4))))
    np.testing.assert_array_equal(one.pose.T, other.pose.T)
    np.testing.assert_array_equal(one.pose.covariance, other.pose.covariance)


def test_without_the_pairs_depth_the_rear_one_alone_finds_the_pose(refiner, room, images):
    T = walk(room, 4, 0.57)[2]
    seen = images(T)
    found = refine(refiner, T, color=seen.color, further=seen.further)
    assert is_near(found, T, 0.015, 0.7)
    assert found.rejection == ""
    assert [one.name for one in found.sensors] == ["rear_depth"]
    nothing = refine(refiner, T, color=seen.color, further={"rear": seen.further["rear"]})
    assert nothing == Unrefined("there is no depth image")


def test_what_one_wall_leaves_open_the_other_camera_knows(refiner, room, images):
    T = room.looking(-1.42, -0.98, 1.3, np.pi, 0.0)
    seen = images(T)
    alone = refine(refiner, T, depth=seen.depth)
    both = refine(refiner, T, depth=seen.depth, further=seen.further)
    assert (alone.determined, both.determined) == (3, 6)
    assert is_near(both, T, 0.01, 0.5)
    assert errors(alone, T)[0] > 0.03


@pytest.mark.parametrize("distance_m", [0.2, 0.6])
def test_one_blocked_camera_is_left_out_with_a_word_and_all_reject(refiner, room, images, distance_m):
    """Nearer than the map's range, and in it."""
    T = walk(room, 4, 0.57)[0]
    seen = images(T)
    front, rear = wall_at(distance_m, seen.depth), {"rear_depth": wall_at(distance_m, seen.depth)}
    for depth, further, name in (
        (seen.depth, seen.further | rear, "the depth image of rear_depth"),
        (front, seen.further, "the depth image"),
    ):
        found = refine(refiner, T, color=seen.color, depth=depth, further=further)
        assert found.rejection == ""
        assert found.remark.startswith(f"{name} is left out: ")
        assert len(found.sensors) == 1
        assert is_near(found, T, 0.015, 0.7)
    none = refine(refiner, T, color=seen.color, depth=front, further=seen.further | rear)
    if distance_m < room.options.near_m:
        assert isinstance(none, Unrefined)
        assert "nearer than the 0.3 m" in none.rejection
    else:
        assert "in front of most of the scene" in none.rejection or "fits the scene map" in none.rejection


def test_a_wrong_extrinsic_is_named(rig_of, room, images):
    turn = np.array([0.0, np.sin(np.radians(1.5)), 0.0, np.cos(np.radians(1.5))])
    off = se3.from_parts(np.array([0.05, 0.0, 0.0]), turn)
    wrong = rig_of(REAR @ off)
    for T in walk(room, 4, 0.57):
        found = refine(wrong, T, **vars(images(T)))
        assert "the depth image and that of rear_depth contradict each other by " in found.remark
        assert found.remark.endswith("; the pose is that of the depth image alone")
        assert is_near(found, T, 0.012, 0.5)
        apart = found.sensors[0].moved - found.sensors[1].moved
        assert 1.5 < np.degrees(np.linalg.norm(apart[3:])) < 5.0


def test_one_covered_color_camera_is_said_and_all_covered_reject(refiner, room, images):
    T = walk(room, 4, 0.57)[0]
    seen = images(T)
    black = np.zeros_like(seen.color)
    found = refine(refiner, T, color=black, depth=seen.depth, further=seen.further)
    assert found.rejection == ""
    assert found.remark == "the colour image shows nothing (a covered lens, or no light)"
    assert found.evidence.local_contrast > 0.5
    rear = refine(
        refiner, T, color=seen.color, depth=seen.depth, further=seen.further | {"rear": ColorImage(black, "rgb")}
    )
    assert rear.remark == "the image of rear shows nothing (a covered lens, or no light)"
    both = refine(refiner, T, color=black, depth=seen.depth, further=seen.further | {"rear": ColorImage(black, "rgb")})
    assert both.rejection == "the colour image shows nothing (a covered lens, or no light)"


def test_each_color_camera_is_asked(refiner, room, images):
    """A rear image of another place lowers the evidence by the share of the points that it shows."""
    T = walk(room, 4, 0.57)[0]
    seen = images(T)
    right = refine(refiner, T, **vars(seen)).evidence
    other = {"rear": rear_images(SCENE, room.looking(0.5, 0.5, 1.2, 2.0, 0.3), room.camera)["rear"]}
    wrong = refine(refiner, T, color=seen.color, depth=seen.depth, further=seen.further | other).evidence
    assert right.local_contrast > 0.8
    assert 0.25 < wrong.local_contrast < 0.75 * right.local_contrast


def test_the_error_of_the_pose_is_that_of_the_camera(refiner, room, images):
    """The covariance is no larger with the rear camera than without, and fits the error."""
    T = walk(room, 4, 0.57)[3]
    seen = images(T)
    pair, both = (refine(refiner, T, color=seen.color, depth=seen.depth, further=f) for f in ({}, seen.further))
    assert np.trace(both.pose.covariance[:3, :3]) < 1.2 * np.trace(pair.pose.covariance[:3, :3])
    error = pose_error(both.pose.T, T)
    assert float(error @ np.linalg.solve(both.pose.covariance, error)) < 25.0
