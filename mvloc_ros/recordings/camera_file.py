# SPDX-License-Identifier: Apache-2.0
"""`camera.json`: how a user's own folder states its cameras, where the layout's defaults do not fit.

    {"color": {"width": 640, "height": 480, "fx": 525, "fy": 525, "cx": 320, "cy": 240},
     "depth": {...}, "depth_registered": true, "pose_of": "color", "rate_hz": 15,
     "depth_units_per_metre": 1000, "max_depth": 80, "depth_of_points": false, "licence": "CC BY 4.0",
     "T_color_depth": [[1, 0, 0, -0.025], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
     "T_base_camera": [[0, 0, 1, 0.2], [-1, 0, 0, 0], [0, -1, 0, 0.9], [0, 0, 0, 1]]}

Every key may be left out; a key that is not listed here is refused, so that a typing error does not
pass as a default. `T_color_depth` says where the cameras of depth that is not registered sit: it maps
coordinates of the depth camera (metres, optical frame) into the colour camera. `max_depth` says how many
metres the measurements go, which training takes for its range unless the command line gives one.
`depth_of_points` says that depth images are of single points, as those of a LIDAR are. `depth_projection` is
"pinhole", or "cylindrical" where depth images are panoramas: their camera then is made up, and nothing may project
through it. `T_base_camera` says where the camera of `pose_of` (optical frame) is on the robot (`base_link`; x forward,
z up), which `odometry.tum` beside the images needs where they become a recording with transforms.

`sensors` declares the sensors besides the two by name, in the order in which a model takes them; their images are
`frame-NNNNNN.NAME.png` beside those of the two:

    "sensors": {"rear": {"kind": "color", "camera": {...}, "T_reference_sensor": [[-1, 0, 0, 0], [0, 1, 0, 0], ...]},
                "infrared": {"kind": "gray", "camera": {...}, "T_reference_sensor": [...]},
                "rear_depth": {"kind": "depth", "camera": {...}, "T_reference_sensor": [...],
                               "units_per_metre": 1000, "min_depth": 0.2, "max_depth": 8}}

`T_reference_sensor` maps coordinates of the sensor (metres, optical frame) into the colour camera. Depth without a
range has that of training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mvloc_ros.foreign_text import quoted
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.json_text import parse_json
from mvloc_ros.limits import MOST_MANIFEST_BYTES
from mvloc_ros.model.manifest_checks import ManifestError, Section, to_number
from mvloc_ros.model.modalities import Sensor, require_distinct
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.frames import CameraSettings, FrameRecord
from mvloc_ros.recordings.images import image_size

CAMERA_FILE = "camera.json"
PROJECTIONS = ("pinhole", "cylindrical")
_NEED_NOT_BE_STATED = {"depth_of_points": False, "depth_projection": "pinhole", "sensors": ()}
_OF_SENSOR = {"kind", "camera", "T_reference_sensor", "units_per_metre", "min_depth", "max_depth"}


def apply_camera_file(root: Path, defaults: CameraSettings) -> tuple[CameraSettings, frozenset[str]]:
    """`defaults` overridden by `root/camera.json` where it exists, and the keys which that file set.

    Raises RecordingError where the file is not JSON, has an unknown key or an impossible value.
    """
    values = read_camera_file(root)
    if {"color_camera", "depth_camera"} & values.keys():
        # Other cameras than the layout's sit otherwise to each other, too.
        defaults = replace(defaults, T_color_depth=None)
    return replace(defaults, **values), frozenset(key for key, (field, _) in _READERS.items() if field in values)


def read_camera_file(root: Path) -> dict[str, Any]:
    """What `root/camera.json` sets, by the fields of `CameraSettings`; nothing where there is no such file.

    Raises RecordingError where the file is not JSON, has an unknown key or an impossible value.
    """
    path = root / CAMERA_FILE
    if not path.is_file():
        return {}
    try:
        text = read_text(path, "camera file", RecordingError, MOST_MANIFEST_BYTES)
        content = parse_json(text)
    except RecordingError:
        raise
    except ValueError as error:
        raise RecordingError(f"{path} is not valid JSON ({error}).") from error
    if not isinstance(content, dict):
        raise RecordingError(f"{path} must contain one JSON object with the keys {', '.join(sorted(_READERS))}.")
    unknown = sorted(set(content) - set(_READERS))
    if unknown:
        raise RecordingError(
            f"{path} has the unknown key {quoted(unknown[0])}; known are {', '.join(sorted(_READERS))}."
        )
    values: dict[str, Any] = {}
    for key in content:
        field, read = _READERS[key]
        try:
            values[field] = read(Section(content), key)
        except ValueError as error:
            raise RecordingError(f"{path} cannot be used: {str(error).rstrip('.')}.") from error
    return values


def camera_file_content(settings: CameraSettings) -> dict[str, Any]:
    """The JSON values of a camera file that states these settings, without what is unknown or need not be stated."""
    content: dict[str, Any] = {}
    for key, (field, _) in _READERS.items():
        value = getattr(settings, field)
        if isinstance(value, PinholeCamera):
            content[key] = value.to_dict()
        elif isinstance(value, np.ndarray):
            content[key] = value.tolist()
        elif key == "sensors" and value:
            content[key] = {sensor.name: sensor_content(sensor) for sensor in value}
        elif value is not None and (key not in _NEED_NOT_BE_STATED or value != _NEED_NOT_BE_STATED[key]):
            content[key] = value
    return content


def fit_to_images(
    root: Path, settings: CameraSettings, stated: frozenset[str], frames: list[FrameRecord]
) -> CameraSettings:
    """`settings` with both cameras at the size of the images.

    The layout's default intrinsics are scaled to it. Intrinsics stated in `camera.json` must fit as
    they are: scaling them would hide that they belong to other images.
    """
    cameras = {"color": settings.color_camera, "depth": settings.depth_camera}
    for name, camera in cameras.items():
        images = [image for frame in frames if (image := getattr(frame, name)) is not None]
        if not images:
            continue
        path, (width, height) = _usual_size(images)
        if (width, height) == (camera.width, camera.height):
            continue
        if name in stated or width * camera.height != height * camera.width:
            raise RecordingError(
                f"{path} has {width}x{height} pixels, but the {name} intrinsics are for "
                f"{camera.width}x{camera.height}: state those of the images in {root / CAMERA_FILE}."
            )
        cameras[name] = camera.scaled_to(width, height)
    for sensor in settings.sensors:
        _require_images(root, sensor, [path for frame in frames for name, path in frame.further if name == sensor.name])
    return replace(settings, color_camera=cameras["color"], depth_camera=cameras["depth"])


def _require_images(root: Path, sensor: Sensor, images: list[Path]) -> None:
    """Raise RecordingError where a declared sensor has no image, or images of another size than its intrinsics."""
    if not images:
        raise RecordingError(
            f"{root / CAMERA_FILE} declares the sensor {sensor.name}, but there is no image frame-N.{sensor.name}.EXT "
            "(7-Scenes layout): copy its images, or remove it from the file."
        )
    path, (width, height) = _usual_size(images)
    if (width, height) != (sensor.camera.width, sensor.camera.height):
        raise RecordingError(
            f"{path} has {width}x{height} pixels, but the intrinsics of the sensor {sensor.name} are for "
            f"{sensor.camera.width}x{sensor.camera.height}: state those of the images in {root / CAMERA_FILE}."
        )


def _usual_size(images: list[Path]) -> tuple[Path, tuple[int, int]]:
    """The size (width, height) that most of three images have, and one of them that has it.

    Spread over the recording and more than one, so that a single damaged file decides nothing.
    Raises RecordingError where none can be read.
    """
    sizes: dict[Path, tuple[int, int]] = {}
    problems = []
    for path in dict.fromkeys((images[0], images[len(images) // 2], images[-1])):
        try:
            sizes[path] = image_size(path)
        except RecordingError as error:
            problems.append(error)
    if not sizes:
        raise problems[0]
    usual = Counter(sizes.values()).most_common(1)[0][0]
    return next(path for path, size in sizes.items() if size == usual), usual


def _positive(section: Section, key: str) -> float:
    number = section.number(key)
    if number <= 0.0:
        raise ManifestError(f"{key} must be positive, not {number:g}")
    return number


def _camera(section: Section, key: str) -> PinholeCamera:
    values = section.section(key)
    return PinholeCamera.from_dict({name: values.number(name) for name in values.names()})


def _one_of(*choices: str) -> Callable[[Section, str], str]:
    def read(section: Section, key: str) -> str:
        if (value := section.value(key)) not in choices:
            raise ManifestError(f"{key} must be {' or '.join(choices)}, not {quoted(value)}")
        return str(value)

    return read


def _transform(section: Section, key: str) -> npt.NDArray[np.float64]:
    rows = section.value(key) if isinstance(section.value(key), list) else []
    is_square = len(rows) == 4 and all(isinstance(row, list) and len(row) == 4 for row in rows)
    numbers = [[to_number(number, key) for number in row] for row in rows] if is_square else []
    matrix = np.array(numbers, dtype=np.float64)
    if not is_square or not se3.is_rigid(matrix, tolerance=1e-3):
        raise ManifestError(f"{key} must be a rigid transform, 4x4, a rotation and a translation above 0 0 0 1")
    matrix[:3, :3] = se3.project_to_so3(matrix[:3, :3])
    return matrix


def _sensors(section: Section, key: str) -> tuple[Sensor, ...]:
    found = section.section(key)
    sensors = tuple(_sensor(found.section(name), name) for name in found.names())
    require_distinct(sensors)
    return sensors


def _sensor(section: Section, name: str) -> Sensor:
    if unknown := sorted(section.values.keys() - _OF_SENSOR):
        raise ManifestError(
            f"{section.name} has the unknown key {quoted(unknown[0])}; known are {', '.join(sorted(_OF_SENSOR))}"
        )
    kind, is_there = section.text("kind"), section.values.get
    if kind != "depth" and (of_depth := {"units_per_metre", "min_depth", "max_depth"} & section.values.keys()):
        raise ManifestError(f"{section.name} is of kind {quoted(kind)}, which has no {min(of_depth)}")
    transform = _transform(section, "T_reference_sensor")
    return Sensor(
        name,
        kind,
        _camera(section, "camera"),
        tuple(float(value) for value in transform.ravel()),
        None if is_there("min_depth") is None else section.number("min_depth"),
        None if is_there("max_depth") is None else _positive(section, "max_depth"),
        1000.0 if is_there("units_per_metre") is None else _positive(section, "units_per_metre"),
    )


def sensor_content(sensor: Sensor) -> dict[str, Any]:
    """The JSON values of a camera file that declare a sensor, besides its name."""
    content: dict[str, Any] = {
        "kind": sensor.kind,
        "camera": sensor.camera.to_dict(),
        "T_reference_sensor": sensor.pose.tolist(),
    }
    if sensor.kind == "depth":
        content["units_per_metre"] = sensor.units_per_metre
        limits = {"min_depth": sensor.depth_min_m, "max_depth": sensor.depth_max_m}
        content |= {key: value for key, value in limits.items() if value is not None}
    return content


_READERS: dict[str, tuple[str, Callable[[Section, str], Any]]] = {
    "color": ("color_camera", _camera),
    "depth": ("depth_camera", _camera),
    "depth_units_per_metre": ("depth_units_per_metre", _positive),
    "depth_registered": ("depth_registered", Section.switch),
    "pose_of": ("pose_of", _one_of("color", "depth")),
    "rate_hz": ("rate_hz", _positive),
    "licence": ("licence", Section.text),
    "T_color_depth": ("T_color_depth", _transform),
    "max_depth": ("max_depth_m", _positive),
    "depth_of_points": ("depth_of_points", Section.switch),
    "depth_projection": ("depth_projection", _one_of(*PROJECTIONS)),
    "T_base_camera": ("T_base_camera", _transform),
    "sensors": ("sensors", _sensors),
}
