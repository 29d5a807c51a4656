# SPDX-License-Identifier: Apache-2.0
"""Bundles that differ from another one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx

from mvloc_ros.geometry.trajectory import Trajectory, write_tum
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.bundle_writer import write_bundle


def with_network(bundle: Path, model: onnx.ModelProto, folder: Path) -> Path:
    """A copy of a bundle with another network, in `folder/bundle`."""
    onnx.save(model, str(folder / "model.onnx"))
    found = read_bundle(bundle)
    files = {name: bundle / name for name in found.manifest.files} | {"model.onnx": folder / "model.onnx"}
    return write_bundle(folder / "bundle", found.manifest, files).path


def elsewhere(bundle: Path, path: Path, offset_m: float, map_name: str | None = None) -> Path:
    """A copy of a bundle at `path` that was trained elsewhere: its poses, the training's too, are further along x."""
    found = read_bundle(bundle)
    trained = found.training_trajectory()
    assert trained is not None
    poses = trained.poses.copy()
    poses[:, 0, 3] += offset_m
    path.parent.mkdir(parents=True, exist_ok=True)
    where = path.parent / f".{path.name}.tum"
    write_tum(where, Trajectory(trained.stamps_ns, poses))
    x, y, z = found.manifest.position.offset_m
    position = replace(found.manifest.position, offset_m=(x + offset_m, y, z))
    manifest = replace(found.manifest, position=position, map_name=map_name)
    files = {name: bundle / name for name in found.manifest.files} | {"training_poses.tum": where}
    made = write_bundle(path, manifest, files).path
    where.unlink()
    return made
