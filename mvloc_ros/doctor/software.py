# SPDX-License-Identifier: Apache-2.0
"""Python, ROS, and what can run a network here."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mvloc_ros import children
from mvloc_ros.doctor.findings import Finding, error, note, ok, warning
from mvloc_ros.foreign_text import shown

_ROS_PACKAGES = ("rclpy", "sensor_msgs", "tf2_ros", "cv_bridge", "sensor_msgs_py", "tf_transformations")


@dataclass(frozen=True)
class Middleware:
    """What rclpy loads: its name, or the reason why it loads none."""

    name: str = ""
    problem: str = ""


def middleware_in_use() -> Middleware:
    """The middleware of RMW_IMPLEMENTATION, or the distribution's own.

    Asked in a process of its own: with one that is not installed, `import rclpy` ends the process.
    """
    command = children.module_command("mvloc_ros.doctor.middleware_probe")
    try:
        asked = subprocess.run(
            command, env=children.safe_environment(), capture_output=True, text=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        return Middleware(problem="importing rclpy does not end")
    if asked.returncode:
        return Middleware(problem=(asked.stderr.strip().splitlines() or [f"exit code {asked.returncode}"])[-1])
    return Middleware(asked.stdout.strip())


def examine_software(middleware: Middleware | None = None) -> list[Finding]:
    """Versions, and what each missing package is needed for."""
    middleware = middleware or middleware_in_use()
    # Where no middleware loads, importing the ROS packages would end this process as well.
    packages = [] if middleware.problem else _ros_packages()
    return [_python(), _distribution(), *packages, _middleware(middleware), _onnxruntime(), _gpu(), _tensorrt()]


def _python() -> Finding:
    return ok("Python", f"{platform.python_version()} on {platform.machine()}, {len(os.sched_getaffinity(0))} cores")


def _distribution() -> Finding:
    name = os.environ.get("ROS_DISTRO")
    if name:
        return ok("ROS", f"{name}, sourced")
    return note("ROS", "no distribution is sourced; rclpy and the messages come from Python packages")


def _ros_packages() -> list[Finding]:
    findings, stand_ins = [], []
    for name in _ROS_PACKAGES:
        try:
            module = importlib.import_module(name)
        except Exception as problem:  # an extension built against another NumPy may raise anything
            findings.append(
                error(name, f"cannot be imported ({type(problem).__name__}: {str(problem).splitlines()[0]})",
                      "run `make demo` in the source tree, or install the ROS package and source its set-up file")
            )  # fmt: skip
            continue
        if "pip_ros" in Path(module.__file__ or "").parts:
            stand_ins.append(name)
    if stand_ins:
        findings.append(
            note("stand-ins", f"{', '.join(stand_ins)} are this project's; ROS' own are used where sourced")
        )
    return findings


def _middleware(middleware: Middleware) -> Finding:
    named = os.environ.get("RMW_IMPLEMENTATION", "")
    if not middleware.problem:
        chosen = "RMW_IMPLEMENTATION" if named else "the default; RMW_IMPLEMENTATION is not set"
        return ok("middleware", f"{middleware.name} ({chosen})")
    reason = shown(middleware.problem, 200)
    if not named:
        remedy = "source the set-up file of ROS and of the workspace, or run `make demo` in the source tree"
        return error("middleware", f"rclpy cannot be loaded ({reason})", remedy)
    package = f"ros-{os.environ.get('ROS_DISTRO', '<distribution>')}-{shown(named, 60).replace('_', '-')}"
    remedy = f"sudo apt install {package}, or unset RMW_IMPLEMENTATION"
    return error("middleware", f"rclpy cannot load RMW_IMPLEMENTATION={shown(named, 60)} ({reason})", remedy)


def _onnxruntime() -> Finding:
    try:
        import onnxruntime
    except ImportError as problem:
        return error("ONNX Runtime", str(problem), "pip install onnxruntime (or onnxruntime-gpu)")
    providers = [name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()]
    return ok("ONNX Runtime", f"{onnxruntime.__version__}, providers {', '.join(providers)}")


def _gpu() -> Finding:
    if Path("/etc/nv_tegra_release").is_file():
        return ok("GPU", "a Jetson: " + Path("/etc/nv_tegra_release").read_text(encoding="utf-8").splitlines()[0])
    try:
        asked = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return note("GPU", "no NVIDIA driver answers; the network runs on the CPU")
    return ok("GPU", "; ".join(asked.stdout.strip().splitlines()))


def _tensorrt() -> Finding:
    if importlib.util.find_spec("tensorrt") is None:
        return note("TensorRT", "not installed; it is needed only for the backend tensorrt",
                    "on a machine with an NVIDIA GPU: pip install tensorrt cuda-python")  # fmt: skip
    try:
        asked = subprocess.run(
            children.module_command("mvloc_ros.doctor.tensorrt_probe"),
            env=children.safe_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return warning("TensorRT", "importing it does not end", "reinstall it for this driver")
    if asked.returncode:
        reason = (asked.stderr.strip().splitlines() or [f"exit code {asked.returncode}"])[-1]
        return warning("TensorRT", f"cannot be imported ({reason})", "reinstall it for this driver and CUDA version")
    version, builder = asked.stdout.split()
    if builder == "True":
        return ok("TensorRT", f"{version}, with its builder")
    return note("TensorRT", f"{version} without a builder: it runs engines, but cannot build them")
