# SPDX-License-Identifier: Apache-2.0
"""A model bundle with what runs it, ready for its first frame."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from mvloc_ros.backends.backend import Backend
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.foreign_text import quoted
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.model.named_maps import model_path
from mvloc_ros.parameters.table import NodeParameters


@dataclass(frozen=True)
class LoadedModel:
    """Owned by the node; its localizer is used by one thread at a time."""

    bundle: Bundle
    backend: Backend
    localizer: Localizer
    map_frame: str
    summary: str

    @property
    def sensors(self) -> tuple[tuple[str, str], ...]:
        """Name and kind of each further sensor."""
        return tuple((item.sensor.name, item.sensor.kind) for item in self.bundle.manifest.sensors)

    @property
    def pose_of(self) -> str:
        """`color` or `depth`: whose camera's pose the model gives."""
        return self.bundle.manifest.frames.pose_of

    def close(self) -> None:
        """Release the backend; the model is not used again."""
        self.backend.close()


def load_model(values: NodeParameters, path: str, report: Callable[[str], object]) -> LoadedModel:
    """Read a bundle, check it, and run it until it is warm. May take long; any thread may do it.

    `path` is the bundle's, or the name of a map in `models_folder`.
    `report` is told in sentences how it goes: which backend was chosen, and how far an engine is.

    Raises:
        BundleError, BackendError: the model cannot be used.
    """
    started = time.perf_counter()
    bundle = read_bundle(model_path(values.models_folder, path))
    backend = create_backend(
        values.backend,
        bundle,
        values.threads,
        precision=values.precision,
        engine_cache=values.engine_cache,
        report=report,
    )
    try:
        localizer = Localizer(bundle, backend, values.refinement)
        inference_ms = localizer.warm_up()
    except BaseException:
        backend.close()
        raise
    seconds = time.perf_counter() - started
    summary = f"model {bundle.name} on {backend.description}: {inference_ms:.1f} ms a frame, loaded in {seconds:.1f} s"
    summary += "; poses are refined against its scene map" if localizer.refines else ""
    summary += f"; map {quoted(bundle.map_name)}" if bundle.manifest.map_name or values.models_folder else ""
    summary += f"; {bundle.digest_in_words}"
    return LoadedModel(bundle, backend, localizer, values.map_frame or bundle.manifest.frames.map, summary)
