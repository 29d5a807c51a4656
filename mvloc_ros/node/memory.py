# SPDX-License-Identifier: Apache-2.0
"""What the C library does with freed memory: buffers of images are kept for the next ones, models are given back.

Left to itself, glibc learns from what is freed how much it keeps: it may return each image's pages to the system, which
then gives them again, page by page; and what loading a model needed, more than having it, stays with a heap for each
thread that ever loaded one, tens of megabytes each.
"""

from __future__ import annotations

import ctypes

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_IMAGE = 16 * 2**20
_KEPT = 64 * 2**20


def keep_buffers() -> None:
    """Blocks up to the size of an image come from the heap, and the heap keeps what they leave; once, at the start."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_MMAP_THRESHOLD, _IMAGE)
        set_option(_M_TRIM_THRESHOLD, _KEPT)


def give_back() -> None:
    """Hand freed pages to the system where the C library can (glibc). Takes milliseconds; any thread may call it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
