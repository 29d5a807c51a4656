# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: one table that declares them, and the frozen values that a run uses.

`config/mvloc.yaml` lists the same parameters with the same defaults; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from mvloc_ros.inference.backend import BACKENDS
from mvloc_ros.inference.precision import PRECISIONS


@dataclass(frozen=True)
class Spec:
    """How one parameter is declared: `choices` for strings, `range` (both ends included) for numbers."""

    default: Any
    description: str
    choices: tuple[str, ...] = ()
    range: tuple[float, float] | None = None


@dataclass(frozen=True)
class NodeParameters:
    """The values of one configuration, by the names of the ROS parameters."""

    model: str
    backend: str
    threads: int
    precision: str
    engine_cache: str
    autostart: bool
    pair_tolerance: float
    image_queue_size: int
    image_reliability: str
    map_frame: str
    camera_frame: str
    publish_tf: bool
    status_period: float
    starvation_timeout: float


SPECS: dict[str, Spec] = {
    "model": Spec("", "Folder of the model bundle, as written by `mvloc export`."),
    "backend": Spec("auto", "What runs the network; auto takes the best that works here.", choices=BACKENDS),
    "threads": Spec(0, "CPU threads of the backend; 0 takes one per available core.", range=(0, 256)),
    "precision": Spec("auto", "Arithmetic of the network; auto takes fp16 on GPUs if the model has it.", PRECISIONS),
    "engine_cache": Spec("", "Folder of TensorRT's engines; empty takes ~/.cache/mvloc_ros/engines."),
    "autostart": Spec(True, "Configure and activate at start, without a lifecycle manager."),
    "pair_tolerance": Spec(
        0.02,
        "Largest difference in seconds between the stamps of colour and depth; 0 for equal stamps only.",
        range=(0.0, 1.0),
    ),
    "image_queue_size": Spec(5, "Images of a topic that may wait in the middleware and for a partner.", range=(1, 100)),
    "image_reliability": Spec(
        "best_effort",
        "QoS of the image subscriptions; best_effort works with every publisher.",
        choices=("best_effort", "reliable"),
    ),
    "map_frame": Spec("", "Frame of the published poses; empty takes the one the model names."),
    "camera_frame": Spec("", "Child frame of the published transform; empty takes the image's own frame_id."),
    "publish_tf": Spec(True, "Broadcast the transform from map_frame to the camera with each pose."),
    "status_period": Spec(
        1.0, "Seconds between diagnostics, and between status messages while no frame is processed.", range=(0.1, 60.0)
    ),
    "starvation_timeout": Spec(
        2.0,
        "Seconds without a pair of images after which the node says which topic is silent, and why.",
        range=(0.2, 60.0),
    ),
}


def declare(node: Node) -> None:
    """Declare every parameter with its description, range and default."""
    for name, spec in SPECS.items():
        descriptor = ParameterDescriptor(description=spec.description)
        if spec.choices:
            descriptor.additional_constraints = f"one of: {', '.join(spec.choices)}"
        if spec.range and isinstance(spec.default, int):
            low, high = (int(end) for end in spec.range)
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
        elif spec.range:
            descriptor.floating_point_range = [FloatingPointRange(from_value=spec.range[0], to_value=spec.range[1])]
        node.declare_parameter(name, spec.default, descriptor)


def read(node: Node) -> NodeParameters:
    """The values as they stand now."""
    return NodeParameters(**{field.name: node.get_parameter(field.name).value for field in fields(NodeParameters)})


def check_change(parameters: Iterable[Parameter], configured: bool) -> SetParametersResult:
    """Accept or refuse a change at run time, with the reason.

    All of ours are read when the node is configured, so a change while it is would be a lie.
    """
    for parameter in parameters:
        spec = SPECS.get(parameter.name)
        if spec is None:
            continue  # use_sim_time and the like are rclpy's
        if configured:
            reason = f"{parameter.name} is read at configure: deactivate, clean up, set it, configure again."
            return SetParametersResult(successful=False, reason=reason)
        if spec.choices and parameter.value not in spec.choices:
            reason = f"{parameter.name} must be one of {', '.join(spec.choices)}, not {parameter.value!r}."
            return SetParametersResult(successful=False, reason=reason)
    return SetParametersResult(successful=True)
