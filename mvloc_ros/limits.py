# SPDX-License-Identifier: Apache-2.0
"""Bounds that everything read from outside must keep."""

MOST_PIXELS = 1 << 26
"""64 megapixels, of a camera or of an image in any code: more is damage, or memory spent for nothing."""
