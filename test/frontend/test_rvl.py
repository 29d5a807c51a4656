# SPDX-License-Identifier: Apache-2.0
"""RVL against the algorithm as the paper describes it, one pixel and one nibble at a time; and damage."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mvloc_ros.frontend.rvl import RvlError, decode_rvl, encode_rvl

# Mostly runs and small steps, as in depth images, but every value may occur.
pieces = st.one_of(
    st.integers(1, 40).map(lambda n: np.zeros(n, np.uint16)),
    arrays(np.uint16, st.integers(1, 30), elements=st.integers(0, 65535)),
    arrays(np.uint16, st.integers(1, 30), elements=st.integers(1000, 1020)),
)
images = st.lists(pieces, max_size=8).map(lambda parts: np.concatenate(parts) if parts else np.zeros(1, np.uint16))


class Nibbles:
    """The paper's bit stream, nibble by nibble."""

    def __init__(self, code: bytes = b"") -> None:
        words = [int.from_bytes(code[at : at + 4], "little") for at in range(0, len(code), 4)]
        self.nibbles = [word >> shift & 15 for word in words for shift in range(28, -1, -4)]

    def write(self, number: int) -> None:
        while True:
            group, number = number & 7, number >> 3
            self.nibbles.append(group | (8 if number else 0))
            if not number:
                return

    def read(self) -> int:
        number = shift = 0
        while True:
            nibble = self.nibbles.pop(0)
            number |= (nibble & 7) << shift
            shift += 3
            if nibble < 8:
                return number

    def bytes(self) -> bytes:
        padded = self.nibbles + [0] * (-len(self.nibbles) % 8)
        words = [sum(n << 28 - 4 * k for k, n in enumerate(padded[at : at + 8])) for at in range(0, len(padded), 8)]
        return b"".join(word.to_bytes(4, "little") for word in words)


def encode_slowly(pixels: list[int]) -> bytes:
    stream, at, previous = Nibbles(), 0, 0
    while at < len(pixels):
        for wanted in (True, False):
            end = at
            while end < len(pixels) and (pixels[end] == 0) == wanted:
                end += 1
            stream.write(end - at)
            if wanted:
                at = end
        for pixel in pixels[at:end]:
            difference = pixel - previous
            stream.write(2 * difference if difference >= 0 else -2 * difference - 1)
            previous = pixel
        at = end
    return stream.bytes()


def decode_slowly(code: bytes, count: int) -> list[int]:
    stream, pixels, previous = Nibbles(code), [], 0
    while len(pixels) < count:
        pixels += [0] * stream.read()
        for _ in range(stream.read()):
            coded = stream.read()
            previous += coded >> 1 if coded % 2 == 0 else -(coded + 1 >> 1)
            pixels.append(previous)
    return pixels


@settings(deadline=None, max_examples=60)
@given(images)
def test_what_is_encoded_comes_back(pixels: np.ndarray):
    np.testing.assert_array_equal(decode_rvl(encode_rvl(pixels), pixels.size), pixels)


@settings(deadline=None, max_examples=60)
@given(images)
def test_the_code_is_the_papers(pixels: np.ndarray):
    code = encode_slowly(pixels.tolist())
    assert encode_rvl(pixels).tobytes() == code
    assert decode_slowly(code, pixels.size) == pixels.tolist()


def test_a_code_written_by_hand():
    # Two zeros, three others: 1000, 1001, 999. Numbers 2, 3, 2000, 2, 3; 2000 is 0o3720, lowest digit first.
    nibbles = [2, 3, 0 | 8, 2 | 8, 7 | 8, 3, 2, 3]
    code = int("".join(f"{nibble:x}" for nibble in nibbles), 16).to_bytes(4, "little")
    np.testing.assert_array_equal(decode_rvl(np.frombuffer(code, np.uint8), 5), [0, 0, 1000, 1001, 999])


@settings(deadline=None, max_examples=60)
@given(images, st.data())
def test_damage_is_an_error_or_other_pixels_and_never_more(pixels: np.ndarray, data: st.DataObject):
    code = encode_rvl(pixels).copy()
    code[data.draw(st.integers(0, code.size - 1))] ^= data.draw(st.integers(1, 255))
    code = code[: data.draw(st.integers(0, code.size))]
    with contextlib.suppress(RvlError):
        assert decode_rvl(code, pixels.size).shape == (pixels.size,)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (b"", "ends after 0 of 6 pixels"),
        (b"\x00\x00\x00\x20", "ends, after 2 of 6 pixels"),  # two zeros, then nothing but filling
        (b"\x00\x00\x00\x70", "do not add up to 6"),  # seven zeros
        (b"\x00\x00\x00\x07", "do not add up to 6"),  # seven others of which two follow
        (b"\xff" * 8, "ends after"),  # a number that never ends
        (b"\xff" * 8 + bytes(4), "more than 30 bits"),
        (bytes(40), "a run is empty"),
        (bytes(44), "44 bytes are more than 6 pixels can need"),
    ],
)
def test_what_is_wrong_is_said(code: bytes, words: str):
    with pytest.raises(RvlError, match=words):
        decode_rvl(np.frombuffer(code, np.uint8), 6)


def test_the_longest_code_of_an_image_is_read():
    """Every pixel differs from the one before by nearly 16 bits; and every run has one pixel."""
    extreme = np.tile(np.array([65535, 1], np.uint16), 500)
    np.testing.assert_array_equal(decode_rvl(encode_rvl(extreme), extreme.size), extreme)
    spread = np.tile(np.array([0, 65535, 0, 1], np.uint16), 500)
    np.testing.assert_array_equal(decode_rvl(encode_rvl(spread), spread.size), spread)
