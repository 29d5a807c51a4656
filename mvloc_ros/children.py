# SPDX-License-Identifier: Apache-2.0
"""Python processes that import nothing from the current folder.

`python -m` and `python -c` put the current folder first on the module search path, so that a file `rclpy.py` which
lies there by chance or by intent would be executed. PYTHONSAFEPATH prevents it only from Python 3.11 on, and `-I` also
ignores PYTHONPATH, where a sourced ROS is. So this file is also the script that children are started with: the
interpreter then puts its folder first, and the script removes that again before it imports anything.
"""

import os
import sys


def module_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module as `python -m` does, without the current folder on the search path."""
    return [sys.executable, os.path.abspath(__file__), module, *arguments]


def safe_environment() -> dict[str, str]:
    """The environment of this process, for children, and theirs, that keep the current folder off their search path."""
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    # An empty entry means the current folder; `PYTHONPATH=$PYTHONPATH:/folder` makes one where none was set.
    entries = [entry for entry in environment.pop("PYTHONPATH", "").split(os.pathsep) if entry]
    return {**environment, "PYTHONPATH": os.pathsep.join(entries)} if entries else environment


def protect_children() -> None:
    """Let children of any kind, also those of multiprocessing and of libraries, inherit `safe_environment`."""
    safe = safe_environment()
    if "PYTHONPATH" not in safe:
        os.environ.pop("PYTHONPATH", None)
    os.environ.update(safe)


def _run() -> None:
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]  # the folder of this script
    import runpy

    # Last: only where the package is not installed, since its parent was started in the source tree.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _run()
