# SPDX-License-Identifier: Apache-2.0
"""RVL, the lossless code for depth images of A. Wilson, "Fast Lossless Depth Image Compression", ISS 2017.

An image is a sequence of runs: how many pixels are 0, how many are not, and the differences of the latter, each to
the pixel before it that was not 0 (the first to 0). A difference d is made unsigned, 2d if d >= 0 and -2d - 1
otherwise. Every number is then cut into groups of three bits, the lowest first; a group that has a successor carries
8 as a mark. These nibbles fill words of 32 bits from the top down; the words lie in memory with the low byte first.

Whole arrays of nibbles are handled at once; only the runs are walked one by one, since each tells where the next is.
"""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

_MARK = 8
_MOST_GROUPS = 10
"""30 bits: more than any count of pixels, and any difference of 16-bit values, needs."""
_MOST_BYTES_PER_PIXEL = 4
"""A difference has at most six groups of half a byte, and two pixels share the two lengths of a run."""
_FILLING = 16
"""Bytes beyond that: the longest lengths of a run, and the filling of the last word."""


class RvlError(ValueError):
    """The data is no RVL image of the size that is claimed."""


def decode_rvl(data: NDArray[np.uint8], count: int) -> NDArray[np.uint16]:
    """`count` pixels `[count]` of the code `data`, bytes `[N]`.

    Raises:
        RvlError: the data ends too early or is far too long, or its runs are empty or do not add up to `count`.
    """
    if data.size > _MOST_BYTES_PER_PIXEL * count + _FILLING:
        raise RvlError(f"{data.size} bytes are more than {count} pixels can need")
    numbers = _join_groups(_split_nibbles(data))
    lengths, is_difference, used = _walk_runs(numbers, count)
    coded = numbers[:used][is_difference]
    differences = (coded >> 1) ^ -(coded & 1)
    pixels = np.zeros(count, np.uint16)
    measured = np.repeat(np.arange(lengths.size) % 2 == 1, lengths)
    pixels[measured] = np.cumsum(differences).astype(np.uint16)
    return pixels


def encode_rvl(pixels: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """The code, bytes `[N]`, of at least one pixel, in any shape, row after row."""
    flat = pixels.reshape(-1)
    measured = flat != 0
    # A run of zeros comes first, if need be one of length 0.
    edges = np.flatnonzero(np.diff(measured, prepend=False))
    lengths = np.diff(np.concatenate([[0], edges, [flat.size]]))
    if lengths.size % 2:
        lengths = np.concatenate([lengths, [0]])
    values = flat[measured].astype(np.int64)
    differences = np.diff(values, prepend=0)
    coded = np.where(differences < 0, -2 * differences - 1, 2 * differences)
    # Before the differences of each run stand its two lengths.
    before = np.concatenate([[0], np.cumsum(lengths[1::2])[:-1]])
    numbers = np.insert(coded, np.repeat(before, 2), lengths)
    return _pack_nibbles(_split_groups(numbers))


def _split_nibbles(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    words = data[: data.size // 4 * 4].view("<u4")
    high_first = words.astype(">u4").view(np.uint8)
    nibbles = np.empty(2 * high_first.size, np.uint8)
    nibbles[0::2] = high_first >> 4
    nibbles[1::2] = high_first & 15
    return nibbles


def _pack_nibbles(nibbles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    padded = np.zeros((nibbles.size + 7) // 8 * 8, np.uint8)
    padded[: nibbles.size] = nibbles
    high_first = padded[0::2] << 4 | padded[1::2]
    return high_first.view(">u4").astype("<u4").view(np.uint8)


def _join_groups(nibbles: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The numbers; a group without a mark ends one. The filling of the last word gives zeros at the end."""
    marked = nibbles >= _MARK
    complete = marked.size - int(np.argmin(marked[::-1])) if not marked.all() else 0
    nibbles, marked = nibbles[:complete], marked[:complete]
    first = np.ones(complete, np.bool_)
    first[1:] = ~marked[:-1]
    groups = nibbles & (_MARK - 1)
    numbers = groups[first].astype(np.int32)
    # Few numbers have more than one group: only those are visited again, group by group.
    at = np.flatnonzero(first & marked)
    which = np.cumsum(first, dtype=np.int32)[at] - 1
    place = 1
    while at.size:
        if place == _MOST_GROUPS:
            raise RvlError("a number has more than 30 bits")
        at += 1
        numbers[which] |= groups[at].astype(np.int32) << 3 * place
        longer = marked[at]
        at, which = at[longer], which[longer]
        place += 1
    return numbers


def _split_groups(numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
    groups = np.ones(numbers.size, np.int64)
    for place in range(1, _MOST_GROUPS):
        groups += numbers >> 3 * place != 0
    ends = np.cumsum(groups)
    starts = ends - groups
    nibbles = np.zeros(int(groups.sum()), np.uint8)
    remaining = np.arange(numbers.size)
    place = 0
    while remaining.size:
        has_successor = groups[remaining] > place + 1
        part = (numbers[remaining] >> 3 * place & 7) | np.where(has_successor, _MARK, 0)
        nibbles[starts[remaining] + place] = part
        remaining = remaining[has_successor]
        place += 1
    return nibbles


def _walk_runs(numbers: NDArray[np.int32], count: int) -> tuple[NDArray[np.int32], NDArray[np.bool_], int]:
    """Lengths of the runs (of zeros, of others, in turns), which numbers are differences, and how many are used."""
    read = numbers.data
    lengths, heads = array("i"), array("i")  # lists of objects would take ten times the memory
    at = done = 0
    while done < count:
        if at + 2 > len(read):
            raise RvlError(f"the data ends after {done} of {count} pixels")
        zeros, others = read[at], read[at + 1]
        if zeros + others == 0:
            raise RvlError(f"a run is empty, or the data ends, after {done} of {count} pixels")
        heads.append(at)
        lengths.append(zeros)
        lengths.append(others)
        at += 2 + others
        done += zeros + others
    if done > count or at > len(read):
        raise RvlError(f"the runs do not add up to {count} pixels")
    is_difference = np.ones(at, np.bool_)
    first = np.frombuffer(heads, np.int32)
    is_difference[first] = False
    is_difference[first + 1] = False
    return np.frombuffer(lengths, np.int32), is_difference, at
