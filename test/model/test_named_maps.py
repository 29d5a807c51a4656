# SPDX-License-Identifier: Apache-2.0
"""Maps by their names: what a name means in a folder of bundles, and that it never leads out of the folder."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from bundles import elsewhere
from manifests import edit_manifest

from mvloc_ros.limits import MOST_NAMED_MAPS
from mvloc_ros.model.bundle import BundleError, read_bundle
from mvloc_ros.model.bundle_writer import replace_manifest
from mvloc_ros.model.manifest import ManifestError
from mvloc_ros.model.named_maps import is_map_name, model_path, read_map_folder


@pytest.fixture
def folder(tiny_bundle: Path, tmp_path: Path) -> Path:
    """Two bundles: `ground` without a name of its own, and `second` with the map `first floor`."""
    shutil.copytree(tiny_bundle, tmp_path / "maps" / "ground")
    elsewhere(tiny_bundle, tmp_path / "maps" / "second", 100.0, "first floor")
    return tmp_path / "maps"


def test_a_map_is_found_by_its_name_and_by_its_folder(folder: Path):
    for name, path in (("ground", "ground"), ("first floor", "second"), ("second", "second")):
        assert model_path(str(folder), name) == str(folder / path)
    assert read_map_folder(str(folder)).in_words == "ground, first floor (folder second)"


@pytest.mark.parametrize("path", ["/maps/ground", "./ground", "../ground", "..", ".", "maps/ground", "~/maps", ""])
def test_what_is_a_path_stays_one(folder: Path, path: str):
    assert not is_map_name(path)
    assert model_path(str(folder), path) == path


def test_without_a_folder_every_text_is_a_path():
    assert model_path("", "ground") == "ground"


@pytest.mark.parametrize("name", ["attic", "Ground", "a\0b", "x" * 5000])
def test_an_unknown_name_is_one_sentence_with_the_names_that_there_are(folder: Path, name: str):
    with pytest.raises(BundleError, match=r"There is no map named .*; available: ground, first floor") as caught:
        model_path(str(folder), name)
    assert len(str(caught.value)) < 600
    assert "\0" not in str(caught.value)


def test_a_name_that_means_two_maps_is_refused_and_a_folder_of_its_own_name_tells_them_apart(folder: Path):
    bundle = read_bundle(folder / "ground")
    replace_manifest(bundle, replace(bundle.manifest, map_name="first floor"))
    with pytest.raises(BundleError, match=r"'first floor' means 2 maps in .*folder ground.*folder second"):
        model_path(str(folder), "first floor")
    assert model_path(str(folder), "ground") == str(folder / "ground")
    assert set(read_map_folder(str(folder)).ambiguous()) == {"first floor"}


def test_links_out_of_the_folder_are_refused_and_those_inside_are_followed(folder: Path, tiny_bundle: Path):
    (folder / "away").symlink_to(tiny_bundle)
    (folder / "linked").mkdir()
    (folder / "linked" / "manifest.json").symlink_to(tiny_bundle / "manifest.json")
    (folder / "broken").symlink_to("/nowhere")
    found = read_map_folder(str(folder))
    assert set(found.refused) == {"away", "linked"}
    assert found.in_words == "ground, first floor (folder second)"
    for name in ("away", "linked"):
        with pytest.raises(BundleError, match="a link that points outside of the folder of models"):
            model_path(str(folder), name)
    with pytest.raises(BundleError, match="There is no map named"):
        model_path(str(folder), tiny_bundle.name)
    (folder / "copy").symlink_to(folder / "ground")
    assert model_path(str(folder), "copy") == str(folder / "ground")


def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(folder)
    assert model_path(str(tmp_path / "link"), "ground") == str(folder / "ground")


def test_what_is_no_bundle_is_left_out_and_says_why_when_it_is_named(folder: Path):
    (folder / "notes").mkdir()
    (folder / ".hidden").mkdir()
    (folder / "file").write_text("")
    (folder / "pipe").mkdir()
    os.mkfifo(folder / "pipe" / "manifest.json")
    found = read_map_folder(str(folder))
    assert set(found.refused) == {"notes", "pipe"}
    with pytest.raises(BundleError, match="notes is not a model bundle"):
        found.find("notes")
    with pytest.raises(BundleError, match="named pipe"):
        found.find("pipe")


def test_a_folder_that_is_none_or_too_full_is_one_sentence(folder: Path):
    for path in (folder / "nowhere", folder / "ground" / "model.onnx", Path("~no_such_user/x"), Path("a\0b")):
        with pytest.raises(BundleError, match=r"The folder of models .* cannot be read"):
            read_map_folder(str(path))
    for number in range(MOST_NAMED_MAPS):
        (folder / f"folder{number}").mkdir()
    with pytest.raises(BundleError, match=f"more than {MOST_NAMED_MAPS} folders"):
        model_path(str(folder), "ground")


@pytest.mark.parametrize("name", ["", "a/b", "..", ".x", "~", " x", "a\nb", "x" * 300, 7])
def test_a_name_that_could_be_a_path_is_no_maps_name(folder: Path, name: object):
    with pytest.raises(ManifestError, match="map_name"):
        replace(read_bundle(folder / "ground").manifest, map_name=name)
    edit_manifest(folder / "ground", lambda values: values.update(map_name=name))
    with pytest.raises(BundleError, match="map_name"):
        read_bundle(folder / "ground", verify=False)


def test_bundles_without_a_name_are_as_they_were(tiny_bundle: Path):
    found = read_bundle(tiny_bundle)
    assert (found.manifest.map_name, found.map_name) == (None, tiny_bundle.name)
    assert "map_name" not in (tiny_bundle / "manifest.json").read_text()


def test_which_bundles_are_of_one_map(folder: Path, tiny_bundle: Path, tmp_path: Path):
    ground = read_bundle(folder / "ground")
    again = read_bundle(shutil.copytree(folder / "ground", tmp_path / "of_today"))
    assert again.map_identity == ground.map_identity  # the same training poses, and no name says otherwise
    others = [read_bundle(folder / "second"), read_bundle(elsewhere(tiny_bundle, tmp_path / "ground", 1.0))]
    others.append(replace_manifest(again, replace(again.manifest, map_name="first floor")))
    assert len({found.map_identity for found in (ground, *others)}) == 4
