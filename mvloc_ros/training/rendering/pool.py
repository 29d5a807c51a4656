# SPDX-License-Identifier: Apache-2.0
"""The rendered views of a run: drawn and rendered once before it, from its training frames alone, and cached.

Views are numbered attempts, each with random numbers of its own, and are kept in the order of their numbers. So they
depend on neither the number of threads nor the random numbers of the training.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros.training.cache import Stored, Writer, open_or_build
from mvloc_ros.training.datasets import COLOR, DEPTH, PosedFrames, evenly_spaced
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.rendering.observed_space import ObservedSpace, observe
from mvloc_ros.training.rendering.places import Places, is_clear, places_of
from mvloc_ros.training.rendering.selection import select
from mvloc_ros.training.rendering.sensor import DepthSensor, sensor_of
from mvloc_ros.training.rendering.source import Source, measured_shares, sources_of
from mvloc_ros.training.rendering.view import color_view, draw_view
from mvloc_ros.training.views.reprojection import RgbdCameras

Array = NDArray[np.float64]

FORMAT = 1  # of the rendered arrays; increment it with every change of their values
# A view is kept if frames show at least so much of it: by their coarse points, of its colors, and of its depth, the
# latter relative to what a recorded frame has.
LEAST_COVERED, LEAST_COLORED, LEAST_DEPTH = 0.6, 0.75, 0.7
# Share of the pixels that may be nearer than in nearly every recorded frame.
_NEAR_SHARE, _NEAR_FRAMES = 5.0, 1.0
_ATTEMPTS_PER_VIEW = 60
# Frames that are compared with views at their poses, for the holes of the sensor.
_COMPARED = 40
_LOOKED_AT = 2000
_BYTES_PER_PIXEL = 3 + 4  # color, and depth as float32
# Largest share of the views whose median depth lies in one quarter of those of the recorded frames: views from near are
# more often complete, and would else be most of them.
_LARGEST_QUARTER = 0.35
_LEAST_VIEWS = 8
_AHEAD = 8  # attempts that each thread makes in advance
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rendering:
    """What determines the rendered views of a run, beside its frames: how many, of which cameras, by what numbers."""

    count: int
    seed: int
    cameras: RgbdCameras

    def key(self, frames: PosedFrames) -> str:
        """Cache key of 32 hexadecimal digits."""
        cameras = [camera.to_dict() for camera in self.cameras]
        values = [FORMAT, self.count, self.seed, cameras, frames.digest()]
        return hashlib.sha256(json.dumps(["rendered", *values], sort_keys=True).encode()).hexdigest()[:32]


class _Shown(NamedTuple):
    """A view that shows enough: number of its sequence, T_map_camera, images, quarter of the recorded median depths."""

    sequence: int
    pose: Array
    color: NDArray[np.uint8]
    depth: NDArray[np.float32]
    quarter: int


class _Renderer:
    """Makes attempts; the same number gives the same view."""

    def __init__(self, rendering: Rendering, frames: PosedFrames, sources: list[Source]) -> None:
        self._seed, self._camera = rendering.seed, rendering.cameras.depth
        self._sources = sources
        self._spaces: list[ObservedSpace] = [observe(source) for source in sources]
        self._places: list[Places] = [places_of(source) for source in sources]
        counts = np.array([len(source.members) for source in sources], dtype=np.float64)
        self._chances = counts / counts.sum()
        self.sensor: DepthSensor = sensor_of(frames, self._camera).with_holes_of(self._recorded_pairs())
        complete = np.flatnonzero(frames.present[:, DEPTH] > 0.0)
        self._least_depth = LEAST_DEPTH * float(np.median(measured_shares(frames)[complete]))
        # One after another: all at once may be more than fits into memory.
        looked_at = (_measured(frames.depth[i]) for i in complete[evenly_spaced(len(complete), _LOOKED_AT)])
        percentiles = np.array([np.percentile(depth, (_NEAR_SHARE, 50.0)) for depth in looked_at if len(depth)])
        self._nearest = float(np.percentile(percentiles[:, 0], _NEAR_FRAMES))
        self._quartiles = np.percentile(percentiles[:, 1], (25.0, 50.0, 75.0))

    def _recorded_pairs(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Depth as drawn from several frames at the pose of one, and as that one recorded it."""
        for source, space in zip(self._sources, self._spaces, strict=True):
            for number in evenly_spaced(len(source.members), max(1, _COMPARED // len(self._sources))):
                pose = source.poses[number]
                selection = select(source, pose, self._camera)
                if len(selection.frames):
                    drawn = draw_view(source, space, pose, selection).depth.cpu().numpy()
                    yield drawn, np.asarray(source.frames.depth[source.members[number]])

    def attempt(self, number: int) -> _Shown | None:
        """A view, None if no camera could be at the drawn pose or too little is known of what it would see."""
        random = np.random.default_rng((self._seed, number))
        index = int(random.choice(len(self._sources), p=self._chances))
        source, space = self._sources[index], self._spaces[index]
        pose = self._places[index].draw(random)
        if not is_clear(space, pose[:3, 3]):
            return None
        selection = select(source, pose, self._camera)
        if selection.covered < LEAST_COVERED:
            return None
        drawn = draw_view(source, space, pose, selection)
        depth = drawn.depth.cpu().numpy()
        if (self.sensor.in_range(depth) > 0.0).mean() < self._least_depth or _near(depth) < self._nearest:
            return None
        view = color_view(source, drawn)
        if view.colored.mean() < LEAST_COLORED:
            return None
        quarter = int(np.searchsorted(self._quartiles, np.median(depth[depth > 0.0])))
        return _Shown(index, pose, view.color, self.sensor.measure(view.depth, random), quarter)


def _near(depth: NDArray[np.float32]) -> float:
    """The depth that few pixels of an image are nearer than; infinite without depth."""
    known = _measured(depth)
    return float(np.percentile(known, _NEAR_SHARE)) if len(known) else float("inf")


def _measured(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """The measurements of an image, `[N]`."""
    return depth[np.isfinite(depth) & (depth > 0.0)]


def render_pool(
    rendering: Rendering, frames: PosedFrames, device: torch.device, cache: Path | None, *, is_main: bool = True
) -> PosedFrames:
    """The rendered views of a run, from the cache if it has them.

    Args:
        rendering: how many, and by what random numbers.
        frames: the training frames. Nothing else contributes to a view.
        device: where to render.
        cache: folder of decoded frames; None: the views are kept in memory.
        is_main: whether to show progress.

    Raises:
        TrainingError: no frame has both color and depth, or hardly any view can be rendered.
    """
    if not (frames.present[:, [COLOR, DEPTH]] > 0.0).all(axis=1).any():
        raise TrainingError("--rendered needs frames with color and depth, and no training frame has both; remove it.")
    if cache is not None and (found := _through_cache(cache, rendering, frames, device, is_main)) is not None:
        return found
    shown = list(_shown(rendering, frames, device, is_main))
    return _assembled(
        np.stack([view.color for view in shown]),
        np.stack([view.depth for view in shown]),
        np.stack([view.pose for view in shown]),
        [view.sequence for view in shown],
        _names(frames, rendering, device),
    )


def _through_cache(
    cache: Path, rendering: Rendering, frames: PosedFrames, device: torch.device, is_main: bool
) -> PosedFrames | None:
    """The memory-mapped views; None, with a warning, if the cache cannot be used."""
    height, width = frames.depth.shape[1:]
    needed = rendering.count * height * width * _BYTES_PER_PIXEL
    build = partial(_write, rendering=rendering, frames=frames, device=device, is_main=is_main)
    try:
        stored = open_or_build(cache / rendering.key(frames), build, needed)
    except OSError as error:
        reason = str(error.strerror or error)
    else:
        try:
            return _read(stored)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            reason = f"its notes are damaged: {error}; delete it with `mvloc cache clear`"
    _log.warning(
        "The cache folder %s cannot be used (%s), so rendered views are kept in memory; see --cache.", cache, reason
    )
    return None


def _names(frames: PosedFrames, rendering: Rendering, device: torch.device) -> list[str]:
    return [source.name for source in sources_of(frames, rendering.cameras, device)]


def _write(
    writer: Writer, rendering: Rendering, frames: PosedFrames, device: torch.device, is_main: bool
) -> dict[str, Any]:
    """Fill a cache entry; returns its notes."""
    poses, sequences = [], []
    for view in _shown(rendering, frames, device, is_main):
        writer.append("color", view.color)
        writer.append("depth", view.depth)
        poses.append(view.pose)
        sequences.append(view.sequence)
        writer.append("pose", view.pose)
    arrays = writer.seal()
    names = _names(frames, rendering, device)
    found = _assembled(arrays["color"], arrays["depth"], np.stack(poses), sequences, names)
    height, width = frames.depth.shape[1:]
    return {
        "source": ", ".join(names),
        "label": "rendered",
        "frames": len(found),
        "size": [width, height],
        "sequences": [names[index] for index in sequences],
        "digest": found.digest(),
    }


def _read(stored: Stored) -> PosedFrames:
    """The views of a cache entry."""
    arrays, names = stored.arrays, stored.notes["sequences"]
    known = sorted(set(names))
    return _assembled(
        arrays["color"], arrays["depth"], np.array(arrays["pose"]), [known.index(n) for n in names], known,
        str(stored.notes["digest"]),
    )  # fmt: skip


def _assembled(
    color: NDArray[np.uint8],
    depth: NDArray[np.float32],
    poses: Array,
    sequences: list[int],
    names: list[str],
    digest: str = "",
) -> PosedFrames:
    frames = PosedFrames(
        color,
        depth,
        np.ones((len(poses), 2), dtype=np.float32),
        poses,
        np.arange(len(poses), dtype=np.int64),
        tuple(names[index] for index in sequences),
    )
    return frames.known_as(digest)


def _shown(rendering: Rendering, frames: PosedFrames, device: torch.device, is_main: bool) -> Iterator[_Shown]:
    """The first views that are kept, in the order of their attempts.

    Raises:
        TrainingError: there are hardly any.
    """
    sources = sources_of(frames, rendering.cameras, device)
    if not sources:
        raise TrainingError(
            "--rendered needs frames with color and depth, and no training frame has depth in a tenth of its pixels; "
            "remove it."
        )
    renderer = _Renderer(rendering, frames, sources)
    found, attempts, quarters = 0, 0, [0] * 4
    largest = math.ceil(_LARGEST_QUARTER * rendering.count)
    with tqdm(total=rendering.count, desc="rendering views", unit="view", disable=not is_main) as bar:
        for view in _attempts(renderer, rendering.count * _ATTEMPTS_PER_VIEW):
            attempts += 1
            if view is None or quarters[view.quarter] == largest:
                continue
            found += 1
            quarters[view.quarter] += 1
            bar.update()
            yield view
            if found == rendering.count:
                return
    if found < min(_LEAST_VIEWS, rendering.count):
        raise TrainingError(
            f"--rendered found only {found} views in {attempts} poses of which the training frames show enough; their "
            "depth or poses may be wrong, or they saw too little; remove it, or record more of the place."
        )
    _log.warning(
        "Only %d of %d views were rendered: the training frames show too little of the place from elsewhere.",
        found, rendering.count,
    )  # fmt: skip


def _attempts(renderer: _Renderer, most: int) -> Iterator[_Shown | None]:
    """The results of all attempts in their order, made by several threads of one thread of torch each."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    before = torch.get_num_threads()
    waiting: deque[Future[_Shown | None]] = deque()
    pool = ThreadPoolExecutor(threads, "render", initializer=torch.set_num_threads, initargs=(1,))
    try:
        for number in range(most):
            waiting.append(pool.submit(renderer.attempt, number))
            if len(waiting) > _AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)
