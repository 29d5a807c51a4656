# SPDX-License-Identifier: Apache-2.0
"""A file with a description of its content and a digest: written whole or not at all, read whole or not at all.

    magic    16 bytes
    length   of the header, 4 bytes, little endian
    header   JSON: what the content is, its size and its SHA-256
    content  the rest

TensorRT's own reader of engines trusts its input; a truncated engine may end the process. So nothing
is given to it that was not written by this module, unchanged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvloc_ros.errors import MvlocError
from mvloc_ros.file_reader import ReadError, open_regular
from mvloc_ros.json_text import parse_json
from mvloc_ros.limits import MOST_BUNDLE_FILE_BYTES
from mvloc_ros.model.manifest_checks import Section
from mvloc_ros.storage import write_file

_MAGIC = b"mvloc sealed 01\n"
_LENGTH_BYTES = 4
_MAX_HEADER = 1 << 20


class DamagedFileError(MvlocError):
    """A file is not what this module wrote; the message says how it differs."""


@dataclass(frozen=True)
class Sealed:
    """What a file says of its content, and the content."""

    about: Mapping[str, Any]
    content: bytes


def write_sealed(path: Path, about: Mapping[str, Any], content: bytes) -> None:
    """Write a file atomically; `about` must be plain JSON values.

    Raises:
        OSError: the folder cannot be made or written, or the disk is full; no partial file is left.
    """
    header = json.dumps({"about": about, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, b"".join((_MAGIC, len(header).to_bytes(_LENGTH_BYTES, "little"), header, content)))


def read_sealed(path: Path) -> Sealed:
    """Read a file and check it.

    Raises:
        FileNotFoundError: there is none.
        DamagedFileError: it cannot be read, is truncated or altered, or was written by something else.
    """
    try:
        with open_regular(path, MOST_BUNDLE_FILE_BYTES) as stream:
            if stream.read(len(_MAGIC)) != _MAGIC:
                raise DamagedFileError("it was not written by this version of mvloc_ros")
            length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
            if length > _MAX_HEADER:
                raise DamagedFileError("its header is damaged")
            about, size, digest = _parse_header(stream.read(length), length)
            if size > MOST_BUNDLE_FILE_BYTES:
                raise DamagedFileError("its header is damaged")
            content = stream.read(size + 1)  # one more shows that it is longer than was written
    except ReadError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise error.__cause__ from None
        raise DamagedFileError(f"it cannot be read ({error.strerror})") from error
    except OSError as error:
        raise DamagedFileError(f"it cannot be read ({error.strerror})") from error
    if len(content) != size:
        found = len(content) if len(content) < size else f"more than {size}"
        raise DamagedFileError(f"it has {found} bytes of content where {size} were written")
    if hashlib.sha256(content).hexdigest() != digest:
        raise DamagedFileError("its content is not what was written")
    return Sealed(about, content)


def _parse_header(header: bytes, length: int) -> tuple[Mapping[str, Any], int, str]:
    try:
        if len(header) != length:
            raise ValueError("truncated")
        values = Section.of(parse_json(header.decode()), "the header")
        about, size, digest = values.section("about"), values.integer("size"), values.text("sha256")
        if size < 0:
            raise ValueError("a negative size")
        return dict(about.values), size, digest
    except ValueError as error:  # JSON's, Unicode's and the manifest's checks
        raise DamagedFileError("its header is damaged") from error
