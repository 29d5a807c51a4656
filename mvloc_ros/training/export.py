# SPDX-License-Identifier: Apache-2.0
"""`mvloc export`: a run folder in, a model bundle out, checked on real frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros import __version__
from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.geometry import quaternion
from mvloc_ros.geometry.trajectory import Trajectory, write_tum
from mvloc_ros.inference.backend import BackendError
from mvloc_ros.inference.bundle import MODEL_FILE, TRAINING_POSES_FILE, Bundle
from mvloc_ros.inference.bundle_writer import write_bundle
from mvloc_ros.inference.manifest import FrameSpec, InputSpec, Manifest, PositionSpec
from mvloc_ros.inference.manifest_checks import ManifestError
from mvloc_ros.inference.network_file import require_network_file
from mvloc_ros.inference.validation_file import VALIDATION_FILE, ValidationPoses
from mvloc_ros.recordings import FrameRecord, PosedFolder
from mvloc_ros.recordings.contents import contents_text
from mvloc_ros.recordings.train_test_split import TEST_FRACTION
from mvloc_ros.storage import exclusive, staging_folder
from mvloc_ros.training import half_precision_weights
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.datasets import PosedFrames, Reading, open_readable, read_frames
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.missing_modality import COLOR, DEPTH, single_modality_poses
from mvloc_ros.training.networks.deployed import Deployed
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.onnx_file import write_onnx
from mvloc_ros.training.options import ALLOWED_SHARE, all_options, flag, is_switch
from mvloc_ros.training.precisions import CALIBRATION_FRAMES, Comparison, evenly_spaced, make_precision
from mvloc_ros.training.predict import residual_variance
from mvloc_ros.training.presets import preset
from mvloc_ros.training.residuals import Judgement, judge_residuals, trained_records
from mvloc_ros.training.trained import TrainedNetwork, read_judged, read_refit

TOLERANCE = 1e-4
PARITY_FRAMES = 20
PRESENCE = ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0))


def export(
    run: Path,
    out: Path,
    which: str | None = None,
    data: Path | None = None,
    *,
    half_weights: bool = False,
    precisions: Sequence[str] = (),
    precision_share: float = ALLOWED_SHARE,
    reading: Reading | None = None,
) -> Bundle:
    """Write the bundle of a run and print how far ONNX Runtime is from PyTorch.

    Args:
        run: folder of `mvloc train`.
        out: the bundle's folder; an older bundle there is replaced.
        which: "best" on the validation frames, or "last"; None: the best, or the last where nothing was held out.
        data: the training data, where it lies elsewhere than in training.
        half_weights: round the weights to float16 and store them so (see `compact`); half the file.
        precisions: further networks for the bundle, of fp16, bf16 and int8.
        precision_share: how much of the model's median error such a one may differ from float32.
        reading: how frames are read.

    Raises:
        InUseError: another process is changing the bundle.
        MvlocError: a file is missing, the data is other data, the graph disagrees with PyTorch, or a further
            network differs too much.
    """
    reading = reading or Reading()
    out = out.expanduser()
    with exclusive(out) if out.is_dir() else nullcontext():
        try:
            return _exported(run, out, which, data, half_weights, precisions, precision_share, reading)
        except ManifestError as error:
            raise TrainingError(
                f"The bundle {out} was not written, as no reader would accept its manifest: {error}; check the poses "
                f"and the camera file of the training data, and the losses in {run}."
            ) from error


def _exported(
    run: Path,
    out: Path,
    which: str | None,
    data: Path | None,
    half_weights: bool,
    precisions: Sequence[str],
    precision_share: float,
    reading: Reading,
) -> Bundle:
    judged = read_judged(run, half_weights, which)
    final = read_refit(run, half_weights) or judged
    described, config = judged.run, judged.config
    if SYSTEMS[config.system].recurrent:
        raise TrainingError(f"A bundle maps single frames, and {config.system} needs clips; use `mvloc train --test`.")
    folder = open_readable(data if data is not None else described["root"], described["test_fraction"], reading)
    print(f"{contents_text(folder)}.")
    judgement = judge_residuals(judged, folder, reading)
    if judgement is None:
        raise TrainingError(f"{folder.root} is not the data that {run} was trained on; name that with --data.")
    summary = training_summary(judged, final, judgement)
    normalisation = final.normalisation
    size = judgement.frames.depth.shape[1], judgement.frames.depth.shape[2]
    manifest = make_manifest(folder, config, normalisation, size, judgement.variance, summary)
    held_out = validation_poses(judged, judgement)
    if held_out is not None:
        truth = judgement.frames.poses
        manifest = replace(
            manifest,
            residual_variance_color_only=_variance(held_out.poses.get("color"), truth),
            residual_variance_depth_only=_variance(held_out.poses.get("depth"), truth),
        )
    with _scratch_folder(out) as scratch:
        model, poses = scratch / MODEL_FILE, scratch / TRAINING_POSES_FILE
        deployed = Deployed(final.network, normalisation.reference).eval()
        write_onnx(deployed, size, model)
        if precisions:
            if judgement.errors is None:
                raise TrainingError("--precision compares with float32 on held-out frames, and this run held none out.")
            trained = trained_records(judged, False, folder)
            picked = [trained[i] for i in evenly_spaced(len(trained), CALIBRATION_FRAMES)]
            calibration = read_frames(config.input, folder, picked, "calibration", reading)
            comparison = Comparison(judgement.frames, judgement.errors, precision_share, manifest.position, calibration)
            made = {name: make_precision(name, model, deployed, size, comparison) for name in precisions}
            manifest = replace(manifest, precisions=made)
        if half_weights:
            half_precision_weights.store_as_half(model)
        difference = parity(deployed, model, judgement.frames)
        print(f"ONNX Runtime and PyTorch differ by at most {difference:.1e} (normalised units; allowed {TOLERANCE:g})")
        if not difference <= TOLERANCE:
            raise TrainingError(
                f"The exported graph is wrong by {difference:.1e}, more than {TOLERANCE:g}; no bundle was written. "
                "Try the pinned versions of torch, onnxscript and onnxruntime."
            )
        others = {spec.file: model.parent / spec.file for spec in manifest.precisions.values()}
        for path in (model, *others.values()):
            _require_accepted(path, manifest)
        write_tum(poses, training_trajectory(trained_records(final, final is not judged, folder)))
        if held_out is not None:
            others[VALIDATION_FILE] = scratch / VALIDATION_FILE
            others[VALIDATION_FILE].write_text(held_out.to_text(), encoding="utf-8")
        bundle = write_bundle(out, manifest, {MODEL_FILE: model, TRAINING_POSES_FILE: poses, **others})
    megabytes = bundle.model_path.stat().st_size / 1e6
    print(f"wrote {bundle.path} ({megabytes:.1f} MB), {_in_words(judgement.errors)}; {bundle.digest_in_words}")
    return bundle


@contextmanager
def _scratch_folder(out: Path) -> Iterator[Path]:
    """A folder beside the bundle `out` for its files until they are complete; a killed export's is removed."""
    try:
        with staging_folder(out) as scratch:
            yield scratch
    except OSError as error:
        raise TrainingError(
            f"The bundle {out} was not written, as its files cannot be prepared in the same folder "
            f"({error.strerror or error}); make room there, or give another --out."
        ) from error


def _require_accepted(path: Path, manifest: Manifest) -> None:
    """Raise TrainingError where the node would refuse a network: another exporter may write other operators."""
    try:
        require_network_file(path, manifest.input.height, manifest.input.width, manifest.latent_dim)
    except BackendError as error:
        raise TrainingError(
            f"{error} No bundle was written: try the pinned versions of torch and onnxscript."
        ) from error


def _in_words(errors: PoseErrors | None) -> str:
    if errors is None:
        return "no frames were held out: its covariance is the spread of the training poses"
    translation, rotation = errors.medians()
    return f"validation median {translation:.3f} m, {rotation:.2f} deg"


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


def validation_poses(judged: TrainedNetwork, judgement: Judgement) -> ValidationPoses | None:
    """The held-out frames as the judged network places them, with both modalities where they are, and with each."""
    frames = judgement.frames
    if judgement.estimates is None:
        return None
    known = frames.present.min(axis=1) > 0.0
    poses = {"both": np.where(known[:, None, None], judgement.estimates, np.nan)} if known.any() else {}
    for name, kept in (("color", COLOR), ("depth", DEPTH)):
        alone = single_modality_poses(judged, frames, kept)
        if alone is not None:
            poses[name] = alone
    return ValidationPoses(frames.sequences, frames.stamps_ns, poses)


def _variance(estimates: NDArray[np.float64] | None, truth: NDArray[np.float64]) -> tuple[float, ...] | None:
    """As in the manifest, of poses `[N, 4, 4]` that are NaN where a frame has none."""
    if estimates is None:
        return None
    known = np.isfinite(estimates).all(axis=(1, 2))
    return tuple(float(value) for value in residual_variance(estimates[known], truth[known]))


def make_manifest(
    folder: PosedFolder,
    config: TrainingConfig,
    normalisation: PoseNormalisation,
    size: tuple[int, int],
    variance: NDArray[np.float64],
    summary: Mapping[str, Any],
) -> Manifest:
    """What the bundle says of itself."""
    extrinsic = None
    if config.input.register_depth:
        assert folder.T_color_depth is not None  # or its frames could not have been read
        extrinsic = tuple(float(value) for value in folder.T_color_depth.ravel())
    return Manifest(
        system=config.system,
        preset=config.preset,
        input=InputSpec(*size, config.input.min_depth, config.input.max_depth, config.input.depth_of_points),
        latent_dim=config.network.latent_size,
        position=PositionSpec(normalisation.offset_m, normalisation.scale_m),
        frames=FrameSpec(pose_of=folder.pose_of),
        color_camera=folder.color_camera,
        depth_camera=folder.depth_camera,
        depth_registered=folder.depth_registered or config.input.register_depth,
        residual_variance=tuple(float(value) for value in variance),
        training=summary,
        licence=folder.licence or "unknown",
        created_with=f"mvloc_ros {__version__}",
        T_color_depth=extrinsic,
    )


def training_summary(judged: TrainedNetwork, final: TrainedNetwork, judgement: Judgement) -> dict[str, Any]:
    """How the weights came to be; names no path of the machine they were trained on."""
    data = judged.run["data"]
    refitted = final is not judged
    command = training_command(judged.config, judged.run) + (" --refit" if refitted else "")
    if epochs := final.run.get("refit_epochs"):
        command += f" --refit-epochs {epochs}"
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
        "command": command,
        "validation": _medians(judgement.errors),
        "validation_constant_pose": _medians(judgement.baseline),
        "covariance_of": judgement.covariance_of,
        "torch": torch.__version__,
    }


def _medians(errors: PoseErrors | None) -> dict[str, float] | None:
    return None if errors is None else dict(zip(("translation_m", "rotation_deg"), errors.medians(), strict=True))


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
        if value == getattr(getattr(recipe, section), item.name):
            continue
        if is_switch(item):
            words += [flag(item.name) if value else flag(f"no_{item.name}")]
        else:
            words += [flag(item.name), str(value)]
    if run["test_fraction"] != TEST_FRACTION:
        words += ["--test-fraction", str(run["test_fraction"])]
    if config.stages.stage == "2":
        words += ["--start-from RUN"]
    return " ".join(words + (["--weights FILE"] if run["weights"] else []))
