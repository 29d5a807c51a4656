# SPDX-License-Identifier: Apache-2.0
"""Which topics are those of sensors besides color and depth, as the command line names them: `NAME:=TOPIC`."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from mvloc_ros.foreign_text import shown
from mvloc_ros.limits import MOST_SENSORS
from mvloc_ros.model.manifest_checks import ManifestError
from mvloc_ros.model.modalities import KINDS, require_name
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.to_dataset.pose_source import extrinsic


@dataclass(frozen=True)
class SensorChoice:
    """A sensor that the folder is to have.

    Attributes:
        name: of its files, and in `camera.json`.
        topic: of its images.
        kind: `color`, `gray` or `depth`; None: by the encoding of its images.
        info: topic of its camera_info; None: the one beside the images.
        T_reference_sensor: 4x4 row by row, maps its coordinates into the color camera; None: by the transforms.
    """

    name: str
    topic: str
    kind: str | None = None
    info: str | None = None
    T_reference_sensor: tuple[float, ...] | None = None


def sensor_choices(
    sensors: Sequence[str], kinds: Sequence[str], infos: Sequence[str], extrinsics: Sequence[Sequence[str]]
) -> tuple[SensorChoice, ...]:
    """What `--sensor`, `--sensor-kind`, `--sensor-info` and `--sensor-extrinsic` say, in the order of `--sensor`.

    `extrinsics` are a name and x, y, z, qx, qy, qz, qw each.

    Raises:
        RecordingError: an entry cannot be used, names a sensor twice, or one that `--sensor` does not name.
    """
    topics = _entries("--sensor", "rear:=/rear/color/image_raw", sensors)
    if len(topics) > MOST_SENSORS:
        raise RecordingError(f"--sensor names {len(topics)} sensors, at most {MOST_SENSORS} work: leave some out.")
    for name in topics:
        try:
            require_name(name)
        except ManifestError as error:
            raise RecordingError(f"--sensor {shown(name)} cannot be used: {error}.") from error
    if twice := next((topic for topic in topics.values() if list(topics.values()).count(topic) > 1), None):
        raise RecordingError(f"--sensor names the topic {shown(twice)} for two sensors: give each its own.")
    kind_of = _entries("--sensor-kind", "thermal:=gray", kinds, topics)
    if other := next((kind for kind in kind_of.values() if kind not in KINDS), None):
        raise RecordingError(f"--sensor-kind is {', '.join(KINDS)}, not {shown(other)}.")
    info_of = _entries("--sensor-info", "rear:=/rear/color/camera_info", infos, topics)
    T_of: dict[str, tuple[float, ...]] = {}
    for name, *numbers in extrinsics:
        _require_known("--sensor-extrinsic", name, topics, T_of)
        T_of[name] = _transform(name, numbers)
    return tuple(
        SensorChoice(name, topic, kind_of.get(name), info_of.get(name), T_of.get(name))
        for name, topic in topics.items()
    )


def _entries(
    option: str, example: str, entries: Sequence[str], known: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Name -> value of `NAME:=VALUE` entries."""
    found: dict[str, str] = {}
    for entry in entries:
        name, sign, value = entry.partition(":=")
        if not (name and sign and value):
            raise RecordingError(f"{option} {shown(entry)} is no NAME:=VALUE; write it as {option} {example}.")
        _require_known(option, name, known, found)
        found[name] = value
    return found


def _require_known(option: str, name: str, known: Mapping[str, str] | None, found: Container[str]) -> None:
    if known is not None and name not in known:
        there = f"has {', '.join(known)}" if known else "is not given"
        raise RecordingError(f"{option} names the sensor {shown(name)}, but --sensor {there}: name its topic too.")
    if name in found:
        raise RecordingError(f"{option} names the sensor {shown(name)} twice: give it once.")


def _transform(name: str, numbers: Sequence[str]) -> tuple[float, ...]:
    try:
        values = [float(number) for number in numbers]
    except ValueError as error:
        raise RecordingError(
            f"--sensor-extrinsic {shown(name)} needs seven numbers, X Y Z QX QY QZ QW, not {shown(' '.join(numbers))}."
        ) from error
    return tuple(float(value) for value in extrinsic(values).ravel())
