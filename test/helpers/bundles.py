# SPDX-License-Identifier: Apache-2.0
"""Bundles that differ from another one."""

from __future__ import annotations

from pathlib import Path

import onnx

from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.bundle_writer import write_bundle


def with_network(bundle: Path, model: onnx.ModelProto, folder: Path) -> Path:
    """A copy of a bundle with another network, in `folder/bundle`."""
    onnx.save(model, str(folder / "model.onnx"))
    found = read_bundle(bundle)
    files = {name: bundle / name for name in found.manifest.files} | {"model.onnx": folder / "model.onnx"}
    return write_bundle(folder / "bundle", found.manifest, files).path
