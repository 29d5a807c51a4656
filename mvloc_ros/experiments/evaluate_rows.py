# SPDX-License-Identifier: Apache-2.0
"""Evaluates every row of a table on the test frames of a scene: poses and errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.evaluation.baselines import constant_pose, nearest_training_poses
from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.experiments.missing_images import Protocol
from mvloc_ros.experiments.retrieval import Retrieval, choose_count, describe
from mvloc_ros.experiments.runs import FoundRun, RunFolder
from mvloc_ros.experiments.scenes import Scene, Truth
from mvloc_ros.experiments.table_rows import Row
from mvloc_ros.training.checkpoint import LAST
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.predict import predict
from mvloc_ros.training.train import pick_device
from mvloc_ros.training.trained_network import read_network

CONSTANT = "constant pose"
RETRIEVAL = "image retrieval"
ORACLE = "nearest training pose (oracle)"
BASELINES = (CONSTANT, RETRIEVAL, ORACLE)


@dataclass(frozen=True, eq=False)
class EvaluatedRow:
    """The poses `[N, 4, 4]` of one row for the test frames of a scene; `seed` and `run` are None for a baseline."""

    scene: str
    row: str
    protocol: Protocol
    frames: Truth
    estimates: NDArray[np.float64]
    errors: PoseErrors
    seed: int | None = None
    run: FoundRun | None = None
    note: str = ""


class Evaluator:
    """Evaluates the finished runs of a folder; missing or unfinished runs, or those on other frames, are skipped."""

    def __init__(self, runs: RunFolder, weights: str, device: str, protocols: Sequence[Protocol]) -> None:
        self.runs, self.weights, self.protocols = runs, weights, protocols
        self.device = pick_device(device)

    def rows(self, scene: Scene, rows: Sequence[Row], seeds: int) -> Iterator[EvaluatedRow]:
        """Every finished run of the rows, in every protocol that applies to the system."""
        for row in rows:
            for seed in range(seeds):
                run = self.runs.find(scene, scene.adapt(row.config.with_options({}, seed=seed)), self.weights)
                if run is not None and run.finished:
                    yield from self._run(scene, row, seed, run)

    def _run(self, scene: Scene, row: Row, seed: int, run: FoundRun) -> Iterator[EvaluatedRow]:
        trained = read_network(run.folder / LAST, half_weights=False)
        network = trained.network.to(self.device)
        frames = scene.test_frames(scene.adapt(row.config))
        batch = row.config.optimiser.batch_size
        for protocol in self.protocols:
            if protocol.missing is not None and not SYSTEMS[row.system].uses_depth:
                continue
            seen = protocol.apply(frames)
            poses = predict(network, seen, trained.normalisation, self.device, batch, trained.config.clips)
            errors = PoseErrors.of(poses, frames.poses)
            yield EvaluatedRow(scene.name, row.label, protocol, Truth.of(frames), poses, errors, seed, run)

    def baselines(self, scene: Scene, config: TrainingConfig) -> Iterator[EvaluatedRow]:
        """Constant pose, image retrieval and nearest training pose, for all test frames."""
        config = scene.adapt(config)
        training, frames = scene.training_frames(config), scene.test_frames(config)
        database = describe(training)
        count = choose_count(database, training.poses, training.sequences)
        retrieval = Retrieval.build(database, training.poses, count)
        constant = np.broadcast_to(constant_pose(training.poses), frames.poses.shape)
        nearest = nearest_training_poses(training.poses, frames.poses)
        for protocol in self.protocols:
            answers = [(RETRIEVAL, retrieval.predict(describe(protocol.apply(frames))), f"k = {retrieval.count}")]
            if protocol.missing is None:
                answers += [(CONSTANT, constant, ""), (ORACLE, nearest, "")]
            for name, poses, note in answers:
                errors = PoseErrors.of(poses, frames.poses)
                yield EvaluatedRow(scene.name, name, protocol, Truth.of(frames), poses, errors, note=note)
