# SPDX-License-Identifier: Apache-2.0
"""What all steps of one command share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mvloc_ros.learn.given import Given
from mvloc_ros.learn.options import LearnOptions, Places
from mvloc_ros.recordings import digests
from mvloc_ros.recordings.held_out_file import HELD_OUT_FILE
from mvloc_ros.recordings.joined_folders import in_order, labels_of


@dataclass(frozen=True)
class Job:
    """The options, the places of everything, and the recordings."""

    options: LearnOptions
    places: Places
    given: tuple[Given, ...]

    @cached_property
    def poses_are_made(self) -> bool:
        """Whether the recordings have no poses, so that they are made here. Known after the first step."""
        return not all(self.has_poses(one) for one in self.given)

    def has_poses(self, one: Given) -> bool:
        """Whether a recording has poses of its own."""
        return one.has_poses(self.options.conversion.poses.source)

    @property
    def folders(self) -> list[Path]:
        """The posed folders that are trained on. Known after the first step."""
        return [self.places.posed] if self.poses_are_made else [one.folder for one in self.given]

    @property
    def holds_out(self) -> bool:
        """Whether the frames for tests were chosen here, so that they may be in the map once all is evaluated."""
        return self.poses_are_made and (self.places.posed / HELD_OUT_FILE).is_file()

    @property
    def evaluated(self) -> Path:
        """The bundle that is evaluated: without the frames that are held out."""
        return self.places.bundle if self.holds_out else self.places.out

    def data(self) -> dict[str, str]:
        """The posed folders and their content, for the inputs of a step."""
        named = zip(labels_of(self.folders), in_order(self.folders), strict=True)
        return {f"data {label}": digests.of_folder(path) for label, path in named}
