# SPDX-License-Identifier: Apache-2.0
"""Network poses refined against a map of a synthetic room, and judged."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from mvloc_ros.geometry import se3
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.scene_map import SceneMapError
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.frame import FrameError


@pytest.fixture(scope="module")
def truths(room) -> list[np.ndarray]:
    """Places between those that the map was built from."""
    return room.path(6, 0.57)


def errors(T: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    return float(se3.translation_error(T, truth)), float(np.degrees(se3.rotation_error(T, truth)))


def test_the_covariance_is_positive_definite_and_smaller_than_the_networks(localize, room, truths):
    estimate, localizer = localize(room.frame_of(room.Scene(), truths[0]), truths[0])
    eigenvalues = np.linalg.eigvalsh(estimate.pose.covariance)
    assert eigenvalues[0] > 0.0
    assert np.all(np.diag(estimate.pose.covariance) < 0.5 * np.diag(localizer.covariance))


def test_the_same_frame_gives_the_same_pose(localize, room, truths):
    frame, start = room.frame_of(room.Scene(), truths[1]), moved(truths[1], np.array([0.06, -0.04, 0.03, 0, 0.03, 0]))
    first, second = (localize(frame, start)[0] for _ in range(2))
    np.testing.assert_array_equal(first.pose.T, second.pose.T)


def test_depth_that_hangs_is_rejected_only_while_colour_moves(localize, room, truths):
    scene = room.Scene()
    first = room.frame_of(scene, truths[0], 1_000_000_000)
    accepted, localizer = localize(first, truths[0])
    still, _ = localize(replace(first, stamp_ns=1_100_000_000), truths[0], localizer=localizer)
    assert accepted.rejection == still.rejection == "", "a simulated camera that stands still"
    T = moved(truths[0], np.array([0.0, 0.03, 0.0, 0.0, 0.0, 0.03]))
    moving = replace(first, stamp_ns=1_500_000_000, color=room.frame_of(scene, T).color)
    estimate, _ = localize(moving, truths[0], localizer=localizer)
    assert "to the last bit for 0.50 s" in estimate.rejection


def test_another_place_is_rejected(localize, room, truths):
    other = room.Scene(((-2.5, -2.0, -0.2), (1.4, 1.9, 2.9)), (((0.5, -0.6, -0.2), (1.1, 0.3, 1.5)),))
    for truth in truths[:3]:
        estimate, _ = localize(room.frame_of(other, truth), truth, starts=2)
        assert estimate.rejection


def test_without_depth_the_pose_is_the_networks_and_required_gives_none(localize, room, truths):
    frame = replace(room.frame_of(room.Scene(), truths[0]), depth=None)
    estimate, _ = localize(frame, truths[0], unverified_after_s=0.0)
    assert (estimate.refined, estimate.remark, estimate.rejection) == (False, "no depth image", "")
    assert np.isnan(estimate.score)
    with pytest.raises(FrameError, match="required: there is no depth image"):
        localize(frame, truths[0], mode="required")


def test_outside_of_the_map_the_pose_is_the_networks_with_a_remark(localize, room, truths):
    estimate, _ = localize(room.frame_of(room.Scene(), truths[0]), room.looking(60.0, 0.0, 1.0, 0.0, 0.0), starts=1)
    assert not estimate.refined
    assert "nothing where the network puts the camera" in estimate.remark
    assert "could not be verified (the scene map has nothing" in estimate.rejection


def test_without_colour_geometry_decides_alone(localize, room, truths):
    frame = replace(room.frame_of(room.Scene(), truths[0]), color=None)
    estimate, _ = localize(frame, moved(truths[0], np.array([0.04, 0.0, 0.04, 0.0, 0.02, 0.0])))
    assert (estimate.refined, estimate.rejection) == (True, "")
    assert errors(estimate.pose.T, truths[0])[0] < 0.04


def test_a_map_that_is_absent_or_damaged_leaves_the_network_alone_or_is_refused(
    localize, room, truths, mapped, plain_bundle, tmp_path
):
    frame, plain = room.frame_of(room.Scene(), truths[0]), read_bundle(plain_bundle)
    estimate, localizer = localize(frame, truths[0], bundle=plain)
    assert (estimate.refined, estimate.remark, localizer.refines) == (False, "", False)
    with pytest.raises(SceneMapError, match=r"no scene map.*mvloc map"):
        localize(frame, truths[0], bundle=plain, mode="required")
    shutil.copytree(mapped.path, tmp_path / "bundle")
    copy = read_bundle(tmp_path / "bundle")
    file = copy.path / copy.manifest.scene_map.file
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    estimate, _ = localize(frame, truths[0], bundle=copy)
    assert not estimate.refined
    assert "damaged or of another scene" in estimate.remark
    with pytest.raises(SceneMapError, match="damaged or of another scene"):
        localize(frame, truths[0], bundle=copy, mode="required")
    file.unlink()
    with pytest.raises(SceneMapError, match="cannot be read"):
        localize(frame, truths[0], bundle=copy, mode="required")
    estimate, localizer = localize(frame, truths[0], bundle=copy, mode="off")
    assert (estimate.remark, localizer.refines) == ("", False)
