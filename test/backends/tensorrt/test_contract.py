# SPDX-License-Identifier: Apache-2.0
"""The fakes against the real packages: every class, method, number of arguments and flag.

The real Python bindings come from PyPI without the libraries behind them. Put them into a folder and name it in
MVLOC_TENSORRT_BINDINGS, one subfolder a version (docs/tensorrt.md has the commands); without it this is skipped.
"""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fake_cuda import FakeCuda, make_cuda
from fake_tensorrt import VERSIONS, make_tensorrt

HERE = Path(__file__).parent
BINDINGS = Path(os.environ.get("MVLOC_TENSORRT_BINDINGS", "/nonexistent"))
# What the fakes set on objects rather than on classes.
DATA = {"ITensor": ("name", "dtype", "shape"), "ILayer": ("num_inputs", "num_outputs")}
RUNTIME = ("ILogger", "Runtime", "ICudaEngine", "IExecutionContext", "DataType", "TensorIOMode")
ENUMS = ("BuilderFlag", "NetworkDefinitionCreationFlag", "MemoryPoolType", "DataType", "TensorIOMode")


def folder(name: str) -> Path:
    if not (BINDINGS / name).is_dir():
        pytest.skip(f"no {name} in MVLOC_TENSORRT_BINDINGS (see docs/tensorrt.md)")
    if shutil.which("cc") is None:
        pytest.skip("no C compiler to make the libraries that the bindings link to")
    return BINDINGS / name


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run an interpreter of its own: versions do not share one, and one that crashes must not take the tests along."""
    return subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip


def described(version: str, *what: str) -> dict[str, Any]:
    path = folder(version)
    if sys.version_info >= (3, 12) and version.startswith("8."):
        pytest.skip("TensorRT 8.6 has no bindings for this Python")
    if not (path / ("tensorrt_lean_bindings" if what else "tensorrt_bindings")).is_dir():
        pytest.skip(f"{path} has no {' '.join(what)} bindings")
    result = python(str(HERE / "real_bindings.py"), str(path), version.partition(".")[0], *what)
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


def fits(method: Any, signatures: list[list[int]]) -> bool:
    """Whether a fake's method is called with a number of arguments that a real signature takes."""
    count = len(inspect.signature(method).parameters) - 1
    return any(least <= count <= most for least, most in signatures)


def compare(fake: ModuleType, real: dict[str, Any], names: tuple[str, ...] | None) -> list[str]:
    wrong = []
    for name, kind in vars(fake).items():
        if not isinstance(kind, type) or (names is not None and name not in names):
            continue
        if name not in real["classes"]:
            wrong.append(name)
            continue
        has = real["classes"][name]
        if name in ENUMS:
            wrong += [f"{name}.{member}" for member in kind.__members__ if member not in has]
            continue
        for member in (*(key for key in vars(kind) if not key.startswith("_")), *DATA.get(name, ())):
            method = vars(kind).get(member)
            if member not in has or (inspect.isfunction(method) and not fits(method, has[member])):
                wrong.append(f"{name}.{member}")
    return wrong


@pytest.mark.parametrize("version", VERSIONS)
def test_the_fake_builder_is_the_real_one(version: str):
    real = described(version)
    fake, _ = make_tensorrt(version, FakeCuda())
    assert real["version"] == version
    assert compare(fake, real, None) == []
    assert {"float32", "float16"} <= set(real["names"])
    # And what a version lacks, for which the code has its other path, is really lacking.
    for name in ("BuilderFlag", "NetworkDefinitionCreationFlag"):
        for member in ("FP16", "STRONGLY_TYPED", "EXPLICIT_BATCH", "OBEY_PRECISION_CONSTRAINTS"):
            if member not in getattr(fake, name).__members__ and (name, version[:2]) != ("BuilderFlag", "10"):
                assert member not in real["classes"][name]
    assert ("precision" in real["classes"]["ILayer"]) == (not version.startswith("11"))
    assert set(real["classes"]["ILogger"]) >= {"log", "Severity"}


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_the_fake_runtime_is_the_lean_runtimes(version: str):
    fake, _ = make_tensorrt(version, FakeCuda())
    assert compare(fake, described(version, "lean"), RUNTIME) == []


def test_the_check_finds_what_is_wrong():
    fake, _ = make_tensorrt(VERSIONS[2], FakeCuda())
    real = described(VERSIONS[2])
    fake.IExecutionContext.execute_async_v2 = lambda self, bindings, stream_handle: True
    fake.Runtime.deserialize_cuda_engine = lambda self: None
    fake.Runtime.deserialize_cuda_engine.__name__ = "deserialize_cuda_engine"
    wrong = compare(fake, real, None)
    assert wrong == ["IExecutionContext.execute_async_v2", "Runtime.deserialize_cuda_engine"]
    older = described(VERSIONS[0])
    assert "NetworkDefinitionCreationFlag.STRONGLY_TYPED" in compare(fake, older, None)


DESCRIBE_CUDA = """
import json
from cuda.bindings import runtime
functions = {n: (getattr(runtime, n).__doc__ or "").splitlines()[0] for n in dir(runtime) if n.startswith("cuda")
             and callable(getattr(runtime, n)) and not isinstance(getattr(runtime, n), type)}
enums = {n: list(getattr(runtime, n).__members__) for n in ("cudaError_t", "cudaMemcpyKind", "cudaStreamCaptureMode")}
constants = {n: int(getattr(runtime, n)) for n in ("cudaStreamNonBlocking", "cudaHostAllocDefault")}
print(json.dumps([functions, enums, constants]))
"""


def test_the_fake_cuda_is_the_real_one():
    result = python("-c", DESCRIBE_CUDA, PYTHONPATH=str(folder("cuda")))
    assert result.returncode == 0, result.stderr
    functions, enums, constants = json.loads(result.stdout)
    fake, _ = make_cuda()
    for name, value in vars(fake).items():
        if inspect.isfunction(value):
            real = functions[name].partition("(")[2].partition(")")[0]
            assert len([item for item in real.split(",") if item.strip()]) == len(
                inspect.signature(value).parameters
            ), name
        elif isinstance(value, type):
            assert set(value.__members__) <= set(enums[name])
        elif name.startswith("cuda"):
            assert constants[name] == value


OPEN_CUDA = """
from mvloc_ros.backends.backend import BackendError
from mvloc_ros.backends.tensorrt.cuda import Cuda, import_cuda_runtime
try:
    Cuda(import_cuda_runtime())
except BackendError as error:
    print(error)
"""


def test_the_real_cuda_without_a_driver_gives_a_sentence():
    result = python(
        "-c", OPEN_CUDA, PYTHONPATH=f"{folder('cuda')}:{os.pathsep.join(sys.path)}", CUDA_VISIBLE_DEVICES=""
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("CUDA failed in cudaS")


LOAD_ENGINE = """
import sys
sys.path[:0] = [{here!r}]
from pathlib import Path
import fake_cuda, real_bindings
from mvloc_ros.backends.backend import BackendError
from mvloc_ros.backends.tensorrt.engine_execution import Execution
from mvloc_ros.backends.tensorrt.tensorrt_library import ErrorLog
trt = real_bindings.load(Path({folder!r}), {major!r}, lean=True)
try:
    Execution(trt, fake_cuda.make_cuda()[0], b"not an engine" * 100, ErrorLog(trt), print)
except BackendError as error:
    print(error)
"""


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_the_real_runtime_without_a_gpu_is_not_given_an_engine(version: str):
    """It would end the process with a segmentation fault: here the driver was not asked before."""
    text = LOAD_ENGINE.format(here=str(HERE), folder=str(folder(version)), major=version.partition(".")[0])
    path = os.pathsep.join(item for item in sys.path if item)
    result = python("-c", text, PYTHONPATH=path, CUDA_VISIBLE_DEVICES="")
    assert result.returncode == 0, (result.returncode, result.stderr)
    assert result.stdout.startswith("TensorRT cannot use CUDA here: ")


OPEN_TENSORRT = """
import sys
sys.path[:0] = [{here!r}]
from pathlib import Path
import real_bindings
sys.modules["tensorrt"] = real_bindings.load(Path({folder!r}), {major!r}, lean={lean})
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.model.bundle import read_bundle
lines = []
backend = create_backend("auto", read_bundle({bundle!r}), 1, report=lines.append)
print(backend.description, "|", lines[-1])
"""


@pytest.mark.parametrize(("version", "lean"), [(VERSIONS[1], True), (VERSIONS[2], True), (VERSIONS[2], False)])
def test_real_tensorrt_without_a_gpu_falls_back_and_does_not_crash(version: str, lean: bool, tiny_bundle: Path):
    text = OPEN_TENSORRT.format(
        here=str(HERE), folder=str(folder(version)), major=version.partition(".")[0], lean=lean, bundle=str(tiny_bundle)
    )
    path = f"{folder('cuda')}:{os.pathsep.join(item for item in sys.path if item)}"
    result = python("-c", text, PYTHONPATH=path, CUDA_VISIBLE_DEVICES="")
    assert result.returncode == 0, (result.returncode, result.stderr)
    assert result.stdout.startswith("onnxruntime")
    assert "not tensorrt:" in result.stdout
