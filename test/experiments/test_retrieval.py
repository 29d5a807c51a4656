# SPDX-License-Identifier: Apache-2.0
"""Image retrieval on frames whose nearest neighbours are known."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mvloc_ros.evaluation.baselines import nearest_training_poses
from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.experiments.retrieval import COUNTS, Descriptors, Retrieval, choose_count, describe
from mvloc_ros.experiments.scenes import Scene
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.training.datasets import PosedFrames
from mvloc_ros.training.presets import preset


def line(count: int) -> tuple[Descriptors, np.ndarray]:
    """Frames along x, a metre apart, that turn by a degree each; a descriptor is the place itself."""
    place = np.arange(count, dtype=np.float32)[:, None]
    descriptors = Descriptors(place, place.copy(), np.ones((count, 2), dtype=np.float32))
    positions = np.concatenate([place, np.zeros((count, 2))], axis=1)
    turns = np.stack([np.zeros(count), np.zeros(count), np.radians(place[:, 0]) / 2], axis=1)
    return descriptors, se3.from_parts(positions, quaternion.exp(turns))


def at(place: float) -> Descriptors:
    value = np.array([[place]], dtype=np.float32)
    return Descriptors(value, value, np.ones((1, 2), dtype=np.float32))


def test_one_neighbour_is_the_nearest_and_two_are_interpolated() -> None:
    database, poses = line(10)
    found = Retrieval.build(database, poses, 1).predict(at(3.4))[0]
    np.testing.assert_allclose(found, poses[3], atol=1e-9)
    found = Retrieval.build(database, poses, 2).predict(at(3.5))[0]
    assert found[0, 3] == pytest.approx(3.5, abs=1e-4)
    assert np.degrees(se3.rotation_error(found, np.eye(4))) == pytest.approx(3.5, abs=1e-3)


def test_interpolation_beats_the_nearest_training_pose() -> None:
    """So the oracle is a bound for one neighbor only: between two frames it errs by half their distance."""
    database, poses = line(10)
    truth = se3.from_parts(np.array([[3.5, 0.0, 0.0]]), quaternion.exp(np.array([[0.0, 0.0, np.radians(3.5) / 2]])))
    oracle = PoseErrors.of(nearest_training_poses(poses, truth), truth)
    one, two = (PoseErrors.of(Retrieval.build(database, poses, k).predict(at(3.5)), truth) for k in (1, 2))
    assert oracle.translation_m == pytest.approx([0.5])
    assert oracle.rotation_deg == pytest.approx([0.5])
    assert one.translation_m >= oracle.translation_m
    assert two.translation_m < 0.001
    assert two.rotation_deg < 0.001


def test_no_text_calls_the_oracle_a_bound_of_retrieval() -> None:
    root = Path(__file__).parents[2]
    files = [root / "README.md", *(root / "docs").glob("*.md"), *(root / "mvloc_ros").rglob("*.py")]
    wrong = re.compile(r"bound (of|for) (image |every )?retrieval|retrieval (method )?can (beat|be better)")
    assert [path.name for path in files if wrong.search(" ".join(path.read_text().split()))] == []


def test_the_weights_are_inverse_squared_distances() -> None:
    database, poses = line(10)
    found = Retrieval.build(database, poses, 2).predict(at(3.25))[0]
    near, far = 1 / 0.25**2, 1 / 0.75**2
    assert found[0, 3] == pytest.approx((3 * near + 4 * far) / (near + far), abs=1e-4)


def test_a_frame_of_the_database_is_found_again_whatever_k_is() -> None:
    database, poses = line(10)
    found = Retrieval.build(database, poses, 5).predict(at(6.0))[0]
    np.testing.assert_allclose(found, poses[6], atol=1e-3)


def test_a_missing_modality_has_no_say() -> None:
    database, poses = line(10)
    wrong = replace(at(3.0), depth=np.array([[8.0]], dtype=np.float32))
    retrieval = Retrieval.build(database, poses, 1)
    assert retrieval.predict(wrong)[0, 0, 3] != 3.0
    assert retrieval.predict(replace(wrong, present=np.array([[1, 0]], dtype=np.float32)))[0, 0, 3] == 3.0
    assert retrieval.predict(replace(wrong, present=np.array([[0, 1]], dtype=np.float32)))[0, 0, 3] == 8.0
    assert np.isfinite(retrieval.predict(replace(wrong, present=np.zeros((1, 2), dtype=np.float32)))).all()


def test_k_is_chosen_by_what_serves_on_held_out_blocks() -> None:
    """Descriptors that say the place exactly want few neighbours, noisy ones of many passes want many."""
    database, poses = line(20)
    places = (np.arange(600) // 20 * 7 + np.arange(600)) % 20  # 30 passes that begin at different places
    passes = [f"pass {i // 20}" for i in range(600)]
    # Frames of another pass at a place differ a little, so that none is a copy.
    offsets = np.random.default_rng(0).normal(size=(600, 1)).astype(np.float32)
    for noise, accepted in ((0.01, (1, 2, 3)), (3.0, (8, 12, 20))):
        seen = places[:, None].astype(np.float32) + noise * offsets
        descriptors = Descriptors(seen, seen, np.ones((600, 2), dtype=np.float32))
        assert choose_count(descriptors, poses[places], passes) in accepted
    assert choose_count(database[np.arange(1)], poses[:1], ["a"]) == COUNTS[0]


def test_images_of_a_scene_lead_to_the_right_place(scenes: Path) -> None:
    scene, config = Scene("wall", scenes / "wall", 0.2), preset("mvloc", "small").with_options({"short_side": 48})
    training, test = scene.training_frames(config), scene.test_frames(config)
    retrieval = Retrieval.build(describe(training), training.poses, 2)
    errors = se3.translation_error(retrieval.predict(describe(test)), test.poses)
    spacing = 2 * np.sin(np.pi / 36)  # from a test frame to the nearest training frame
    assert np.median(errors) < 1.5 * spacing


def test_light_changes_a_descriptor_less_than_another_view(scenes: Path) -> None:
    scene, config = Scene("wall", scenes / "wall", 0.2), preset("mvloc", "small").with_options({"short_side": 48})
    frames = scene.training_frames(config)
    first = frames.color[:1]
    dim = cv2.convertScaleAbs(first[0], alpha=0.5, beta=20)[None]
    seen = np.concatenate([first, dim, frames.color[1:2]])
    empty = np.zeros(seen.shape[:3], dtype=np.float32)
    names, ones = ("a",) * 3, np.ones((3, 2), dtype=np.float32)
    found = describe(PosedFrames(seen, empty, ones, frames.poses[:3], frames.stamps_ns[:3], names)).color
    assert np.linalg.norm(found[0] - found[1]) < 0.3 * np.linalg.norm(found[0] - found[2])
