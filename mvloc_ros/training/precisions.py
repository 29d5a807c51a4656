# SPDX-License-Identifier: Apache-2.0
"""Networks of other precisions for a bundle, each compared with float32 on real frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros.backends.torch_backend.graph import OnnxGraph
from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.model.manifest import PositionSpec, PrecisionSpec
from mvloc_ros.model.modalities import ModalityInput
from mvloc_ros.training.datasets import PosedFrames, evenly_spaced
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.networks.deployed import Deployed
from mvloc_ros.training.networks.mixed_precision import lower_precision
from mvloc_ros.training.onnx_file import Run, run_by_onnxruntime, write_onnx
from mvloc_ros.training.quantisation import quantise

HALVES = {"fp16": torch.float16, "bf16": torch.bfloat16}
PRECISIONS = (*HALVES, "int8")
COMPARED_FRAMES = 200
CALIBRATION_FRAMES = 64


@dataclass(frozen=True)
class Comparison:
    """The frames and the limit that other precisions are compared with.

    Attributes:
        frames: the validation frames.
        errors: of the model on them.
        share: largest median difference, in meters and in degrees, as a share of the median errors.
        position: converts positions of the network to meters.
        calibration: training frames, for the value ranges of integers.
    """

    frames: PosedFrames
    errors: PoseErrors
    share: float
    position: PositionSpec
    calibration: PosedFrames


def make_precision(
    name: str,
    plain: Path,
    deployed: Deployed,
    size: tuple[int, int],
    comparison: Comparison,
    further: Sequence[ModalityInput] = (),
) -> PrecisionSpec:
    """Write the network in another precision beside the float32 file, and compare the two.

    Args:
        name: one of `PRECISIONS`.
        plain: the float32 file.
        deployed: the network of that file.
        size: height and width of the images.
        comparison: frames and limit.
        further: the inputs of the sensors besides color and depth.

    Raises:
        TrainingError: its poses differ too much from those of float32.
    """
    path = plain.with_name(f"{plain.stem}_{name}{plain.suffix}")
    if name in HALVES:
        write_onnx(lower_precision(deployed, HALVES[name]), size, path, further)
    else:
        quantise(plain, path, comparison.calibration)
    picked = evenly_spaced(len(comparison.frames), COMPARED_FRAMES)
    expected = _poses(_run_by_torch(plain), "fp32", comparison, picked)
    # Half precision by PyTorch, which rounds after every operator as a GPU does; ONNX Runtime computes in float32 on a
    # CPU.
    found = _poses((_run_by_torch if name in HALVES else run_by_onnxruntime)(path), name, comparison, picked)
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
    """Raise TrainingError if poses differ by more than the share of the errors of the model, or are NaN."""
    (median_m, median_deg), (error_m, error_deg) = difference.medians(), comparison.errors.medians()
    # NaN compares false, and so is rejected.
    if not (median_m <= comparison.share * error_m and median_deg <= comparison.share * error_deg):
        raise TrainingError(
            f"The median difference of {name} and float32 is {median_m:.4f} m, {median_deg:.3f} deg, more than "
            f"{comparison.share:.0%} of the median error of the model ({error_m:.4f} m, {error_deg:.3f} deg); no "
            f"bundle was written. Remove --precision {name}, or allow more with --precision-share."
        )


def _poses(run: Run, name: str, comparison: Comparison, picked: NDArray[np.int64]) -> NDArray[np.float64]:
    """Poses in the map `[N, 4, 4]` of a network for the picked frames."""
    frames, bar = comparison.frames, tqdm(picked.tolist(), desc=f"comparing {name}", unit="frame")
    stacked = np.array([run(*frames.inputs(slice(i, i + 1)))[0] for i in bar], dtype=np.float64)
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
