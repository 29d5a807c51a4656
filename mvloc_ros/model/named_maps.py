# SPDX-License-Identifier: Apache-2.0
"""A folder of bundles, of which each is found by the name of its map: the floors of a building, say."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mvloc_ros.foreign_text import quoted, shown
from mvloc_ros.limits import MOST_NAMED_MAPS
from mvloc_ros.model.bundle import Bundle, BundleError, read_bundle


@dataclass(frozen=True)
class NamedMap:
    """A bundle in the folder, its manifest read; `folder` is the name of its own folder."""

    folder: str
    bundle: Bundle

    @property
    def in_words(self) -> str:
        """The map's name, and the folder's where that is another."""
        name = self.bundle.map_name
        return shown(name) if name == self.folder else f"{shown(name)} (folder {shown(self.folder)})"


@dataclass(frozen=True)
class MapFolder:
    """What a folder of bundles holds.

    Attributes:
        path: the folder itself, all links followed.
        maps: those that can be used as far as their manifests tell, by the names of their folders.
        refused: why others cannot be used, by the names of their folders.
    """

    path: Path
    maps: tuple[NamedMap, ...]
    refused: dict[str, str]

    @property
    def in_words(self) -> str:
        """The names of the maps."""
        return ", ".join(found.in_words for found in self.maps) or "none"

    def ambiguous(self) -> dict[str, tuple[NamedMap, ...]]:
        """Names that mean more than one map, and these."""
        names = {name for found in self.maps for name in (found.folder, found.bundle.map_name)}
        meant = {name: self.named(name) for name in sorted(names)}
        return {name: maps for name, maps in meant.items() if len(maps) > 1}

    def named(self, name: str) -> tuple[NamedMap, ...]:
        """The maps that a name means: by the map's name or the folder's."""
        return tuple(found for found in self.maps if name in (found.bundle.map_name, found.folder))

    def find(self, name: str) -> Path:
        """The bundle of the map of that name. Raises BundleError, with the names that there are."""
        if name in self.refused:
            raise BundleError(self.refused[name])
        meant = self.named(name)
        if len(meant) == 1:
            return meant[0].bundle.path
        where = shown(self.path, 200)
        if meant:
            raise BundleError(
                f"{quoted(name)} means {len(meant)} maps in {where}: {_listed(meant)}; rename one of the folders, or "
                "give a path."
            )
        raise BundleError(
            f"There is no map named {quoted(name)} in {where}; available: {self.in_words}. Give one of these names, or "
            "a path."
        )


def is_map_name(text: str) -> bool:
    """Whether a text is a bare name: no path, which has a slash or begins with a point or a tilde."""
    return bool(text.strip()) and "/" not in text and not text.startswith((".", "~"))


def read_map_folder(folder: str) -> MapFolder:
    """Look at the bundles in a folder, by their manifests alone. Hidden folders are left out.

    Raises:
        BundleError: it cannot be read, or has more entries than a folder of bundles.
    """
    try:
        path = Path(folder).expanduser().resolve(strict=True)
        with os.scandir(path) as entries:
            names = sorted(_first(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")))
    except (OSError, RuntimeError, ValueError) as error:  # no such user, a loop of links, a zero byte
        reason = getattr(error, "strerror", None) or str(error)
        raise BundleError(
            f"The folder of models {shown(folder, 200)} cannot be read ({reason}); check the parameter models_folder."
        ) from error
    if len(names) > MOST_NAMED_MAPS:
        raise BundleError(
            f"{shown(path, 200)} has more than {MOST_NAMED_MAPS} folders: models_folder must be a folder of bundles "
            "alone."
        )
    maps, refused = [], {}
    for name in names:
        try:
            maps.append(_read(path, name))
        except BundleError as error:
            refused[name] = str(error)
    return MapFolder(path, tuple(maps), refused)


def model_path(models_folder: str, model: str) -> str:
    """The path of a model that is given by a map's name or a path; a path, where there is no folder of models.

    Raises:
        BundleError: the name means no map, or several.
    """
    if not models_folder or not is_map_name(model):
        return model
    return str(read_map_folder(models_folder).find(model))


def _first(names: Iterable[str]) -> list[str]:
    """As many as are accepted, and one more."""
    return [name for _, name in zip(range(MOST_NAMED_MAPS + 1), names, strict=False)]


def _read(path: Path, name: str) -> NamedMap:
    bundle = read_bundle(path / name, verify=False)
    if not bundle.path.is_relative_to(path):
        raise BundleError(
            f"{shown(path / name, 200)} is, or holds, a link that points outside of the folder of models; copy the "
            "bundle there with `cp -rL`, or give its path."
        )
    return NamedMap(name, bundle)


def _listed(maps: tuple[NamedMap, ...]) -> str:
    return ", ".join(found.in_words for found in maps)
