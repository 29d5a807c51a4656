# SPDX-License-Identifier: Apache-2.0
"""Networks of other precisions for a bundle, each compared with float32 on real frames before it goes in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.inference.manifest import PositionSpec, PrecisionSpec
from mvloc_ros.inference.torch_backend.graph import OnnxGraph
from mvloc_ros.training.datasets import PosedFrames
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.networks.deployed import Deployed
from mvloc_ros.training.networks.mixed_precision import lowered
from mvloc_ros.training.onnx_file import write_onnx
from mvloc_ros.training.quantisation import quantise

HALVES = {"fp16": torch.float16, "bf16": torch.bfloat16}
PRECISIONS = (*HALVES, "int8")
COMPARED_FRAMES = 200
CALIBRATION_FRAMES = 64

Run = Callable[[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Comparison:
    """What other arithmetics are compared on.

    Attributes:
        frames: of the validation set.
        errors: the model's errors on it.
        share: how much of the median errors, in metres and in degrees, a median difference may be.
        position: from the network's positions to metres.
        calibration: frames of the training set, for the ranges of integers.
    """

    frames: PosedFrames
    errors: PoseErrors
    share: float
    position: PositionSpec
    calibration: PosedFrames


def make_precision(
    name: str, plain: Path, deployed: Deployed, size: tuple[int, int], comparison: Comparison
) -> PrecisionSpec:
    """Write the network in another arithmetic beside the float32 file, and compare the two.

    Args:
        name: one of `PRECISIONS`.
        plain: the float32 file.
        deployed: the network it was written from.
        size: height and width of the images.
        comparison: frames and bar.

    Raises:
        TrainingError: its poses differ too much from float32's.
    """
    path = plain.with_name(f"{plain.stem}_{name}{plain.suffix}")
    if name in HALVES:
        write_onnx(lowered(deployed, HALVES[name]), size, path)
    else:
        quantise(plain, path, comparison.calibration)
    picked = evenly_spaced(len(comparison.frames), COMPARED_FRAMES)
    expected = _poses(_run_by_torch(plain), "fp32", comparison, picked)
    # Half precision by PyTorch, which rounds after every operator as a GPU does, where ONNX Runtime would
    # compute in float32 on a CPU.
    found = _poses((_run_by_torch if name in HALVES else _run_by_onnxruntime)(path), name, comparison, picked)
    difference = PoseErrors.of(found, expected)
    median_m, median_deg = difference.medians()
    largest_m, largest_deg = float(np.max(difference.translation_m)), float(np.max(difference.rotation_deg))
    print(
        f"{name} differs from fp32 by {1e3 * median_m:.2f} mm, {median_deg:.3f} deg (median), "
        f"{1e3 * largest_m:.2f} mm, {largest_deg:.3f} deg (largest) on {len(picked)} frames"
    )
    require_close(name, difference, comparison)
    return PrecisionSpec(path.name, len(picked), (median_m, largest_m), (median_deg, largest_deg))


def require_close(name: str, difference: PoseErrors, comparison: Comparison) -> None:
    """Raise TrainingError where poses differ by more than the share of the model's errors, or are no numbers."""
    (median_m, median_deg), (error_m, error_deg) = difference.medians(), comparison.errors.medians()
    # Written so that NaN is refused.
    if not (median_m <= comparison.share * error_m and median_deg <= comparison.share * error_deg):
        raise TrainingError(
            f"The {name} network is off by {median_m:.4f} m, {median_deg:.3f} deg in the median, more than "
            f"{comparison.share:.0%} of the model's error ({error_m:.4f} m, {error_deg:.3f} deg); no bundle was "
            f"written. Leave --precision {name} out, or allow more with --precision-share."
        )


def evenly_spaced(count: int, most: int) -> NDArray[np.int64]:
    """At most so many indices below `count`, from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _poses(run: Run, name: str, comparison: Comparison, picked: NDArray[np.int64]) -> NDArray[np.float64]:
    """Poses in the map `[N, 4, 4]` that a network gives for the picked frames."""
    frames, values = comparison.frames, []
    for i in tqdm(picked, desc=f"comparing {name}", unit="frame"):
        part = slice(int(i), int(i) + 1)
        values.append(run(frames.color[part], frames.depth[part], frames.present[part])[0])
    stacked = np.asarray(values, dtype=np.float64)
    offset = np.array(comparison.position.offset_m)
    return se3.from_parts(offset + comparison.position.scale_m * stacked[:, :3], quaternion.exp(stacked[:, 3:]))


def _run_by_torch(path: Path) -> Run:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    graph = OnnxGraph(path).to(device)
    output = graph.outputs.index("pose")

    def run(*inputs: NDArray[np.generic]) -> NDArray[np.float32]:
        with torch.inference_mode():
            found: NDArray[np.float32] = graph(*(torch.from_numpy(x).to(device) for x in inputs))[output].cpu().numpy()
            return found

    return run


def _run_by_onnxruntime(path: Path) -> Run:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(color: NDArray[np.uint8], depth: NDArray[np.float32], present: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run(["pose"], {"color": color, "depth": depth, "present": present})[0]
        return found

    return run
