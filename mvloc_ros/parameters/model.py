# SPDX-License-Identifier: Apache-2.0
"""The parameters of the model, of what runs it, and of the node's start."""

from __future__ import annotations

from dataclasses import dataclass

from mvloc_ros.backends.backend import BACKENDS
from mvloc_ros.backends.precision import PRECISIONS
from mvloc_ros.parameters.declaration import parameter

EXECUTORS = ("single_threaded", "events")


@dataclass(frozen=True)
class ModelParameters:
    """The model, its backend, and when they are loaded."""

    model: str = parameter(
        "",
        "folder of the model bundle, as written by `mvloc export`, or the name of a map in `models_folder`",
        changes="running",
    )
    models_folder: str = parameter("", "folder of bundles, of which `model` may name one by its map; empty: none")
    backend: str = parameter(
        "auto", "what runs the network; `auto`: the first of the others that works here", choices=BACKENDS
    )
    threads: int = parameter(0, "CPU threads of the backend; 0: one per available core", range=(0, 256))
    precision: str = parameter(
        "auto",
        "arithmetic of the network, of those that the model has; `auto`: fp16 on a GPU if the model has it, else fp32",
        choices=PRECISIONS,
    )
    engine_cache: str = parameter("", "folder of TensorRT's engines; empty: ~/.cache/mvloc_ros/engines")
    autostart: bool = parameter(True, "configure and activate at start, without a lifecycle manager", changes="start")
    executor: str = parameter(
        "single_threaded",
        "rclpy's executor of the node; `events`: its experimental one, where the installed rclpy has it",
        choices=EXECUTORS,
        changes="start",
    )
