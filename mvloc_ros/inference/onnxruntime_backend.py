# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime on the CPU: the embedded default, and the reference for every other backend."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.inference.backend import BackendError, NetworkOutput
from mvloc_ros.inference.bundle import Bundle

# Name -> type and shape of the graph's interface; H, W and D come from the manifest.
_INPUTS = ("color", "depth", "present")
_OUTPUTS = ("pose", "latent_mean", "latent_log_variance", "expert_share")


class OnnxRuntimeBackend:
    """Runs a bundle with onnxruntime's CPU provider."""

    def __init__(self, bundle: Bundle, threads: int = 0) -> None:
        """Load the network.

        Args:
            bundle: the model.
            threads: size of the intra-op pool; 0 takes one per core that this process may use.

        Raises:
            BackendError: onnxruntime is missing, cannot load the file, or its interface is another one.
        """
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise BackendError(
                f"The onnxruntime backend needs the package onnxruntime (pip install onnxruntime): {error}."
            ) from error
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        options.inter_op_num_threads = 1
        # Spinning threads would take the core that the middleware's transport needs between frames.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                str(bundle.model_path), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises its own unrelated classes
            raise BackendError(
                f"onnxruntime cannot load {bundle.model_path}: {error}; export the bundle again."
            ) from error
        self._check_interface(bundle)
        self._threads = options.intra_op_num_threads
        self._version = str(ort.__version__)

    def _check_interface(self, bundle: Bundle) -> None:
        inputs = {value.name: value.shape for value in self._session.get_inputs()}
        outputs = {value.name for value in self._session.get_outputs()}
        height, width = bundle.manifest.input.height, bundle.manifest.input.width
        expected = {"color": [height, width, 3], "depth": [height, width], "present": [2]}
        for name in _INPUTS:
            # The first axis is the batch, whose size may be symbolic.
            if name not in inputs or list(inputs[name][1:]) != expected[name]:
                raise BackendError(
                    f"{bundle.model_path} takes {name} as {inputs.get(name)}, the manifest says {expected[name]} "
                    "a frame; export the bundle again."
                )
        if missing := set(_OUTPUTS) - outputs:
            raise BackendError(f"{bundle.model_path} gives no {', '.join(sorted(missing))}; export the bundle again.")

    @property
    def description(self) -> str:
        """Library, version, device and threads."""
        return f"onnxruntime {self._version} CPU, {self._threads} threads"

    def run(self, color: NDArray[np.uint8], depth: NDArray[np.float32], present: NDArray[np.float32]) -> NetworkOutput:
        """Run one frame (shapes: see `Backend.run`)."""
        values: Mapping[str, NDArray[np.float32]] = dict(
            zip(
                _OUTPUTS,
                self._session.run(_OUTPUTS, {"color": color[None], "depth": depth[None], "present": present[None]}),
                strict=True,
            )
        )
        return NetworkOutput(
            position=values["pose"][0, :3],
            log_quaternion=values["pose"][0, 3:],
            latent_mean=values["latent_mean"][0],
            latent_log_variance=values["latent_log_variance"][0],
            expert_share=values["expert_share"][0],
        )

    def close(self) -> None:
        """Drop the session and its memory arena."""
        del self._session
