# SPDX-License-Identifier: Apache-2.0
"""The protocol between the localizer and the backend that runs the network."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.errors import MvlocError

# After auto: in the order in which auto tries them.
BACKENDS = ("auto", "tensorrt", "onnxruntime", "torch")


NO_SENSORS: Mapping[str, NDArray[Any]] = MappingProxyType({})


class BackendError(MvlocError):
    """The requested backend cannot be used here."""


@dataclass(frozen=True)
class NetworkOutput:
    """The network's output for one frame.

    Attributes:
        position: normalised position, float32 `[3]` (see `Bundle.position_in_map`).
        log_quaternion: logarithm of the rotation's quaternion, float32 `[3]` (Eq. 12, half angle).
        latent_mean, latent_log_variance: the joint posterior, float32 `[D]`.
        expert_share: prior, colour, depth, further sensors: each expert's share of the joint precision, float32
            `[1 + M]`.
    """

    position: NDArray[np.float32]
    log_quaternion: NDArray[np.float32]
    latent_mean: NDArray[np.float32]
    latent_log_variance: NDArray[np.float32]
    expert_share: NDArray[np.float32]

    @staticmethod
    def of(outputs: Mapping[str, NDArray[np.float32]]) -> NetworkOutput:
        """From the network's outputs by name, each with a first axis of one frame (`network_file.OUTPUTS`)."""
        pose, mean, log_variance, share = (
            outputs[name][0] for name in ("pose", "latent_mean", "latent_log_variance", "expert_share")
        )
        return NetworkOutput(pose[:3], pose[3:], mean, log_variance, share)


class Backend(Protocol):
    """Runs one bundle's network. Owned by one thread; not safe to share."""

    @property
    def description(self) -> str:
        """What runs where, in one line, for the log and the status."""

    def run(
        self,
        color: NDArray[np.uint8],
        depth: NDArray[np.float32],
        present: NDArray[np.float32],
        further: Mapping[str, NDArray[Any]] = NO_SENSORS,
    ) -> NetworkOutput:
        """Run one frame.

        Args:
            color: RGB `[H, W, 3]` of the bundle's input size.
            depth: metres `[H, W]`; 0, NaN and infinities are invalid.
            present: 1 or 0 for colour, depth and further sensors `[M]`; the expert of an absent modality is dropped.
            further: the images of the further sensors that the manifest lists, by name (`ModalityInput`).
        """

    def close(self) -> None:
        """Release what is held; the backend is not used again."""


@dataclass(frozen=True)
class BackendOptions:
    """A user's options for any backend.

    Attributes:
        threads: for the CPU; 0 lets the backend choose.
        precision: one of `mvloc_ros.backends.precision.PRECISIONS`.
        engine_cache: folder of TensorRT's engines; empty for the user's cache folder.
        report: is given sentences for the log, such as the progress of a long build.
    """

    threads: int = 0
    precision: str = "auto"
    engine_cache: str = ""
    report: Callable[[str], object] = logging.getLogger(__name__).info
