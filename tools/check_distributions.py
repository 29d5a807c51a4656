# SPDX-License-Identifier: Apache-2.0
"""Ask the package index whether requirements/ros/*.txt resolve for each distribution's Python, on PCs and on aarch64,
and on a Jetson together with requirements/jetson/*.txt.

Needs a network and uv, which takes the conditions of requirements (`python_version < "3.14"`) for the Python that is
asked for, where pip takes its own; nothing is installed. Prints one line a distribution and machine, and ends with 1 if
one fails.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = {"humble": "3.10", "jazzy": "3.12", "kilted": "3.12", "lyrical": "3.14"}
MACHINES = ("x86_64", "aarch64")
JETPACK = {"humble": "jetpack6", "jazzy": "jetpack7", "kilted": "jetpack7"}
GLIBC = "2_35"  # of Ubuntu 22.04
SHOWN = ("numpy", "onnxruntime", "rosbags", "small-gicp", "cuda-python")


def resolved(uv: str, distribution: str, machine: str, *files: str) -> str:
    """The versions that are installed for a distribution's file and others, or why there are none."""
    command = [uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--only-binary", ":all:"]
    command += ["--python-version", PYTHON[distribution], "--python-platform", f"{machine}-manylinux_{GLIBC}"]
    command += [str(ROOT / "requirements" / f"{name}.txt") for name in (f"ros/{distribution}", *files)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        return f"FAILED: {' '.join(found.stderr.split())[-400:]}"
    versions = dict(line.split(";")[0].strip().split("==") for line in found.stdout.splitlines() if "==" in line)
    return ", ".join(f"{name} {versions[name]}" for name in SHOWN if name in versions)


def main() -> int:
    """Print a table."""
    uv = shutil.which("uv")
    if uv is None:
        print("check_distributions: uv is not installed; install it with: pip install uv", file=sys.stderr)
        return 1
    cases = [(name, f"Python {PYTHON[name]}", machine, ()) for name in PYTHON for machine in MACHINES]
    cases += [(name, jetpack, "aarch64", (f"jetson/{jetpack}",)) for name, jetpack in JETPACK.items()]
    failed = False
    for distribution, what, machine, files in cases:
        text = resolved(uv, distribution, machine, *files)
        failed |= text.startswith("FAILED")
        print(f"{distribution:8} {what:11} {machine:8} {text}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
