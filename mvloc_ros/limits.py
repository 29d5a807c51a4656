# SPDX-License-Identifier: Apache-2.0
"""Bounds that everything read from outside must keep (SECURITY.md lists them)."""

MOST_PIXELS = 1 << 26
"""64 megapixels, of a camera or of an image in any code: more is damage, or memory spent for nothing."""

MOST_MANIFEST_BYTES = 4 << 20
"""Of a bundle's manifest and of every other JSON file; those that are written here have some kilobytes."""

MOST_TEXT_BYTES = 256 << 20
"""Of a text file: a trajectory of a day at 30 Hz has 250 MB."""

MOST_IMAGE_FILE_BYTES = 1 << 30
"""Of a file that holds one image: 64 megapixels of 16 bytes each, not compressed."""

MOST_NESTING = 64
"""Of lists and mappings in JSON and YAML."""

MOST_DIGITS = 400
"""Of one number in JSON: the largest that a float64 holds has 309."""

MOST_SHOWN_CHARACTERS = 80
"""Of one text from outside (frame id, encoding, file name) within a message."""
