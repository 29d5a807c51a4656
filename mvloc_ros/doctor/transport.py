# SPDX-License-Identifier: Apache-2.0
"""Shared memory: the profile, the room, and what dead processes left behind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mvloc_ros.doctor.findings import Finding, note, ok, warning

SHARED_MEMORY = Path("/dev/shm")
SEGMENT_BYTES = 32 * 1024 * 1024  # config/fastdds.xml
_PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")


def examine_transport(folder: Path = SHARED_MEMORY) -> list[Finding]:
    """Whether images go through shared memory, and whether there is room for it."""
    return [_profile(), *_room(folder)]


def _profile() -> Finding:
    chosen = next((os.environ[name] for name in _PROFILES if os.environ.get(name)), None)
    if chosen is None:
        return warning(
            "Fast DDS profile", "none is set: the stock shared-memory segment is smaller than one VGA image",
            "export FASTDDS_DEFAULT_PROFILES_FILE=<this package>/config/fastdds.xml for the camera and the node",
        )  # fmt: skip
    if not Path(chosen).is_file():
        return warning("Fast DDS profile", f"{chosen} does not exist", "name an existing file, or unset the variable")
    return ok("Fast DDS profile", chosen)


def _room(folder: Path) -> list[Finding]:
    if not folder.is_dir():
        return [note("shared memory", f"{folder} is not there; images go over UDP")]
    usage, findings = shutil.disk_usage(folder), []
    sizes = f"{usage.free / 2**20:.0f} of {usage.total / 2**20:.0f} MB free in {folder}"
    if usage.free < 4 * SEGMENT_BYTES:
        findings.append(
            warning("shared memory", f"{sizes}; each process that sends images takes {SEGMENT_BYTES >> 20} MB",
                    "give the container more (docker run --shm-size=1g), or remove what dead processes left")
        )  # fmt: skip
    else:
        findings.append(ok("shared memory", sizes))
    left = abandoned_segments(folder)
    if left:
        size = sum(path.stat().st_size for path in left if path.exists())
        findings.append(
            warning("dead segments", f"{len(left)} segments of {size / 2**20:.0f} MB belong to no running process",
                    "they are of processes that were killed; remove them with `fastdds shm clean`")
        )  # fmt: skip
    return findings


def abandoned_segments(folder: Path) -> list[Path]:
    """Fast DDS' segments that no process has mapped.

    Other users' maps cannot be read, so as an ordinary user only one's own segments are judged.
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
