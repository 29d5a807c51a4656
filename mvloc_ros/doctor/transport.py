# SPDX-License-Identifier: Apache-2.0
"""Shared memory: the profile, the free space, and segments of dead processes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from xml.etree import ElementTree

from mvloc_ros.doctor.findings import Finding, note, ok, warning
from mvloc_ros.fastdds_profile import NEW, OLD, installed, shipped

SHARED_MEMORY = Path("/dev/shm")
SEGMENT_BYTES = 32 * 1024 * 1024  # config/fastdds.xml


def examine_transport(folder: Path = SHARED_MEMORY) -> list[Finding]:
    """Whether images go through shared memory, and whether it has enough space."""
    return [_profile(), *_room(folder)]


def _profile() -> Finding:
    subject, rmw = "Fast DDS profile", os.environ.get("RMW_IMPLEMENTATION", "")
    if rmw and "fastrtps" not in rmw:
        return note(subject, f"not used with {rmw}")
    fast_dds = installed()
    read = fast_dds.variable if fast_dds else ""
    given = {name: os.environ[name] for name in (NEW, OLD) if os.environ.get(name)}
    name = read if read in given or not given else next(iter(given))
    reader = f"{fast_dds}, which reads {read}" if fast_dds else "a Fast DDS of unknown version"
    profile = shipped() or "<this package>/config/fastdds.xml"
    export = f"export {read or f'{NEW} (Fast DDS 3.x) or {OLD} (2.x)'}={given.get(name, profile)}"
    if name not in given:
        return warning(
            subject, f"none is set for {reader}: the stock shared-memory segment is smaller than one VGA image",
            f"{export} for the camera and the node",
        )  # fmt: skip
    path = Path(given[name])
    problem, size = _segment(path)
    if problem:
        return warning(
            subject, f"{given[name]} ({name}) {problem}", f"name a profile, such as {profile}, or unset {name}"
        )
    if not fast_dds or name != read:
        return warning(subject, f"{path.resolve()} is set with {name}, but here is {reader}", export)
    return ok(subject, f"{path.resolve()}, read by {fast_dds} ({name}); {size}")


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


def _room(folder: Path) -> list[Finding]:
    if not folder.is_dir():
        return [note("shared memory", f"{folder} is not there; images go over UDP")]
    usage, findings = shutil.disk_usage(folder), []
    sizes = f"{usage.free / 2**20:.0f} of {usage.total / 2**20:.0f} MB free in {folder}"
    if usage.free < 4 * SEGMENT_BYTES:
        findings.append(
            warning("shared memory", f"{sizes}; each process that sends images takes {SEGMENT_BYTES >> 20} MB",
                    "give the container more (docker run --shm-size=1g), or remove the segments of dead processes")
        )  # fmt: skip
    else:
        findings.append(ok("shared memory", sizes))
    left = abandoned_segments(folder)
    if left:
        size = sum(path.stat().st_size for path in left if path.exists())
        findings.append(
            warning("dead segments", f"{len(left)} segments of {size / 2**20:.0f} MB belong to no running process",
                    "their processes were killed; remove them with `fastdds shm clean`")
        )  # fmt: skip
    return findings


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
    segments = (path for path in folder.glob("fastdds_*") if "port" not in path.name)
    return sorted(path for path in segments if str(path) not in mapped and _is_ours(path))


def _is_ours(path: Path) -> bool:
    try:
        return os.geteuid() in (0, path.stat().st_uid)
    except OSError:
        return False  # gone meanwhile
