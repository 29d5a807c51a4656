# SPDX-License-Identifier: Apache-2.0
"""How images travel between processes: the middleware in use and its settings, and the space in shared memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from mvloc_ros.doctor.cyclone_dds import RMEM_MAX, examine_cyclone_dds
from mvloc_ros.doctor.fast_dds import abandoned_segments, examine_fast_dds
from mvloc_ros.doctor.findings import Finding, note, ok, warning
from mvloc_ros.doctor.zenoh import examine_zenoh

SHARED_MEMORY = Path("/dev/shm")
SEGMENT_BYTES = 32 * 1024 * 1024  # config/fastdds.xml
FAST_DDS = "rmw_fastrtps_cpp"
"""What every distribution from Humble to Lyrical takes where RMW_IMPLEMENTATION is not set."""


def examine_transport(
    folder: Path = SHARED_MEMORY, environ: Mapping[str, str] = os.environ, rmem_max: Path = RMEM_MAX
) -> list[Finding]:
    """The settings of the middleware that RMW_IMPLEMENTATION names.

    Args:
        folder: where shared memory is.
        environ: the environment that the node will have.
        rmem_max: the kernel's file with the largest receive buffer of a socket, in bytes.
    """
    rmw = environ.get("RMW_IMPLEMENTATION") or FAST_DDS
    if "fastrtps" in rmw:
        findings = [*examine_fast_dds(environ), *_room(folder)]
    elif "cyclonedds" in rmw:
        findings = examine_cyclone_dds(environ, rmem_max)
    elif "zenoh" in rmw:
        findings = examine_zenoh(environ)
    else:
        findings = [note("middleware", f"{rmw}: its settings are not examined here")]
    return [*findings, *_left(folder)]


def _room(folder: Path) -> list[Finding]:
    if not folder.is_dir():
        return [note("shared memory", f"{folder} is not there; images go over UDP")]
    usage = shutil.disk_usage(folder)
    sizes = f"{usage.free / 2**20:.0f} of {usage.total / 2**20:.0f} MB free in {folder}"
    if usage.free < 4 * SEGMENT_BYTES:
        return [
            warning("shared memory", f"{sizes}; each process that sends images takes {SEGMENT_BYTES >> 20} MB",
                    "give the container more (docker run --shm-size=1g), or remove the segments of dead processes")
        ]  # fmt: skip
    return [ok("shared memory", sizes)]


def _left(folder: Path) -> list[Finding]:
    left = abandoned_segments(folder) if folder.is_dir() else []
    if not left:
        return []
    size = sum(path.stat().st_size for path in left if path.exists())
    fact = f"{len(left)} segments of {size / 2**20:.0f} MB belong to no running process"
    return [warning("dead segments", fact, "their processes were killed; remove them with `fastdds shm clean`")]
