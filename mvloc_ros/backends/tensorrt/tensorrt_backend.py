# SPDX-License-Identifier: Apache-2.0
"""TensorRT as the node's backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.backends.backend import NO_SENSORS, BackendError, BackendOptions, NetworkOutput
from mvloc_ros.backends.tensorrt.engines import open_engine
from mvloc_ros.model.bundle import Bundle


class TensorRTBackend:
    """Runs a bundle's engine, which it builds first if the cache has none."""

    def __init__(self, bundle: Bundle, options: BackendOptions) -> None:
        """Load or build the engine.

        Raises:
            BackendError: no GPU, no TensorRT, or no right engine; the message says which.
        """
        opened = open_engine(bundle, options)
        self._execution = opened.execution
        self._failure = ""
        key = opened.key
        graph = "CUDA graph" if opened.execution.has_graph else "no CUDA graph"
        self._description = f"TensorRT {key.tensorrt} {key.precision} on {key.gpu}, {graph}"

    @property
    def description(self) -> str:
        """Version, precision and GPU."""
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
            BackendError: CUDA or TensorRT failed, now or in an earlier frame.
        """
        if self._failure:
            raise BackendError(self._failure)
        inputs: dict[str, NDArray[Any]] = {"color": color[None], "depth": depth[None], "present": present[None]}
        inputs |= {name: image[None] for name, image in further.items()}
        try:
            return NetworkOutput.of(self._execution.run(inputs))
        except BackendError as error:
            # CUDA repeats an error until it is reset; calling it again would only hide the first one.
            self._failure = f"{error} No frame can be localized until the node is cleaned up and configured again."
            raise BackendError(self._failure) from error

    def close(self) -> None:
        """Free the engine, its buffers and its stream."""
        self._execution.close()
