# SPDX-License-Identifier: Apache-2.0
"""Fast DDS: whether a profile is loaded, and the segments of shared memory that dead processes left."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from mvloc_ros.doctor.findings import Finding, ok, warning
from mvloc_ros.fastdds_profile import NEW, OLD, installed, shipped


def examine_fast_dds(environ: Mapping[str, str]) -> list[Finding]:
    """Whether the installed Fast DDS loads a profile whose shared memory holds an image."""
    subject = "Fast DDS profile"
    fast_dds = installed(environ)
    read = fast_dds.variable if fast_dds else ""
    given = {name: environ[name] for name in (NEW, OLD) if environ.get(name)}
    name = read if read in given or not given else next(iter(given))
    reader = f"{fast_dds}, which reads {read}" if fast_dds else "a Fast DDS of unknown version"
    profile = shipped() or "<this package>/config/fastdds.xml"
    export = f"export {read or f'{NEW} (Fast DDS 3.x) or {OLD} (2.x)'}={given.get(name, profile)}"
    if name not in given:
        fact = f"none is set for {reader}: the stock shared-memory segment is smaller than one VGA image"
        return [warning(subject, fact, f"{export} for the camera and the node")]
    path = Path(given[name])
    problem, size = _segment(path)
    if problem:
        remedy = f"name a profile, such as {profile}, or unset {name}"
        return [warning(subject, f"{given[name]} ({name}) {problem}", remedy)]
    if not fast_dds or name != read:
        return [warning(subject, f"{path.resolve()} is set with {name}, but here is {reader}", export)]
    return [ok(subject, f"{path.resolve()}, read by {fast_dds} ({name}); {size}")]


def _segment(path: Path) -> tuple[str, str]:
    """What is wrong with a profile, or else the shared-memory segment that it asks for."""
    if not path.is_file():
        return "does not exist", ""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as problem:
        return f"is not XML ({problem})", ""
    sizes = [item.text or "" for item in root.iter() if item.tag.rsplit("}", 1)[-1] == "segment_size"]
    bytes_ = max((int(text) for text in sizes if text.strip().isdigit()), default=0)
    return "", f"segment of {bytes_ / 2**20:.3g} MB" if bytes_ else "it sets no segment size"


def abandoned_segments(folder: Path) -> list[Path]:
    """Fast DDS segments that no process has mapped.

    Other users' maps cannot be read, so an ordinary user sees only their own segments.
    """
    mapped: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            maps = (process / "maps").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        mapped |= {line.rsplit(maxsplit=1)[-1] for line in maps.splitlines() if str(folder) in line}
    # Fast DDS 2.x (Humble, Jazzy) calls them fastrtps_..., 3.x fastdds_...
    named = (path for version in ("fastrtps_*", "fastdds_*") for path in folder.glob(version))
    segments = (path for path in named if "port" not in path.name)
    return sorted(path for path in segments if str(path) not in mapped and _is_ours(path))


def _is_ours(path: Path) -> bool:
    try:
        return os.geteuid() in (0, path.stat().st_uid)
    except OSError:
        return False  # gone meanwhile
