# SPDX-License-Identifier: Apache-2.0
"""Writes and changes model bundles: whole or not at all, by one process at a time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from mvloc_ros.model.bundle import MANIFEST_FILE, Bundle, BundleError, file_digest, read_bundle
from mvloc_ros.model.keyframes_spec import KeyframesSpec
from mvloc_ros.model.manifest import Manifest, manifest_to_json
from mvloc_ros.model.manifest_digest import DIGEST, bundle_digest
from mvloc_ros.model.map_spec import SceneMapSpec
from mvloc_ros.model.modalities import SensorInput
from mvloc_ros.storage import StorageError, exclusive, remove_leftovers_in, replace_folder, staging_folder, write_file


def write_bundle(path: Path | str, manifest: Manifest, files: Mapping[str, Path]) -> Bundle:
    """Write a bundle whole or not at all; an older one at `path` is replaced at the last moment.

    Args:
        path: the bundle's folder.
        manifest: its `files` are ignored and computed from the content.
        files: name in the bundle -> file to copy; must contain `model.onnx`.
    """
    path = Path(path).expanduser().resolve()
    if path.exists() and not (path / MANIFEST_FILE).is_file():
        raise BundleError(f"{path} exists and is not a model bundle; choose another folder, or remove it first.")
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
            f"The bundle {path} cannot be written ({error.strerror or error}): free disk space or choose another "
            "folder; nothing was changed."
        ) from error
    return read_bundle(path)


@contextmanager
def bundle_to_change(path: Path | str) -> Iterator[Bundle]:
    """Read and verify a bundle that no other process changes while the block runs.

    Raises:
        BundleError: as `read_bundle`.
        InUseError: another process is changing it.
    """
    found = read_bundle(path, verify=False).path
    if (Path(path).expanduser() / MANIFEST_FILE).is_symlink():
        raise BundleError(f"{path} contains links to the files of {found}; give that folder instead.")
    with exclusive(found):
        yield read_bundle(path)


def add_scene_map(
    bundle: Bundle,
    content: bytes,
    spec: SceneMapSpec,
    keyframes: tuple[bytes, KeyframesSpec] | None = None,
    sensors: tuple[SensorInput, ...] | None = None,
) -> Bundle:
    """Put a scene map into a bundle, or in the place of the one it has; interrupted, the old one stays.

    Args:
        bundle: the model.
        content: of the map's file.
        spec: its `file` and `sha256` are ignored and follow from the content.
        keyframes: likewise content and spec of the keyframes in the map; None: the bundle has none afterwards.
        sensors: those besides the pair, as the map was built with them; None: as they were.

    Raises:
        BundleError: it cannot be written, or is no longer as it was read.
        InUseError: another process is changing it.
    """
    # The names follow from the content, so that the old manifest keeps its files until the new one is there.
    name, digest = _name_and_digest("scene_map", content)
    spec, files = replace(spec, file=name, sha256=digest), {name: content}
    described: KeyframesSpec | None = None
    if keyframes is not None:
        name, digest = _name_and_digest("keyframes", keyframes[0])
        described, files[name] = replace(keyframes[1], file=name, sha256=digest), keyframes[0]
    known = bundle.manifest.sensors if sensors is None else sensors
    text = manifest_text(replace(bundle.manifest, scene_map=spec, keyframes=described, sensors=known))
    with _unchanged(bundle):
        for name, data in files.items():
            write_file(bundle.path / name, data)
        write_file(bundle.path / MANIFEST_FILE, text)
        return read_bundle(bundle.path)


def _name_and_digest(kind: str, content: bytes) -> tuple[str, str]:
    digest = hashlib.sha256(content).hexdigest()
    return f"{kind}-{digest[:12]}.npz", digest


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
                    f"Another command has changed {bundle.path} since it was read; nothing was written: run the "
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
    """Remove maps and keyframes that the manifest does not name: those before, or whose manifest was not written."""
    manifest = read_bundle(path, verify=False).manifest
    named = {spec.file for spec in (manifest.scene_map, manifest.keyframes) if spec is not None}
    for kind in ("scene_map", "keyframes"):
        for found in path.glob(f"{kind}-*.npz"):
            if found.name not in named:
                with contextlib.suppress(OSError):  # a leftover does no harm
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
            f"The manifest cannot be written: {error}; a value in its summary of the training or of the calibration "
            "is not a finite number."
        ) from error
