# SPDX-License-Identifier: Apache-2.0
"""The files of a bundle: regular ones of its own folder, and the digest over all of them."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from manifests import edit_manifest
from mutations import damaged_bytes

from mvloc_ros.backends.backend import BackendError
from mvloc_ros.backends.tensorrt import engines
from mvloc_ros.errors import MvlocError
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import Trajectory, write_tum
from mvloc_ros.model.bundle import Bundle, BundleError, file_digest, read_bundle
from mvloc_ros.model.bundle_writer import add_scene_map, bundle_to_change, replace_manifest, write_bundle
from mvloc_ros.model.manifest_digest import bundle_digest
from mvloc_ros.model.map_spec import SceneMapSpec


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "model"))


def named_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def link_out(path: Path) -> None:
    elsewhere = path.parent.parent / f"elsewhere-{path.name}"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (named_pipe, "it is a named pipe, not a regular file"),
        (device, "it is a device, not a regular file"),
        (folder, "it is a folder, not a regular file"),
        (link_out, r"it is a link that points outside .*; copy the bundle with `cp -rL`"),
    ],
)
@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "training_poses.tum"])
def test_only_regular_files_of_the_folder_are_read(bundle: Path, name: str, damage, words: str):
    damage(bundle / name)
    with pytest.raises(BundleError, match=rf"{name} cannot be read .*{words}"):
        read_bundle(bundle)


def test_a_bundle_of_links_is_read_once_it_is_copied_as_the_sentence_says(bundle: Path, tmp_path: Path):
    for path in sorted(bundle.iterdir()):
        link_out(path)
    shutil.copytree(bundle, tmp_path / "copy", symlinks=False)  # as cp -rL
    assert read_bundle(tmp_path / "copy").manifest.system == "mvloc"


def test_links_inside_of_the_folder_and_to_the_folder_are_followed(bundle: Path, tmp_path: Path):
    (bundle / "model.onnx").rename(bundle / "weights-1")
    (bundle / "model.onnx").symlink_to("weights-1")
    (tmp_path / "current").symlink_to(bundle)
    assert read_bundle(tmp_path / "current").path == bundle


def test_a_folder_of_links_to_a_bundle_is_that_bundle_and_is_not_changed_through_them(bundle: Path, tmp_path: Path):
    """As `colcon build --symlink-install` makes it."""
    installed = tmp_path / "share" / "model"
    installed.mkdir(parents=True)
    for path in bundle.iterdir():
        (installed / path.name).symlink_to(path)
    assert read_bundle(installed).path == bundle
    with pytest.raises(BundleError, match=f"contains links to the files of {bundle}"), bundle_to_change(installed):
        pytest.fail("a bundle was changed through links")
    (installed / "manifest.json").unlink()
    (installed / "manifest.json").symlink_to("manifest.json")
    with pytest.raises(BundleError):
        read_bundle(installed)


@pytest.mark.parametrize("path", ["a\0b", "~no_such_user_at_all/model", "x" * 5000, "/dev/null", " "])
def test_what_is_no_path_is_refused(path: str):
    with pytest.raises(BundleError):
        read_bundle(path)


@pytest.mark.parametrize("damage", [named_pipe, link_out])
def test_training_poses_are_read_from_the_folder_alone(bundle: Path, damage):
    found = read_bundle(bundle)
    damage(bundle / "training_poses.tum")
    with pytest.raises(BundleError, match=r"training_poses\.tum cannot be read"):
        found.training_trajectory()


def test_training_poses_beyond_the_earth_are_refused(bundle: Path):
    (bundle / "training_poses.tum").write_text("1.0 1e30 0 0 0 0 0 1\n")
    found = Bundle(bundle, read_bundle(bundle, verify=False).manifest)
    with pytest.raises(MvlocError, match=r"its position is beyond 1e\+08 m"):
        found.training_trajectory()


@pytest.mark.parametrize("stamp", ["1e308", "1e999999", "1e9999999", "9" * 400])
def test_training_poses_of_no_time_are_refused_at_once(bundle: Path, stamp: str):
    (bundle / "training_poses.tum").write_text(f"{stamp} 0 0 0 0 0 0 1\n")
    found = Bundle(bundle, read_bundle(bundle, verify=False).manifest)
    with pytest.raises(MvlocError, match=r"no times|not `t x y z|no one unit"):
        found.training_trajectory()


def test_damaged_training_poses_are_refused_or_are_poses(bundle: Path):
    path = bundle / "training_poses.tum"
    rng = np.random.default_rng(0)
    orientations = rng.standard_normal((8, 4))
    orientations /= np.linalg.norm(orientations, axis=1, keepdims=True)
    poses = se3.from_parts(rng.standard_normal((8, 3)), orientations)
    write_tum(path, Trajectory(10**9 * np.arange(1, 9, dtype=np.int64), poses))
    content, found = path.read_bytes(), Bundle(bundle, read_bundle(bundle, verify=False).manifest)
    refused = 0
    for seed in range(200):
        path.write_bytes(damaged_bytes(content, seed))
        try:
            trajectory = found.training_trajectory()
        except MvlocError:
            refused += 1
            continue
        assert trajectory is not None
        assert all(se3.is_rigid(pose) for pose in trajectory.poses)
    assert 50 < refused < 198


@pytest.mark.parametrize("damage", [named_pipe, link_out])
def test_an_engine_is_built_of_files_of_the_folder_alone(bundle: Path, damage):
    found = read_bundle(bundle)
    damage(bundle / "model.onnx")
    with pytest.raises(BackendError, match=r"model\.onnx cannot be read"):
        engines._read_onnx(found, "fp32")


def test_all_ways_of_writing_state_the_digest(bundle: Path, tmp_path: Path):
    written = read_bundle(bundle)
    values = json.loads((bundle / "manifest.json").read_text())
    assert written.digest == values["digest"] == bundle_digest(values)
    assert written.digest_in_words == f"digest {written.digest[:12]}"

    replaced = replace_manifest(written, replace(written.manifest, licence="another"))
    spec = SceneMapSpec("", "", 0.02, 4.0, 1, 0.3, 4.5, tuple(np.eye(4).ravel()), 100.0, None)
    mapped = add_scene_map(replaced, b"a map", spec)
    other_map = add_scene_map(mapped, b"another map", spec)
    digests = [one.digest for one in (written, replaced, mapped, other_map)]
    assert len(set(digests)) == 4
    assert all(len(digest) == 64 for digest in digests)


def test_the_digest_depends_on_the_content_alone(bundle: Path, tmp_path: Path):
    first = read_bundle(bundle)
    files = {name: bundle / name for name in first.manifest.files}
    assert write_bundle(tmp_path / "other_name", first.manifest, files).digest == first.digest
    (bundle / "model.onnx").write_bytes((bundle / "model.onnx").read_bytes() + b"\0")
    assert write_bundle(tmp_path / "other_file", first.manifest, files).digest != first.digest


def test_the_digest_is_of_the_values_and_not_of_their_text():
    values = {"a": [1.0, 0.1, -0.0], "b": {"c": None, "d": "\u00e9", "e": True}}
    same = {"digest": "x", "b": {"e": True, "d": "é", "c": None}, "a": [1, 0.1, 0]}
    assert bundle_digest(values) == bundle_digest(same)
    # SHA-256 of {"a":[1,0.1,0],"b":{"c":null,"d":"\u00e9","e":true}}: it must not change with versions.
    assert bundle_digest(values) == "947f80da955d1326e87a9ddaf76e1e6db18f31aaff554bbf6361402884c45446"
    assert bundle_digest({**values, "f": 1}) != bundle_digest({**values, "f": True})


def test_an_altered_value_is_refused_though_it_makes_sense(bundle: Path):
    path = bundle / "manifest.json"
    path.write_text(path.read_text().replace("0.02", "0.03"))
    with pytest.raises(BundleError, match=r"manifest\.json was changed or damaged after .*; copy or export"):
        read_bundle(bundle)


@pytest.mark.parametrize("digest", ["", "abc", 7, None, "0" * 64])
def test_a_digest_that_is_none_is_refused(bundle: Path, digest: object):
    path = bundle / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"digest": digest}))
    with pytest.raises(BundleError, match="digest"):
        read_bundle(bundle)


def test_a_bundle_from_before_there_was_a_digest_is_read_and_gets_one(bundle: Path):
    edit_manifest(bundle, lambda values: values.pop("digest"))
    found = read_bundle(bundle)
    assert (found.digest, found.digest_in_words) == ("", "no digest over the whole bundle")
    assert len(replace_manifest(found, found.manifest).digest) == 64


def test_the_demo_model_has_its_digest():
    demo = read_bundle(Path(__file__).resolve().parents[2] / "models" / "demo")
    assert demo.digest_in_words == f"digest {demo.digest[:12]}"


def test_a_file_digest_is_of_regular_files(bundle: Path):
    named_pipe(bundle / "model.onnx")
    with pytest.raises(OSError, match="named pipe"):
        file_digest(bundle / "model.onnx")
