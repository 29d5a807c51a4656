# SPDX-License-Identifier: Apache-2.0
"""The engine of a bundle: out of the cache where one fits, built where none does, and checked when new."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.backends.backend import BackendError, BackendOptions
from mvloc_ros.backends.gpu import Gpu, find_gpu
from mvloc_ros.backends.network_file import OUTPUTS, require_network
from mvloc_ros.backends.onnxruntime_backend import OnnxRuntimeBackend
from mvloc_ros.backends.precision import choose
from mvloc_ros.backends.tensorrt.builder import build, describe_flags
from mvloc_ros.backends.tensorrt.cuda import import_cuda_runtime
from mvloc_ros.backends.tensorrt.engine_cache import EngineCache, EngineKey, default_folder
from mvloc_ros.backends.tensorrt.engine_execution import EngineRejectedError, Execution
from mvloc_ros.backends.tensorrt.tensorrt_library import ErrorLog, import_tensorrt
from mvloc_ros.file_reader import ReadError, read_file
from mvloc_ros.geometry import quaternion
from mvloc_ros.limits import MOST_BUNDLE_FILE_BYTES
from mvloc_ros.model.bundle import Bundle, file_digest, is_current, unreadable
from mvloc_ros.model.modalities import PAIR, SensorInput

# float16 first; bfloat16 has the same speed and fewer digits, and is used on request only.
BY_SPEED = ("fp16",)
# In normalised units and quaternion components. Real errors of fp16 are a thousandth; a wrong engine's are 1.
_TOLERANCES = {"fp32": 0.01, "fp16": 0.1, "bf16": 0.3}
_REFERENCES = {"bf16": "fp32"}  # ONNX Runtime's CPU provider has no bfloat16
# What is present of colour and depth, and what the top of the depth image is full of.
_CHECKS = (((1, 1), np.nan), ((1, 0), np.inf), ((0, 1), -np.inf), ((1, 1), 0.0))


@dataclass(frozen=True)
class OpenedEngine:
    """An engine that is ready to run, what it was built for, and whether it came from the cache."""

    execution: Execution
    key: EngineKey
    cached: bool


def open_engine(bundle: Bundle, options: BackendOptions) -> OpenedEngine:
    """Load the engine of a bundle on this machine's GPU; build, check and keep it where there is none.

    Raises:
        BackendError: no GPU, no TensorRT, no engine of that precision, or a wrong one.
    """
    gpu = find_gpu()  # before TensorRT is used: without a driver it may end the process
    trt, runtime = import_tensorrt(), import_cuda_runtime()
    precision = choose(bundle, options.precision, BY_SPEED)
    if precision == "int8":
        raise BackendError("A bundle's int8 network is for ONNX Runtime on CPUs; set `precision` to auto.")
    require_network(bundle, precision)
    key = engine_key(trt, gpu, bundle, precision)
    log = ErrorLog(trt)
    cache = EngineCache(cache_folder(options), options.report)
    if (engine := cache.read(key)) is not None:
        try:
            return OpenedEngine(Execution(trt, runtime, engine, log, options.report), key, cached=True)
        except EngineRejectedError as error:
            options.report(f"The engine {cache.path(key)} is built again: {error}")
    onnx = _read_onnx(bundle, precision)
    if hashlib.sha256(onnx).hexdigest() != key.onnx or not is_current(bundle):
        # An engine of one network under the key of another would be loaded, unseen, for as long as it is kept.
        raise _changed(bundle)
    built = build(trt, onnx, precision, cache.read_timing(key), log, options.report)
    execution = Execution(trt, runtime, built.engine, log, options.report)
    try:
        check(execution, bundle, precision)
    except BaseException as error:
        execution.close()
        if isinstance(error, BackendError) and not is_current(bundle):  # compared with another network
            raise _changed(bundle) from error
        raise
    cache.write(key, built.engine, built.seconds)
    cache.write_timing(key, built.timing)
    return OpenedEngine(execution, key, cached=False)


def _changed(bundle: Bundle) -> BackendError:
    return BackendError(
        f"The bundle {bundle.path} has changed while its engine was being built, and none was kept; build it again."
    )


def cache_folder(options: BackendOptions) -> Path:
    """The folder that the options name, or the user's."""
    return Path(options.engine_cache).expanduser() if options.engine_cache else default_folder()


def _read_onnx(bundle: Bundle, precision: str) -> bytes:
    path = bundle.network_path(precision)
    try:
        return read_file(path, MOST_BUNDLE_FILE_BYTES, within=bundle.path)
    except ReadError as error:
        raise BackendError(unreadable(path, bundle.path, error)) from error


def engine_key(trt: ModuleType, gpu: Gpu, bundle: Bundle, precision: str) -> EngineKey:
    """All that the engine depends on.

    Raises:
        BackendError: the network's file cannot be read.
    """
    path = bundle.network_path(precision)
    try:
        onnx = file_digest(path, within=bundle.path)
    except ReadError as error:
        raise BackendError(unreadable(path, bundle.path, error)) from error
    return EngineKey(
        model=bundle.name,
        onnx=onnx,
        tensorrt=trt.__version__,
        gpu=gpu.name,
        compute_capability=gpu.compute_capability,
        multiprocessors=gpu.multiprocessors,
        precision=precision,
        shapes=_shapes(bundle),
        flags=describe_flags(trt),
    )


def _shapes(bundle: Bundle) -> tuple[str, ...]:
    """The inputs in words, in the order of the graph."""
    pair, further = bundle.manifest.inputs[: len(PAIR)], bundle.manifest.inputs[len(PAIR) :]
    shapes = [f"{item.name} 1x{'x'.join(map(str, item.shape))}" for item in (*pair, *further)]
    shapes.insert(len(PAIR), f"present 1x{len(bundle.manifest.inputs)}")
    return tuple(shapes)


def check(execution: Execution, bundle: Bundle, precision: str) -> None:
    """Compare a new engine with ONNX Runtime on frames of noise, some with a modality left out.

    Builders make mistakes (a reduction axis ignored, an invalid depth that becomes NaN), and
    they must not reach a robot.

    Raises:
        BackendError: the engine is wrong.
    """
    spec = bundle.manifest.input
    reference = OnnxRuntimeBackend(bundle, precision=_REFERENCES.get(precision, precision))
    random = np.random.default_rng(0)
    largest = 0.0
    further = bundle.manifest.sensors
    for presence, invalid in _presences(len(further)):
        color = random.integers(0, 256, (spec.height, spec.width, 3), dtype=np.uint8)
        depth = random.uniform(0.0, 1.2 * spec.depth_max_m, (spec.height, spec.width)).astype(np.float32)
        depth[: spec.height // 8] = invalid
        present = np.array(presence, dtype=np.float32)
        images = {item.sensor.name: _noise(item, random) for item in further}
        expected = reference.run(color, depth, present, images)
        batch: dict[str, NDArray[Any]] = {"color": color, "depth": depth, "present": present, **images}
        found = execution.run({name: value[None] for name, value in batch.items()})
        wanted = np.concatenate([expected.position, expected.log_quaternion])
        if not np.all(np.isfinite(wanted)):
            continue  # a network that does not mask invalid depth has no answer to compare with
        for name in OUTPUTS:
            if not np.all(np.isfinite(found[name])):
                raise BackendError(f"The new {precision} engine gives no finite {name}; set `precision` to fp32.")
        largest = max(largest, _difference(found["pose"][0], wanted))
    reference.close()
    if not largest <= _TOLERANCES[precision]:
        raise BackendError(
            f"The new {precision} engine differs from ONNX Runtime by {largest:.2g} (allowed "
            f"{_TOLERANCES[precision]}, normalised units); set `precision` to fp32 or `backend` to onnxruntime."
        )


def _presences(further: int) -> list[tuple[tuple[int, ...], float]]:
    """`_CHECKS` with all further sensors where the pair is complete, then each of these sensors alone."""
    checks = [((*pair, *[min(pair)] * further), invalid) for pair, invalid in _CHECKS]
    alone = [(0, 0, *(int(i == kept) for i in range(further))) for kept in range(further)]
    return checks + [(presence, np.nan) for presence in alone]


def _noise(item: SensorInput, random: np.random.Generator) -> NDArray[Any]:
    """An image of noise of a further sensor; depth has pixels beyond its range."""
    if item.sensor.kind == "depth":
        return random.uniform(0.0, 1.2 * (item.sensor.depth_max_m or 0.0), item.input.shape).astype(np.float32)
    return random.integers(0, 256, item.input.shape, dtype=np.uint8)


def _difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Largest difference of two poses `[6]`: of the positions, and of the quaternions up to their sign."""
    qa, qb = quaternion.exp(a[3:]), quaternion.exp(b[3:])
    rotation = min(np.max(np.abs(qa - qb)), np.max(np.abs(qa + qb)))
    return float(max(np.max(np.abs(a[:3] - b[:3])), rotation))
