# SPDX-License-Identifier: Apache-2.0
"""Keyframes in a bundle made by `mvloc map`, and refinement that starts from them where the network fails."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from mvloc_ros.geometry import se3
from mvloc_ros.localization import keyframe_starts, refinement
from mvloc_ros.localization.keyframes import read_keyframes
from mvloc_ros.localization.local_features import MOST_OF_KEYFRAME
from mvloc_ros.mapping.keyframes import choose_frames
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.recordings import open_folder


@pytest.fixture(scope="module")
def truth(room) -> np.ndarray:
    return room.path(6, 0.57)[2]


@pytest.fixture(scope="module")
def astray(room) -> np.ndarray:
    """Where a network may put that frame: the other end of the room, looking elsewhere."""
    return room.looking(1.0, 0.6, 1.3, 2.5, 0.1)


def test_a_map_comes_with_keyframes_of_distinct_poses_of_training_frames_alone(mapped: Bundle, folder):
    spec, keyframes = mapped.manifest.keyframes, read_keyframes(mapped)
    train = np.array([record.T_map_camera for record in open_folder(folder).train])
    assert 4 <= spec.frames == len(keyframes) < len(train)
    assert len(keyframes.feature) <= MOST_OF_KEYFRAME * len(keyframes)
    assert (mapped.path / spec.file).stat().st_size < 1_500 * len(keyframes) + 105 * len(keyframes.feature)
    apart = [np.abs(train - T).reshape(len(train), -1).max(axis=1).min() for T in keyframes.poses()]
    assert max(apart) < 1e-9
    assert keyframes.present.all()


def test_of_frames_that_are_alike_one_is_kept_and_never_too_many(folder):
    train = open_folder(folder).train
    few = choose_frames(train, most=6)
    assert 1 <= len(few) <= 6
    assert {record.sequence for record in few} == {record.sequence for record in train}
    again = choose_frames([record for record in train for _ in range(2)])
    assert len(again) == len(choose_frames(train))


def test_a_network_that_is_wrong_is_rescued_by_a_frame_that_looks_alike(
    localize, room, without_keyframes, truth, astray
):
    frame = room.frame_of(room.Scene(), truth)
    found, _ = localize(frame, astray)
    assert found.details.start == "features"
    assert se3.translation_error(found.pose.T, truth) < 0.03
    assert se3.rotation_error(found.pose.T, truth) < np.radians(1.5)
    before, _ = localize(frame, astray, bundle=without_keyframes)
    assert before.details.start in ("network", "draw")
    assert before.rejection
    assert se3.translation_error(before.pose.T, truth) > 0.3


@pytest.mark.parametrize("lost", ["color"])
def test_it_is_rescued_without_one_image(localize, room, truth, astray, lost: str):
    found, _ = localize(replace(room.frame_of(room.Scene(), truth), **{lost: None}), astray)
    assert found.details.start.startswith("retrieval ")
    assert se3.translation_error(found.pose.T, truth) < 0.03


def test_a_good_network_starts_alone(localize, room, truth, monkeypatch):
    asked = []
    monkeypatch.setattr(keyframe_starts.Retrieval, "nearest", lambda *_: asked.append(1) or [])
    found, _ = localize(room.frame_of(room.Scene(), truth), truth)
    assert (found.details.start, found.details.starts, found.rejection, asked) == ("network", 1, "", [])


def test_the_tracker_starts_before_what_is_retrieved(localize, room, truth, astray):
    frame = room.frame_of(room.Scene(), truth)
    _, localizer = localize(frame, truth)
    again = room.frame_of(room.Scene(), truth, stamp_ns=50_000_000, seed=1)
    found, _ = localize(again, astray, localizer=localizer)
    assert (found.details.start, found.rejection) == ("tracker", "")


def test_starts_are_counted_as_before_and_keep_to_the_budget(localize, room, truth, astray, monkeypatch):
    # Of another place: no start is accepted.
    frame = room.frame_of(room.Scene(((-2.5, -2.0, -0.2), (1.4, 1.9, 2.9)), ()), truth)
    assert [localize(frame, astray, starts=n)[0].details.starts for n in (1, 2, 4)] == [1, 2, 4]
    real = refinement.register
    monkeypatch.setattr(refinement, "register", lambda *given: time.sleep(0.25) or real(*given))
    assert localize(frame, astray, starts=4, budget_ms=400.0)[0].details.starts == 1


def test_a_covered_lens_is_tried_where_the_network_is_alone(localize, room, truth, astray):
    frame = room.frame_of(room.Scene(), truth)
    covered = replace(frame, color=replace(frame.color, pixels=np.full_like(frame.color.pixels, 15)))
    found, _ = localize(covered, astray)
    assert (found.details.start, found.details.starts) == ("network", 1)
    assert found.rejection
