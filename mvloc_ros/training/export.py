# SPDX-License-Identifier: Apache-2.0
"""`mvloc export`: exports a run folder as a model bundle, and checks it on real frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros import __version__
from mvloc_ros.backends.backend import BackendError
from mvloc_ros.backends.network_file import require_network_file
from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.geometry import quaternion
from mvloc_ros.geometry.trajectory import Trajectory, write_tum
from mvloc_ros.model.bundle import MODEL_FILE, TRAINING_POSES_FILE, Bundle
from mvloc_ros.model.bundle_writer import write_bundle
from mvloc_ros.model.manifest import FrameSpec, InputSpec, Manifest, PositionSpec
from mvloc_ros.model.manifest_checks import ManifestError
from mvloc_ros.model.modalities import PAIR, Sensor, SensorInput
from mvloc_ros.model.validation_file import VALIDATION_FILE, ValidationPoses
from mvloc_ros.recordings import Folders, FrameRecord, PosedFolder
from mvloc_ros.recordings.contents import contents_text
from mvloc_ros.recordings.joined_folders import labels_of
from mvloc_ros.recordings.train_test_split import TEST_FRACTION
from mvloc_ros.storage import exclusive, staging_folder
from mvloc_ros.training import half_precision_weights
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.datasets import (
    COLOR,
    DEPTH,
    PosedFrames,
    ReadOptions,
    as_tensor,
    evenly_spaced,
    open_usable_folder,
    read_frames,
)
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.frame_selection import trained_records
from mvloc_ros.training.missing_modality import single_modality_poses
from mvloc_ros.training.networks.deployed import Deployed
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.onnx_file import run_by_onnxruntime, write_onnx
from mvloc_ros.training.options import ALLOWED_SHARE, all_options, flag, is_switch
from mvloc_ros.training.precisions import CALIBRATION_FRAMES, Comparison, make_precision
from mvloc_ros.training.predict import residual_variance
from mvloc_ros.training.presets import preset
from mvloc_ros.training.run_identity import folders_of
from mvloc_ros.training.trained_network import TrainedNetwork, read_refit, read_selected
from mvloc_ros.training.validation_errors import ValidationErrors, measure_errors

TOLERANCE = 1e-4
PARITY_FRAMES = 20


def presences(modalities: int) -> list[tuple[float, ...]]:
    """Which modalities are present in a comparison: all, each one alone, and of more than two each one missing."""
    alone = [tuple(float(i == kept) for i in range(modalities)) for kept in range(modalities)]
    missing = [tuple(1.0 - value for value in row) for row in alone] if modalities > len(PAIR) else []
    return [(1.0,) * modalities, *alone, *missing]


def export(
    run: Path,
    out: Path,
    which: str | None = None,
    data: Folders | None = None,
    *,
    half_weights: bool = False,
    precisions: Sequence[str] = (),
    precision_share: float = ALLOWED_SHARE,
    reading: ReadOptions | None = None,
) -> Bundle:
    """Write the bundle of a run, and print the difference of ONNX Runtime and PyTorch.

    Args:
        run: folder of `mvloc train`.
        out: folder of the bundle; an existing bundle is replaced.
        which: "best" epoch on the validation frames, or "last"; None: best, or last without validation frames.
        data: the training data, if it was moved since training.
        half_weights: round the weights to float16 and store them that way: half the file size.
        precisions: of further networks for the bundle: fp16, bf16, int8.
        precision_share: their largest deviation from float32, as a share of the median error of the model.
        reading: how frames are read.

    Raises:
        InUseError: another process is changing the bundle.
        MvlocError: a file is missing, the data are not the training data, the graph disagrees with PyTorch, or a
            further network differs too much.
    """
    reading, out = reading or ReadOptions(), out.expanduser()
    with exclusive(out) if out.is_dir() else nullcontext(), _explain_manifest_error(run, out):
        selected = read_selected(run, half_weights, which)
        final = read_refit(run, half_weights) or selected
        described, config = selected.run, selected.config
        if SYSTEMS[config.system].recurrent:
            raise TrainingError(
                f"A bundle needs a network of single frames, and {config.system} needs clips; use `mvloc train --test`."
            )
        folder = open_usable_folder(
            data if data is not None else folders_of(described), described["test_fraction"], reading
        )
        print(f"{contents_text(folder)}.")
        validation = measure_errors(selected, folder, reading)
        if validation is None:
            raise TrainingError(f"{folder.where} is not the data that {run} was trained on; give that with --data.")
        size = validation.frames.depth.shape[1], validation.frames.depth.shape[2]
        summary = training_summary(selected, final, validation, folder.sensors)
        manifest = make_manifest(folder, config, final.normalisation, size, validation.variance, summary)
        held_out = validation_poses(selected, validation)
        if held_out is not None:
            truth = validation.frames.poses
            manifest = replace(
                manifest,
                residual_variance_color_only=_variance(held_out.poses.get("color"), truth),
                residual_variance_depth_only=_variance(held_out.poses.get("depth"), truth),
            )
        with _scratch_folder(out) as scratch:
            model, poses = scratch / MODEL_FILE, scratch / TRAINING_POSES_FILE
            deployed = Deployed(final.network, final.normalisation.reference).eval()
            further = tuple(item.input for item in manifest.sensors)
            write_onnx(deployed, size, model, further)
            if precisions:
                trained = trained_records(selected, folder, refitted=False)
                picked = [trained[i] for i in evenly_spaced(len(trained), CALIBRATION_FRAMES)]
                calibration = read_frames(config.input, folder, picked, "calibration", reading)
                comparison = _comparison(validation, precision_share, manifest.position, calibration)
                made = {name: make_precision(name, model, deployed, size, comparison, further) for name in precisions}
                manifest = replace(manifest, precisions=made)
            if half_weights:
                half_precision_weights.store_as_half(model)
            _require_parity(deployed, model, validation.frames)
            files = {MODEL_FILE: model, **{spec.file: scratch / spec.file for spec in manifest.precisions.values()}}
            for path in files.values():
                _require_accepted(path, manifest)
            files[TRAINING_POSES_FILE] = poses
            write_tum(poses, training_trajectory(trained_records(final, folder, refitted=final is not selected)))
            if held_out is not None:
                files[VALIDATION_FILE] = scratch / VALIDATION_FILE
                files[VALIDATION_FILE].write_text(held_out.to_text(), encoding="utf-8")
            bundle = write_bundle(out, manifest, files)
    megabytes = bundle.model_path.stat().st_size / 1e6
    print(f"wrote {bundle.path} ({megabytes:.1f} MB), {_accuracy_text(validation.errors)}; {bundle.digest_in_words}")
    return bundle


@contextmanager
def _explain_manifest_error(run: Path, out: Path) -> Iterator[None]:
    """Turn a manifest that no reader would accept into an error with its remedy."""
    try:
        yield
    except ManifestError as error:
        raise TrainingError(
            f"The bundle {out} was not written, because its manifest would be rejected: {error}; check the poses and "
            f"the camera file of the training data, and the losses in {run}."
        ) from error


def _comparison(
    validation: ValidationErrors, share: float, position: PositionSpec, calibration: PosedFrames
) -> Comparison:
    if validation.errors is None:
        raise TrainingError(
            "--precision compares with float32 on validation frames, and this run has none; remove --precision."
        )
    return Comparison(validation.frames, validation.errors, share, position, calibration)


def _require_parity(deployed: Deployed, model: Path, frames: PosedFrames) -> None:
    """Print how far ONNX Runtime is from PyTorch; TrainingError where that is too far."""
    difference = parity(deployed, model, frames)
    print(f"ONNX Runtime and PyTorch differ by at most {difference:.1e} (normalised units; allowed {TOLERANCE:g})")
    if not difference <= TOLERANCE:
        raise TrainingError(
            f"The exported graph is wrong by {difference:.1e}, more than {TOLERANCE:g}; no bundle was written. Try the "
            "pinned versions of torch, onnxscript and onnxruntime."
        )


@contextmanager
def _scratch_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside the bundle `out` for its files; leftovers of a killed export are removed."""
    try:
        with staging_folder(out) as scratch:
            yield scratch
    except OSError as error:
        raise TrainingError(
            f"The bundle {out} was not written, because its files cannot be prepared in the same folder "
            f"({error.strerror or error}); free disk space there, or use another --out."
        ) from error


def _require_accepted(path: Path, manifest: Manifest) -> None:
    """Raise TrainingError if the node would reject a network: another exporter may write other operators."""
    try:
        further = tuple(item.input for item in manifest.sensors)
        require_network_file(path, manifest.input.height, manifest.input.width, manifest.latent_dim, further)
    except BackendError as error:
        raise TrainingError(
            f"{error} No bundle was written: try the pinned versions of torch and onnxscript."
        ) from error


def _accuracy_text(errors: PoseErrors | None) -> str:
    if errors is None:
        return "no validation frames: its covariance is the spread of the training poses"
    translation, rotation = errors.medians()
    return f"validation median {translation:.3f} m, {rotation:.2f} deg"


def parity(deployed: Deployed, model: Path, frames: PosedFrames) -> float:
    """Largest difference of the poses of ONNX Runtime and PyTorch, in normalised units.

    Over evenly spaced validation frames, each with all modalities and without some (`presences`). The depth has NaN and
    infinite pixels too, as drivers send them.
    """
    run, largest = run_by_onnxruntime(model), 0.0
    for i in tqdm(evenly_spaced(len(frames), PARITY_FRAMES), desc="comparing with ONNX Runtime", unit="frame"):
        color, depth, _, *further = frames.inputs(slice(i, i + 1))
        depth, further = depth.copy(), [image.copy() for image in further]
        for image in (depth, *further):
            if image.dtype == np.float32:
                image[0, 0, :2] = (np.nan, np.inf)
        for presence in presences(len(frames.modalities)):
            inputs = color, depth, np.array([presence], dtype=np.float32), *further
            with torch.inference_mode():
                expected = deployed(*map(as_tensor, inputs)).pose.numpy()
            largest = max(largest, pose_difference(expected, run(*inputs)))
    return largest


def pose_difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Largest component of the difference of two poses `[1, 6]`; NaN counts as infinite.

    Rotations are compared as quaternions up to their sign: at 180 degrees from the axes of the map rounding decides
    between two logarithms of the same rotation.
    """
    qa, qb = quaternion.exp(a[:, 3:]), quaternion.exp(b[:, 3:])
    rotation = min(np.max(np.abs(qa - qb)), np.max(np.abs(qa + qb)))
    difference = max(float(np.max(np.abs(a[:, :3] - b[:, :3]))), float(rotation))
    return difference if np.all(np.isfinite(a)) and np.all(np.isfinite(b)) else float("inf")


def training_trajectory(records: Sequence[FrameRecord]) -> Trajectory:
    """The poses of the records in the order of their stamps; of equal stamps the first."""
    by_stamp = {record.stamp_ns: record.T_map_camera for record in reversed(records)}
    stamps = sorted(by_stamp)
    return Trajectory(np.array(stamps, dtype=np.int64), np.stack([np.asarray(by_stamp[stamp]) for stamp in stamps]))


def validation_poses(selected: TrainedNetwork, validation: ValidationErrors) -> ValidationPoses | None:
    """The poses of the validation frames by the selected network, with both modalities and with each alone.

    None without validation frames. With further sensors those with all modalities alone.
    """
    frames = validation.frames
    if validation.estimates is None:
        return None
    known = frames.present.min(axis=1) > 0.0
    poses = {"both": np.where(known[:, None, None], validation.estimates, np.nan)} if known.any() else {}
    for name, kept in () if frames.further else (("color", COLOR), ("depth", DEPTH)):
        alone = single_modality_poses(selected, frames, kept)
        if alone is not None:
            poses[name] = alone
    return ValidationPoses(frames.sequences, frames.stamps_ns, poses)


def _variance(estimates: NDArray[np.float64] | None, truth: NDArray[np.float64]) -> tuple[float, ...] | None:
    """Residual variance for the manifest, of poses `[N, 4, 4]` that are NaN for frames without a pose."""
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
    """The manifest of the bundle, without the variances of single modalities."""
    extrinsic = None
    if config.input.register_depth:
        assert folder.T_color_depth is not None  # otherwise its frames could not have been read
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
        sensors=tuple(_sensor_input(sensor, config.input.short_side) for sensor in config.input.sensors),
    )


def _sensor_input(sensor: Sensor, short_side: int) -> SensorInput:
    size = sensor.input_at(short_side)
    return SensorInput(sensor, size.height, size.width)


def training_summary(
    selected: TrainedNetwork, final: TrainedNetwork, validation: ValidationErrors, sensors: Sequence[Sensor] = ()
) -> dict[str, Any]:
    """How the weights were trained; without paths of the machine. `sensors` are those that the folder declares."""
    data = selected.run["data"]
    refitted = final is not selected
    command = training_command(selected.config, selected.run, sensors) + (" --refit" if refitted else "")
    if epochs := final.run.get("refit_epochs"):
        command += f" --refit-epochs {epochs}"
    return {
        "data": data["name"],
        "sequences": data["sequences"],
        "frames": final.run["data"]["frames"],
        "validation_frames": data["validation_frames"],
        "seed": selected.config.seed,
        "stage": 2 if selected.config.samples_latent else 1,
        **stage_summary(selected.config),
        "epochs": selected.config.stage_optimiser().epochs,
        "epoch": selected.epoch,
        "refitted_to_validation_frames": refitted,
        "seconds": round(selected.seconds + (final.seconds if refitted else 0.0), 1),
        "command": command,
        "validation": _medians(validation.errors),
        "validation_constant_pose": _medians(validation.baseline),
        "covariance_of": validation.covariance_of,
        "torch": torch.__version__,
    }


def _medians(errors: PoseErrors | None) -> dict[str, float] | None:
    return None if errors is None else dict(zip(("translation_m", "rotation_deg"), errors.medians(), strict=True))


def stage_summary(config: TrainingConfig) -> dict[str, Any]:
    """The sampling options of stage 2; empty for stage 1."""
    stages = config.stages
    if not config.samples_latent:
        return {}
    names = ("estimator", "likelihood", "samples", "latent_weight")
    return {name: getattr(stages, name) for name in names}


def training_command(config: TrainingConfig, run: Mapping[str, Any], sensors: Sequence[Sensor] = ()) -> str:
    """The command that repeats the training, with the values that differ from the preset.

    `sensors` are those that the folder declares.
    """
    recipe, names = preset(config.system, config.preset), [run["data"]["name"]]
    if "roots" in run:
        names = labels_of(folders_of(run))
    count = run.get("processes", 1)
    start = "mvloc train" if count == 1 else f"torchrun --standalone --nproc-per-node {count} -m mvloc_ros.cli train"
    words = [start, "--data", *names, "--out", f"runs/{names[0]}"]
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
    if len(config.input.sensors) != len(sensors) and SYSTEMS[config.system].samples:
        words += ["--sensors", ",".join(sensor.name for sensor in config.input.sensors) or "none"]
    if run["test_fraction"] != TEST_FRACTION:
        words += ["--test-fraction", str(run["test_fraction"])]
    if config.stages.stage == "2":
        words += ["--start-from RUN"]
    return " ".join(words + (["--weights FILE"] if run["weights"] else []))
