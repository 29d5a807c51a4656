# SPDX-License-Identifier: Apache-2.0
"""An .npz file from outside -> arrays, each of the type and the size that are expected.

`numpy.load` makes room for what an array's header states, which may be terabytes, and inflates what is there. Here the
directory of the archive is read first, then the headers of the arrays, and only what fits to both, and to the limits,
is inflated. What the libraries raise on damage becomes a ValueError.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_END_BYTES, _LOCATOR_BYTES = 22, 20
_MOST_MEMBERS, _MOST_DIRECTORY_BYTES = 64, 1 << 16
_MOST_HEADER = 4096
_SUFFIX = ".npy"


@dataclass(frozen=True)
class ArrayKind:
    """What an array must be.

    Attributes:
        dtype: of its values.
        dimensions: how many it has.
        most: largest length of the first one.
    """

    dtype: Any
    dimensions: int
    most: int


class MapArchive:
    """An .npz file in memory; every method raises ValueError where it is not what is expected."""

    def __init__(self, content: bytes) -> None:
        """Read the archive's directory."""
        _require_small_directory(content)
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(content))
        except Exception as error:
            raise ValueError(_in_words(error)) from error
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in self._archive.infolist():
            name = info.filename.removesuffix(_SUFFIX)
            if info.orig_filename != name + _SUFFIX or name in self._members:
                raise ValueError(f"its member {info.orig_filename[:40]!r} is there twice or is no array")
            if info.flag_bits & 0x1:
                raise ValueError(f"its array {name[:40]} is encrypted")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"its array {name[:40]} is compressed in another way than by deflate")
            self._members[name] = info

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read_all(self, kinds: Mapping[str, ArrayKind], besides: str) -> dict[str, NDArray[Any]]:
        """Arrays by name; there must be no others, but for the name `besides`."""
        if unknown := set(self._members) - set(kinds) - {besides}:
            raise ValueError(f"it has an unknown array {sorted(unknown)[0][:40]!r}")
        return {name: self.read(name, kind) for name, kind in kinds.items()}

    def read(self, name: str, kind: ArrayKind) -> NDArray[Any]:
        """One array; nothing is inflated before its header, the directory and the limits agree on its size."""
        if name not in self._members:
            raise ValueError(f"it has no array {name}")
        try:
            with self._archive.open(self._members[name]) as stream:
                if np.lib.format.read_magic(stream) != (1, 0):
                    raise ValueError(f"its array {name} is of another version of the .npy format")
                shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_MOST_HEADER)
                _require_kind(name, kind, dtype, shape)
                size = math.prod(shape) * dtype.itemsize
                if stream.tell() + size != self._members[name].file_size:
                    raise ValueError(f"its array {name} of {_text(shape)} has another size than the archive says")
                data = stream.read(size)
                if len(data) != size or stream.read(1):  # at the end the checksum is compared
                    raise ValueError(f"its array {name} is truncated")
        except ValueError:
            raise
        except Exception as error:  # zlib, zipfile, struct and numpy raise a dozen kinds on damage
            raise ValueError(_in_words(error)) from error
        return np.frombuffer(data, dtype).reshape(shape, order="F" if is_fortran else "C")


def _require_small_directory(content: bytes) -> None:
    """A small directory at the very end, as numpy writes it, so that reading it takes no memory to speak of."""
    end = content[-_END_BYTES:]
    has_locator = content[-_END_BYTES - _LOCATOR_BYTES :][:4] == b"PK\x06\x07"
    if len(end) < _END_BYTES or end[:4] != b"PK\x05\x06" or has_locator:
        raise ValueError("it ends with no directory of an .npz file")
    members, size = int.from_bytes(end[10:12], "little"), int.from_bytes(end[12:16], "little")
    if members > _MOST_MEMBERS or size > _MOST_DIRECTORY_BYTES:
        raise ValueError(f"its directory has {members} members and {size} bytes")


def _require_kind(name: str, kind: ArrayKind, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    if dtype != kind.dtype or len(shape) != kind.dimensions:
        raise ValueError(f"its array {name} is {str(dtype)[:40]} of {len(shape)} dimensions")
    if any(isinstance(length, bool) or not 0 <= length < 2**40 for length in shape):
        raise ValueError(f"its array {name} has the shape {_text(shape)}")
    if shape[0] > kind.most:
        raise ValueError(f"its array {name} has {shape[0]} rows, at most {kind.most} are accepted")


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(str(length)[:20] for length in shape)


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:100]}"
