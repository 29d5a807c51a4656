# SPDX-License-Identifier: Apache-2.0
"""Every way that this machine has to run a network, as candidates for timing; what it has not is said."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from bench.random_bundle import RandomModel
from bench.timing import Candidate
from mvloc_ros.backends.backend import Backend, BackendError, BackendOptions
from mvloc_ros.backends.onnxruntime_backend import OnnxRuntimeBackend, import_onnxruntime
from mvloc_ros.backends.onnxruntime_providers import gpu_provider
from mvloc_ros.backends.tensorrt.tensorrt_backend import TensorRTBackend
from mvloc_ros.backends.torch_backend.pytorch_backend import TorchBackend
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.training.networks.mixed_precision import lower_precision
from mvloc_ros.training.precisions import HALVES

GPU_PROVIDERS = ("CUDAExecutionProvider", "TensorrtExecutionProvider")


def noise(bundle: Bundle) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A frame of noise in the bundle's size."""
    spec, random = bundle.manifest.input, np.random.default_rng(1)
    color = random.integers(0, 256, (spec.height, spec.width, 3), dtype=np.uint8)
    depth = random.uniform(0.0, spec.depth_max_m, (spec.height, spec.width)).astype(np.float32)
    return color, depth, np.ones(2, np.float32)


class Field:
    """The candidates of one model so far, and why others are not among them."""

    def __init__(self, model: RandomModel) -> None:
        self.model = model
        self.candidates: list[Candidate] = []
        self.missing: list[str] = []

    def add(self, name: str, precision: str, make: Callable[[], Backend]) -> None:
        """Add a backend, if it works here."""
        try:
            backend = make()
            inputs = noise(self.model.bundle)
            backend.run(*inputs)
        except BackendError as error:
            self.missing.append(f"{name}, {precision}: {error}")
            return
        self.candidates.append(Candidate(name, precision, lambda: backend.run(*inputs), backend.close))

    def add_module(self, precision: str, device: torch.device, *, compiled: bool) -> None:
        """Add the training's own module, eager or compiled, fed from and read back to memory of the CPU."""
        network = self.model.network
        network = (lower_precision(network, HALVES[precision]) if precision in HALVES else network).to(
            device, memory_format=torch.channels_last
        )
        name = f"torch {'compiled' if compiled else 'eager'} {device.type}"
        call = torch.compile(network) if compiled else network
        inputs = [torch.from_numpy(value[None]) for value in noise(self.model.bundle)]

        def run() -> np.ndarray:
            with torch.inference_mode():
                return np.asarray(call(*(value.to(device) for value in inputs)).pose.cpu())

        try:
            run()
        except Exception as error:  # whatever a compiler on this machine lacks
            self.missing.append(f"{name}, {precision}: {str(error).strip().splitlines()[0]}")
            return
        self.candidates.append(Candidate(name, precision, run))


def add_cpu(field: Field, threads: int, precisions: tuple[str, ...], *, compiled: bool = True) -> None:
    """PyTorch and ONNX Runtime on the CPU."""
    cpu, bundle = torch.device("cpu"), field.model.bundle
    field.add_module("fp32", cpu, compiled=False)
    if compiled:
        field.add_module("fp32", cpu, compiled=True)
    for precision in precisions:
        field.add("onnxruntime CPU", precision, lambda p=precision: OnnxRuntimeBackend(bundle, threads, p))


def add_gpu(field: Field, precisions: tuple[str, ...], cache: str) -> None:
    """PyTorch with and without CUDA graph, ONNX Runtime's providers, and TensorRT, as far as they are here."""
    bundle, available = field.model.bundle, import_onnxruntime().get_available_providers()
    for precision in precisions:
        options = BackendOptions(0, precision, cache, lambda line: print(f"  {line}", flush=True))
        if torch.cuda.is_available():
            field.add_module(precision, torch.device("cuda"), compiled=False)
            field.add("torch, no graph", precision, lambda o=options: TorchBackend(bundle, o, graph=False))
            field.add("torch, CUDA graph", precision, lambda o=options: TorchBackend(bundle, o))
        for name in (name for name in GPU_PROVIDERS if name in available):
            provider = gpu_provider(name, precision)
            field.add(
                f"onnxruntime {provider.device}",
                precision,
                lambda p=precision, q=provider: OnnxRuntimeBackend(bundle, 0, p, q),
            )
        field.add("TensorRT", precision, lambda o=options: TensorRTBackend(bundle, o))
