# SPDX-License-Identifier: Apache-2.0
"""`mvloc export`: a run folder in, a model bundle out, checked on real frames."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros import __version__
from mvloc_ros.geometry import quaternion
from mvloc_ros.geometry.trajectory import Trajectory, write_tum
from mvloc_ros.inference.bundle import MODEL_FILE, TRAINING_POSES_FILE, Bundle, write_bundle
from mvloc_ros.inference.manifest import FrameSpec, InputSpec, Manifest, PositionSpec
from mvloc_ros.recordings import FrameRecord, PosedFolder, open_folder
from mvloc_ros.training import compact
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.datasets import PosedFrames, load_frames, network_size
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.evaluation import PoseErrors, constant_pose, predict, residual_variance
from mvloc_ros.training.networks.deployed import Deployed
from mvloc_ros.training.networks.pose_network import PoseOutput
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.options import all_options, flag
from mvloc_ros.training.presets import preset
from mvloc_ros.training.records import split_records, visible
from mvloc_ros.training.trained import TrainedNetwork, read_network, read_refit

OPSET = 18  # the oldest that torch's exporter writes: what older TensorRT and ONNX Runtime read
TOLERANCE = 1e-4
PARITY_FRAMES = 20
PRESENCE = ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0))


def export(
    run: Path, out: Path, which: str = "best", data: Path | None = None, *, half_weights: bool = False
) -> Bundle:
    """Write the bundle of a run and print how far ONNX Runtime is from PyTorch.

    Args:
        run: folder of `mvloc train`.
        out: the bundle's folder; an older bundle there is replaced.
        which: "best" on the validation frames, or "last".
        data: the training data, where it lies elsewhere than in training.
        half_weights: round the weights to float16 and store them so (see `compact`); half the file.

    Raises:
        MvlocError: a file is missing, the data is other data, or the graph disagrees with PyTorch.
    """
    judged = read_network(run / f"{which}.pt", half_weights)
    final = read_refit(run, half_weights) or judged
    described, config = judged.run, judged.config
    if SYSTEMS[config.system].recurrent:
        raise TrainingError(f"A bundle maps single frames, and {config.system} needs clips; use `mvloc train --test`.")
    folder = open_folder(data if data is not None else described["root"], described["test_fraction"])
    trained, held = split_records(config, folder)
    size = network_size(folder.color_camera, config.input.short_side)
    validation = load_frames(held, *size, folder.depth_units_per_metre, "validation")
    if validation.digest() != described["data"]["validation_digest"]:
        raise TrainingError(f"{folder.root} is not the data that {run} was trained on; name that with --data.")
    estimates = predict(judged.network, validation, judged.normalisation, torch.device("cpu"), 1, config.clips)
    variance = residual_variance(estimates, validation.poses)
    errors = PoseErrors.of(estimates, validation.poses)
    baseline = PoseErrors.of(constant_pose(judged.normalisation, len(validation)), validation.poses)
    summary = training_summary(judged, final, errors, baseline)
    normalisation = final.normalisation
    manifest = make_manifest(folder, config, normalisation, size, variance, summary)
    with tempfile.TemporaryDirectory() as scratch:
        model, poses = Path(scratch) / MODEL_FILE, Path(scratch) / TRAINING_POSES_FILE
        deployed = Deployed(final.network, normalisation.reference).eval()
        write_onnx(deployed, size, model)
        if half_weights:
            compact.store_as_half(model)
        difference = parity(deployed, model, validation)
        print(f"ONNX Runtime and PyTorch differ by at most {difference:.1e} (normalised units; allowed {TOLERANCE:g})")
        if not difference <= TOLERANCE:
            raise TrainingError(
                f"The exported graph is wrong by {difference:.1e}, more than {TOLERANCE:g}; no bundle was written. "
                "Try the pinned versions of torch, onnxscript and onnxruntime."
            )
        write_tum(poses, training_trajectory(trained if final is judged else visible(config, folder.train)))
        bundle = write_bundle(out, manifest, {MODEL_FILE: model, TRAINING_POSES_FILE: poses})
    translation, rotation = errors.medians()
    megabytes = bundle.model_path.stat().st_size / 1e6
    print(f"wrote {bundle.path} ({megabytes:.1f} MB), validation median {translation:.3f} m, {rotation:.2f} deg")
    return bundle


def write_onnx(deployed: Deployed, size: tuple[int, int], path: Path) -> None:
    """Export the graph for single frames of a fixed size into one file."""
    height, width = size
    example = (
        torch.zeros(1, height, width, 3, dtype=torch.uint8),
        torch.ones(1, height, width),
        torch.ones(1, 2),
    )
    with warnings.catch_warnings(), torch.inference_mode(False):
        # The exporter warns of its own deprecated internals; what it gets wrong, `parity` shows.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            deployed,
            example,
            str(path),
            input_names=["color", "depth", "present"],
            output_names=list(PoseOutput._fields),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    drop_notes(path)


def drop_notes(path: Path) -> None:
    """Remove what the exporter notes beside the graph: stack traces with this machine's paths, and their size."""
    model = onnx.load(str(path))
    graph = model.graph
    del model.metadata_props[:], graph.metadata_props[:]
    for item in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]
    onnx.save(model, str(path))


def parity(deployed: Deployed, model: Path, frames: PosedFrames) -> float:
    """Largest difference of the pose between ONNX Runtime and PyTorch, in normalised units.

    Over frames spread evenly over the validation set, each with both modalities, with colour alone, and
    with depth alone. The depth gets NaN and infinite pixels too, as drivers send them.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    largest = 0.0
    picked = np.unique(np.linspace(0, len(frames) - 1, PARITY_FRAMES).round().astype(int))
    for i in tqdm(picked, desc="comparing with ONNX Runtime", unit="frame"):
        depth = frames.depth[i : i + 1].copy()
        depth[0, 0, :2] = (np.nan, np.inf)
        for presence in PRESENCE:
            inputs = {
                "color": frames.color[i : i + 1],
                "depth": depth,
                "present": np.array([presence], dtype=np.float32),
            }
            with torch.inference_mode():
                expected = deployed(*(torch.from_numpy(value) for value in inputs.values())).pose.numpy()
            found = session.run(["pose"], inputs)[0]
            largest = max(largest, pose_difference(expected, found))
    return largest


def pose_difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Largest component of the difference of two `[1, 6]`; NaN counts as infinite.

    Rotations are compared as quaternions up to their sign: at 180 degrees from the map's axes a
    rounding decides which of the two logarithms comes out, and both say the same.
    """
    qa, qb = quaternion.exp(a[:, 3:]), quaternion.exp(b[:, 3:])
    rotation = min(np.max(np.abs(qa - qb)), np.max(np.abs(qa + qb)))
    difference = max(float(np.max(np.abs(a[:, :3] - b[:, :3]))), float(rotation))
    return difference if np.all(np.isfinite(a)) and np.all(np.isfinite(b)) else float("inf")


def training_trajectory(records: Sequence[FrameRecord]) -> Trajectory:
    """The trained frames' poses in the order of their stamps; of equal stamps the first."""
    by_stamp = {record.stamp_ns: record.T_map_camera for record in reversed(records)}
    stamps = sorted(by_stamp)
    return Trajectory(np.array(stamps, dtype=np.int64), np.stack([np.asarray(by_stamp[stamp]) for stamp in stamps]))


def make_manifest(
    folder: PosedFolder,
    config: TrainingConfig,
    normalisation: PoseNormalisation,
    size: tuple[int, int],
    variance: NDArray[np.float64],
    summary: Mapping[str, Any],
) -> Manifest:
    """What the bundle says of itself."""
    return Manifest(
        system=config.system,
        preset=config.preset,
        input=InputSpec(size[0], size[1], config.input.min_depth, config.input.max_depth),
        latent_dim=config.network.latent_size,
        position=PositionSpec(normalisation.offset_m, normalisation.scale_m),
        frames=FrameSpec(pose_of=folder.pose_of),
        color_camera=folder.color_camera,
        depth_camera=folder.depth_camera,
        depth_registered=folder.depth_registered,
        residual_variance=tuple(float(value) for value in variance),
        training=summary,
        licence=folder.licence or "unknown",
        created_with=f"mvloc_ros {__version__}",
    )


def training_summary(
    judged: TrainedNetwork, final: TrainedNetwork, errors: PoseErrors, baseline: PoseErrors
) -> dict[str, Any]:
    """How the weights came to be; names no path of the machine they were trained on."""
    data = judged.run["data"]
    refitted = final is not judged
    command = training_command(judged.config, judged.run)
    return {
        "data": data["name"],
        "sequences": data["sequences"],
        "frames": final.run["data"]["frames"],
        "validation_frames": data["validation_frames"],
        "seed": judged.config.seed,
        "stage": 2 if judged.config.samples_latent else 1,
        **stage_summary(judged.config),
        "epochs": judged.config.stage_optimiser().epochs,
        "epoch": judged.epoch,
        "refitted_to_validation_frames": refitted,
        "seconds": round(judged.seconds + (final.seconds if refitted else 0.0), 1),
        "command": command + (" --refit" if refitted else ""),
        "validation": dict(zip(("translation_m", "rotation_deg"), errors.medians(), strict=True)),
        "validation_constant_pose": dict(zip(("translation_m", "rotation_deg"), baseline.medians(), strict=True)),
        "torch": torch.__version__,
    }


def stage_summary(config: TrainingConfig) -> dict[str, Any]:
    """How the second stage drew and weighted its samples; nothing of a first stage."""
    stages = config.stages
    if not config.samples_latent:
        return {}
    return {"estimator": stages.estimator, "samples": stages.samples, "latent_weight": stages.latent_weight}


def training_command(config: TrainingConfig, run: Mapping[str, Any]) -> str:
    """The command that repeats the training; only what differs from the preset is named."""
    recipe, name = preset(config.system, config.preset), run["data"]["name"]
    count = run.get("processes", 1)
    start = "mvloc train" if count == 1 else f"torchrun --standalone --nproc-per-node {count} -m mvloc_ros.cli train"
    words = [start, "--data", name, "--out", f"runs/{name}"]
    words += [] if config.system == "mvloc" else ["--system", config.system]
    words += ["--preset", config.preset, "--seed", str(config.seed)]
    for section, item in all_options():
        value = getattr(getattr(config, section), item.name)
        if value != getattr(getattr(recipe, section), item.name):
            words += [flag(item.name), str(value)]
    if run["test_fraction"] != 0.2:
        words += ["--test-fraction", str(run["test_fraction"])]
    if config.stages.stage == "2":
        words += ["--start-from RUN"]
    return " ".join(words + (["--weights FILE"] if run["weights"] else []))
