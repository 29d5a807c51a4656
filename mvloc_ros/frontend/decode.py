# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/Image to arrays: a view where the encoding allows it, cv_bridge for the rest.

The encodings that cameras send every frame are read in place, honouring `step` and `is_bigendian`;
a view keeps its message alive. Messages from rosbags work as well as those from rclpy: only the
attributes of sensor_msgs/Image are used.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.foreign_text import shown
from mvloc_ros.frontend.message_data import DecodeError, data_of, is_elsewhere
from mvloc_ros.limits import MOST_PIXELS
from mvloc_ros.model.frame import ColorImage, DepthImage

# Encoding -> channels and their order (sensor_msgs/image_encodings.hpp).
_COLOR_VIEWS = {
    "rgb8": (3, "rgb"),
    "bgr8": (3, "bgr"),
    "8UC3": (3, "bgr"),
    "rgba8": (4, "rgba"),
    "bgra8": (4, "bgra"),
    "8UC4": (4, "bgra"),
    "mono8": (1, "mono"),
    "8UC1": (1, "mono"),
}
# Encoding -> item type and metres of one unit (REP-118: 32FC1 in metres; 16UC1 is OpenNI's millimetres).
_DEPTH_VIEWS = {"16UC1": (np.uint16, 0.001), "mono16": (np.uint16, 0.001), "32FC1": (np.float32, 1.0)}


# OpenCV's types but those of 8U: numbers, and nothing says of what (16SC1 is disparity, or some drivers' depth).
_NUMBERS = re.compile(r"(8S|16U|16S|32S|32F|64F)C\d*")
_REASON = 300
"""Characters of another library's words."""
__all__ = ["DecodeError", "decode_color", "decode_depth", "is_color", "is_depth"]


def is_depth(encoding: str) -> bool:
    """Whether images of the encoding are depth that `decode_depth` reads."""
    return encoding in _DEPTH_VIEWS


def is_color(encoding: str) -> bool:
    """Whether images of the encoding can be colour: all but depth, and numbers of unknown meaning such as 16SC1."""
    return not is_depth(encoding) and _NUMBERS.fullmatch(encoding) is None


def decode_color(message: Any) -> ColorImage:
    """Read a colour image of any encoding that cv_bridge knows.

    Raises:
        DecodeError: the image is empty, its sizes contradict each other, or nobody knows its encoding.
    """
    if message.encoding in _COLOR_VIEWS:
        channels, order = _COLOR_VIEWS[message.encoding]
        view = _view(message, np.dtype(np.uint8), channels)
        return ColorImage(view if channels > 1 else view[:, :, 0], order)
    if is_depth(message.encoding):
        raise DecodeError(
            f"The colour topic carries {message.encoding}, which is a depth image; check that the colour and depth "
            "topics are not swapped."
        )
    if not is_color(message.encoding):
        raise DecodeError(
            f"The colour topic carries {shown(message.encoding)}, which is no colour image but disparity, depth or "
            "other numbers; name the topic of the colour images."
        )
    return ColorImage(_through_cv_bridge(message, "rgb8"), "rgb")


def decode_depth(message: Any, unit_m: float = 0.0) -> DepthImage:
    """Read a depth image: 16UC1 or mono16 in millimetres, 32FC1 in metres, unless `unit_m` states another unit.

    Args:
        message: sensor_msgs/Image.
        unit_m: metres of one unit of the values; 0 takes REP 118's.

    Raises:
        DecodeError: the image is empty, its sizes contradict each other, or it is no depth image.
    """
    if message.encoding not in _DEPTH_VIEWS:
        raise DecodeError(
            f"The depth topic carries the encoding {shown(message.encoding)!r}; a depth image is 16UC1 (millimetres) "
            "or 32FC1 (metres): check the topic and the driver's depth settings."
        )
    kind, metres_per_unit = _DEPTH_VIEWS[message.encoding]
    view = _view(message, np.dtype(kind), 1)[:, :, 0]
    return DepthImage(view, unit_m or metres_per_unit)


def _view(message: Any, item: np.dtype[Any], channels: int) -> NDArray[Any]:
    """`[height, width, channels]` onto the message's bytes; a copy only for foreign byte order."""
    _check_size(message)
    height, width, step = int(message.height), int(message.width), int(message.step)
    row = width * channels * item.itemsize
    data = data_of(message)
    if step < row or step % item.itemsize or data.size < (height - 1) * step + row:
        raise DecodeError(
            f"An image of {width}x{height} {message.encoding} needs rows of {row} bytes, but step is {step} and there "
            f"are {data.size} bytes; the driver or the recording is faulty."
        )
    stored = item.newbyteorder(">" if message.is_bigendian else "<")
    view = np.ndarray(
        (height, width, channels),
        dtype=stored,
        buffer=data,
        strides=(step, channels * item.itemsize, item.itemsize),
    )
    return view if stored.isnative else view.astype(item)


def _check_size(message: Any) -> None:
    if message.height < 1 or message.width < 1 or len(message.data) == 0:
        raise DecodeError(
            f"The image is empty ({message.width}x{message.height} pixels, {len(message.data)} bytes); "
            "check the camera driver."
        )
    if message.height * message.width > MOST_PIXELS:
        raise DecodeError(
            f"The image claims {message.width}x{message.height} pixels, at most {MOST_PIXELS} are accepted; check the "
            "camera driver."
        )


def _through_cv_bridge(message: Any, wanted: str) -> NDArray[np.uint8]:
    _check_size(message)
    try:
        from cv_bridge import CvBridge
        from sensor_msgs.msg import Image
    except ImportError as error:
        raise DecodeError(
            f"The encoding {shown(message.encoding)!r} is read through cv_bridge, which is not installed ({error}); "
            "install ROS's cv_bridge or let the driver send rgb8."
        ) from error
    if is_elsewhere(message) or not isinstance(message, Image):
        message = Image(
            height=message.height,
            width=message.width,
            encoding=message.encoding,
            is_bigendian=message.is_bigendian,
            step=message.step,
            data=data_of(message).tobytes(),
        )
    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(message, wanted), dtype=np.uint8)
    except Exception as error:  # CvBridgeError, cv2.error, KeyError or ValueError, by distribution
        raise DecodeError(
            f"cv_bridge cannot turn the encoding {shown(message.encoding)!r} into {wanted}: {shown(error, _REASON)}; "
            "let the driver send rgb8 or bgr8."
        ) from error
