# SPDX-License-Identifier: Apache-2.0
"""Keyframes are found by what they look like, are distinct, and are stored and read without loss or damage."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.geometry import se3
from mvloc_ros.localization.descriptors import COLOR_LENGTH, DEPTH_LENGTH, Descriptor
from mvloc_ros.localization.hypotheses import Search
from mvloc_ros.localization.keyframe_starts import KeyframeStarts, Look
from mvloc_ros.localization.keyframes import VERSION, Keyframes, read_keyframes
from mvloc_ros.localization.local_features import nothing_seen
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.retrieval import Retrieval, near
from mvloc_ros.localization.scene_map import SceneMapError
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.bundle_writer import add_scene_map, manifest_text
from mvloc_ros.model.keyframes_spec import KeyframesSpec, keyframes_of
from mvloc_ros.model.manifest import manifest_from_json
from mvloc_ros.model.manifest_checks import ManifestError, Section
from mvloc_ros.model.map_spec import SceneMapSpec

RNG = np.random.default_rng(2)


def along_x(*metres: float) -> np.ndarray:
    poses = np.tile(np.eye(4), (len(metres), 1, 1))
    poses[:, 0, 3] = metres
    return poses


def descriptors(count: int) -> list[Descriptor]:
    color = RNG.uniform(0.0, 0.2, (count, COLOR_LENGTH)).astype(np.float32)
    depth = RNG.uniform(0.0, 1.5, (count, DEPTH_LENGTH)).astype(np.float32)
    return [Descriptor(*parts) for parts in zip(color, depth, strict=True)]


def places(found: list[np.ndarray]) -> list[float]:
    return [float(T[0, 3]) for T in found]


def test_the_same_frame_is_found_first_with_each_image_and_with_one():
    known = descriptors(6)
    retrieval = Retrieval(Keyframes.of(along_x(0, 1, 2, 3, 4, 5), known))
    for i, one in enumerate(known):
        for seen in (one, Descriptor(one.color, None), Descriptor(None, one.depth)):
            assert places(retrieval.nearest(seen, 1)) == [i]


def test_keyframes_without_an_image_are_compared_by_the_other_one():
    known = descriptors(4)
    known[1], known[2] = Descriptor(known[1].color, None), Descriptor(None, known[2].depth)
    retrieval = Retrieval(Keyframes.of(along_x(0, 1, 2, 3), known))
    assert places(retrieval.nearest(Descriptor(known[1].color, RNG.uniform(0, 1, DEPTH_LENGTH)), 1)) == [1]
    assert places(retrieval.nearest(known[2], 1)) == [2]
    assert 2 not in places(retrieval.nearest(Descriptor(known[1].color, None), 4))  # nothing in common with it


def test_depth_that_measured_little_says_nothing():
    known = descriptors(3)
    retrieval = Retrieval(Keyframes.of(along_x(0, 1, 2), known))
    little = np.full(DEPTH_LENGTH, np.nan, np.float32)
    little[:3] = known[1].depth[:3]
    assert places(retrieval.nearest(Descriptor(known[0].color, little), 1)) == [0]
    assert retrieval.nearest(Descriptor(None, little), 3) == []


def test_what_is_found_is_distinct_and_in_the_order_of_likeness():
    base = descriptors(1)[0]
    like = [Descriptor(base.color + np.float32(0.01 * i), base.depth) for i in range(5)]
    retrieval = Retrieval(Keyframes.of(along_x(0.0, 0.1, 0.3, 1.0, 2.0), like))
    assert places(retrieval.nearest(base, 5)) == [0.0, 1.0, 2.0]
    assert places(retrieval.nearest(base, 2)) == [0.0, 1.0]
    beside = np.array([True, True, True, False, False])
    assert places(retrieval.nearest(base, 5, without=beside)) == [1.0, 2.0]


def test_one_place_seen_in_another_direction_is_another_pose():
    poses = np.stack([np.eye(4), se3.from_parts(np.zeros(3), [0.0, 0.0, np.sin(0.3), np.cos(0.3)])])
    np.testing.assert_array_equal(near(poses, np.eye(4), 0.4, np.radians(20.0)), [True, False])
    np.testing.assert_array_equal(near(poses, np.eye(4), 0.4, np.radians(40.0)), [True, True])


def test_a_file_is_read_as_it_was_written():
    known = descriptors(5)
    known[3] = Descriptor(None, known[3].depth)
    keyframes = Keyframes.of(along_x(0, 1e6, 2, 3, 4), known)
    found = Keyframes.from_bytes(keyframes.to_bytes())
    for name, value in vars(keyframes).items():
        np.testing.assert_array_equal(getattr(found, name), value)
    assert found.position[1, 0] == 1e6  # coordinates of a UTM map keep their millimetres
    assert len(keyframes.to_bytes()) < 5 * 1200 + 2000


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("position", np.full((3, 3), np.nan), "not finite"),
        ("position", np.zeros((2, 3)), "fit together"),
        ("orientation", np.zeros((3, 4)), "unit quaternions"),
        ("orientation", np.full((3, 4), 1e308), "unit quaternions"),
        ("color", np.full((3, COLOR_LENGTH), np.inf, np.float16), "not finite"),
        ("color", np.zeros((3, 7), np.float16), "fit together"),
        ("depth", np.full((3, DEPTH_LENGTH), np.inf, np.float16), "not finite"),
        ("present", np.zeros((3, 2), np.uint8), "without images"),
        ("version", np.array([9], np.int64), "version"),
        ("color", np.zeros((3, COLOR_LENGTH), np.float64), "float64"),
    ],
)
def test_what_are_no_keyframes_is_refused(name: str, value: np.ndarray, words: str):
    keyframes = Keyframes.of(along_x(0, 1, 2), descriptors(3))
    stream = io.BytesIO()
    np.savez_compressed(stream, **{"version": np.array([VERSION], np.int64), **vars(keyframes), name: value})
    with pytest.raises(ValueError, match=words):
        Keyframes.from_bytes(stream.getvalue())


def test_a_file_of_before_the_local_features_is_read():
    known = Keyframes.of(along_x(0, 1, 2), descriptors(3))
    stream = io.BytesIO()
    arrays = {name: value for name, value in vars(known).items() if name not in ("first", "point", "feature")}
    np.savez_compressed(stream, version=np.array([1], np.int64), **arrays)
    read = Keyframes.from_bytes(stream.getvalue())
    np.testing.assert_array_equal(read.color, known.color)
    assert len(read.features(2)) == 0


def test_damaged_bytes_are_refused_or_change_nothing():
    content = Keyframes.of(along_x(0, 1, 2), descriptors(3)).to_bytes()
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(content)
        damaged[rng.integers(len(content))] ^= 1 << rng.integers(8)
        try:
            Keyframes.from_bytes(bytes(damaged))
        except ValueError:
            continue


MAP = SceneMapSpec("", "", 0.02, 4.0, 10, 0.3, 4.5, tuple(np.eye(4).ravel()), 300.0, None)


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "model"))


def with_keyframes(path: Path, count: int = 3) -> tuple[bytes, KeyframesSpec]:
    content = Keyframes.of(along_x(*range(count)), descriptors(count)).to_bytes()
    add_scene_map(read_bundle(path), b"map", MAP, (content, KeyframesSpec("", "", count, reach=(0.5, 0.25))))
    return content, read_bundle(path).manifest.keyframes


def test_a_bundle_keeps_keyframes_and_its_digest_covers_them(bundle: Path):
    before = read_bundle(bundle)
    assert before.manifest.keyframes is None
    assert read_keyframes(before) is None
    content, spec = with_keyframes(bundle)
    assert (spec.frames, spec.reach, spec.descriptors) == (3, (0.5, 0.25), "images")
    assert spec.sha256 == hashlib.sha256(content).hexdigest()
    first = read_bundle(bundle)
    assert len(read_keyframes(first)) == 3
    with_keyframes(bundle)
    second = read_bundle(bundle)
    assert first.digest != second.digest  # other descriptors, the same map
    assert [path.name for path in bundle.glob("keyframes-*.npz")] == [second.manifest.keyframes.file]
    add_scene_map(second, b"map", MAP)
    assert read_bundle(bundle).manifest.keyframes is None
    assert not list(bundle.glob("keyframes-*.npz"))


def test_a_manifest_without_keyframes_is_written_as_before(bundle: Path):
    text = manifest_text(read_bundle(bundle).manifest)
    assert "keyframes" not in text
    with_keyframes(bundle)
    values = json.loads((bundle / "manifest.json").read_text())
    assert values["schema"] == json.loads(text)["schema"]  # who reads a map may leave the keyframes alone
    assert manifest_from_json(values).keyframes == read_bundle(bundle).manifest.keyframes


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("file", "../other.npz", "plain file name"),
        ("sha256", "abc", "SHA-256"),
        ("frames", 0, "keyframes.frames"),
        ("frames", 1 << 40, "keyframes.frames"),
        ("frames", 2.5, "whole number"),
        ("descriptors", "of the future", "only kind"),
        ("reach", [0.5, float("nan")], "finite"),
        ("reach", [1.5], "keyframes.reach"),
        ("reach", [0.9, 0.9], "at most 1"),
        ("reach", [0.0] * 1000, "at most 64"),
        ("reach", "half", "list"),
        ("reach", None, "list"),
    ],
)
def test_values_that_make_no_sense_are_named(key: str, value: object, words: str):
    good = {"file": "keyframes.npz", "sha256": "0" * 64, "frames": 3, "descriptors": "images", "reach": [0.5]}
    assert keyframes_of(Section(good, "keyframes")).frames == 3
    with pytest.raises(ManifestError, match=words):
        keyframes_of(Section({**good, key: value}, "keyframes"))


@pytest.mark.parametrize("damage", ["missing", "changed", "other number"])
def test_damaged_keyframes_are_refused_with_the_remedy(bundle: Path, damage: str):
    with_keyframes(bundle)
    found = read_bundle(bundle)
    path = bundle / found.manifest.keyframes.file
    if damage == "missing":
        path.unlink()
    elif damage == "changed":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        spec = replace(found.manifest.keyframes, frames=4)
        found = replace(found, manifest=replace(found.manifest, keyframes=spec))
    with pytest.raises(SceneMapError, match=r"run `mvloc map`"):
        read_keyframes(found)


def test_frame_by_frame_other_places_are_looked_at_and_none_beside_a_hypothesis():
    """The most similar keyframe is tried in each frame; the others take turns."""
    known = descriptors(20)
    starts = KeyframeStarts(Keyframes.of(along_x(*range(20)), known), ())
    look = Look(lambda: known[7], nothing_seen)

    def found(frames: int, *possible: float, count: int = 3) -> list[float]:
        poses = tuple(Pose(0, along_x(x)[0], np.eye(6)) for x in possible)
        return places([start.T for start in starts.of(look, Search(poses, frames)).by_images(count)])

    turns = [found(frames) for frames in range(7)]
    assert all(turn[0] == 7.0 and len(turn) == 3 for turn in turns)
    others = [x for turn in turns[:6] for x in turn[1:]]
    assert len(set(others)) == 12
    assert turns[6] == turns[0]
    assert found(3, count=1) == [7.0]
    beside = [found(frames, 7.2, others[0]) for frames in range(6)]
    assert not {7.0, others[0]} & {x for turn in beside for x in turn}
    assert found(0, count=40)[1:] == found(0, count=20)[1:]
    assert len(found(5, count=40)) == 20
