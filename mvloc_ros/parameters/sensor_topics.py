# SPDX-License-Identifier: Apache-2.0
"""The parameter `sensor_topics`: which topics a model's further sensors are on, `rear:=/rear/image ir:=/ir/image`.

A text of entries with spaces between them, since ROS has no parameter files with an empty list of texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mvloc_ros.foreign_text import shown
from mvloc_ros.parameters.errors import ParameterError

_EXAMPLE = "rear:=/rear/color/image_raw thermal:=/thermal/image"


def read_sensor_topics(text: str, sensors: Sequence[str], model: str) -> dict[str, str]:
    """Sensor -> topic, in the order of the model's declaration; sensors without an entry are left out.

    Args:
        text: of the parameter.
        sensors: names of the model's further sensors.
        model: its name, for words.

    Raises:
        ParameterError: an entry is no `name:=topic`, or its name is none of the model's sensors, or comes twice.
    """
    found: dict[str, str] = {}
    for entry in text.split():
        name, sign, topic = entry.partition(":=")
        if not (name and sign and topic):
            raise ParameterError(f"{shown(entry)} in sensor_topics is no name:=topic; write it as {_EXAMPLE}.")
        if name not in sensors:
            known = f"has the sensors {', '.join(sensors)}" if sensors else "has no sensors besides color and depth"
            raise ParameterError(f"sensor_topics names {shown(name)}, but the model {model} {known}.")
        if name in found:
            raise ParameterError(f"sensor_topics names {name} twice: {shown(found[name])} and {shown(topic)}.")
        found[name] = topic
    return {name: found[name] for name in sensors if name in found}


def sensor_topics_text(topics: Mapping[str, str]) -> str:
    """The inverse: the parameter's text."""
    return " ".join(f"{name}:={topic}" for name, topic in topics.items())


def absence_text(topics: Mapping[str, str], sensors: Sequence[str]) -> str:
    """That sensors of a model have no topic, in one sentence; empty where all have one."""
    missing = [name for name in sensors if name not in topics]
    if not missing:
        return ""
    return (
        f"the model takes {', '.join(missing)} too, of which sensor_topics names no topic: poses are found without, "
        "and their covariance is not one that was measured"
    )
