# SPDX-License-Identifier: Apache-2.0
"""Which environment variable gives the profile that the installed Fast DDS reads.

Fast DDS 2.x (Humble, Jazzy) reads only FASTRTPS_DEFAULT_PROFILES_FILE and silently ignores the other name.
Fast DDS 3.x (Kilted and later) reads FASTDDS_DEFAULT_PROFILES_FILE; the old name makes its rmw warn. So exactly the one
that is read is set.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NEW, OLD = "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"
_DISTRIBUTIONS_OF_2 = ("foxy", "galactic", "humble", "iron", "jazzy")


@dataclass(frozen=True)
class FastDds:
    """An installed Fast DDS: its version where that is known, and the major one."""

    major: int
    version: str = ""

    @property
    def variable(self) -> str:
        """The environment variable whose file it loads."""
        return OLD if self.major < 3 else NEW

    def __str__(self) -> str:
        return f"Fast DDS {self.version or f'{self.major}.x'}"


def installed(environ: Mapping[str, str] = os.environ, prefix: str = sys.prefix) -> FastDds | None:
    """The Fast DDS of the first prefix that has one, else by ROS_DISTRO; None where both are unknown."""
    for root in _prefixes(environ, prefix):
        # The package was renamed with 3.0.
        for name, major in (("fastdds", 3), ("fastrtps", 2)):
            folder = root / "share" / name
            if folder.is_dir():
                version = _version(folder, name)
                return FastDds(int(version.split(".")[0]) if version else major, version)
    distribution = environ.get("ROS_DISTRO")
    return FastDds(2 if distribution in _DISTRIBUTIONS_OF_2 else 3) if distribution else None


def shipped(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The profile that comes with this package, config/fastdds.xml: of the source tree, or of the workspace."""
    roots = [Path(__file__).resolve().parents[1]]
    roots += [root / "share" / "mvloc_ros" for root in _prefixes(environ, sys.prefix)]
    return next((path for root in roots if (path := root / "config" / "fastdds.xml").is_file()), None)


def settings(environ: Mapping[str, str] = os.environ, profile: Path | None = None) -> dict[str, str]:
    """What to add to an environment so that Fast DDS loads a profile: `profile` or this package's.

    A file that the user set takes precedence, even under the name that this Fast DDS does not read. Where the
    version is unknown both names are set. Empty where nothing is to be added.
    """
    fast_dds = installed(environ)
    wanted = (fast_dds.variable,) if fast_dds else (NEW, OLD)
    if any(environ.get(name) for name in wanted):
        return {}
    theirs = next((environ[name] for name in (NEW, OLD) if environ.get(name)), None)
    chosen = theirs or profile or shipped(environ)
    return {name: str(chosen) for name in wanted} if chosen else {}


def _prefixes(environ: Mapping[str, str], prefix: str) -> list[Path]:
    return [Path(name) for name in (*environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), prefix) if name]


def _version(folder: Path, name: str) -> str:
    """The version in package.xml, or in CMake's file where that is missing; empty where it is in neither."""
    sources = (
        (folder / "package.xml", r"<version>\s*(\d[\d.]*)"),
        (folder / "cmake" / f"{name}-config-version.cmake", r'set\(PACKAGE_VERSION "(\d[\d.]*)'),
    )
    for path, pattern in sources:
        if path.is_file():
            found = re.search(pattern, path.read_text(encoding="utf-8", errors="replace"))
            if found:
                return found[1]
    return ""
