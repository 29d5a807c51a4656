# SPDX-License-Identifier: Apache-2.0
"""Cyclone DDS: images go over UDP, so that the sockets' receive buffers decide whether they arrive.

It asks for a buffer of 1 MiB and takes less; of a buffer that its configuration demands (the attribute `min`) it takes
nothing less, and no node starts. Linux gives at most twice `net.core.rmem_max` (the kernel's own share included).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from mvloc_ros.doctor.findings import Finding, error, note, ok, warning
from mvloc_ros.errors import MvlocError
from mvloc_ros.file_reader import read_file
from mvloc_ros.limits import MOST_MIDDLEWARE_BYTES

VARIABLE = "CYCLONEDDS_URI"
RMEM_MAX = Path("/proc/sys/net/core/rmem_max")
DEFAULT_BYTES = 1 << 20
WANTED_BYTES = 4 << 20
"""Holds a 720p color image (2.8 MB); of 1 MiB, 79 of 200 such images arrived at 30 Hz, of 4 MiB all."""
_UNITS = {"": 1, "B": 1, "kB": 1 << 10, "KiB": 1 << 10, "MB": 1 << 20, "MiB": 1 << 20, "GB": 1 << 30, "GiB": 1 << 30}
_CONFIGURATION = (
    f'export {VARIABLE}=\'<CycloneDDS><Domain><Internal><SocketReceiveBufferSize min="4MiB"/></Internal></Domain>'
    "</CycloneDDS>'"
)


@dataclass(frozen=True)
class Buffer:
    """What a configuration says of the receive buffers, in bytes; None where it says nothing."""

    least: int | None = None
    most: int | None = None

    @property
    def asked(self) -> int:
        """What Cyclone DDS asks the kernel for."""
        asked = max(DEFAULT_BYTES, self.least or 0) if self.most is None else self.most
        return max(asked, self.least or 0)


def examine_cyclone_dds(environ: Mapping[str, str], rmem_max: Path = RMEM_MAX) -> list[Finding]:
    """Whether the configuration can be used, and whether the receive buffers hold an image."""
    subject = "Cyclone DDS"
    try:
        buffer = configured(environ.get(VARIABLE, ""))
    except MvlocError as problem:
        remedy = f"name an XML file of Cyclone DDS, or unset {VARIABLE}: no node starts with this one"
        return [error(subject, f"{VARIABLE} cannot be used: {problem}", remedy)]
    source = "configured" if buffer.least or buffer.most else "its default"
    findings = [ok(subject, f"asks for receive buffers of {_size(buffer.asked)} ({source}); no shared memory")]
    try:
        limit = int(read_file(rmem_max, 64))
    except (MvlocError, ValueError):
        return [*findings, note("receive buffers", f"{rmem_max} cannot be read; the kernel's limit is not known")]
    raise_limit = f"sudo sysctl -w net.core.rmem_max={max(WANTED_BYTES, buffer.asked)}"
    if buffer.least and 2 * limit < buffer.least:
        fact = f"net.core.rmem_max is {_size(limit)}; with the {_size(buffer.least)} demanded no node starts"
        return [*findings, error("receive buffers", fact, raise_limit)]
    given = min(buffer.asked, limit)
    if limit < WANTED_BYTES:
        fact = f"of {_size(given)} each, as net.core.rmem_max is {_size(limit)}: images larger than that get lost"
        remedy = f"{raise_limit}, and {_CONFIGURATION} for the camera and the node"
        return [*findings, warning("receive buffers", fact, remedy)]
    if given < WANTED_BYTES:
        fact = f"of {_size(given)} each: color images of 1280x720 (2.8 MB) get lost"
        return [*findings, warning("receive buffers", fact, f"{_CONFIGURATION} for the camera and the node")]
    return [*findings, ok("receive buffers", f"of {_size(given)} each; net.core.rmem_max is {_size(limit)}")]


def configured(uri: str) -> Buffer:
    """The receive buffers by `CYCLONEDDS_URI`: files and XML text, separated by commas, a later one over an earlier.

    Raises:
        MvlocError: a file cannot be read, or is not XML.
    """
    least = most = None
    for part in re.split(r",(?=\s*(?:<CycloneDDS|<CDDS|<Domain|file:|/))", uri) if uri.strip() else ():
        text = part.strip()
        if not text.startswith("<"):
            path = Path(text.removeprefix("file://"))
            text = read_file(path, MOST_MIDDLEWARE_BYTES).decode("utf-8", errors="replace")
        try:
            root = ElementTree.fromstring(text)
        except ElementTree.ParseError as problem:
            raise MvlocError(f"{part.strip()[:80]!r} is not XML ({problem})") from problem
        for item in root.iter():
            name = item.tag.rsplit("}", 1)[-1]
            if name == "SocketReceiveBufferSize":
                least, most = _bytes(item.get("min")) or least, _bytes(item.get("max")) or most
            elif name == "MinimumSocketReceiveBufferSize":  # before 0.9
                least = _bytes(item.text) or least
    return Buffer(least, most)


def _bytes(text: str | None) -> int | None:
    """A size as Cyclone DDS reads it: 10MB and 10 MiB are the same; None for `default`."""
    found = re.fullmatch(r"\s*(\d{1,12})\s*([a-zA-Z]*)\s*", text or "")
    return int(found[1]) * _UNITS[found[2]] if found and found[2] in _UNITS else None


def _size(bytes_: int) -> str:
    return f"{bytes_ / 2**20:.3g} MB" if bytes_ >= 1 << 20 else f"{bytes_ / 2**10:.3g} kB"
