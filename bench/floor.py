# SPDX-License-Identifier: Apache-2.0
"""The least time that a network can take: its operations and its weights, at what this machine was measured to do.

The peaks are measured with the largest matrix product and the largest copy that pay, by PyTorch, on the
same device with the same threads; data sheets promise more. A network that reaches its floor would leave
nothing to gain but in its architecture.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import onnx
import torch

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_MATRIX = {"cuda": 8192, "cpu": 1024}
_COPIED_BYTES = {"cuda": 1 << 30, "cpu": 1 << 27}


@dataclass(frozen=True)
class Work:
    """What one frame takes at least: multiply-adds count as two operations; bytes are those of the weights."""

    operations: int
    weight_bytes: int


@dataclass(frozen=True)
class Peak:
    """What a device was measured to do in a second."""

    operations: float
    bytes: float

    def floor_ms(self, work: Work) -> float:
        """The least time for the work: computing and reading overlap, so the longer of the two."""
        return 1e3 * max(work.operations / self.operations, work.weight_bytes / self.bytes)


def count_work(path: Path) -> Work:
    """Count an ONNX file; convolutions and matrix products are all that matters."""
    model = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    shapes = {
        info.name: [d.dim_value for d in info.type.tensor_type.shape.dim]
        for info in (*model.graph.value_info, *model.graph.output, *model.graph.input)
    }
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    shapes |= weights
    operations = 0
    for node in model.graph.node:
        if node.op_type == "Conv":
            # [outputs, inputs, kernel, kernel]: so many multiply-adds for each value that comes out.
            operations += 2 * prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])
        elif node.op_type in ("Gemm", "MatMul"):
            operations += 2 * prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    return Work(operations, sum(len(tensor.raw_data) for tensor in model.graph.initializer))


def measure_peak(device: torch.device, precision: str, *, small: bool = False) -> Peak:
    """Measure a device; `small` is for tests, and gives no figures to be accepted."""
    size = 128 if small else _MATRIX[device.type]
    a, b = (torch.randn(size, size, device=device).to(DTYPES[precision]) for _ in range(2))
    source = torch.zeros((1 << 16) if small else _COPIED_BYTES[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    # A copy reads and writes; reading alone is what a network does with its weights.
    return Peak(
        operations=2 * size**3 / _best_of(lambda: torch.matmul(a, b), device),
        bytes=2 * source.numel() / _best_of(lambda: target.copy_(source), device),
    )


def _best_of(work: Callable[[], object], device: torch.device, runs: int = 30) -> float:
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)
