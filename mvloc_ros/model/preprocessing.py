# SPDX-License-Identifier: Apache-2.0
"""Image to network input: one resize each, the same in training and at run time.

Everything else (conversion to float, normalisation, the mask of invalid depth) is inside the graph,
so that there is only one implementation of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mvloc_ros.geometry.camera import PinholeCamera, View
from mvloc_ros.geometry.projection import register_depth
from mvloc_ros.limits import MOST_PIXELS
from mvloc_ros.model.frame import ColorImage, DepthImage, FrameError

_TO_RGB = {
    "bgr": cv2.COLOR_BGR2RGB,
    "rgba": cv2.COLOR_RGBA2RGB,
    "bgra": cv2.COLOR_BGRA2RGB,
    "mono": cv2.COLOR_GRAY2RGB,
}
_TO_GRAY = {
    "rgb": cv2.COLOR_RGB2GRAY,
    "bgr": cv2.COLOR_BGR2GRAY,
    "rgba": cv2.COLOR_RGBA2GRAY,
    "bgra": cv2.COLOR_BGRA2GRAY,
}
# 341x256 for 4:3 is off by 0.1 %; 16:9 against 4:3 is off by 33 %.
_ASPECT_TOLERANCE = 0.02


@dataclass(frozen=True, eq=False)
class DepthRegistration:
    """Carries raw depth into the colour camera, at the network's size: the same in training and at run time.

    Depth is resized first and registered then, which takes a tenth of the time of the other order.

    Attributes:
        depth_camera: the depth camera at the size that its images are resized to, about the network's.
        color_camera: the colour camera at the network's size.
        T_color_depth: 4x4, maps coordinates of the depth camera into the colour camera.
    """

    depth_camera: PinholeCamera
    color_camera: PinholeCamera
    T_color_depth: NDArray[np.float64]

    @staticmethod
    def at_size(
        height: int, width: int, depth_camera: PinholeCamera, color_camera: PinholeCamera, T_color_depth: ArrayLike
    ) -> DepthRegistration:
        """For a network of this input size, from the cameras at their full sizes."""
        scale = min(height, width) / min(depth_camera.height, depth_camera.width)
        small = depth_camera.scaled_to(round(depth_camera.width * scale), round(depth_camera.height * scale))
        return DepthRegistration(small, color_camera.scaled_to(width, height), np.asarray(T_color_depth, np.float64))

    @property
    def depth_size(self) -> tuple[int, int]:
        """(height, width) that depth images are resized to."""
        return self.depth_camera.height, self.depth_camera.width

    def apply(self, metres: NDArray[np.float32]) -> NDArray[np.float32]:
        """The colour camera's depth map `[height, width]` of one of `depth_size`; 0 where there is none."""
        return register_depth(metres, self.depth_camera, self.color_camera, self.T_color_depth)


def resize_color(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resize `[H, W, 3]` (or `[H, W, 4]`, `[H, W]`), keeping the channels.

    Area averaging when the image shrinks, so that fine texture does not alias; bilinear when it grows.
    """
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    # Halves first, for which OpenCV has a path that is three times as fast. The average is the same but for rounding
    # and for pixels that a boundary cuts.
    while _divides(image.shape, 4 * height, 4 * width):
        half = image.shape[1] // 2, image.shape[0] // 2
        image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    shrinks = image.shape[0] >= height and image.shape[1] >= width
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), dtype=np.uint8)


def _divides(shape: tuple[int, ...], height: int, width: int) -> bool:
    """Whether both sides are even and at least so long."""
    return shape[0] % 2 == 0 and shape[1] % 2 == 0 and shape[0] >= height and shape[1] >= width


def resize_depth(depth: NDArray[Any], height: int, width: int, of_points: bool = False) -> NDArray[Any]:
    """Resize `[H, W]` by nearest neighbour: an average over an edge or a hole would be a surface that does not exist.

    The type is kept (uint16 millimetres resize as well as float32 metres). With `of_points` the map is one of single
    points with nothing between them, of which a sample would lose most: where it shrinks, each new pixel gets the
    nearest of its points.
    """
    if depth.shape == (height, width):
        return np.ascontiguousarray(depth)
    if of_points and depth.shape[0] >= height and depth.shape[1] >= width:
        return _nearest_points(depth, height, width)
    # The sample nearest to each new pixel's centre; cv2's INTER_NEAREST takes its corner instead.
    rows = (np.arange(height) * 2 + 1) * depth.shape[0] // (2 * height)
    columns = (np.arange(width) * 2 + 1) * depth.shape[1] // (2 * width)
    # Whole rows first: half the time of picking single pixels.
    return depth[rows].take(columns, axis=1)


def _nearest_points(depth: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """The smallest measurement of those pixels that fall into each new one; 0 where none of them has one."""
    nothing = depth.dtype.type(np.inf if depth.dtype.kind == "f" else np.iinfo(depth.dtype).max)
    # NaN compares false, so it is no measurement either.
    found = np.where(depth > 0, depth, nothing)
    for axis, (old, new) in enumerate(zip(depth.shape, (height, width), strict=True)):
        first = -(-np.arange(new) * old // new)  # the first old pixel whose place falls into the new one, rounded up
        found = np.minimum.reduceat(found, first, axis=axis)
    return np.where(found == nothing, depth.dtype.type(0), found)


def crop(image: NDArray[Any], view: View | None) -> NDArray[Any]:
    """The part `view` of an image `[H, W]` or `[H, W, C]`, to the nearest whole pixel; 0 beyond the image's edges.

    Inside of the image it is a view of the same memory.

    Raises:
        FrameError: the part has too many pixels.
    """
    if view is None:
        return image
    height, width = image.shape[:2]
    left, right = round(view.left * width), round(view.right * width)
    top, bottom = round(view.top * height), round(view.bottom * height)
    inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return inside
    if (bottom - top) * (right - left) > MOST_PIXELS:
        raise FrameError(
            f"An image of {width}x{height} pixels would be rescaled via {right - left}x{bottom - top}, at most "
            f"{MOST_PIXELS} pixels are accepted; check its camera_info."
        )
    cropped = np.zeros((bottom - top, right - left, *image.shape[2:]), image.dtype)
    row, column = max(-top, 0), max(-left, 0)
    cropped[row : row + inside.shape[0], column : column + inside.shape[1]] = inside
    return cropped


def prepare_color(image: ColorImage, height: int, width: int, name: str = "colour") -> NDArray[np.uint8]:
    """The network's colour input, RGB uint8 `[height, width, 3]`; `name` is that of its camera, for words.

    Raises:
        FrameError: the image is empty or of another aspect ratio than the network's input.
    """
    resized = _resized(image, height, width, name)
    if image.order == "rgb":
        return resized
    return np.asarray(cv2.cvtColor(resized, _TO_RGB[image.order]), dtype=np.uint8)


def prepare_gray(image: ColorImage, height: int, width: int, name: str = "gray") -> NDArray[np.uint8]:
    """The network's input of kind gray, uint8 `[height, width]`; of a color image its luminance. As `prepare_color`."""
    resized = _resized(image, height, width, name)
    if image.order == "mono":
        return resized
    return np.asarray(cv2.cvtColor(resized, _TO_GRAY[image.order]), dtype=np.uint8)


def _resized(image: ColorImage, height: int, width: int, name: str) -> NDArray[np.uint8]:
    pixels = crop(image.pixels, image.view)
    _check_shape(name, pixels.shape, height, width, image.view)
    return resize_color(pixels, height, width)


def prepare_depth(
    image: DepthImage,
    height: int,
    width: int,
    registration: DepthRegistration | None = None,
    of_points: bool = False,
    name: str = "depth",
) -> NDArray[np.float32]:
    """The network's depth input, metres float32 `[height, width]`, invalid as it came (0, NaN, infinite).

    With a registration, of the depth camera's image as the colour camera would have taken it. `of_points` as in
    `resize_depth`, `name` as in `prepare_color`.

    Raises:
        FrameError: the image is empty or of another aspect ratio than the model was trained on.
    """
    size = (height, width) if registration is None else registration.depth_size
    values = crop(image.values, image.view)
    _check_shape(name, values.shape, *size, image.view)
    resized = resize_depth(values, *size, of_points)
    metres = in_metres(resized, image.metres_per_unit)
    return metres if registration is None else registration.apply(metres)


def in_metres(values: NDArray[Any], metres_per_unit: float) -> NDArray[np.float32]:
    """Depth values of any shape as float32 metres; 0 for 65535 of 16 bits, which cameras send for "nothing seen".

    In units finer than a millimetre 65535 would be a distance that the network takes for a measurement.
    """
    metres = values.astype(np.float32)
    if metres_per_unit != 1.0:
        metres *= np.float32(metres_per_unit)
    if values.dtype == np.uint16:
        metres[values == np.iinfo(np.uint16).max] = 0.0
    return metres


def _check_shape(name: str, shape: tuple[int, ...], height: int, width: int, view: View | None) -> None:
    if min(shape[:2]) < 1:
        raise FrameError(f"The {name} image is empty ({shape[1]}x{shape[0]} pixels); check the camera driver.")
    # A view has the training camera's aspect ratio, but for its rounding to whole pixels.
    if view is None and abs(shape[1] * height / (shape[0] * width) - 1.0) > _ASPECT_TOLERANCE:
        raise FrameError(
            f"The {name} image is {shape[1]}x{shape[0]}, the model was trained on the aspect ratio {width}:{height}; "
            "set the camera to that aspect ratio, set rescale_input, or train on this camera's recordings."
        )
