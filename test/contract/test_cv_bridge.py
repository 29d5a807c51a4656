# SPDX-License-Identifier: Apache-2.0
"""cv_bridge.CvBridge: pixels in and out, in every encoding and memory layout."""

from __future__ import annotations

import sys
from array import array

import cv2
import numpy as np
import pytest
from cv_bridge import CvBridge, CvBridgeError
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

NUMPY_NAMES = {
    "8U": "uint8",
    "8S": "int8",
    "16U": "uint16",
    "16S": "int16",
    "32S": "int32",
    "32F": "float32",
    "64F": "float64",
}
ENCODINGS: dict[str, tuple[str, int]] = {
    f"{depth}C{channels}": (name, channels) for depth, name in NUMPY_NAMES.items() for channels in (1, 2, 3, 4)
}
for _bits in (8, 16):
    ENCODINGS[f"mono{_bits}"] = (f"uint{_bits}", 1)
    ENCODINGS.update({f"{colour}{_bits}": (f"uint{_bits}", len(colour)) for colour in ("rgb", "bgr", "rgba", "bgra")})
    ENCODINGS.update({f"bayer_{p}{_bits}": (f"uint{_bits}", 1) for p in ("rggb", "bggr", "gbrg", "grbg")})
encodings = st.sampled_from(sorted(ENCODINGS))
sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))


def pixels(encoding: str, size: tuple[int, int], seed: int) -> np.ndarray:
    name, channels = ENCODINGS[encoding]
    shape = size if channels == 1 else (*size, channels)
    random = np.random.default_rng(seed)
    if name.startswith("float"):
        return random.normal(0.0, 100.0, shape).astype(name)
    limits = np.iinfo(name)
    return random.integers(limits.min, limits.max, shape, dtype=name, endpoint=True)


def message(image: np.ndarray, encoding: str, padding: int = 0, big_endian: bool = False) -> Image:
    """An Image made by hand: rows one after another, each followed by `padding` pixels of rubbish."""
    height, width = image.shape[:2]
    rows = image.astype(image.dtype.newbyteorder(">" if big_endian else "<")).reshape(height, -1)
    rubbish = b"\xa5" * (padding * image.itemsize * (rows.shape[1] // width))
    data = b"".join(row.tobytes() + rubbish for row in rows)
    result = Image(height=height, width=width, encoding=encoding, is_bigendian=int(big_endian))
    result.step = len(data) // height
    result.data = array("B", data)
    return result


@pytest.fixture(scope="module")
def bridge() -> CvBridge:
    return CvBridge()


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_what_an_encoding_is(bridge: CvBridge, encoding: str) -> None:
    assert tuple(bridge.encoding_to_dtype_with_channels(encoding)) == ENCODINGS[encoding]


@pytest.mark.parametrize("encoding", ["yuv422", "yuv422_yuy2"])
def test_packed_colour_has_two_channels(bridge: CvBridge, encoding: str) -> None:
    assert tuple(bridge.encoding_to_dtype_with_channels(encoding)) == ("uint8", 2)


def test_the_error_is_a_type_error() -> None:
    assert issubclass(CvBridgeError, TypeError)


@settings(deadline=None, max_examples=150)
@given(encoding=encodings, size=sizes, seed=st.integers(0, 99))
def test_round_trip(bridge: CvBridge, encoding: str, size: tuple[int, int], seed: int) -> None:
    image = pixels(encoding, size, seed)
    sent = bridge.cv2_to_imgmsg(image, encoding)
    assert (sent.height, sent.width, sent.encoding) == (*size, encoding)
    assert sent.step == image.nbytes // size[0]
    assert bytes(sent.data) == image.tobytes()
    back = bridge.imgmsg_to_cv2(sent)
    assert back.dtype == image.dtype
    np.testing.assert_array_equal(back, image)


@settings(deadline=None, max_examples=150)
@given(encoding=encodings, size=sizes, seed=st.integers(0, 99), padding=st.integers(0, 5), big_endian=st.booleans())
def test_row_padding_and_byte_order(
    bridge: CvBridge, encoding: str, size: tuple[int, int], seed: int, padding: int, big_endian: bool
) -> None:
    image = pixels(encoding, size, seed)
    for desired in ("passthrough", encoding):
        back = bridge.imgmsg_to_cv2(message(image, encoding, padding, big_endian), desired)
        np.testing.assert_array_equal(back, image)
        assert back.shape == image.shape


def test_passthrough_names_the_type(bridge: CvBridge) -> None:
    assert bridge.cv2_to_imgmsg(np.zeros((2, 3, 3), np.uint8)).encoding == "8UC3"
    assert bridge.cv2_to_imgmsg(np.zeros((2, 3), np.uint16)).encoding == "16UC1"
    assert bridge.cv2_to_imgmsg(np.zeros((2, 3), np.float32)).encoding == "32FC1"


def test_the_header_is_passed_on(bridge: CvBridge) -> None:
    header = Header(frame_id="camera")
    header.stamp.sec = 7
    sent = bridge.cv2_to_imgmsg(np.zeros((2, 3), np.uint8), "mono8", header=header)
    assert sent.header == header


def test_big_endian_arrays_say_so(bridge: CvBridge) -> None:
    image = np.arange(6, dtype=">u2").reshape(2, 3) * 1000
    sent = bridge.cv2_to_imgmsg(image.astype(">u2"), "16UC1")
    assert sent.is_bigendian or sys.byteorder == "big"
    np.testing.assert_array_equal(bridge.imgmsg_to_cv2(sent), image)


def test_a_view_with_strides_is_copied_right(bridge: CvBridge) -> None:
    image = np.arange(240, dtype=np.uint8).reshape(8, 10, 3)[::2, ::-1]
    np.testing.assert_array_equal(bridge.imgmsg_to_cv2(bridge.cv2_to_imgmsg(image, "rgb8")), image)


@pytest.mark.parametrize("encoding", ["", "mono32", "rgb", "8UC", "depth"])
def test_unknown_encodings(bridge: CvBridge, encoding: str) -> None:
    with pytest.raises(CvBridgeError):
        bridge.imgmsg_to_cv2(message(np.zeros((2, 2), np.uint8), encoding))
    with pytest.raises(CvBridgeError):
        bridge.encoding_to_dtype_with_channels(encoding)


def test_pixels_that_are_not_of_the_encoding(bridge: CvBridge) -> None:
    for image, encoding in (
        (np.zeros((2, 2), np.uint8), "rgb8"),
        (np.zeros((2, 2), np.uint8), "mono16"),
        (np.zeros((2, 2, 3), np.float32), "bgr8"),
    ):
        with pytest.raises(CvBridgeError):
            bridge.cv2_to_imgmsg(image, encoding)


def test_what_is_no_array(bridge: CvBridge) -> None:
    with pytest.raises(TypeError):
        bridge.cv2_to_imgmsg("pixels")  # type: ignore[arg-type]


def test_data_shorter_than_its_rows(bridge: CvBridge) -> None:
    sent = message(np.zeros((4, 4), np.uint16), "16UC1")
    sent.data = sent.data[:-1]
    with pytest.raises(TypeError):  # CvBridgeError or NumPy's own
        bridge.imgmsg_to_cv2(sent)


# -- compressed


def gradient(channels: int) -> np.ndarray:
    rows, columns = np.mgrid[0:48, 0:64].astype(np.uint8)
    planes = [rows * 4, columns * 3, rows + columns][:channels]
    return np.ascontiguousarray(np.dstack(planes).squeeze())


@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_exact(bridge: CvBridge, channels: int) -> None:
    image = gradient(channels)
    sent = bridge.cv2_to_compressed_imgmsg(image, "png")
    assert isinstance(sent, CompressedImage)
    assert sent.format == "png"
    assert bytes(sent.data).startswith(b"\x89PNG")
    np.testing.assert_array_equal(bridge.compressed_imgmsg_to_cv2(sent), image)


def test_jpeg_is_the_default_and_close(bridge: CvBridge) -> None:
    image = gradient(3)
    sent = bridge.cv2_to_compressed_imgmsg(image)
    assert bytes(sent.data).startswith(b"\xff\xd8")
    back = bridge.compressed_imgmsg_to_cv2(sent)
    assert np.abs(back.astype(int) - image).mean() < 4.0


def test_compressed_colour_is_converted_from_blue_first(bridge: CvBridge) -> None:
    image = gradient(3)
    sent = bridge.cv2_to_compressed_imgmsg(image, "png")
    np.testing.assert_array_equal(bridge.compressed_imgmsg_to_cv2(sent, "bgr8"), image)
    np.testing.assert_array_equal(bridge.compressed_imgmsg_to_cv2(sent, "rgb8"), image[:, :, ::-1])
    expected = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    np.testing.assert_array_equal(bridge.compressed_imgmsg_to_cv2(sent, "mono8"), expected)


def test_data_that_is_no_image(bridge: CvBridge) -> None:
    sent = CompressedImage(format="png", data=array("B", b"this is no image"))
    try:
        result = bridge.compressed_imgmsg_to_cv2(sent)
    except CvBridgeError:
        return
    assert result is None  # as the compiled bridge gives what OpenCV gave


def test_a_format_that_is_none(bridge: CvBridge) -> None:
    with pytest.raises((CvBridgeError, cv2.error)):
        bridge.cv2_to_compressed_imgmsg(gradient(3), "nonsense")
