# SPDX-License-Identifier: Apache-2.0
"""The parameters of the inputs: transports, QoS, the camera's intrinsics, and what to do without one of the images."""

from __future__ import annotations

from dataclasses import dataclass

from mvloc_ros.parameters.declaration import parameter


@dataclass(frozen=True)
class InputParameters:
    """How images are received, read and paired."""

    color_transport: str = parameter(
        "raw",
        "message of the colour images; `raw`: Image; `compressed`: CompressedImage (JPEG, PNG)",
        choices=("raw", "compressed"),
    )
    depth_source: str = parameter(
        "image",
        "message of the depth; `image`: Image; `compressed`: compressedDepth (PNG, RVL); `cloud`: PointCloud2, "
        "which is projected",
        choices=("image", "compressed", "cloud"),
    )
    sensor_topics: str = parameter(
        "",
        "topics of the model's further sensors, `name:=topic` with spaces between them, compressed ones with their "
        "suffix; a sensor that is not named is taken for absent",
    )
    cloud_splat: float = parameter(
        1.0,
        "width of a projected point; take that of `--splat` when the training data was made",
        unit="px",
        range=(1.0, 64.0),
    )
    depth_unit_m: float = parameter(
        0.0,
        "one unit of the depth input; 0: REP 118 (16UC1 millimetres, 32FC1 and clouds metres)",
        unit="m",
        range=(0.0, 10.0),
    )
    rescale_input: bool = parameter(
        False, "rescale and crop the images to the training cameras' intrinsics, by their camera_info"
    )
    pair_tolerance: float = parameter(
        0.02,
        "largest difference of the stamps of colour and depth, and of a frame and a further sensor's image; 0: equal "
        "stamps only",
        unit="s",
        range=(0.0, 1.0),
    )
    single_modality_wait: float = parameter(
        0.5,
        "time without a partner after which images are processed alone, the other experts dropped; 0: never",
        unit="s",
        range=(0.0, 60.0),
    )
    image_queue_size: int = parameter(
        5, "images of a topic that may wait, in the middleware (QoS depth) and for a partner", range=(1, 100)
    )
    image_reliability: str = parameter(
        "best_effort",
        "QoS of the image subscriptions; `best_effort`: works with every publisher; `reliable`: refuses best-effort "
        "cameras; `best_available`: chosen by the middleware, not on Humble",
        choices=("best_effort", "reliable", "best_available"),
    )
    image_durability: str = parameter(
        "volatile",
        "QoS of the image subscriptions; `volatile`: works with every publisher; `transient_local`: refuses volatile "
        "cameras; `best_available`: chosen by the middleware, not on Humble",
        choices=("volatile", "transient_local", "best_available"),
    )
