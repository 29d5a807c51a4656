# SPDX-License-Identifier: Apache-2.0
"""`mvloc calibrate`: calibrates the covariances of a bundle with its training data."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.mapping.build import MapOptions
from mvloc_ros.mapping.errors import CalibrationError
from mvloc_ros.mapping.map import check_cameras, check_depth
from mvloc_ros.mapping.network_covariance import calibrate_network
from mvloc_ros.mapping.refined_covariance import calibrate_refined
from mvloc_ros.mapping.refined_trials import run_trials
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.model.bundle_writer import bundle_to_change, replace_manifest
from mvloc_ros.model.calibration_spec import covariance_matrix
from mvloc_ros.model.validation_file import VALIDATION_FILE, ValidationPoses, read_validation
from mvloc_ros.recordings import Folders, FrameRecord, PosedFolder, open_folders
from mvloc_ros.recordings.train_test_split import TEST_FRACTION

_log = logging.getLogger(__name__)

# Largest rounding difference of median errors from those in the manifest, meters and degrees.
_ROUNDING = 1e-4, 1e-2


def calibrate(
    model: Path,
    data: Folders,
    test_fraction: float = TEST_FRACTION,
    min_frames: int = MapOptions.min_frames,
    *,
    network_alone: bool = False,
) -> Bundle:
    """Calibrate the covariances of a bundle with its validation frames; if it has a map, those of refined poses too.

    The result only depends on the exported bundle, its map and the folder: a second run changes nothing.

    Args:
        model: the bundle.
        data: its training data.
        test_fraction: share of test frames, if the folder defines no split.
        min_frames: as for its map.
        network_alone: keep the covariances of refined poses, as before a new map is built.

    Raises:
        MvlocError: the bundle has no poses of validation frames, or the folder is not its training data.
    """
    with bundle_to_change(model) as bundle:
        found = _validation_poses(bundle)
        folder = open_folders(data, test_fraction)
        check_cameras(bundle, folder)
        held = held_out_records(found, folder, bundle)
        truth = np.array([record.T_map_camera for record in held])
        _check_errors(bundle, found, truth, folder)
        network = calibrate_network(bundle.manifest, found, truth)
        manifest = replace(bundle.manifest, calibration=network)
        spec = manifest.scene_map
        if spec is not None and spec.acceptance is None and not network_alone:
            _log.warning(
                "%s: its scene map has no acceptance threshold, so refined poses are not calibrated", bundle.path
            )
        elif spec is not None and not network_alone:
            check_depth(folder, spec.depth_min_m, spec.depth_max_m, "mvloc calibrate")
            trials = run_trials(Bundle(bundle.path, manifest), folder, min_frames)
            refined = calibrate_refined(trials, covariance_matrix(network.both))
            if refined is None:
                _log.warning("%s: too few refined poses were accepted to calibrate their covariance", bundle.path)
            manifest = replace(manifest, scene_map=replace(spec, calibration=refined))
        return replace_manifest(bundle, manifest)


def can_be_calibrated(bundle: Bundle) -> bool:
    """Whether the bundle has the poses of its validation frames by its network."""
    return VALIDATION_FILE in bundle.manifest.files


def _validation_poses(bundle: Bundle) -> ValidationPoses:
    if can_be_calibrated(bundle):
        return read_validation(bundle.path / VALIDATION_FILE)
    if not bundle.manifest.training.get("validation_frames"):
        raise CalibrationError(
            f"The model {bundle.name} was trained without validation frames, so its errors on new frames are unknown; "
            "train it with a --validation-fraction above 0 and export it again."
        )
    raise CalibrationError(
        f"The bundle {bundle.path} lacks the poses of its validation frames ({VALIDATION_FILE}); export it again with "
        "this version of mvloc_ros."
    )


def held_out_records(found: ValidationPoses, folder: PosedFolder, bundle: Bundle) -> list[FrameRecord]:
    """The validation frames among the training frames of the folder.

    Raises:
        CalibrationError: one is missing.
    """
    train, test = _by_name(folder.train), _by_name(folder.test)
    held = []
    for name in zip(found.sequences, found.stamps_ns.tolist(), strict=True):
        record = train.get(name)
        if record is None or record.T_map_camera is None:
            frame = f"frame {1e-9 * name[1]:.3f} s of {name[0]}"
            if name in test:
                raise CalibrationError(
                    f"{bundle.name} was validated on {frame}, which is a test frame of {folder.where}; use the split "
                    "(or --test-fraction) of its training."
                )
            raise CalibrationError(
                f"{folder.where} has no {frame} with a pose, on which {bundle.name} was validated; give its training "
                "data with --data."
            )
        held.append(record)
    return held


def _by_name(records: Sequence[FrameRecord]) -> dict[tuple[str, int], FrameRecord]:
    return {(record.sequence, record.stamp_ns): record for record in records}


def _check_errors(bundle: Bundle, found: ValidationPoses, truth: NDArray[np.float64], folder: PosedFolder) -> None:
    """Reject a folder with the same names but other poses: its errors differ from those at export."""
    exported, both = bundle.manifest.training.get("validation"), found.poses.get("both")
    if exported is None or both is None or not np.isfinite(both).all():
        return
    metres, degrees = PoseErrors.of(both, truth).medians()
    if abs(metres - exported["translation_m"]) > _ROUNDING[0] or abs(degrees - exported["rotation_deg"]) > _ROUNDING[1]:
        raise CalibrationError(
            f"The poses of {folder.where} are not those that {bundle.name} was validated on: its median error is "
            f"{metres:.3f} m and {degrees:.2f} degrees, at export it was {exported['translation_m']:.3f} m and "
            f"{exported['rotation_deg']:.2f} degrees; give its training data with --data."
        )
