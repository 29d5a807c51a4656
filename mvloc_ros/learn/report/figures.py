# SPDX-License-Identifier: Apache-2.0
"""The figures of the report as values for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.learn.report.accuracy import FALSE_DEG, FALSE_M, RIGHT_DEG, RIGHT_M
from mvloc_ros.learn.report.coverage import HEADINGS_DEG
from mvloc_ros.learn.report.findings import Findings
from mvloc_ros.learn.report.place import Place
from mvloc_ros.learn.report.posing_file import LoopClosure, Posing
from mvloc_ros.learn.report.verdict import Verdict
from mvloc_ros.recordings.held_out_blocks import REACH_DEG, REACH_M

SCHEMA = 1


def figures_of(findings: Findings, verdict: Verdict) -> dict[str, Any]:
    """The content of report.json; lengths in metres, angles in degrees, shares from 0 to 1."""
    place = findings.place
    return {
        "schema": SCHEMA,
        "name": findings.inputs.name,
        "recordings": list(findings.inputs.recordings),
        "model": {
            "name": place.bundle.name,
            "digest": place.bundle.digest or None,
            "map_frame": place.bundle.manifest.frames.map,
        },
        "verdict": asdict(verdict),
        "map": _map(place),
        "sequences": _sequences(place),
        "held_out": _held_out(findings),
        "expected_error_m": None if findings.expected is None else percentiles(findings.expected.sigma_m),
        "coverage": _coverage(findings),
        "left_out": left_out(place),
        "posing": None if place.posing is None else _posing(place.posing),
        "next_commands": [asdict(command) for command in findings.commands],
        "notes": list(findings.inputs.notes),
    }


def percentiles(values: NDArray[np.float64]) -> dict[str, float] | None:
    """Median, 90th percentile and the largest; None of nothing."""
    if not len(values):
        return None
    median, p90, largest = (float(value) for value in np.percentile(values, [50, 90, 100]))
    return {"median": median, "p90": p90, "max": largest}


def left_out(place: Place) -> list[dict[str, Any]]:
    """What of the recordings is not in the map, and why: by the posing, and frames that could not be read."""
    spans = [] if place.posing is None else [asdict(span) for one in place.posing.sequences for span in one.left_out]
    files = [{"file": str(one.path), "reason": one.reason} for one in place.folder.left_out]
    return [*({key: value for key, value in span.items() if key != "sigma_m"} for span in spans), *files]


def loop_figures(loops: tuple[LoopClosure, ...]) -> dict[str, Any]:
    """How many loop closures there are, and their residuals."""
    return {
        "count": len(loops),
        "residual_m": percentiles(np.array([loop.residual_m for loop in loops])),
        "residual_deg": percentiles(np.array([loop.residual_deg for loop in loops])),
    }


def _map(place: Place) -> dict[str, Any] | None:
    if place.scene_map is None:
        return None
    points = place.seen_from_above(place.scene_map.thinned(200_000).points)
    low, high = np.percentile(points, [1, 99], axis=0)
    return {
        "points": len(place.scene_map),
        "resolution_m": place.scene_map.resolution_m,
        "extent_m": [float(value) for value in high - low],
        "is_upright": not place.is_turned,
    }


def _sequences(place: Place) -> list[dict[str, Any]]:
    return [
        {
            "name": path.name,
            "frames": len(path.poses),
            "length_m": path.length_m,
            "test_frames": int(np.count_nonzero(path.is_test)),
        }
        for path in place.paths
    ]


def _held_out(findings: Findings) -> dict[str, Any] | None:
    found = findings.accuracy
    if found is None:
        return None
    return {
        **found.whole.to_dict(),
        "right_is_within": {"m": RIGHT_M, "deg": RIGHT_DEG},
        "false_is_beyond": {"m": FALSE_M, "deg": FALSE_DEG},
        "training_frames": found.training_frames,
        "without_truth": found.without_truth,
        "wake_ups": None if found.wake_ups is None else asdict(found.wake_ups),
        "parts": [part.to_dict() for part in found.parts],
        "comparison": [asdict(row) for row in found.comparison],
        "reasons": [{"frames": frames, "reason": words} for frames, words in found.reasons],
    }


def _coverage(findings: Findings) -> dict[str, Any] | None:
    found = findings.coverage
    if found is None:
        return None
    return {
        "reach_m": REACH_M,
        "reach_deg": REACH_DEG,
        "cell_m": found.frame.resolution_m,
        "free_m2": found.area_m2,
        "covered_share": found.share,
        "positions_without_any": found.lost_positions,
        "headings_deg": list(HEADINGS_DEG),
        "covered_share_of_heading": found.of_heading().tolist(),
        "held_out_frames": None if findings.covered_frames is None else asdict(findings.covered_frames),
    }


def _posing(posing: Posing) -> dict[str, Any]:
    consistency = posing.consistency_m
    return {
        "parts": posing.parts,
        "sequences": [
            {key: value for key, value in asdict(one).items() if key != "left_out"} for one in posing.sequences
        ],
        "loop_closures": loop_figures(posing.loop_closures),
        "rejected_loop_closures": posing.rejected_loop_closures,
        "consistency_m": None if consistency is None else {"median": consistency[0], "p90": consistency[1]},
        "low_confidence": [asdict(span) for span in posing.low_confidence],
        "sigma_m": posing.sigma_m,
        "up": posing.up,
    }
