# SPDX-License-Identifier: Apache-2.0
"""Run the tests that need neither PyTorch nor a running node with the libraries of a distribution's Ubuntu, in an
environment of their own (`.venv-oldest/NAME`; requirements/oldest/NAME.txt says which): `test_oldest.py humble`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".venv-oldest"
# Distribution -> its Python and the file of its Ubuntu.
DISTRIBUTIONS = {
    "humble": ((3, 10), "humble"),
    "jazzy": ((3, 12), "jazzy"),
    "kilted": ((3, 12), "jazzy"),
    "lyrical": ((3, 14), "lyrical"),
}
# Without the tests that need PyTorch, this package's built messages, or real DDS.
TESTS = [
    "geometry", "frontend", "localization", "recordings", "demo", "model/test_bundle.py",
    "model/test_preprocessing.py", "replay/test_offline.py", "replay/test_evaluation.py",
    "evaluation", "mapping/test_map.py", "mapping/test_refinement.py",
]  # fmt: skip
_NEEDS_MESSAGES = "test_without_small_gicp_the_network_is_left_and_what_to_install_is_said"


def main(arguments: list[str]) -> int:
    """Make the environment where it is missing, then run the tests; their exit code."""
    distribution = arguments[0] if arguments else "humble"
    if distribution not in DISTRIBUTIONS:
        print(f"test-oldest: DISTRO is one of {', '.join(DISTRIBUTIONS)}, not {distribution}", file=sys.stderr)
        return 1
    python, ubuntu = DISTRIBUTIONS[distribution]
    if sys.version_info[:2] != python:
        wanted, here = (f"{version[0]}.{version[1]}" for version in (python, sys.version_info))
        remedy = f"make PYTHON=python{wanted} DISTRO={distribution} test-oldest"
        print(f"test-oldest: {distribution} needs Python {wanted}, not {here}: {remedy}", file=sys.stderr)
        return 1
    requirements, venv = ROOT / "requirements" / "oldest" / f"{ubuntu}.txt", VENVS / ubuntu
    stamp = venv / "installed.txt"
    if not stamp.exists() or stamp.read_bytes() != requirements.read_bytes():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], cwd=ROOT, check=True)
        subprocess.run([str(venv / "bin" / "pip"), "install", "--quiet", "-r", str(requirements)], check=True)
        stamp.write_bytes(requirements.read_bytes())
    paths = os.pathsep.join([str(ROOT), str(ROOT / "pip_ros" / "python")])
    environment = {**os.environ, "PYTHONPATH": paths, "AMENT_PREFIX_PATH": str(venv), "OMP_NUM_THREADS": "1"}
    command = [str(venv / "bin" / "python"), "-m", "pytest", "-q", "-n", "2", "-m", "not dds", "-W", "ignore", "-k"]
    command += [f"not {_NEEDS_MESSAGES}", *(f"test/{name}" for name in TESTS)]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
