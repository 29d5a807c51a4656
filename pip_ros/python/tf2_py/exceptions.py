# SPDX-License-Identifier: Apache-2.0
"""What a transform lookup raises; every one derives from TransformException."""

from __future__ import annotations


class TransformException(Exception):  # noqa: N818 (the name that callers catch)
    """A transform could not be given."""


class LookupException(TransformException):
    """A frame that was asked for has never been heard of, or the tree has a loop."""


class ConnectivityException(TransformException):
    """Both frames are known but belong to trees without a common ancestor."""


class ExtrapolationException(TransformException):
    """The frames are connected, but not at the time that was asked for."""


class InvalidArgumentException(TransformException):
    """A frame name that no frame can have: empty, or with a leading slash."""


class TimeoutException(TransformException):
    """Kept for code that catches it; a lookup that waits in vain raises the reason instead."""
