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

MOST_QUOTED_CHARACTERS = 60
"""Of one value or line of a file that a message quotes."""
MOST_REASON_CHARACTERS = 300
"""Of the reason that another library gives, within a message."""
MOST_ERROR_CHARACTERS = 2000
"""Of one error message, all of it."""
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

MOST_SECONDS_AHEAD = 10.0
"""Of the stamp of a transform before the clock: as long as tf2 keeps transforms."""

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

MOST_YAML_BYTES = 4 << 20
"""Of a recording's metadata.yaml: that of a thousand topics has one megabyte."""

MOST_RECORD_BYTES = 64 << 20
"""Of a record of an mcap that describes others (schema, channel, index); messages and chunks have their own bounds."""

MOST_YAML_VALUES = 200_000
"""Of the same: a topic has some dozens, and reading takes ten seconds a million."""

MOST_DEFINITION_BYTES = 128 << 10
"""Of the definition of a message type in a recording, which takes a second for 64 kB."""

MOST_CHUNK_BYTES = 1 << 30
"""Of a chunk of an mcap, or of one compressed message, once it is decompressed; recorders make chunks of some MB."""

MOST_OPEN_CHUNK_BYTES = 4 << 30
"""Of all chunks of an mcap that cover one time, since they are in memory together."""

MOST_LOST_SHARE = 0.01
"""Of a topic's messages, by the recording's own counts, that may be lost before a command refuses the recording."""

MOST_BUNDLE_FILE_BYTES = 4 << 30
"""Of one file of a bundle, and of a cached engine: ONNX files have at most 2 GiB."""

MOST_BUNDLE_FILES = 1000
"""That a manifest lists."""

MOST_MANIFEST_TEXT = 10_000
"""Characters of one text in a manifest: a licence may be a paragraph."""

MOST_INPUT_PIXELS = 1 << 24
"""16 megapixels, of the images that a network takes."""

MOST_LATENT_DIM = 1 << 16

MOST_SENSORS = 6
"""Of a model besides its color and depth camera: each has an encoder of its own."""

MOST_DEPTH_M = 10_000.0
"""Of a depth range."""

MOST_COORDINATE_M = 1e8
"""Of a coordinate in a map: the earth's circumference is 4e7 m, coordinates of UTM have up to 1e7 m."""

POSITION_SCALE_M = (1e-7, 1e7)
"""Metres of one normalised unit: the spread of the training positions."""

POSITION_VARIANCE_M2 = (1e-18, 1e14)
ROTATION_VARIANCE_RAD2 = (1e-18, 100.0)
"""Of a stated covariance: standard deviations of 1e-9 to 1e7 m, and up to 10 rad, which is beyond any angle."""

FOCAL_SHARE = (0.02, 100.0)
"""Focal length in widths (heights) of the image: angles of view of 175 down to half a degree."""

MOST_CENTRE_SHARE = 10.0
"""How many widths (heights) the principal point may lie outside of the image, as it does of a part that was cut out."""

MOST_CAMERA_DISTANCE_M = 20.0
"""Between the colour and the depth camera of one device or vehicle."""

MAP_RESOLUTION_M = (1e-3, 10.0)
MOST_MAP_TILE_M = 1000.0
MOST_MAP_POINTS = 1 << 26
"""67 million: at 2 cm the surfaces of 27,000 square metres."""
MOST_MAP_TILES = 1 << 20
MOST_LOADED_POINTS = 2_500_000
"""Of a scene map that are ready to be searched at one time, 140 bytes each: those of a building of 2,200 square metres
at 4 cm, or of 650 at 2 cm."""
MOST_GRID_CELLS = 1 << 24
"""Of an occupancy grid made from a scene map: 200 m by 200 m at 5 cm."""
MOST_MAP_INFLATION = 1e9
MOST_DEPTH_CORRECTION = 0.5
"""Of the disparity, in 1/m: 3e-3 was measured; with 0.5 a wall at 2 m would be infinitely far."""

CALIBRATION_SCALE = (1e-9, 1e9)
MOST_FLOOR_M = 1000.0
MOST_FLOOR_RAD = 3.2
"""Of the covariances of refined poses that `mvloc calibrate` sets."""

MOST_WEIGHT = 1e6
"""Of a kind of evidence in the acceptance of poses, which lies in [0, 1]."""

MOST_MAP_BYTES = 1 << 30
"""Of a scene map's file: ten bytes a point before compression."""

MOST_KEPT_WORK_BYTES = 1 << 30
"""Of what an interrupted `mvloc pose` left: under a kilobyte a frame."""

MOST_KEYFRAMES = 1 << 16
MOST_KEYFRAMES_BYTES = 1 << 28
"""Of a bundle: 20 kilobytes each; `mvloc map` writes at most 600."""

MOST_LOCAL_FEATURES = 1 << 22
"""Of all keyframes of a bundle: `mvloc map` writes at most 200 for each."""

MOST_NAMED_MAPS = 256
"""Of the folders in a folder of models, each of which has its manifest read to find a map by its name."""

MOST_MODEL_BYTES = (1 << 31) - 1
"""Of an ONNX file: protobuf reads no more."""

MOST_PROTOBUF_FIELDS = 1 << 18
"""Of an ONNX file, as far as they are looked at; one of two ResNet-34 has five thousand."""

MOST_TENSOR_AXES = 8
"""Of a tensor in a network; images have four."""

MOST_GRAPH_ELEMENTS = 1 << 28
"""Of all values of a network for one frame together: 1 GiB in float32. Two encoders of ResNet-34 have 3 * 10^7."""

MOST_GRAPH_PRODUCTS = 1 << 38
"""Of its multiplications for one frame: 3 * 10^11. Two encoders of ResNet-34 have 10^10."""

MOST_YAML_CHARACTERS = 1 << 18
"""Of a YAML document, whose reader takes seconds for it; a preset has a thousand."""

MOST_CHECKPOINT_BYTES = 1 << 34
"""Of a checkpoint or a file of weights: 16 GiB. One of two ResNet-34 has 0.8 GB."""

MOST_MIDDLEWARE_BYTES = 1 << 20
"""Of a configuration file of Fast DDS, Cyclone DDS or Zenoh that `mvloc doctor` examines."""
