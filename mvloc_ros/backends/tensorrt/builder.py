# SPDX-License-Identifier: Apache-2.0
"""ONNX -> engine.

From TensorRT 10 on the network is strongly typed: every tensor has the type that the ONNX file gives it,
float16 encoders and float32 rest alike. TensorRT 8 decides itself where it may use float16; there the
flag allows it, and the layers that the file computes in float32 are held to float32.

In float32 the builder is kept from TF32, whose ten bits are float16's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from mvloc_ros.backends.backend import BackendError
from mvloc_ros.backends.tensorrt.tensorrt_library import ErrorLog, is_strongly_typed

WORKSPACE_BYTES = 1 << 30  # more makes no network of this size faster, and on a Jetson all memory is one
_TICK_S = 10.0


@dataclass(frozen=True)
class Built:
    """A serialized engine, what the builder learned of the GPU's kernels, and how long it took."""

    engine: bytes
    timing: bytes
    seconds: float


def describe_flags(trt: ModuleType) -> tuple[str, ...]:
    """The builder's settings besides the network, as a part of the engine's key."""
    typing = "strongly typed" if is_strongly_typed(trt) else "typed by flags"
    return (typing, f"workspace {WORKSPACE_BYTES}", "no TF32")


def build(
    trt: ModuleType, onnx: bytes, precision: str, timing: bytes, log: ErrorLog, report: Callable[[str], object]
) -> Built:
    """Build an engine; seconds on a desktop, minutes on a Jetson.

    Args:
        trt: the package tensorrt.
        onnx: the network of that precision.
        precision: fp32, fp16 or bf16.
        timing: what `Built.timing` was in an earlier build on this GPU, or empty.
        log: TensorRT's.
        report: gets the elapsed time every ten seconds.

    Raises:
        BackendError: TensorRT cannot parse or build it; the message has its reason.
    """
    builder = _made(lambda: trt.Builder(log.logger), "builder", log)
    network = builder.create_network(_network_flags(trt))
    _parse(trt, network, onnx, log)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    config.clear_flag(trt.BuilderFlag.TF32)
    if not is_strongly_typed(trt):
        _set_precision(trt, network, config, precision)
    if not config.set_timing_cache(config.create_timing_cache(timing), False):
        report("The timing cache is not of this GPU and TensorRT version; it is made again.")
        config.set_timing_cache(config.create_timing_cache(b""), False)
    started = time.monotonic()
    with _progress(f"building a TensorRT {trt.__version__} engine ({precision})", report):
        engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise BackendError(f"TensorRT {trt.__version__} cannot build the {precision} engine: {log.explanation()}.")
    learned = config.get_timing_cache()
    return Built(bytes(engine), b"" if learned is None else bytes(learned.serialize()), time.monotonic() - started)


def _made(make: Callable[[], Any], what: str, log: ErrorLog) -> Any:
    """What TensorRT makes, or BackendError where it makes nothing (its bindings raise TypeError then)."""
    try:
        made = make()
    except (TypeError, RuntimeError):
        made = None
    if made is None:
        raise BackendError(f"TensorRT cannot create its {what}: {log.explanation()}.")
    return made


def _network_flags(trt: ModuleType) -> int:
    kinds = trt.NetworkDefinitionCreationFlag
    if is_strongly_typed(trt):
        return 1 << int(kinds.STRONGLY_TYPED)
    return 1 << int(kinds.EXPLICIT_BATCH)


def _parse(trt: ModuleType, network: Any, onnx: bytes, log: ErrorLog) -> None:
    parser = _made(lambda: trt.OnnxParser(network, log.logger), "parser", log)
    try:
        is_parsed = parser.parse(onnx)
        reasons = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
    except Exception as error:  # its bindings raise what the text of an error provokes, too
        raise BackendError(
            f"TensorRT {trt.__version__} cannot read the network ({type(error).__name__}: {error}); export the bundle "
            "again."
        ) from error
    if not is_parsed:
        raise BackendError(f"TensorRT {trt.__version__} cannot read the network: {reasons or log.explanation()}.")
    for i in range(network.num_inputs):
        if any(size < 0 for size in network.get_input(i).shape):
            raise BackendError(
                f"The network's input {network.get_input(i).name} has no fixed size; export the bundle again."
            )


def _set_precision(trt: ModuleType, network: Any, config: Any, precision: str) -> None:
    """For TensorRT 8: allow the precision, and hold to float32 what the file computes in float32."""
    if precision == "fp32":
        return
    if precision != "fp16":
        raise BackendError(f"TensorRT {trt.__version__} has no {precision}; set `precision` to fp16 or fp32.")
    config.set_flag(trt.BuilderFlag.FP16)
    config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    for i in range(network.num_layers):
        layer = network.get_layer(i)
        if _is_float32(trt, layer):
            layer.precision = trt.float32


def _is_float32(trt: ModuleType, layer: Any) -> bool:
    """Whether a layer computes in float32: floats in and out, and no other; casts and shapes do not compute."""
    inputs = [layer.get_input(i) for i in range(layer.num_inputs)]
    outputs = [layer.get_output(i).dtype for i in range(layer.num_outputs)]
    types = [tensor.dtype for tensor in inputs if tensor is not None]  # an optional input may be missing
    return trt.float32 in types and trt.float16 not in types and all(dtype == trt.float32 for dtype in outputs)


@contextmanager
def _progress(what: str, report: Callable[[str], object]) -> Iterator[None]:
    """Report the begin, every ten seconds, and the end, with the time it took."""
    started, done = time.monotonic(), threading.Event()

    def tick() -> None:
        while not done.wait(_TICK_S):
            report(f"{what}: {time.monotonic() - started:.0f} s so far")

    report(f"{what}; minutes on a Jetson, once")
    thread = threading.Thread(target=tick, name="mvloc_engine_progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    report(f"{what}: done in {time.monotonic() - started:.1f} s")
