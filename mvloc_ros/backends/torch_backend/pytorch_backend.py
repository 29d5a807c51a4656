# SPDX-License-Identifier: Apache-2.0
"""PyTorch as the node's backend: on a GPU half precision, channels-last, and one CUDA graph a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mvloc_ros.backends.backend import NO_SENSORS, BackendError, BackendOptions, NetworkOutput
from mvloc_ros.backends.network_file import INPUTS, OUTPUTS, require_network
from mvloc_ros.backends.precision import choose
from mvloc_ros.backends.torch_backend.graph import OnnxGraph
from mvloc_ros.foreign_text import first_line
from mvloc_ros.model.bundle import Bundle

_WARM_UPS = 3  # cuDNN tries its algorithms in the first run, which a capture may not contain


class TorchBackend:
    """Runs a bundle with PyTorch, on the first GPU where there is one."""

    def __init__(self, bundle: Bundle, options: BackendOptions, *, graph: bool = True) -> None:
        """Load the network.

        Args:
            bundle: the model.
            options: the threads are PyTorch's own, of the whole process.
            graph: capture a CUDA graph; without one every kernel is launched from Python.

        Raises:
            BackendError: the bundle lacks the precision, its file is not accepted, or the GPU fails.
        """
        on_gpu = torch.cuda.is_available()
        precision = choose(bundle, options.precision, ("fp16",) if on_gpu else ())
        if precision == "int8":
            raise BackendError("The torch backend does not support int8 networks; set `precision` to auto.")
        self._device = torch.device("cuda" if on_gpu else "cpu")
        if not on_gpu and options.threads:
            torch.set_num_threads(options.threads)
        self._network = OnnxGraph(require_network(bundle, precision)).to(self._device)
        self._further = tuple(item.sensor.name for item in bundle.manifest.sensors)
        if self._network.inputs != (*INPUTS, *self._further) or set(OUTPUTS) - set(self._network.outputs):
            raise BackendError(f"The network of {bundle.name} has another interface; export the bundle again.")
        self._inputs = _example(bundle, self._device)
        self._pinned = [torch.empty_like(value, device="cpu", pin_memory=on_gpu) for value in self._inputs]
        # As arrays: a message's pixels are read-only, which PyTorch warns of.
        self._staged = [value[0].numpy() for value in self._pinned]
        self._graph: torch.cuda.CUDAGraph | None = None
        self._outputs: Sequence[Tensor] = ()
        if on_gpu and graph:
            self._capture()
        device = f"{torch.cuda.get_device_name()}{', CUDA graph' if self._graph else ''}" if on_gpu else "CPU"
        self._description = f"torch {torch.__version__} {precision} on {device}"

    def _capture(self) -> None:
        try:
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARM_UPS):
                    self._compute()
            torch.cuda.current_stream().wait_stream(side)
            recorded = torch.cuda.CUDAGraph()
            with torch.cuda.graph(recorded):
                self._outputs = self._compute()
        except RuntimeError as error:
            raise BackendError(f"PyTorch cannot capture the network as a CUDA graph: {error}.") from error
        self._graph = recorded

    def _compute(self) -> tuple[Tensor, ...]:
        with torch.inference_mode():
            outputs: tuple[Tensor, ...] = self._network(*self._inputs)
            return outputs

    @property
    def description(self) -> str:
        """Version, precision and device."""
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
            BackendError: PyTorch or the GPU failed.
        """
        try:
            with torch.inference_mode():
                frame: tuple[NDArray[Any], ...] = (color, depth, present, *(further[name] for name in self._further))
                for i, image in enumerate(frame):
                    np.copyto(self._staged[i], image, casting="no")
                    self._inputs[i].copy_(self._pinned[i], non_blocking=True)
                if self._graph is not None:
                    self._graph.replay()
                else:
                    self._outputs = self._compute()
                values = {
                    name: value.cpu().numpy() for name, value in zip(self._network.outputs, self._outputs, strict=True)
                }
        except Exception as error:  # whatever an operator raises at types that do not fit
            raise BackendError(f"PyTorch failed on {self._device}: {first_line(error)}.") from error
        for name in OUTPUTS:
            if values[name].dtype != np.float32:
                raise BackendError(f"The network gives {name} as {values[name].dtype}; export the bundle again.")
        return NetworkOutput.of(values)

    def close(self) -> None:
        """Drop the network and its buffers."""
        del self._graph, self._network, self._inputs, self._pinned, self._staged, self._outputs


def _example(bundle: Bundle, device: torch.device) -> list[Tensor]:
    """The buffers of the inputs, in the order of the graph's interface."""
    color, depth, *further = (torch.from_numpy(modality.blank())[None] for modality in bundle.manifest.inputs)
    present = torch.zeros(1, 2 + len(further))
    return [value.to(device) for value in (color, depth, present, *further)]
