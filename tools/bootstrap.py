# SPDX-License-Identifier: Apache-2.0
"""Sets up `.venv`: pinned packages, ROS 2 from wheels, and this project's messages built into it.

Used by the Makefile on machines without ROS; a ROS workspace needs only `colcon build`.
Each step leaves a stamp with the digest of what it was made from, so that a second run does only what
changed and an interrupted run continues where it stopped. Uses nothing beyond Python's standard library.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
PIP_INSTALL = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
REQUIREMENTS = ROOT / "requirements"
BUILD = ROOT / "build" / "pip_ros"
MESSAGE_PACKAGES = ("tf2_msgs", "bond", "nav2_msgs")
"""In pip_ros: what PyPI lacks."""
OLDEST, NEWEST = (3, 10), (3, 14)


class SetupError(Exception):
    """Something the user must install or fix, in one sentence."""


def main() -> int:
    """Run the steps; 0 when the environment is ready, 1 with one sentence when it cannot be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dev", action="store_true", help="also torch, test tools and linters")
    parser.add_argument("--docs", action="store_true", help="also what `make docs` needs")
    arguments = parser.parse_args()
    try:
        check_machine()
        create_environment()
        install("build", ["runtime.lock", "build.lock"])
        build_messages()
        install_python_packages()
        if arguments.dev:
            install("torch", ["torch.txt"])
            install("dev", ["train.lock", "dev.lock"])
        if arguments.docs:
            install("docs", ["docs.lock"])
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nsetup: interrupted; run the same command again to continue.", file=sys.stderr)
        return 130
    return 0


def check_machine() -> None:
    """Name what the machine lacks and the package that provides it."""
    version = sys.version_info[:2]
    if not OLDEST <= version <= NEWEST:
        raise SetupError(
            f"Python {version[0]}.{version[1]} is not supported; use 3.{OLDEST[1]} to 3.{NEWEST[1]}, "
            "for example: make PYTHON=python3.11 demo"
        )
    lacking = []
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        lacking.append(("a C++ compiler", "build-essential"))
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        lacking.append(("the Python headers", f"python{version[0]}.{version[1]}-dev"))
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        lacking.append(("Python's venv module", f"python{version[0]}.{version[1]}-venv"))
    if lacking:
        names = " and ".join(name for name, _ in lacking)
        packages = " ".join(package for _, package in lacking)
        raise SetupError(f"this machine lacks {names}; install with: sudo apt-get install {packages}")


def create_environment() -> None:
    """Make `.venv`; one whose interpreter is gone or of another version is made again."""
    wanted = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if PYTHON.exists():
        probe = subprocess.run(
            [PYTHON, "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
        )
        if probe.stdout.strip() == wanted and (VENV / "bin" / "pip").exists():
            return
    say(f"creating .venv with Python {wanted}")
    shutil.rmtree(VENV, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(VENV)], "the virtual environment could not be created")


def install(step: str, files: list[str]) -> None:
    """Install pinned requirements, all files in one resolution."""
    paths = [REQUIREMENTS / name for name in files]
    if is_done(step, paths):
        return
    say(f"installing {', '.join(files)} (minutes on the first run)")
    run(
        [*PIP_INSTALL, *(word for path in paths for word in ("-r", str(path)))],
        "pip could not install the pinned packages; check the network and run the same command again",
    )
    mark_done(step, paths)


def build_messages() -> None:
    """Build the message packages that PyPI lacks, and this package's messages, with colcon into the environment."""
    sources = [
        *sorted((ROOT / "msg").glob("*.msg")),
        ROOT / "package.xml",
        ROOT / "CMakeLists.txt",
        *(path for name in MESSAGE_PACKAGES for path in sorted((ROOT / "pip_ros" / name).rglob("*.*"))),
        REQUIREMENTS / "build.lock",
    ]
    if is_done("messages", sources):
        return
    say("building the ROS messages")
    shutil.rmtree(site_packages() / "mvloc_ros", ignore_errors=True)  # of an earlier build
    correct_wheel_paths()
    workspace = BUILD / "workspace"
    shutil.rmtree(BUILD, ignore_errors=True)
    workspace.mkdir(parents=True)
    # COLCON_IGNORE hides pip_ros from ordinary workspaces, so its packages are linked next to it.
    for name in MESSAGE_PACKAGES:
        (workspace / name).symlink_to(ROOT / "pip_ros" / name)
    (workspace / "mvloc_ros").symlink_to(ROOT)
    environment = {
        **os.environ,
        "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "AMENT_PREFIX_PATH": str(VENV),
        "CMAKE_PREFIX_PATH": str(VENV),
        "COLCON_HOME": str(BUILD / "colcon"),
    }
    for name in ("PYTHONPATH", "COLCON_PREFIX_PATH", "ROS_DISTRO"):
        environment.pop(name, None)
    command = [
        str(VENV / "bin" / "colcon"), "--log-base", str(BUILD / "log"), "build", "--merge-install",
        "--build-base", str(BUILD / "build"), "--install-base", str(VENV),
        "--base-paths", *(str(workspace / name) for name in (*MESSAGE_PACKAGES, "mvloc_ros")),
        "--packages-select", *MESSAGE_PACKAGES, "mvloc_ros", "--event-handlers", "console_cohesion-",
        "--cmake-args", f"-DPython3_EXECUTABLE={PYTHON}", "-DBUILD_TESTING=OFF", "-DMVLOC_COMMAND_ON_PATH=OFF",
        "-DMVLOC_PYTHON=OFF", "-Wno-dev", "--no-warn-unused-cli",
    ]  # fmt: skip
    run(command, f"colcon could not build the messages; its logs are in {BUILD / 'log'}", environment)
    # The message generator leaves metadata under this project's own name; pip would take it for an older
    # installation and remove the messages with it.
    for metadata in site_packages().glob("mvloc_ros-*.egg-info"):
        shutil.rmtree(metadata)
    mark_done("messages", sources)


def correct_wheel_paths() -> None:
    """Point the wheels' exported CMake files at this environment instead of the machine they were built on."""
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    builder = f"/opt/python/{tag}-{tag}"
    replacements = {
        f"{builder}/include/{version}": sysconfig.get_path("include"),
        f"{builder}/lib/{version}/site-packages": str(site_packages()),
    }
    for path in (VENV / "share").rglob("*.cmake"):
        text = original = path.read_text(encoding="utf-8")
        for old, new in replacements.items():
            text = text.replace(old, new)
        if text != original:
            path.write_text(text, encoding="utf-8")


def install_python_packages() -> None:
    """Make the checkout, the stand-ins and their environment importable in `.venv`."""
    sources = [
        ROOT / "pyproject.toml",
        ROOT / "setup.py",
        ROOT / "pip_ros" / "python" / "pyproject.toml",
        ROOT / "pip_ros" / "environment.pth.in",
        Path(__file__),
    ]
    if is_done("packages", sources):
        return
    say("installing mvloc_ros and the stand-ins (editable)")
    command = [
        *PIP_INSTALL,
        "--no-deps",
        "--no-build-isolation",
        "-e",
        str(ROOT),
        "-e",
        str(ROOT / "pip_ros" / "python"),
    ]
    run(command, "pip could not install the checkout")
    template = (ROOT / "pip_ros" / "environment.pth.in").read_text(encoding="utf-8")
    lines = [line for line in template.splitlines() if line and not line.startswith("#")]
    text = "\n".join(lines).replace("@ROOT@", str(ROOT)) + "\n"
    (site_packages() / "_mvloc_pip_ros.pth").write_text(text, encoding="utf-8")
    mark_done("packages", sources)


def site_packages() -> Path:
    """The environment's package folder."""
    return VENV / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def digest(paths: Iterable[Path]) -> str:
    """One digest of the names and contents of files, and of the checkout's path."""
    total = hashlib.sha256(str(ROOT).encode())
    for path in paths:
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def is_done(step: str, sources: list[Path]) -> bool:
    """Whether a step's stamp matches what it would be made from now."""
    stamp = VENV / ".stamps" / step
    return stamp.exists() and stamp.read_text(encoding="utf-8") == digest(sources)


def mark_done(step: str, sources: list[Path]) -> None:
    """Write a step's stamp; the last thing a step does."""
    stamp = VENV / ".stamps" / step
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(digest(sources), encoding="utf-8")


def run(command: list[str], failure: str, environment: dict[str, str] | None = None) -> None:
    """Run a command, its output kept for the case that it fails."""
    started = time.monotonic()
    result = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if result.returncode != 0:
        print(result.stdout[-8000:], file=sys.stderr)
        raise SetupError(failure)
    say(f"  done in {time.monotonic() - started:.0f} s")


def say(text: str) -> None:
    """One line of progress."""
    print(f"setup: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
