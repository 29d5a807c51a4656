# SPDX-License-Identifier: Apache-2.0
"""The precisions that a bundle's networks may have, and which one a backend uses."""

from __future__ import annotations

from collections.abc import Sequence

from mvloc_ros.backends.backend import BackendError
from mvloc_ros.model.bundle import Bundle

# What `precision` may be; auto takes the fastest that the bundle has and that suits the backend.
PRECISIONS = ("auto", "fp32", "fp16", "bf16", "int8")


def choose(bundle: Bundle, wanted: str, by_speed: Sequence[str]) -> str:
    """The precision to run.

    Args:
        bundle: the model.
        wanted: one of `PRECISIONS`.
        by_speed: what `auto` takes if the bundle has it, best first; after these fp32, which every bundle has.

    Raises:
        BackendError: there is no such precision, or the bundle has no such network.
    """
    if wanted not in PRECISIONS:
        raise BackendError(f"{wanted!r} is not a precision; choose one of {', '.join(PRECISIONS)}.")
    if wanted == "auto":
        return next((name for name in by_speed if name in bundle.manifest.precisions), "fp32")
    if wanted != "fp32" and wanted not in bundle.manifest.precisions:
        has = ", ".join(("fp32", *bundle.manifest.precisions))
        raise BackendError(
            f"The model {bundle.name} has no {wanted} network, only {has}; export it with `mvloc export RUN "
            f"--precision {wanted}`, or set `precision` to auto."
        )
    return wanted
