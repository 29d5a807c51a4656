# SPDX-License-Identifier: Apache-2.0
"""A map of a whole building: what loading it takes, and what a frame takes where the camera enters another part of it.

    python -m bench.large_map models/hospital --data recordings/hospital --json out/large_map.json
    python -m bench.large_map maps/hospital.npz --data recordings/hospital --every 10

For a bundle with a scene map (`mvloc map`), or such a map's file alone. The folder's frames are localized in their
order. Every tenth time (`--between`) the camera wakes up: there are starts at four distinct far places, none of which
is accepted, so that all are tried as long as the budget lasts. No network is needed: poses are drawn about the true
ones, 5 cm and 2 degrees off. A frame enters a new part if its tile of the map, or that of one of its starts, was not
visited before. Times are those of refinement and verification, with the search trees that are built meanwhile. CPU time
is what other programs do not add to.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from os import getpid
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bench.resources import MIB, look
from bench.timing import print_table
from mvloc_ros.errors import MvlocError
from mvloc_ros.file_reader import read_file
from mvloc_ros.geometry import se3
from mvloc_ros.limits import MOST_MAP_BYTES
from mvloc_ros.localization.hypotheses import Search
from mvloc_ros.localization.judging import Refined
from mvloc_ros.localization.keyframe_starts import Look
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.refinement import Refiner
from mvloc_ros.localization.scene_map import SceneMap, read_scene_map
from mvloc_ros.localization.starts import NETWORK, Start
from mvloc_ros.mapping.build import Cameras, MapOptions, depth_image
from mvloc_ros.mapping.map import make_spec
from mvloc_ros.mapping.map_size import MapSize
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.manifest import FrameSpec, InputSpec, Manifest, PositionSpec
from mvloc_ros.model.map_spec import SceneMapSpec
from mvloc_ros.recordings import FrameRecord, PosedFolder, open_folder, read_color

Array = NDArray[np.float64]

STARTS = 4
SPREAD = np.array([0.03] * 3 + [0.02] * 3)
"""Standard deviations of the poses that are drawn, metres and radians."""
# Frames this near to the truth are right.
_RIGHT = 0.05, np.radians(5.0)


class BenchError(MvlocError):
    """What was asked for cannot be measured."""


class WakingRefiner(Refiner):
    """A refiner that is told where to start: at `places` (4x4), none of which it accepts; empty: as usual."""

    places: Sequence[Array] = ()

    def _starts(self, frame: Any, look: Look | None, search: Search, deadline: float) -> Iterator[Start]:
        if not self.places:
            return super()._starts(frame, look, search, deadline)
        names = [NETWORK, *(f"place {i}" for i in range(2, len(self.places) + 1))]
        return (Start(name, T) for name, T in zip(names, self.places, strict=True))

    def _attempt(self, frame: Any, start: Start, deadline: float) -> Refined | None:
        result = super()._attempt(frame, start, deadline)
        if result is None or not self.places:
            return result
        return replace(result, rejection=result.rejection or "another place")


@dataclass(frozen=True)
class Row:
    """One frame: wall and CPU time, whether it entered a new part, woke up, and was right (None: not refined)."""

    milliseconds: float
    cpu_ms: float
    enters: bool
    wakes: bool
    right: bool | None


def load(path: Path, folder: PosedFolder) -> tuple[Manifest, SceneMapSpec, SceneMap, int]:
    """Manifest, entry, map and bytes of the file of a bundle or of a map's file."""
    cameras = Cameras.of(folder)
    if path.is_dir():
        bundle = read_bundle(path)
        scene_map, spec = read_scene_map(bundle), bundle.manifest.scene_map
        assert spec is not None
        return bundle.manifest, spec, scene_map, (bundle.path / spec.file).stat().st_size
    content = read_file(path, MOST_MAP_BYTES)
    try:
        scene_map = SceneMap.from_bytes(content)
    except ValueError as error:
        raise BenchError(f"{path} is neither a bundle nor a scene map ({error}); name one of them.") from error
    manifest = Manifest(
        system="mvloc", preset="none", input=InputSpec(120, 160, 0.1, 6.0), latent_dim=1,
        position=PositionSpec((0.0, 0.0, 0.0), 1.0), frames=FrameSpec("map", folder.pose_of),
        color_camera=folder.color_camera, depth_camera=folder.depth_camera, depth_registered=folder.depth_registered,
        residual_variance=tuple(SPREAD**2), training={}, licence="unknown", created_with="bench.large_map",
    )  # fmt: skip
    options = MapOptions(resolution_m=scene_map.resolution_m, tile_m=scene_map.tile_m)
    return manifest, make_spec(scene_map, cameras, options), scene_map, len(content)


def far_places(poses: Array, count: int, rng: np.random.Generator) -> list[Array]:
    """Distinct poses of `[N, 4, 4]`, each far from those before."""
    chosen = [int(rng.integers(len(poses)))]
    apart = np.full(len(poses), np.inf)
    while len(chosen) < count:
        apart = np.minimum(apart, np.linalg.norm(poses[:, :3, 3] - poses[chosen[-1], :3, 3], axis=1))
        # Of the farthest tenth any one, lest it always be the same corners of the building.
        farthest = np.argsort(apart)[-max(1, len(poses) // 10) :]
        chosen.append(int(rng.choice(farthest)))
    return [poses[i] for i in chosen]


def drive(
    refiner: WakingRefiner, records: Sequence[FrameRecord], poses: Array, cameras: Cameras, between: int
) -> list[Row]:
    """Localize the records at poses `[N, 4, 4]` in their order, and wake up between them."""
    rng, scene_map = np.random.default_rng(0), refiner.scene_map
    visited: set[tuple[int, int, int]] = set()
    rows = []
    for number, record in enumerate(tqdm(records, desc="driving", unit="frame")):
        assert record.color is not None
        color, depth = read_color(record.color), depth_image(record, cameras)
        refiner.places = far_places(poses, STARTS, rng) if between and number % between == between - 1 else ()
        start = moved(poses[number], SPREAD * rng.standard_normal(6))
        network = Pose(record.stamp_ns, start, np.diag(SPREAD**2))
        tiles = {scene_map.tile_at(T[:3, 3]) for T in refiner.places or (start,)}
        began, began_cpu = time.perf_counter(), time.process_time()
        found = refiner.refine(network, depth, color, None)
        elapsed, cpu_ms = 1e3 * (time.perf_counter() - began), 1e3 * (time.process_time() - began_cpu)
        right = None
        if isinstance(found, Refined) and found.iterations and not refiner.places:
            error = _errors(found.pose.T, poses[number])
            right = error[0] <= _RIGHT[0] and error[1] <= _RIGHT[1]
        rows.append(Row(elapsed, cpu_ms, not tiles <= visited, bool(refiner.places), right))
        visited |= tiles
    return rows


def _errors(A: Array, B: Array) -> tuple[float, float]:
    """Metres and radians between two poses (4x4)."""
    return float(se3.translation_error(A, B)), float(se3.rotation_error(A, B))


def figures_of(rows: Sequence[Row], budget_ms: float) -> dict[str, float | int | None]:
    """Times of some frames."""
    if not rows:
        return {"frames": 0}
    times = np.array([row.milliseconds for row in rows])
    known = [row.right for row in rows if row.right is not None]
    return {
        "frames": len(rows),
        "median_ms": float(np.median(times)),
        "p95_ms": float(np.percentile(times, 95)),
        "max_ms": float(times.max()),
        "max_cpu_ms": max(row.cpu_ms for row in rows),
        "over_budget": float(np.mean(times > budget_ms)),
        "over_120_percent": float(np.mean(times > 1.2 * budget_ms)),
        "within_5cm_5deg": float(np.mean(known)) if known else None,
    }


def measure(path: Path, data: Path, every: int, between: int, part: str, options: RefinementOptions) -> dict[str, Any]:
    """Load, drive, and what it took."""
    folder = open_folder(data)
    chosen = folder.train if part == "train" else folder.test
    complete = [r for r in chosen if r.color is not None and r.depth is not None and r.T_map_camera is not None]
    records = complete[::every]
    if not records:
        raise BenchError(f"{data} has no {part} frame with both images and a pose; name another folder with --data.")
    poses = np.array([record.T_map_camera for record in records], dtype=np.float64)
    trained = np.array([r.T_map_camera for r in folder.train if r.T_map_camera is not None], dtype=np.float64)
    before = look(getpid()).rss
    began = time.perf_counter()
    manifest, spec, scene_map, file_bytes = load(path, folder)
    refiner = WakingRefiner(manifest, spec, scene_map, options)
    refiner.warm_up(trained[:, :3, 3])
    load_s = time.perf_counter() - began
    loaded = look(getpid()).rss
    size = MapSize.of(scene_map, file_bytes)
    rows = drive(refiner, records, poses, Cameras.of(folder), between)
    kinds = {
        "all": rows,
        "driving": [row for row in rows if not row.wakes],
        "waking up": [row for row in rows if row.wakes],
        "in a new part": [row for row in rows if row.enters],
    }
    return {
        "map": str(path.name),
        "size": {**vars(size), "resolution_m": scene_map.resolution_m, "tiles": len(scene_map.tiles)},
        "size_in_words": str(size),
        "budget_ms": options.budget_ms,
        "load_s": load_s,
        "resident_mib": {"before": before / MIB, "loaded": loaded / MIB, "after": look(getpid()).rss / MIB},
        "estimated_mib": size.loaded_bytes / MIB,
        "frames": {name: figures_of(some, options.budget_ms) for name, some in kinds.items()},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("map", type=Path, help="bundle with a scene map (`mvloc map`), or the map's file")
    parser.add_argument("--data", type=Path, required=True, help="folder whose frames are used")
    parser.add_argument("--part", choices=("train", "test"), default="test", help="which frames (default: %(default)s)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="use each N-th (default: %(default)s)")
    parser.add_argument(
        "--between", type=int, default=10, metavar="N", help="wake up at each N-th; 0: never (default: %(default)s)"
    )
    parser.add_argument("--budget-ms", type=float, default=60.0, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="of the registration (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    args = parser.parse_args(arguments)
    options = RefinementOptions(budget_ms=args.budget_ms, threads=args.threads, starts=STARTS)
    result = measure(args.map, args.data, max(1, args.every), max(0, args.between), args.part, options)
    print(result["size_in_words"])
    resident = result["resident_mib"]
    print(
        f"loaded in {result['load_s']:.2f} s; resident {resident['before']:.0f} MiB before, {resident['loaded']:.0f} "
        f"loaded, {resident['after']:.0f} at the end; {result['estimated_mib']:.0f} MiB estimated for the map"
    )
    head = ("frames", "", "median ms", "p95", "max", "max CPU", "over budget", "over 120 %", "5cm/5deg")
    rows: list[tuple[object, ...]] = []
    for name, f in result["frames"].items():
        if f["frames"]:
            right = "-" if f["within_5cm_5deg"] is None else f"{f['within_5cm_5deg']:.1%}"
            times = (f["median_ms"], f["p95_ms"], f["max_ms"], f["max_cpu_ms"])
            rows.append((name, f["frames"], *times, f"{f['over_budget']:.1%}", f"{f['over_120_percent']:.1%}", right))
    print_table(head, rows)
    if args.json is not None:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except MvlocError as problem:
        raise SystemExit(f"bench.large_map: {problem}") from None
