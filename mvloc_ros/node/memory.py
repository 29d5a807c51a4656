# SPDX-License-Identifier: Apache-2.0
"""Memory that is no longer used goes back to the system, which small robots need it from.

Loading a model needs more memory than having it. What is freed afterwards stays with the C library: a heap for each
thread that ever loaded one, tens of megabytes each.
"""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Hand freed pages to the system where the C library can (glibc). Takes milliseconds; any thread may call it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
