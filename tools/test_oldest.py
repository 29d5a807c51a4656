# SPDX-License-Identifier: Apache-2.0
"""Run the tests that need neither PyTorch nor a running node with the oldest supported libraries, in an environment
of their own (`.venv-oldest`, Python 3.10; requirements/oldest.txt says which).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-oldest"
# Without the tests that need PyTorch, this package's built messages, or real DDS.
TESTS = [
    "geometry", "frontend", "localization", "recordings", "demo", "model/test_bundle.py",
    "model/test_preprocessing.py", "replay/test_offline.py", "replay/test_evaluation.py",
    "evaluation", "mapping/test_map.py", "mapping/test_refinement.py",
]  # fmt: skip
_NEEDS_MESSAGES = "test_without_small_gicp_the_network_is_left_and_what_to_install_is_said"


def main() -> int:
    """Make the environment where it is missing, then run the tests; their exit code."""
    if sys.version_info[:2] != (3, 10):
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        print(f"test-oldest: needs Python 3.10, not {version}: make PYTHON=python3.10 test-oldest", file=sys.stderr)
        return 1
    requirements = ROOT / "requirements" / "oldest.txt"
    stamp = VENV / "installed.txt"
    if not stamp.exists() or stamp.read_bytes() != requirements.read_bytes():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], cwd=ROOT, check=True)
        subprocess.run([str(VENV / "bin" / "pip"), "install", "--quiet", "-r", str(requirements)], check=True)
        stamp.write_bytes(requirements.read_bytes())
    paths = os.pathsep.join([str(ROOT), str(ROOT / "pip_ros" / "python")])
    environment = {**os.environ, "PYTHONPATH": paths, "AMENT_PREFIX_PATH": str(VENV), "OMP_NUM_THREADS": "1"}
    command = [str(VENV / "bin" / "python"), "-m", "pytest", "-q", "-n", "2", "-m", "not dds", "-W", "ignore", "-k"]
    command += [f"not {_NEEDS_MESSAGES}", *(f"test/{name}" for name in TESTS)]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
