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

MOST_SHOWN_LINES = 100
"""Of a traceback, the last ones."""

MOST_LOG_CHARACTERS = 700
"""Of one line of the node's log about input, and of one text in its status and diagnostics."""

MOST_LOG_KINDS = 48
"""Of messages about input, each of which is said at its own pace."""

MOST_NAME_CHARACTERS = 255
"""Of a frame id, as of a name in ROS 2 (a topic's)."""

MOST_TRANSFORMS = 2000
"""Between pairs of frames on /tf and /tf_static; a humanoid has about a hundred."""

MOST_NAMED = 8
"""Of things of one kind that a text names one by one."""

MOST_DISTORTION_COEFFICIENTS = 64
"""Of a camera; OpenCV's largest model has 14."""

MOST_CAMERA_FRAMES = 16
"""Different frame ids of the images of one activation: each becomes a frame that the node may send on /tf."""

MOST_METRES = 1e7
"""Of a coordinate of a pose or transform from outside: a quarter of the Earth's meridian."""

MOST_VARIANCE = 1e12
"""Of an initial pose, in square metres or square radians."""
