# SPDX-License-Identifier: Apache-2.0
"""Engines on disk, by everything that they depend on: model, TensorRT, GPU, precision, shapes, flags.

An engine runs on the kind of GPU that it was built on and with the TensorRT that built it, and nowhere
else. The key is in the file's name and again in its header, so that a renamed or copied file is seen.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mvloc_ros.backends.tensorrt.sealed_file import DamagedFileError, read_sealed, write_sealed

_ENGINE, _TIMING = ".engine", ".timing"


def default_folder() -> Path:
    """Where engines are kept unless told otherwise: `$XDG_CACHE_HOME/mvloc_ros/engines`, in ~/.cache by default."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification says that a relative path is to be ignored.
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "mvloc_ros" / "engines"


@dataclass(frozen=True)
class EngineKey:
    """All that an engine depends on.

    Attributes:
        model: the bundle's name, for display only.
        onnx: SHA-256 of the ONNX file.
        tensorrt: its full version.
        gpu, compute_capability, multiprocessors: of the GPU, as the driver gives them.
        precision: fp32, fp16, bf16 or int8.
        shapes: of the inputs, such as "color 1x120x160x3".
        flags: all other settings of the builder.
    """

    model: str
    onnx: str
    tensorrt: str
    gpu: str
    compute_capability: str
    multiprocessors: int
    precision: str
    shapes: tuple[str, ...]
    flags: tuple[str, ...]

    def values(self) -> dict[str, Any]:
        """As JSON has it."""
        return dict(json.loads(json.dumps(asdict(self))))

    @property
    def file_name(self) -> str:
        """The name of the engine's file."""
        decisive = {name: value for name, value in self.values().items() if name != "model"}
        digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:20]
        return f"{_plain(self.model)}-{self.precision}-{digest}{_ENGINE}"


class EngineCache:
    """A folder of engines. If it cannot be read or written, engines are built again; the backend still works."""

    def __init__(self, folder: Path, report: Callable[[str], object]) -> None:
        """Use a folder, which need not exist; `report` gets a sentence about each file that is not used or kept."""
        self.folder, self._report = folder, report

    def path(self, key: EngineKey) -> Path:
        """Where the engine of a key is kept."""
        return self.folder / key.file_name

    def read(self, key: EngineKey) -> bytes | None:
        """The engine, or None where the cache has no usable one."""
        found = self._read(self.path(key), "engine")
        if found is None:
            return None
        about, content = found
        if other := [name for name, value in key.values().items() if name != "model" and about.get(name) != value]:
            self._report(
                f"The engine {self.path(key)} was built for a different {', '.join(other)}; it is built again."
            )
            return None
        return content

    def write(self, key: EngineKey, engine: bytes, build_seconds: float) -> bool:
        """Keep an engine; False, after a sentence, where that cannot be done."""
        return self._write(self.path(key), {**key.values(), "build_seconds": round(build_seconds, 1)}, engine)

    def read_timing(self, key: EngineKey) -> bytes:
        """What TensorRT learned of its kernels' speed on this GPU in earlier builds; empty if nothing."""
        found = self._read(self._timing_path(key), "timing cache")
        return b"" if found is None or found[0] != self._timing_about(key) else found[1]

    def write_timing(self, key: EngineKey, timing: bytes) -> None:
        """Keep that for the next build."""
        self._write(self._timing_path(key), self._timing_about(key), timing)

    def _timing_about(self, key: EngineKey) -> dict[str, str | int]:
        return {name: key.values()[name] for name in ("tensorrt", "gpu", "compute_capability", "multiprocessors")}

    def _timing_path(self, key: EngineKey) -> Path:
        return self.folder / f"{_plain(key.gpu)}-{key.multiprocessors}-{_plain(key.tensorrt)}{_TIMING}"

    def _read(self, path: Path, what: str) -> tuple[Mapping[str, Any], bytes] | None:
        try:
            sealed = read_sealed(path)
        except FileNotFoundError:
            return None
        except DamagedFileError as error:
            self._report(f"The {what} {path} is not used: {error}; it is built again.")
            return None
        return sealed.about, sealed.content

    def _write(self, path: Path, about: Mapping[str, Any], content: bytes) -> bool:
        try:
            write_sealed(path, about, content)
        except OSError as error:
            self._report(
                f"{path} cannot be stored ({error.strerror}), so the next start builds it again; check the space and "
                "permissions of the folder, or set `engine_cache` to another."
            )
            return False
        return True

    def files(self) -> Iterator[Path]:
        """Every engine and timing cache in the folder, by name."""
        if self.folder.is_dir():
            yield from sorted(path for path in self.folder.iterdir() if path.suffix in (_ENGINE, _TIMING))

    def clear(self) -> list[Path]:
        """Remove every engine and timing cache, and nothing else; the files that were removed."""
        removed = []
        for path in self.files():
            path.unlink()
            removed.append(path)
        return removed


def _plain(name: str) -> str:
    """A name as a part of a file's name."""
    return "".join(letter if letter.isalnum() or letter in "._" else "_" for letter in name)[:40]
