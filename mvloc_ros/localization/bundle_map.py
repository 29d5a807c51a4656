# SPDX-License-Identifier: Apache-2.0
"""What refines the poses of a bundle: whether it has a map that can be used, and what is missing, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mvloc_ros.localization.keyframes import read_keyframes
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.scan_map import ScanMap
from mvloc_ros.localization.scan_starts import ScanStarts
from mvloc_ros.localization.scene_map import SceneMap, SceneMapError, read_scene_map
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.model.map_spec import SceneMapSpec

if TYPE_CHECKING:
    from mvloc_ros.localization.refinement import Refiner


def refiner_of(bundle: Bundle, options: RefinementOptions) -> tuple[Refiner | None, str]:
    """What refines, or None; and why nothing does although it should, or why all poses are rejected, in words.

    A model without a map is no fault of `auto`; one whose map cannot be used is. Raises SceneMapError if `required`.
    """
    spec = bundle.manifest.scene_map
    if options.mode == "off" or (options.mode == "auto" and spec is None):
        return None, ""
    try:
        from mvloc_ros.localization.refinement import Refiner

        scene_map = read_scene_map(bundle)
        assert spec is not None
        _require_known_evidence(bundle, spec)
        refiner = Refiner(bundle.manifest, spec, scene_map, options, read_keyframes(bundle))
    except ImportError as error:
        problem = SceneMapError(f"Refining poses needs the package small_gicp (pip install small_gicp): {error}.")
    except SceneMapError as error:
        problem = error
    else:
        return refiner, _no_threshold(spec, options)
    if options.mode == "required":
        raise problem
    return None, f"poses are the network's alone: {problem}"


def scan_starts_of(bundle: Bundle, scene_map: SceneMap) -> ScanStarts | None:
    """What finds places by depth alone; None where the training camera did not move in a plane."""
    trained = bundle.training_trajectory()
    scan_map = None if trained is None else ScanMap.of(scene_map, trained.poses)
    return None if scan_map is None else ScanStarts(scan_map)


def _require_known_evidence(bundle: Bundle, spec: SceneMapSpec) -> None:
    """What poses are accepted by is what this version computes. Raises SceneMapError."""
    from mvloc_ros.localization.verification import KNOWN

    if spec.acceptance is not None and (unknown := set(spec.acceptance.weights) - set(KNOWN)):
        raise SceneMapError(
            f"The manifest of {bundle.path} accepts poses by {sorted(unknown)[0][:40]!r}, which this version of "
            "mvloc_ros does not compute; update it or run `mvloc map` again."
        )


def _no_threshold(spec: SceneMapSpec, options: RefinementOptions) -> str:
    """Why all poses are rejected although the map can be used, in words; empty if they are not."""
    if spec.acceptance is not None:
        return ""
    problem = (
        "the scene map has no acceptance threshold, so nothing tells right poses from wrong ones; train the network "
        "further or on more frames and run `mvloc map` again, or set refine to off for the network's own poses"
    )
    if options.mode == "required":
        raise SceneMapError(f"No pose would be accepted: {problem}.")
    return f"poses are rejected: {problem}"
