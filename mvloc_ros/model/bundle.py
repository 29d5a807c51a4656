# SPDX-License-Identifier: Apache-2.0
"""The model bundle: one folder that holds all the node needs of a trained model.

    model.onnx           the network; uint8 colour, float32 depth and a presence mask in, pose out
    model_fp16.onnx      the same with encoders in float16, if exported so; likewise bf16 and int8
    manifest.json        what the network expects and what its numbers mean, with digests of the files
    training_poses.tum   where the training frames were taken (for baselines and plots)
    validation.csv       where the network put the frames that were held out of its training
    scene_map-*.npz      surfaces that poses are refined against, if `mvloc map` added them
    keyframes-*.npz      training frames from whose poses refinement may start, likewise

Nothing in a bundle is executable and nothing is pickled: a bundle from elsewhere can do no harm
beyond a wrong pose. Files are checked against their SHA-256 before they are used, and the manifest
against its own (`manifest_digest`). Every file is a regular one that lies in the folder itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.errors import MvlocError
from mvloc_ros.file_reader import ReadError, digest_file, open_regular, read_file
from mvloc_ros.geometry.trajectory import Trajectory, read_tum
from mvloc_ros.json_text import parse_json
from mvloc_ros.limits import MOST_BUNDLE_FILE_BYTES, MOST_MANIFEST_BYTES, MOST_TEXT_BYTES
from mvloc_ros.model.manifest import SCHEMA_VERSION, Manifest, manifest_from_json
from mvloc_ros.model.manifest_checks import ManifestError, Section, require_sha256
from mvloc_ros.model.manifest_digest import DIGEST, bundle_digest
from mvloc_ros.storage import recover_folder

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"
TRAINING_POSES_FILE = "training_poses.tum"
_READS = 20  # while another process keeps replacing what is read


class BundleError(MvlocError):
    """A bundle is missing, damaged, not a bundle, or too new."""


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files were present and matched their digests when it was read.

    Attributes:
        path: the folder.
        manifest: what it says of itself.
        digest: over all of it, in hexadecimal; empty where it was written before there was one.
    """

    path: Path
    manifest: Manifest
    digest: str = ""

    @property
    def name(self) -> str:
        """The bundle's folder name, which is the model's name in messages and reports."""
        return self.path.name

    @property
    def map_name(self) -> str:
        """What people call the place that it was trained in: the manifest's, or else the folder's name."""
        return self.manifest.map_name or self.path.name

    @property
    def map_identity(self) -> str:
        """Equal for bundles whose poses are in one coordinate system, as far as that is known.

        The name of the frame does not tell: nearly every map's is `map`. The training poses do, with the map's name
        where it was given; a bundle without training poses is alone with those of the same folder name.
        """
        poses = self.manifest.files.get(TRAINING_POSES_FILE)
        return f"{self.manifest.map_name or ''}/{poses[:16] if poses else self.path.name}"

    @property
    def digest_in_words(self) -> str:
        """The digest's first digits, to compare the models of two robots, or that there is none."""
        return f"digest {self.digest[:12]}" if self.digest else "no digest over the whole bundle"

    @property
    def model_path(self) -> Path:
        """The ONNX file of the float32 network."""
        return self.path / MODEL_FILE

    def network_path(self, precision: str) -> Path:
        """The ONNX file of a precision that the manifest lists; fp32 is always there."""
        return self.model_path if precision == "fp32" else self.path / self.manifest.precisions[precision].file

    def position_in_map(self, normalised: NDArray[np.float32]) -> NDArray[np.float64]:
        """Metres in the map frame, float64 `[3]`, of the network's normalised position `[3]`.

        In float64 and outside the graph: float32 has steps of 0.5 m at the coordinates of a UTM map.
        """
        offset = np.array(self.manifest.position.offset_m)
        return offset + self.manifest.position.scale_m * np.asarray(normalised, dtype=np.float64)

    def training_trajectory(self) -> Trajectory | None:
        """The training frames' poses, or None if the bundle does not contain them.

        Raises:
            MvlocError: the file is no trajectory.
        """
        path = self.path / TRAINING_POSES_FILE
        if path.name not in self.manifest.files:
            return None
        try:
            with open_regular(path, MOST_TEXT_BYTES, within=self.path):
                found = read_tum(path)
        except ReadError as error:
            raise BundleError(unreadable(path, self.path, error)) from error
        return found


def unreadable(path: Path, folder: Path, error: OSError) -> str:
    """Why a file of a bundle cannot be read and what to do, in a sentence."""
    reason = error.strerror or str(error)
    if path.is_symlink() and "points outside" in reason:
        return (
            f"{path} cannot be read ({reason}): the files of a bundle must be inside its folder; copy the bundle with "
            "`cp -rL`, which replaces links by files, or give the folder that the links point to."
        )
    return f"{path} cannot be read ({reason}); check its permissions, or copy the bundle again."


def read_bundle(path: Path | str, verify: bool = True) -> Bundle:
    """Read and verify a bundle; without `verify` the manifest alone, which is quick but proves little.

    Raises:
        BundleError: the folder, the manifest or a listed file is missing, a digest differs, a value of the manifest
            makes no sense, or the manifest is of a newer schema.
    """
    if not str(path).strip():  # else the current folder
        raise BundleError(
            "No model is given: set the parameter `model` to the folder that `mvloc export` wrote, as in "
            "`ros2 launch mvloc_ros mvloc.launch.py model:=/path/to/bundle`."
        )
    try:
        path = Path(path).expanduser().resolve()
        is_there = path.is_dir() or recover_folder(path)
    except (OSError, RuntimeError, ValueError) as error:  # a name that is too long, no such user, a zero byte
        raise BundleError(f"{str(path)[:200]!r} is not the folder of a model bundle: {error}.") from error
    if not is_there:
        raise BundleError(
            f"No model bundle found at {path}; give the folder that `mvloc export` wrote (it contains {MANIFEST_FILE})."
        )
    path = _folder_of_links_to(path)
    for _ in range(_READS):
        before = _version(path)
        try:
            return _read_once(path, verify)
        except BundleError:
            if _version(path) == before:
                raise
    return _read_once(path, verify)  # else it was replaced in between


def _folder_of_links_to(path: Path) -> Path:
    """The bundle's own folder, where `path` holds links to its files, as `colcon build --symlink-install` makes them.

    The link's target must be named as a manifest; everything is read from the folder that contains the target.
    """
    manifest = path / MANIFEST_FILE
    try:
        end = manifest.resolve() if manifest.is_symlink() else manifest
    except (OSError, RuntimeError):  # a loop of links, which the reader reports
        return path
    return end.parent if end.name == MANIFEST_FILE else path


def _version(path: Path) -> tuple[int, ...]:
    """What changes when another process replaces a bundle or its manifest."""
    try:
        found = (path / MANIFEST_FILE).stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def _read_once(path: Path, verify: bool) -> Bundle:
    manifest_path = path / MANIFEST_FILE
    values = _read_values(manifest_path)
    schema = values.get("schema") if isinstance(values, dict) else None
    if isinstance(schema, bool) or not isinstance(schema, int) or schema < 1:
        raise BundleError(f"{manifest_path} has no schema version; it was not written by `mvloc export`.")
    if schema > SCHEMA_VERSION:
        raise BundleError(
            f"{path} has manifest schema {schema}, this version of mvloc_ros reads up to {SCHEMA_VERSION}; "
            "update mvloc_ros or export the model with this version."
        )
    digest = _verified_digest(manifest_path, values)
    try:
        manifest = manifest_from_json(values)
    except ManifestError as error:
        raise BundleError(f"{manifest_path} is invalid ({error}); export the model again.") from error
    if verify:
        _verify_files(path, manifest)
    return Bundle(path, manifest, digest)


def _read_values(path: Path) -> Any:
    """The values of a manifest's JSON."""
    try:
        return parse_json(read_file(path, MOST_MANIFEST_BYTES, within=path.parent).decode("utf-8"))
    except ReadError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise BundleError(
                f"{path.parent} is not a model bundle: it has no {MANIFEST_FILE}; export the model again."
            ) from None
        raise BundleError(unreadable(path, path.parent, error)) from error
    except ValueError as error:  # of UTF-8 and of JSON
        raise BundleError(f"Cannot read {path}: {error}; copy or export the bundle again.") from error


def _verified_digest(path: Path, values: Mapping[str, Any]) -> str:
    """The digest over the bundle, which must be the one of the values; empty where there is none."""
    if DIGEST not in values:
        return ""
    try:
        stated = Section(values).text(DIGEST)
        require_sha256(DIGEST, stated)
    except ManifestError as error:
        raise BundleError(f"{path} is invalid ({error}); copy or export the bundle again.") from error
    actual = bundle_digest(values)
    if actual != stated:
        raise BundleError(
            f"{path} was changed or damaged after it was written: its digest starts with {actual[:12]}, "
            f"the stated one with {stated[:12]}; copy or export the bundle again."
        )
    return stated


def _verify_files(path: Path, manifest: Manifest) -> None:
    if MODEL_FILE not in manifest.files:
        raise BundleError(f"{path / MANIFEST_FILE} does not list {MODEL_FILE}; export the model again.")
    for precision, spec in manifest.precisions.items():
        if spec.file not in manifest.files:
            raise BundleError(
                f"The manifest of {path} lists the precision {precision} without a file; export the bundle again."
            )
    for name, digest in manifest.files.items():
        if not os.path.lexists(path / name):
            raise BundleError(f"The bundle {path} is missing {name}; copy or export it again.")
        try:
            actual = file_digest(path / name, within=path)
        except ReadError as error:
            raise BundleError(unreadable(path / name, path, error)) from error
        if actual != digest:
            raise BundleError(
                f"{path / name} is damaged or was replaced: its SHA-256 starts with {actual[:12]}, the manifest's "
                f"with {digest[:12]}; copy or export the bundle again."
            )


def read_pair_bundle(path: Path | str, verify: bool = True) -> Bundle:
    """`read_bundle` for what can give a network a color and a depth image only; raises as `require_pair`, too."""
    bundle = read_bundle(path, verify)
    require_pair(bundle)
    return bundle


def require_pair(bundle: Bundle) -> None:
    """Raise BundleError for a bundle whose network takes more than a color and a depth image."""
    if names := ", ".join(item.sensor.name for item in bundle.manifest.sensors):
        raise BundleError(
            f"The bundle {bundle.path} takes the sensors {names} besides color and depth, which maps and "
            "calibration cannot give it yet; train with --sensors none for a scene map (docs/sensors.md)."
        )


def is_current(bundle: Bundle) -> bool:
    """Whether a bundle still has the files that it was read with: another command may have replaced them."""
    return read_bundle(bundle.path, verify=False).manifest.files == bundle.manifest.files


def file_digest(path: Path, within: Path | None = None) -> str:
    """SHA-256 of a file of a bundle, in hexadecimal.

    Raises:
        ReadError: it cannot be read, is no regular file, too large, or lies outside of the folder `within`.
    """
    return digest_file(path, MOST_BUNDLE_FILE_BYTES, within)
