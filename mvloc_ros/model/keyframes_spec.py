# SPDX-License-Identifier: Apache-2.0
"""What a manifest says of the bundle's keyframes: file, number, and how often a retrieved pose is near the true one."""

from __future__ import annotations

from dataclasses import dataclass

from mvloc_ros.limits import MOST_KEYFRAMES
from mvloc_ros.model.manifest_checks import (
    ManifestError,
    Section,
    require_file_name,
    require_range,
    require_sha256,
    to_number,
)

IMAGES = "images"
"""The kind of descriptors: of the images alone, nothing of them comes from the network."""
_MOST_RANKS = 64


@dataclass(frozen=True)
class KeyframesSpec:
    """Poses of training frames with descriptors of their images, from which registration may start.

    Attributes:
        file: name in the bundle's folder.
        sha256: of that file, in hexadecimal.
        frames: how many there are.
        descriptors: their kind; a reader refuses one that it does not know.
        reach: of training frames that have a keyframe from which registration reaches their pose (0.5 m, 20 degrees)
            and that was not taken beside them, the share for which the pose that is retrieved first, second, ... is the
            first such one; empty where there are no such frames.
    """

    file: str
    sha256: str
    frames: int
    descriptors: str = IMAGES
    reach: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        require_range("keyframes.frames", self.frames, (1, MOST_KEYFRAMES))
        if self.descriptors != IMAGES:
            raise ManifestError(
                f"keyframes.descriptors must be {IMAGES}, the only kind that this version knows, not "
                f"{self.descriptors[:60]!r}"
            )
        if len(self.reach) > _MOST_RANKS:
            raise ManifestError(f"keyframes.reach has {len(self.reach)} values, at most {_MOST_RANKS} are accepted")
        for share in self.reach:
            require_range("keyframes.reach", share, (0.0, 1.0))
        if sum(self.reach) > 1.0 + 1e-6:
            raise ManifestError("keyframes.reach must be shares of frames, whose sum is at most 1")
        if self.file:  # empty until the file is made, as is its digest
            require_file_name("keyframes.file", self.file)
        if self.sha256:
            require_sha256("keyframes.sha256", self.sha256)


def keyframes_of(section: Section) -> KeyframesSpec:
    """The section of a manifest.

    Raises:
        ManifestError: a value is missing or impossible; the caller names the file.
    """
    require_file_name(section.label("file"), section.text("file"))
    require_sha256(section.label("sha256"), section.text("sha256"))
    reach = section.value("reach")
    if not isinstance(reach, list | tuple):
        raise ManifestError(f"{section.label('reach')} must be a list of numbers")
    return KeyframesSpec(
        file=section.text("file"),
        sha256=section.text("sha256"),
        frames=section.integer("frames"),
        descriptors=section.text("descriptors"),
        reach=tuple(to_number(share, section.label("reach")) for share in reach[: _MOST_RANKS + 1]),
    )
