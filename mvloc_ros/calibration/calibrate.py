# SPDX-License-Identifier: Apache-2.0
"""`mvloc calibrate`: a bundle and the folder it was trained on in, the bundle with calibrated covariances out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.calibration.errors import CalibrationError
from mvloc_ros.calibration.network import calibrate_network
from mvloc_ros.calibration.refined import calibrate_refined
from mvloc_ros.calibration.refined_trials import run_trials
from mvloc_ros.geometry import se3
from mvloc_ros.inference.bundle import Bundle
from mvloc_ros.inference.bundle_writer import bundle_to_change, replace_manifest
from mvloc_ros.inference.calibration_spec import covariance_matrix
from mvloc_ros.inference.validation_file import VALIDATION_FILE, ValidationPoses, read_validation
from mvloc_ros.mapping.build import MapOptions
from mvloc_ros.mapping.map import check_cameras, check_depth
from mvloc_ros.recordings import FrameRecord, PosedFolder, open_folder
from mvloc_ros.recordings.train_test_split import TEST_FRACTION

_log = logging.getLogger(__name__)

# How far the median errors may be from those in the manifest, metres and degrees: what rounding makes of them.
_ROUNDING = 1e-4, 1e-2


def calibrate(
    model: Path,
    data: Path,
    test_fraction: float = TEST_FRACTION,
    min_frames: int = MapOptions.min_frames,
    *,
    network_alone: bool = False,
) -> Bundle:
    """Set the covariances of a bundle by its validation frames, and those of refined poses if it has a map.

    The result depends on the exported bundle, its map and the folder alone: a second time changes nothing.

    Args:
        model: the bundle.
        data: what it was trained on.
        test_fraction: end of each recording kept for tests if the folder has no split.
        min_frames: as its map was built with.
        network_alone: leave the covariances of refined poses as they are, as before a new map is made.

    Raises:
        MvlocError: the bundle says nothing of validation frames, or the folder is another one.
    """
    with bundle_to_change(model) as bundle:
        return _calibrated(bundle, data, test_fraction, min_frames, network_alone)


def _calibrated(bundle: Bundle, data: Path, test_fraction: float, min_frames: int, network_alone: bool) -> Bundle:
    found = _validation_poses(bundle)
    folder = open_folder(data, test_fraction)
    check_cameras(bundle, folder)
    held = held_out_records(found, folder, bundle)
    truth = np.array([record.T_map_camera for record in held])
    _check_errors(bundle, found, truth, folder)
    network = calibrate_network(bundle.manifest, found, truth)
    manifest = replace(bundle.manifest, calibration=network)
    spec = manifest.scene_map
    if spec is not None and spec.acceptance is None and not network_alone:
        _log.warning("%s: its scene map has no acceptance threshold, so there are no refined poses", bundle.path)
    elif spec is not None and not network_alone:
        check_depth(folder, spec.depth_min_m, spec.depth_max_m, "mvloc calibrate")
        trials = run_trials(Bundle(bundle.path, manifest), folder, min_frames)
        refined = calibrate_refined(trials, covariance_matrix(network.both))
        if refined is None:
            _log.warning("%s: too few refined poses were accepted to calibrate their covariance", bundle.path)
        manifest = replace(manifest, scene_map=replace(spec, calibration=refined))
    return replace_manifest(bundle, manifest)


def can_be_calibrated(bundle: Bundle) -> bool:
    """Whether the bundle says where its network put frames that were held out of its training."""
    return VALIDATION_FILE in bundle.manifest.files


def _validation_poses(bundle: Bundle) -> ValidationPoses:
    if can_be_calibrated(bundle):
        return read_validation(bundle.path / VALIDATION_FILE)
    if not bundle.manifest.training.get("validation_frames"):
        raise CalibrationError(
            f"No frames were held out of the training of {bundle.name}, so nothing says how wrong it is on new ones; "
            "train it with a --validation-fraction above 0 and export it again."
        )
    raise CalibrationError(
        f"The bundle {bundle.path} does not say where its network put the validation frames ({VALIDATION_FILE}); "
        "export it again with this version of mvloc_ros."
    )


def held_out_records(found: ValidationPoses, folder: PosedFolder, bundle: Bundle) -> list[FrameRecord]:
    """The folder's training frames that were held out.

    Raises:
        CalibrationError: one is none of them.
    """
    train, test = _by_name(folder.train), _by_name(folder.test)
    held = []
    for name in zip(found.sequences, found.stamps_ns.tolist(), strict=True):
        record = train.get(name)
        if record is None or record.T_map_camera is None:
            place = f"frame {1e-9 * name[1]:.3f} s of {name[0]}"
            if name in test:
                raise CalibrationError(
                    f"{folder.root} has {place} among its test frames, {bundle.name} was validated on it; give the "
                    "split (or --test-fraction) that it was trained with."
                )
            raise CalibrationError(
                f"{folder.root} has no posed {place}, which {bundle.name} was validated on; give the folder that it "
                "was trained on."
            )
        held.append(record)
    return held


def _by_name(records: Sequence[FrameRecord]) -> dict[tuple[str, int], FrameRecord]:
    return {(record.sequence, record.stamp_ns): record for record in records}


def _check_errors(bundle: Bundle, found: ValidationPoses, truth: NDArray[np.float64], folder: PosedFolder) -> None:
    """Refuse a folder of the same names with other poses: there the errors are others than at export."""
    said, both = bundle.manifest.training.get("validation"), found.poses.get("both")
    if said is None or both is None or not np.isfinite(both).all():
        return
    metres = float(np.median(se3.translation_error(both, truth)))
    degrees = float(np.degrees(np.median(se3.rotation_error(both, truth))))
    if abs(metres - said["translation_m"]) > _ROUNDING[0] or abs(degrees - said["rotation_deg"]) > _ROUNDING[1]:
        raise CalibrationError(
            f"The poses of {folder.root} are not those that {bundle.name} was validated on: its median error there is "
            f"{metres:.3f} m and {degrees:.2f} degrees, at export it was {said['translation_m']:.3f} m and "
            f"{said['rotation_deg']:.2f} degrees; give the folder that it was trained on."
        )
