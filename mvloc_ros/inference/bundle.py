# SPDX-License-Identifier: Apache-2.0
"""The model bundle: one folder that holds all the node needs of a trained model.

    model.onnx           the network; uint8 colour, float32 depth and a presence mask in, pose out
    model_fp16.onnx      the same with encoders in float16, if exported so; likewise bf16 and int8
    manifest.json        what the network expects and what its numbers mean, with digests of the files
    training_poses.tum   where the training frames were taken (for baselines and plots)
    validation.csv       where the network put the frames that were held out of its training
    scene_map-*.npz      surfaces that poses are refined against, if `mvloc map` added them

Nothing in a bundle is executable and nothing is pickled: a bundle from elsewhere can do no harm
beyond a wrong pose. Files are checked against their SHA-256 before they are used, and the manifest
against its own (`manifest_digest`). Every file is a regular one that lies in the folder itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.errors import MvlocError
from mvloc_ros.file_reader import ReadError, digest_file, open_regular, read_file
from mvloc_ros.geometry.trajectory import Trajectory, read_tum
from mvloc_ros.inference.manifest import SCHEMA_VERSION, Manifest, manifest_from_json, manifest_to_json
from mvloc_ros.inference.manifest_checks import ManifestError, Section, require_sha256
from mvloc_ros.inference.manifest_digest import DIGEST, bundle_digest
from mvloc_ros.inference.map_spec import SceneMapSpec
from mvloc_ros.json_text import parse_json
from mvloc_ros.limits import MOST_BUNDLE_FILE_BYTES, MOST_MANIFEST_BYTES, MOST_TEXT_BYTES
from mvloc_ros.storage import (
    StorageError,
    exclusive,
    recover_folder,
    remove_leftovers_in,
    replace_folder,
    staging_folder,
    write_file,
)

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"
TRAINING_POSES_FILE = "training_poses.tum"
_READS = 20  # while another process keeps replacing what is read


class BundleError(MvlocError):
    """A bundle is missing, damaged, foreign or too new."""


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
    def digest_in_words(self) -> str:
        """The digest's first digits, by which the models of two robots are compared, or that there is none."""
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
        """The training frames' poses, or None if the bundle does not tell them.

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
    if path.is_symlink() and "leads out of" in reason:
        return (
            f"{path} cannot be read ({reason}): files of a bundle must lie in its folder; copy the bundle with "
            "`cp -rL`, which puts files in the place of links, or give the folder that they lead to."
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
            "No model is named: set the parameter `model` to the folder that `mvloc export` wrote, as in "
            "`ros2 launch mvloc_ros mvloc.launch.py model:=/path/to/bundle`."
        )
    try:
        path = Path(path).expanduser().resolve()
        is_there = path.is_dir() or recover_folder(path)
    except (OSError, RuntimeError, ValueError) as error:  # a name that is too long, no such user, a zero byte
        raise BundleError(f"{str(path)[:200]!r} is no folder of a model bundle: {error}.") from error
    if not is_there:
        raise BundleError(
            f"There is no model bundle at {path}; give the folder that `mvloc export` wrote (it holds {MANIFEST_FILE})."
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

    The name of the link's end must be that of a manifest, and everything is read from the folder that it is in.
    """
    manifest = path / MANIFEST_FILE
    try:
        end = manifest.resolve() if manifest.is_symlink() else manifest
    except (OSError, RuntimeError):  # a loop of links, which the reader says
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
        raise BundleError(f"{manifest_path} names no schema version; it was not written by `mvloc export`.")
    if schema > SCHEMA_VERSION:
        raise BundleError(
            f"{path} has manifest schema {schema}, this version of mvloc_ros reads up to {SCHEMA_VERSION}; "
            "update mvloc_ros or export the model with this version."
        )
    digest = _verified_digest(manifest_path, values)
    try:
        manifest = manifest_from_json(values)
    except ManifestError as error:
        raise BundleError(f"{manifest_path} is incomplete or wrong ({error}); export the model again.") from error
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
                f"{path.parent} is no model bundle: it has no {MANIFEST_FILE}; export the model again."
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
        raise BundleError(f"{path} is wrong ({error}); copy or export the bundle again.") from error
    actual = bundle_digest(values)
    if actual != stated:
        raise BundleError(
            f"{path} was changed or damaged since it was written: its digest begins {actual[:12]}, it states "
            f"{stated[:12]}; copy or export the bundle again."
        )
    return stated


def _verify_files(path: Path, manifest: Manifest) -> None:
    if MODEL_FILE not in manifest.files:
        raise BundleError(f"{path / MANIFEST_FILE} does not list {MODEL_FILE}; export the model again.")
    for precision, spec in manifest.precisions.items():
        if spec.file not in manifest.files:
            raise BundleError(f"The manifest of {path} has a precision {precision} without file; export it again.")
    for name, digest in manifest.files.items():
        if not os.path.lexists(path / name):
            raise BundleError(f"The bundle {path} lacks {name}; copy or export it again.")
        try:
            actual = file_digest(path / name, within=path)
        except ReadError as error:
            raise BundleError(unreadable(path / name, path, error)) from error
        if actual != digest:
            raise BundleError(
                f"{path / name} is damaged or was replaced: its SHA-256 begins {actual[:12]}, the manifest says "
                f"{digest[:12]}; copy or export the bundle again."
            )


def write_bundle(path: Path | str, manifest: Manifest, files: Mapping[str, Path]) -> Bundle:
    """Write a bundle whole or not at all; an older one at `path` is replaced at the last moment.

    Args:
        path: the bundle's folder.
        manifest: its `files` are ignored and computed from the content.
        files: name in the bundle -> file to copy; must contain `model.onnx`.
    """
    path = Path(path).expanduser().resolve()
    if path.exists() and not (path / MANIFEST_FILE).is_file():
        raise BundleError(f"{path} exists and is no model bundle; choose another folder or remove it yourself.")
    try:
        with staging_folder(path) as staging:
            for name, source in files.items():
                shutil.copyfile(source, staging / name)
            digests = {name: file_digest(staging / name) for name in sorted(files)}
            (staging / MANIFEST_FILE).write_text(manifest_text(replace(manifest, files=digests)), encoding="utf-8")
            with exclusive(path) if path.is_dir() else nullcontext():
                replace_folder(staging, path)
    except OSError as error:
        raise BundleError(
            f"The bundle {path} cannot be written ({error.strerror or error}): make room or choose another folder; "
            "nothing was changed."
        ) from error
    return read_bundle(path)


def is_current(bundle: Bundle) -> bool:
    """Whether a bundle still has the files that it was read with: another command may have replaced it since."""
    return read_bundle(bundle.path, verify=False).manifest.files == bundle.manifest.files


@contextmanager
def bundle_to_change(path: Path | str) -> Iterator[Bundle]:
    """Read and verify a bundle that no other process changes while the block runs.

    Raises:
        BundleError: as `read_bundle`.
        InUseError: another process is changing it.
    """
    found = read_bundle(path, verify=False).path
    if (Path(path).expanduser() / MANIFEST_FILE).is_symlink():
        raise BundleError(f"{path} holds links to the files of {found}; give that folder to change them.")
    with exclusive(found):
        yield read_bundle(path)


def add_scene_map(bundle: Bundle, content: bytes, spec: SceneMapSpec) -> Bundle:
    """Put a scene map into a bundle, or in the place of the one it has; interrupted, the old one stays.

    Args:
        bundle: the model.
        content: of the map's file.
        spec: its `file` and `sha256` are ignored and follow from the content.

    Raises:
        BundleError: it cannot be written, or is no longer as it was read.
        InUseError: another process is changing it.
    """
    digest = hashlib.sha256(content).hexdigest()
    # The name follows from the content, so that the old manifest keeps its file until the new one is there.
    spec = replace(spec, file=f"scene_map-{digest[:12]}.npz", sha256=digest)
    text = manifest_text(replace(bundle.manifest, scene_map=spec))
    with _unchanged(bundle):
        write_file(bundle.path / spec.file, content)
        write_file(bundle.path / MANIFEST_FILE, text)
        return read_bundle(bundle.path)


def replace_manifest(bundle: Bundle, manifest: Manifest) -> Bundle:
    """Give a bundle another manifest that lists the same files; interrupted, the old one stays.

    Raises:
        BundleError: it cannot be written, or is no longer as it was read.
        InUseError: another process is changing it.
    """
    with _unchanged(bundle):
        write_file(bundle.path / MANIFEST_FILE, manifest_text(replace(manifest, files=bundle.manifest.files)))
        return read_bundle(bundle.path)


@contextmanager
def _unchanged(bundle: Bundle) -> Iterator[None]:
    """Hold a bundle that is still as it was read: what follows from another manifest may not fit to this one."""
    try:
        with exclusive(bundle.path):
            if manifest_text(read_bundle(bundle.path, verify=False).manifest) != manifest_text(bundle.manifest):
                raise BundleError(
                    f"Another command has changed {bundle.path} since it was read; nothing was written: give the "
                    "command again."
                )
            remove_leftovers_in(bundle.path)
            try:
                yield
            finally:
                _remove_unnamed_maps(bundle.path)
    except StorageError as error:
        raise BundleError(str(error)) from error
    except OSError as error:
        raise BundleError(
            f"{bundle.path} cannot be written ({error.strerror}); check the permissions of the bundle and the disk's "
            "space."
        ) from error


def _remove_unnamed_maps(path: Path) -> None:
    """Remove the maps that the manifest does not name: the one before, or one whose manifest was not written."""
    spec = read_bundle(path, verify=False).manifest.scene_map
    for found in path.glob("scene_map-*.npz"):
        if spec is None or found.name != spec.file:
            with contextlib.suppress(OSError):  # it is in nobody's way
                found.unlink()


def manifest_text(manifest: Manifest) -> str:
    """The content of a manifest's file, with the digest over the bundle.

    Raises:
        BundleError: a value cannot be written, such as a number that is not finite.
    """
    try:
        values = manifest_to_json(manifest, manifest.files)
        values = json.loads(json.dumps(values, allow_nan=False))  # lists of tuples, as a reader gets them
        return json.dumps({**values, DIGEST: bundle_digest(values)}, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise BundleError(
            f"The manifest cannot be written: {error}; a value of its summary of the training or of the calibration "
            "is no finite number."
        ) from error


def file_digest(path: Path, within: Path | None = None) -> str:
    """SHA-256 of a file of a bundle, in hexadecimal.

    Raises:
        ReadError: it cannot be read, is no regular file, too large, or lies outside of the folder `within`.
    """
    return digest_file(path, MOST_BUNDLE_FILE_BYTES, within)
