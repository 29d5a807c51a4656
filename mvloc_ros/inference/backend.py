# SPDX-License-Identifier: Apache-2.0
"""The protocol between the localizer and whatever runs the network, and the choice of a backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.errors import MvlocError
from mvloc_ros.inference.bundle import Bundle

BACKENDS = ("auto", "onnxruntime", "tensorrt", "torch")


class BackendError(MvlocError):
    """The backend that was asked for cannot serve here."""


@dataclass(frozen=True)
class NetworkOutput:
    """What one frame gives.

    Attributes:
        position: normalised position, float32 `[3]` (see `Bundle.position_in_map`).
        log_quaternion: logarithm of the rotation's quaternion, float32 `[3]` (Eq. 12, half angle).
        latent_mean, latent_log_variance: the joint posterior, float32 `[D]`.
        expert_share: prior, colour, depth: each expert's share of the joint precision, float32 `[3]`.
    """

    position: NDArray[np.float32]
    log_quaternion: NDArray[np.float32]
    latent_mean: NDArray[np.float32]
    latent_log_variance: NDArray[np.float32]
    expert_share: NDArray[np.float32]


class Backend(Protocol):
    """Runs one bundle's network. Owned by one thread; not safe to share."""

    @property
    def description(self) -> str:
        """What runs where, in one line, for the log and the status."""

    def run(self, color: NDArray[np.uint8], depth: NDArray[np.float32], present: NDArray[np.float32]) -> NetworkOutput:
        """Run one frame.

        Args:
            color: RGB `[H, W, 3]` of the bundle's input size.
            depth: metres `[H, W]`; 0, NaN and infinities are invalid.
            present: 1 or 0 for colour and depth `[2]`; the expert of an absent modality is dropped.
        """

    def close(self) -> None:
        """Release what is held; the backend is not used again."""


def create_backend(name: str, bundle: Bundle, threads: int = 0) -> Backend:
    """Make the named backend for a bundle, or for `auto` the best that works here.

    Args:
        name: one of `BACKENDS`.
        bundle: the model.
        threads: for the CPU; 0 lets the backend choose.

    Raises:
        BackendError: the backend is unknown or cannot serve here; the message says what it lacks.
    """
    if name not in BACKENDS:
        raise BackendError(f"There is no backend {name!r}; choose one of {', '.join(BACKENDS)}.")
    if name in ("tensorrt", "torch"):
        raise BackendError(
            f"This version of mvloc_ros has no {name} backend yet; set the parameter `backend` to onnxruntime or auto."
        )
    from mvloc_ros.inference.onnxruntime_backend import OnnxRuntimeBackend

    return OnnxRuntimeBackend(bundle, threads)
