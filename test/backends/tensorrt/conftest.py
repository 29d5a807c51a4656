# SPDX-License-Identifier: Apache-2.0
"""A machine with a GPU and TensorRT as far as Python sees it (`fake_cuda`, `fake_tensorrt`)."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_cuda import FakeCuda, make_cuda
from fake_tensorrt import VERSIONS, FakeTensorRT, make_tensorrt

from mvloc_ros.backends.backend import BackendOptions
from mvloc_ros.backends.gpu import Gpu
from mvloc_ros.backends.tensorrt import engines

JETSON = Gpu("Orin (nvgpu)", "8.7", "12.6", 16)


@dataclass
class Machine:
    """The fakes, the cache's folder, and all that was reported."""

    trt: ModuleType
    tensorrt: FakeTensorRT
    runtime: ModuleType
    cuda: FakeCuda
    cache: Path
    gpu: Gpu = JETSON
    reports: list[str] = field(default_factory=list)

    def options(self, precision: str = "auto") -> BackendOptions:
        return BackendOptions(1, precision, str(self.cache), self.reports.append)

    def builds(self) -> int:
        return self.tensorrt.names().count("build_serialized_network")

    def engines(self) -> list[Path]:
        return sorted(self.cache.glob("*.engine"))


def install(version: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Put the fakes where the code imports the packages from."""
    runtime, cuda = make_cuda()
    trt, tensorrt = make_tensorrt(version, cuda)
    machine = Machine(trt, tensorrt, runtime, cuda, cache)
    bindings = ModuleType("cuda.bindings")
    bindings.runtime = runtime
    package = ModuleType("cuda")
    package.bindings = bindings
    modules = {"tensorrt": trt, "cuda": package, "cuda.bindings": bindings, "cuda.bindings.runtime": runtime}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(engines, "find_gpu", lambda: machine.gpu)
    return machine


@pytest.fixture(params=VERSIONS)
def each_version(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return install(request.param, tmp_path / "cache", monkeypatch)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return install("10.16.1.11", tmp_path / "cache", monkeypatch)
