# SPDX-License-Identifier: Apache-2.0
"""The parameters of the inputs: transports, QoS, the camera's intrinsics, and what to do without one of the images."""

from __future__ import annotations

from dataclasses import dataclass

from mvloc_ros.node.parameter_spec import Spec


@dataclass(frozen=True)
class InputParameters:
    """The values of one configuration, by the names of the ROS parameters."""

    color_transport: str
    depth_source: str
    cloud_splat: float
    depth_unit_m: float
    rescale_input: bool
    pair_tolerance: float
    single_modality_wait: float
    image_queue_size: int
    image_reliability: str
    image_durability: str


INPUT_SPECS: dict[str, Spec] = {
    "color_transport": Spec(
        "raw", "Colour as sensor_msgs/Image, or as CompressedImage (JPEG, PNG).", choices=("raw", "compressed")
    ),
    "depth_source": Spec(
        "image",
        "Depth as sensor_msgs/Image, as compressedDepth (PNG, RVL), or projected from a PointCloud2.",
        choices=("image", "compressed", "cloud"),
    ),
    "cloud_splat": Spec(
        1.0, "Width in pixels of a projected point, as in `mvloc bag to-dataset --splat`.", range=(1.0, 64.0)
    ),
    "depth_unit_m": Spec(
        0.0,
        "Metres of one unit of the depth input; 0 takes REP 118's: 16UC1 millimetres, 32FC1 and clouds metres.",
        range=(0.0, 10.0),
    ),
    "rescale_input": Spec(
        False, "Rescale and crop the images to the intrinsics of the training cameras, by their camera_info."
    ),
    "pair_tolerance": Spec(
        0.02,
        "Largest difference in seconds between the stamps of colour and depth; 0 for equal stamps only.",
        range=(0.0, 1.0),
    ),
    "single_modality_wait": Spec(
        0.5,
        "Seconds without a partner after which images are processed alone, the other expert dropped; 0 for never.",
        range=(0.0, 60.0),
    ),
    "image_queue_size": Spec(5, "Images of a topic that may wait in the middleware and for a partner.", range=(1, 100)),
    "image_reliability": Spec(
        "best_effort",
        "QoS of the image subscriptions; best_effort works with every publisher.",
        choices=("best_effort", "reliable", "best_available"),
    ),
    "image_durability": Spec(
        "volatile",
        "QoS of the image subscriptions; volatile works with every publisher.",
        choices=("volatile", "transient_local", "best_available"),
    ),
}
