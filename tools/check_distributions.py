# SPDX-License-Identifier: Apache-2.0
"""Ask the package index whether requirements/ros/*.txt resolve for each distribution's Python, on PCs and Jetsons.

Needs a network; nothing is installed. Prints one line a distribution and machine, and ends with 1 if one fails.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = {"humble": "3.10", "jazzy": "3.12", "kilted": "3.12", "lyrical": "3.14"}
MACHINES = ("x86_64", "aarch64")
# glibc of Ubuntu 22.04 is 2.35; wheels name the oldest that they run on.
GLIBC = ("2_34", "2_31", "2_28", "2_27", "2_17")


def resolved(distribution: str, machine: str) -> str:
    """The versions that pip would install, or why it cannot."""
    platforms = [f"manylinux_{version}_{machine}" for version in GLIBC] + [f"manylinux2014_{machine}"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
        command += ["--ignore-installed", "--target", folder]
        command += ["--only-binary=:all:", "--python-version", PYTHON[distribution], "--report", str(report)]
        command += [word for platform in platforms for word in ("--platform", platform)]
        command += ["-r", str(ROOT / "requirements" / "ros" / f"{distribution}.txt")]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if found.returncode:
            return f"FAILED: {found.stderr.strip().splitlines()[-1]}"
        packages = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    wanted = ("numpy", "onnxruntime", "rosbags", "small_gicp", "small-gicp")
    return ", ".join(f"{each['name']} {each['version']}" for each in packages if each["name"] in wanted)


def main() -> int:
    """Print a table."""
    failed = False
    for distribution, python in PYTHON.items():
        for machine in MACHINES:
            text = resolved(distribution, machine)
            failed |= text.startswith("FAILED")
            print(f"{distribution:8} Python {python:5} {machine:8} {text}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
