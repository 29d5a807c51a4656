# SPDX-License-Identifier: Apache-2.0
"""What a precision costs on real frames: poses of each backend against float32 on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mvloc_ros.backends.backend import Backend, BackendError
from mvloc_ros.backends.onnxruntime_backend import OnnxRuntimeBackend
from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.recordings import open_folder
from mvloc_ros.training.datasets import PosedFrames, evenly_spaced, load_frames


def spread_test_frames(bundle: Bundle, data: Path, most: int) -> PosedFrames:
    """Test frames of a folder in the bundle's size, spread over the recording."""
    folder, spec = open_folder(data), bundle.manifest.input
    records = [folder.test[i] for i in evenly_spaced(len(folder.test), most)]
    return load_frames(records, spec.height, spec.width, folder.depth_units_per_metre, "test")


def poses(backend: Backend, bundle: Bundle, frames: PosedFrames) -> np.ndarray:
    """Poses `[N, 4, 4]` of all frames."""
    outputs = [backend.run(*arrays) for arrays in zip(frames.color, frames.depth, frames.present, strict=True)]
    positions = np.stack([bundle.position_in_map(output.position) for output in outputs])
    return se3.from_parts(positions, quaternion.exp(np.stack([output.log_quaternion for output in outputs])))


def compare(
    bundle: Bundle, frames: PosedFrames, backends: list[tuple[str, str, Callable[[], Backend]]]
) -> list[dict[str, Any]]:
    """A row for each backend that works: its difference from float32 on the CPU, and its error."""
    reference = OnnxRuntimeBackend(bundle)
    expected = poses(reference, bundle, frames)
    reference.close()
    rows = [_row("onnxruntime CPU", "fp32", expected, expected, frames)]
    for name, precision, make in backends:
        try:
            backend = make()
        except BackendError:
            continue  # the timing has said why
        rows.append(_row(name, precision, poses(backend, bundle, frames), expected, frames))
        backend.close()
    return rows


def _row(name: str, precision: str, found: np.ndarray, expected: np.ndarray, frames: PosedFrames) -> dict[str, Any]:
    difference, error = PoseErrors.of(found, expected), PoseErrors.of(found, frames.poses)
    return {
        "name": name,
        "precision": precision,
        "difference_mm": 1e3 * difference.medians()[0],
        "difference_deg": difference.medians()[1],
        "largest_mm": 1e3 * float(difference.translation_m.max()),
        "largest_deg": float(difference.rotation_deg.max()),
        "error_m": error.medians()[0],
        "error_deg": error.medians()[1],
    }
