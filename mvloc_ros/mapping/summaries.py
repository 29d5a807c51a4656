# SPDX-License-Identifier: Apache-2.0
"""What a command prints of the map or the calibration that it put into a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mvloc_ros.localization.planar_motion import PlanarMotion
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.model.keyframes_spec import KeyframesSpec
from mvloc_ros.model.map_spec import AcceptanceSpec


def map_lines(bundle: Bundle) -> list[str]:
    """The size of a bundle's map and keyframes, and the thresholds with what they accept."""
    spec = bundle.manifest.scene_map
    assert spec is not None
    size = (bundle.path / spec.file).stat().st_size
    lines = [f"{bundle.path / spec.file}: {spec.points} points, {size / 1e6:.1f} MB; {bundle.digest_in_words}"]
    if (keyframes := bundle.manifest.keyframes) is not None:
        path = bundle.path / keyframes.file
        lines.append(f"{path}: {keyframes.frames} keyframes, {path.stat().st_size / 1e6:.1f} MB{_reach(keyframes)}")
    lines.append(_by_depth(bundle))
    if spec.acceptance is None:
        lines.append("no acceptance threshold: all poses are rejected with this map")
    else:
        lines.append(f"poses are accepted from a score of {spec.acceptance.threshold:.3f}; on held-out frames:")
        lines += _trial_lines(spec.acceptance)
    if spec.acceptance_followed is not None:
        threshold = spec.acceptance_followed.threshold
        lines.append(f"poses that follow from the one accepted last are accepted from a score of {threshold:.3f}:")
        lines += _trial_lines(spec.acceptance_followed)
    if spec.acceptance_place is not None:
        lines.append(
            "while no pose is accepted, places are told apart by a score that takes depth and color as of one moment:"
        )
        lines += _trial_lines(spec.acceptance_place)
    return lines


def calibration_lines(bundle: Bundle) -> list[str]:
    """What the covariances of a bundle were calibrated on, and how consistent they are."""
    network, spec = bundle.manifest.calibration, bundle.manifest.scene_map
    assert network is not None
    shares = ", ".join(f"{share:.0%} {name}" for name, share in network.record["mixture"].items() if share)
    lines = [f"network: {network.record['frames']} frames in {network.record['blocks']} blocks, {shares}"]
    lines += _consistency_lines(network.record)
    if spec is not None and spec.calibration is not None:
        refined = spec.calibration
        lines.append(
            f"refined: {refined.record['frames']} frames in {refined.record['blocks']} blocks, information divided by "
            f"{refined.scale:.2g}, floor {1e3 * refined.floor_m:.1f} mm and {1e3 * refined.floor_rad:.1f} mrad"
        )
        lines += _consistency_lines(refined.record)
    return [*lines, f"written to {bundle.path}; {bundle.digest_in_words}"]


def _by_depth(bundle: Bundle) -> str:
    """Whether the camera's place can be found by depth alone, in words."""
    trained = bundle.training_trajectory()
    motion = None if trained is None else PlanarMotion.of(trained.poses)
    if motion is None:
        return "the training camera did not move in a plane: places are found by keyframes, not by depth alone"
    return f"the training camera moved in a plane at a height of {motion.height_m:.2f} m: depth alone finds places, too"


def _trial_lines(spec: AcceptanceSpec) -> list[str]:
    return [
        f"  {kind:26} {figures['trials']:5} trials, {figures['accepted']:7.2%} accepted"
        for kind, figures in spec.summary.items()
    ]


def _reach(keyframes: KeyframesSpec) -> str:
    """How often registration reaches a frame from the poses retrieved for it, in words."""
    if not keyframes.reach:
        return ""
    first, count = keyframes.reach[0], len(keyframes.reach)
    return (
        f"; from the most similar one {first:.0%} of their poses are in reach, from {count} {sum(keyframes.reach):.0%}"
    )


def _consistency_lines(record: Mapping[str, Any]) -> list[str]:
    lines = []
    for name in ("before", "after", "cross_validated"):
        figures = record[name]
        if figures is not None:
            label = name.replace("_", "-")
            lines.append(
                f"  {label:16} ANEES {figures['anees']:6.2f} (position {figures['anees_position']:.2f}, rotation "
                f"{figures['anees_rotation']:.2f}), within 95 %: {figures['coverage_95']:.1%}"
            )
    return lines
