# SPDX-License-Identifier: Apache-2.0
"""How far poses that `mvloc pose` found are from the true ones.

    mvloc pose recordings/kitchen --out posed/kitchen
    python -m bench.posing posed/kitchen --truth recordings/kitchen
    python -m bench.posing posed/house --truth recordings/monday --truth recordings/tuesday

`--truth` are the folders that were posed, in the same order, with their poses. Absolute trajectory error (ATE): root
mean square distance of the positions after one rigid alignment of all frames (Umeyama without scale; Sturm et al., IROS
2012); for each sequence after the alignment of its own frames, too. A loop closure is false if its two frames are
further from their measured relative pose than 0.2 m or 5 degrees.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.timing import print_table
from mvloc_ros.geometry import se3
from mvloc_ros.recordings import open_folder
from mvloc_ros.recordings.bare_folder import open_bare_folder

Array = NDArray[np.float64]

_FALSE_M, _FALSE_DEG = 0.2, 5.0


def aligned(found: Array, true: Array) -> Array:
    """T `[4, 4]` that brings positions of poses `[N, 4, 4]` nearest to the true ones."""
    mine, theirs = found[:, :3, 3], true[:, :3, 3]
    u, _, vt = np.linalg.svd((mine - mine.mean(axis=0)).T @ (theirs - theirs.mean(axis=0)))
    turn = np.diag([1.0, 1.0, np.linalg.det(u) * np.linalg.det(vt)])
    T = np.eye(4)
    T[:3, :3] = (u @ turn @ vt).T
    T[:3, 3] = theirs.mean(axis=0) - T[:3, :3] @ mine.mean(axis=0)
    return T


def errors(found: Array, true: Array) -> Array:
    """Distances `[N]` in metres after alignment."""
    return np.asarray(np.linalg.norm((aligned(found, true) @ found)[:, :3, 3] - true[:, :3, 3], axis=1))


def true_poses(folders: list[Path]) -> dict[tuple[str, int], Array]:
    """T_map_camera by (sequence as `mvloc pose` names it, number)."""
    result: dict[tuple[str, int], Array] = {}
    number = 0
    for root in folders:
        known = {(frame.sequence, frame.index): frame.T_map_camera for frame in open_folder(root).frames()}
        for sequence in open_bare_folder(root).sequences:
            if not sequence.frames:
                continue
            number += 1
            for frame in sequence.frames:
                if (T := known.get((sequence.name, frame.index))) is not None:
                    result[f"seq-{number:02d}", frame.index] = T
    return result


def figures(posed: Path, truth: list[Path]) -> dict[str, Any]:
    """ATE of all frames together and of each sequence, and false loop closures."""
    true = true_poses(truth)
    frames = [f for f in open_folder(posed).frames() if (f.sequence, f.index) in true and f.T_map_camera is not None]
    found = np.array([frame.T_map_camera for frame in frames])
    wanted = np.array([true[frame.sequence, frame.index] for frame in frames])
    name = np.array([frame.sequence for frame in frames])
    content = json.loads((posed / "posing.json").read_text())
    rows = [_row("all, one alignment", errors(found, wanted))]
    for sequence in dict.fromkeys(name.tolist()):
        mine = name == sequence
        rows.append(_row(sequence, errors(found[mine], wanted[mine])))
    return {
        "rows": rows,
        "frames_per_s": content["frames_per_s"],
        "parts": content["parts"],
        "loop_closures": len(content["loop_closures"]),
        "false_loop_closures": sum(_is_false(closure, found, wanted, frames) for closure in content["loop_closures"]),
        "stated_sigma_m": content["sigma_m"],
    }


def _row(name: str, apart: Array) -> dict[str, Any]:
    return {
        "frames": name,
        "count": len(apart),
        "ate_m": float(np.sqrt(np.mean(apart**2))),
        "median_m": float(np.median(apart)),
        "max_m": float(apart.max()),
    }


def _is_false(closure: dict[str, Any], found: Array, true: Array, frames: list[Any]) -> bool:
    """Whether the measured relative pose, from which the found one differs by the residual, is far from the truth."""
    number = {(frame.sequence, frame.index): index for index, frame in enumerate(frames)}
    ends = [number.get((name, index)) for name, index in (closure["from"], closure["to"])]
    if None in ends:
        return False
    a, b = ends
    mine, theirs = (se3.inverse(poses[a]) @ poses[b] for poses in (found, true))
    metres = float(se3.translation_error(mine, theirs)) - closure["residual_m"]
    degrees = float(np.rad2deg(se3.rotation_error(mine, theirs))) - closure["residual_deg"]
    return metres > _FALSE_M or degrees > _FALSE_DEG


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posed", type=Path, help="folder that `mvloc pose` wrote")
    parser.add_argument("--truth", type=Path, action="append", required=True, help="folder that was posed, with poses")
    parser.add_argument("--json", type=Path, help="write all figures there")
    args = parser.parse_args()
    found = figures(args.posed, args.truth)
    print_table(
        ("frames", "count", "ATE (m)", "median (m)", "largest (m)"),
        [
            (row["frames"], row["count"], f"{row['ate_m']:.3f}", f"{row['median_m']:.3f}", f"{row['max_m']:.3f}")
            for row in found["rows"]
        ],
    )
    print(
        f"{found['parts']} part(s), {found['loop_closures']} loop closures, {found['false_loop_closures']} false; "
        f"{found['frames_per_s']:.1f} frames/s"
    )
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
