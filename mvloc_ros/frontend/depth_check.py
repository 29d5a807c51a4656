# SPDX-License-Identifier: Apache-2.0
"""Is depth what the model expects? In which unit it is read, how far it is, and whether most of it is out of range."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from mvloc_ros.geometry.depth_statistics import DepthStatistics, DepthTally, unit_hint
from mvloc_ros.model.frame import DepthImage
from mvloc_ros.model.manifest import InputSpec
from mvloc_ros.model.preprocessing import in_metres


def statistics_of(images: list[DepthImage], network: InputSpec) -> DepthStatistics:
    """Of a sample of the images' pixels; `inside` is by the depth range of the network."""
    tally = DepthTally(network.depth_min_m, network.depth_max_m)
    for image in images:
        add_image(tally, image)
    return tally.result()


def add_image(tally: DepthTally, image: DepthImage) -> None:
    """Add a sample of an image's pixels; cheap, since only they are converted."""
    # All of the image, whatever part of it the network sees: this is about the camera, and a view may be large.
    values: NDArray[Any] = image.values
    if min(values.shape) > 32:
        sample = values[4::8, 4::8]
        values = sample if (sample > 0).any() else values  # points of a LIDAR may all lie beside the sample
    tally.add(in_metres(values, image.metres_per_unit), step=1)


def unit_text(unit_m: float, depth_unit_m: float, name: str) -> str:
    """The unit of depth and whose word it is: `name` is the option's, 0 its default."""
    return f"{unit_m:g} m a unit ({f'by {name}' if depth_unit_m else 'REP 118'})"


def depth_problem(found: DepthStatistics, unit_m: float, network: InputSpec, name: str) -> str:
    """A sentence where most of the measured depth is outside of the network's range; else empty.

    `name` is that of the option or parameter which sets the unit.
    """
    if not found.measured or found.inside > 0.5:
        return ""
    hint = unit_hint(found.median_m, unit_m)
    return (
        f"{1.0 - found.inside:.0%} of the measured depth lies outside of the {network.depth_min_m:g} to "
        f"{network.depth_max_m:g} m that the model takes and counts as not measured (median {found.median_m:.3g} m, "
        f"read as {unit_m:g} m a unit)"
        + (f"; {hint}: set {name}" if hint else f"; check the depth camera, or set {name}")
    )


def depth_notes(found: DepthStatistics, unit_m: float, depth_unit_m: float, network: InputSpec, name: str) -> list[str]:
    """For a report: unit, its source and the median; and what cannot be right. `name` as in `depth_problem`."""
    problem = depth_problem(found, unit_m, network, name)
    text = f"depth: {unit_text(unit_m, depth_unit_m, name)}, {found.text()}"
    return [text, problem] if problem else [text]
