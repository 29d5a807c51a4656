# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime: on the CPU the embedded default, and the reference for every other backend."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.backends.backend import NO_SENSORS, BackendError, NetworkOutput
from mvloc_ros.backends.network_file import OUTPUTS, require_network
from mvloc_ros.foreign_text import first_line
from mvloc_ros.model.bundle import Bundle


def import_onnxruntime() -> ModuleType:
    """The package onnxruntime, or BackendError where it cannot be imported."""
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(
            f"The onnxruntime backend needs the package onnxruntime (pip install onnxruntime): {error}."
        ) from error
    return onnxruntime


@dataclass(frozen=True)
class Provider:
    """An execution provider: ONNX Runtime's name for it, the name of its device, and options."""

    name: str
    device: str
    options: Mapping[str, str] = field(default_factory=dict)


CPU = Provider("CPUExecutionProvider", "CPU")


class OnnxRuntimeBackend:
    """Runs one of a bundle's networks on one of onnxruntime's providers."""

    def __init__(self, bundle: Bundle, threads: int = 0, precision: str = "fp32", provider: Provider = CPU) -> None:
        """Load the network.

        Args:
            bundle: the model.
            threads: size of the intra-op pool; 0 takes one per core that this process may use.
            precision: of the bundle's networks, which must have it.
            provider: where it runs.

        Raises:
            BackendError: onnxruntime is missing, cannot load the file or the provider, or the file is no network
                of this bundle's.
        """
        ort = import_onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        options.inter_op_num_threads = 1
        # Spinning threads would take the core that the middleware's transport needs between frames.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._cores = cores_to_spread_over(options.intra_op_num_threads) if provider.device == "CPU" else []
        if self._cores:  # ONNX Runtime counts cores from 1, and the calling thread is none of its pool's
            own = ";".join(str(core + 1) for core in self._cores[1:])
            options.add_session_config_entry("session.intra_op_thread_affinities", own)
        options.log_severity_level = 3
        # What was checked is ONNX; a file by the name of another format would be read as that.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        self._path = require_network(bundle, precision)
        try:
            self._session = ort.InferenceSession(
                str(self._path),
                sess_options=options,
                providers=[(provider.name, dict(provider.options))],
                enable_fallback=0,
            )
        except Exception as error:  # onnxruntime raises its own unrelated classes
            raise BackendError(
                f"onnxruntime ({provider.device}) cannot load {self._path}: {first_line(error)}; "
                "export the bundle again."
            ) from error
        if self._session.get_providers()[0] != provider.name:
            raise BackendError(
                f"onnxruntime's {provider.device} provider does not load here; its libraries are missing."
            )
        workers = f", {options.intra_op_num_threads} threads" if provider.device == "CPU" else ""
        self._description = f"onnxruntime {ort.__version__} {provider.device}{workers}, {precision}"

    @property
    def description(self) -> str:
        """Library, version, device, threads and precision."""
        return self._description

    def run(
        self,
        color: NDArray[np.uint8],
        depth: NDArray[np.float32],
        present: NDArray[np.float32],
        further: Mapping[str, NDArray[Any]] = NO_SENSORS,
    ) -> NetworkOutput:
        """Run one frame (shapes: see `Backend.run`).

        Raises:
            BackendError: onnxruntime failed, for example for want of memory.
        """
        self._leave_the_pools_cores()
        frame: dict[str, NDArray[Any]] = {"color": color[None], "depth": depth[None], "present": present[None]}
        frame |= {name: image[None] for name, image in further.items()}
        try:
            found = self._session.run(OUTPUTS, frame)
        except Exception as error:  # as above
            raise BackendError(f"onnxruntime cannot run {self._path}: {first_line(error)}.") from error
        return NetworkOutput.of(dict(zip(OUTPUTS, found, strict=True)))

    def _leave_the_pools_cores(self) -> None:
        """Start on the core that no thread of the pool is bound to, free to move if that core is busy."""
        if self._cores:
            try:
                os.sched_setaffinity(0, self._cores[:1])
                os.sched_setaffinity(0, self._cores)
            except OSError:  # a core was taken from this process while it ran
                self._cores = []

    def close(self) -> None:
        """Drop the session and its memory arena."""
        del self._session


def cores_to_spread_over(threads: int) -> list[int]:
    """The cores for the caller and the pool's threads, the caller's first; empty to leave it to Linux.

    A thread that sleeps between frames is woken on the core of the one that wakes it, and Linux takes milliseconds to
    separate the two: with a frame every 40 ms, two threads were as slow as one. A pool that is smaller than the machine
    is not bound: several such processes would share the same cores.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return cores if 1 < threads == len(cores) else []
