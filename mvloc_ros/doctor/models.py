# SPDX-License-Identifier: Apache-2.0
"""Model bundles: whether they are intact, load, and how fast they run."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.doctor.findings import Finding, error, ok, warning
from mvloc_ros.errors import MvlocError
from mvloc_ros.foreign_text import quoted
from mvloc_ros.localization.bundle_map import refiner_of
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.model.named_maps import read_map_folder

_RUNS = 10


def examine_models(paths: list[Path], backend: str = "auto") -> list[Finding]:
    """One finding for each bundle."""
    return [_examine(path, backend) for path in paths]


def find_models(folder: Path) -> list[Path]:
    """The bundles in a folder of them."""
    return sorted(path.parent for path in folder.glob("*/manifest.json"))


def examine_map_folder(folder: Path) -> list[Finding]:
    """The maps that a node with this `models_folder` finds by name, and names or bundles that it cannot use."""
    try:
        found = read_map_folder(str(folder))
    except MvlocError as failure:
        return [error(str(folder), "cannot be used", str(failure))]
    findings = [ok("maps", f"by name in {folder}: {found.in_words}")] if found.maps else []
    findings += [error(str(folder / name), "no map of this folder", reason) for name, reason in found.refused.items()]
    findings += [
        warning(f"map {quoted(name)}", f"means {len(maps)} maps: {', '.join(one.in_words for one in maps)}",
                "rename one of the folders, or build one map again with another --name")
        for name, maps in found.ambiguous().items()
    ]  # fmt: skip
    return findings or [warning("maps", f"{folder} has no bundles", "check the path, or copy bundles there")]


def _digest(bundle: Bundle) -> str:
    remark = "" if bundle.digest else " (it is of an earlier version; `mvloc map` and `mvloc calibrate` add one)"
    return bundle.digest_in_words + remark


def _examine(path: Path, backend_name: str) -> Finding:
    try:
        bundle = read_bundle(path)
        backend = create_backend(backend_name, bundle)
        try:
            images = {modality.name: modality.blank() for modality in bundle.manifest.inputs}
            present = np.ones(len(images), np.float32)
            color, depth = images.pop("color"), images.pop("depth")
            times = []
            for _ in range(_RUNS):
                start = time.perf_counter()
                backend.run(color, depth, present, images)
                times.append(1e3 * (time.perf_counter() - start))
        finally:
            backend.close()
        summary = (
            f"{bundle.manifest.system}, {np.median(times):.1f} ms a frame with {backend.description}; {_digest(bundle)}"
        )
        problem = refiner_of(bundle, RefinementOptions(mode="auto"))[1]
        return warning(str(path), summary, problem) if problem else ok(str(path), summary)
    except MvlocError as failure:
        return error(str(path), "cannot be used", str(failure))
