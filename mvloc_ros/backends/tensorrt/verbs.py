# SPDX-License-Identifier: Apache-2.0
"""`mvloc engine build`, `list` and `clear`: TensorRT's engines ahead of time."""

from __future__ import annotations

import argparse
from pathlib import Path

from mvloc_ros.backends.backend import BackendOptions
from mvloc_ros.backends.precision import PRECISIONS
from mvloc_ros.backends.tensorrt.engine_cache import EngineCache, default_folder
from mvloc_ros.backends.tensorrt.sealed_file import DamagedFileError, read_sealed
from mvloc_ros.foreign_text import shown
from mvloc_ros.model.bundle import read_bundle

BUILD_EXAMPLES = """examples:
  mvloc engine build models/redkitchen
  mvloc engine build models/redkitchen --precision fp32 --cache /var/cache/mvloc

The node finds the engine by itself, given the same cache (its parameter `engine_cache`)."""


def add_build_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc engine build`."""
    parser.description = "Build, check and cache the TensorRT engine of a bundle, on and for this machine."
    parser.epilog = BUILD_EXAMPLES
    parser.add_argument("model", type=Path, metavar="BUNDLE", help="folder of the model bundle")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="auto takes fp16 if the bundle has it (default: %(default)s)",
    )
    _add_cache(parser)


def run_build(args: argparse.Namespace) -> int:
    """Build; 0 when the engine is in the cache, also if it was before, 1 when it could not be stored.

    Raises:
        MvlocError: no bundle, no GPU, no TensorRT, or no right engine.
    """
    return 0 if build_ahead(args.model, args.precision, args.cache) else 1


def build_ahead(model: Path, precision: str, cache: Path | None) -> bool:
    """Build the engine of a bundle and print its path; False where the cache could not store it and said why.

    Raises:
        MvlocError: as `run_build`.
    """
    from mvloc_ros.backends.tensorrt.engines import cache_folder, open_engine

    options = BackendOptions(precision=precision, engine_cache="" if cache is None else str(cache), report=print)
    opened = open_engine(read_bundle(model), options)
    opened.execution.close()
    path = EngineCache(cache_folder(options), print).path(opened.key)
    if opened.cached:
        print(f"{path} exists already and loads.")
    elif path.exists():
        print(f"built {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return path.exists()


def add_list_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc engine list`."""
    parser.description = "List the cached engines: what each is for, and whether it is intact."
    parser.epilog = "example:\n  mvloc engine list"
    _add_cache(parser)


def run_list(args: argparse.Namespace) -> int:
    """Print a line for each file."""
    cache = EngineCache(args.cache or default_folder(), print)
    files = list(cache.files())
    print(f"{len(files)} files in {cache.folder}")
    for path in files:
        print(f"{path.name}: {_describe(path)}")
    return 0


def _describe(path: Path) -> str:
    try:
        sealed = read_sealed(path)
    except (DamagedFileError, FileNotFoundError) as error:
        return f"damaged, {error}; it will be built again"
    about = sealed.about
    words = [about.get("model", "timing cache"), about.get("precision", ""), f"TensorRT {about.get('tensorrt')}"]
    words += [f"{about.get('gpu')} ({about.get('compute_capability')})", f"{len(sealed.content) / 1e6:.1f} MB"]
    if "build_seconds" in about:
        words.append(f"built in {about['build_seconds']} s")
    return ", ".join(shown(word) for word in words if word)


def add_clear_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc engine clear`."""
    parser.description = "Remove all cached engines and timing caches; the next start builds what it needs."
    parser.epilog = "example:\n  mvloc engine clear"
    _add_cache(parser)


def run_clear(args: argparse.Namespace) -> int:
    """Remove the files and say how many there were."""
    cache = EngineCache(args.cache or default_folder(), print)
    print(f"removed {len(cache.clear())} files from {cache.folder}")
    return 0


def _add_cache(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cache", type=Path, metavar="FOLDER", help=f"folder of the cached engines (default: {default_folder()})"
    )
