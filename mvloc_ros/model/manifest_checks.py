# SPDX-License-Identifier: Apache-2.0
"""Checks of a manifest's values: JSON types when they are read, plausible ranges when a manifest is made.

A manifest may be copied, edited or damaged like any other file, and most of its numbers go into poses and covariances
without being seen again. So each value has a type (a number for a switch, or a text for a number, is refused)
and a range (`limits`).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np

from mvloc_ros.errors import MvlocError
from mvloc_ros.foreign_text import quoted
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.limits import (
    FOCAL_SHARE,
    MOST_CAMERA_DISTANCE_M,
    MOST_CENTRE_SHARE,
    MOST_DEPTH_M,
    MOST_MANIFEST_TEXT,
    POSITION_VARIANCE_M2,
    ROTATION_VARIANCE_RAD2,
)

T = TypeVar("T")
MOST_NAME = 255
"""Characters of a name: of a file, a frame, a precision."""


class ManifestError(MvlocError):
    """A value of a manifest is missing, of another kind, or impossible; the caller names the file."""


@dataclass(frozen=True)
class Section:
    """A mapping in a manifest, and its name for sentences; each method raises ManifestError."""

    values: Mapping[str, Any]
    name: str = ""

    @staticmethod
    def of(values: object, name: str = "") -> Section:
        """A value that must be a mapping."""
        if not isinstance(values, Mapping):
            raise ManifestError(f"{name or 'it'} must be a mapping, not {_shown(values)}")
        return Section(values, name)

    def label(self, key: str) -> str:
        """The full name of a value."""
        return f"{self.name}.{key}" if self.name else key

    def value(self, key: str) -> Any:
        """A value of any kind that must be there."""
        if key not in self.values:
            raise ManifestError(f"{self.label(key)} is missing")
        return self.values[key]

    def section(self, key: str) -> Section:
        """A mapping."""
        return Section.of(self.value(key), self.label(key))

    def optional(self, key: str, read: Callable[[Section], T]) -> T | None:
        """What `read` makes of a mapping, or None where that is absent or null."""
        return None if self.values.get(key) is None else read(self.section(key))

    def build(self, kind: type[T], **given: Any) -> T:
        """A dataclass of plain values, each of which is read by the type of its field; `given` are those of others."""
        readers: dict[str, Callable[[str], Any]] = {
            "str": self.text,
            "int": self.integer,
            "float": self.number,
            "float | None": lambda key: None if self.values.get(key) is None else self.number(key),
            "bool": self.switch,
            "Mapping[str, float]": self.named_numbers,
            "Mapping[str, Any]": lambda key: dict(self.section(key).values),
        }
        plain: Any = fields(kind)  # type: ignore[arg-type]
        return kind(**{item.name: readers[item.type](item.name) for item in plain if item.name not in given}, **given)

    def integer(self, key: str) -> int:
        """A whole number that fits into 64 bits."""
        value = self.value(key)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
            raise ManifestError(f"{self.label(key)} must be a whole number, not {_shown(value)}")
        return value

    def number(self, key: str) -> float:
        """A finite number."""
        return to_number(self.value(key), self.label(key))

    def numbers(self, key: str, count: int) -> tuple[float, ...]:
        """A list of finite numbers."""
        value = self.value(key)
        if not isinstance(value, list | tuple) or len(value) != count:
            found = len(value) if isinstance(value, list | tuple) else _shown(value)
            raise ManifestError(f"{self.label(key)} needs {count} values, not {found}")
        return tuple(to_number(item, self.label(key)) for item in value)

    def optional_numbers(self, key: str, count: int) -> tuple[float, ...] | None:
        """A list of finite numbers, or None where it is absent or null."""
        return None if self.values.get(key) is None else self.numbers(key, count)

    def named_numbers(self, key: str) -> dict[str, float]:
        """A mapping of names to finite numbers."""
        section = self.section(key)
        return {name: section.number(name) for name in section.names()}

    def names(self) -> list[str]:
        """The names of all values, each a short text."""
        for name in self.values:
            require_text(f"a name in {self.name or 'it'}", name, MOST_NAME)
        return list(self.values)

    def switch(self, key: str) -> bool:
        """True or false."""
        value = self.value(key)
        if not isinstance(value, bool):
            raise ManifestError(f"{self.label(key)} must be true or false, not {_shown(value)}")
        return value

    def text(self, key: str) -> str:
        """A text without control characters."""
        return require_text(self.label(key), self.value(key))


def to_number(value: object, label: str) -> float:
    """A finite number, and no text or truth value that Python would take for one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ManifestError(f"{label} must be a number, not {_shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        raise ManifestError(f"{label} is too large") from None
    if not math.isfinite(number):
        raise ManifestError(f"{label} must be finite, not {number}")
    return number


def require_text(label: str, value: object, most: int = MOST_MANIFEST_TEXT) -> str:
    """A text of bounded length that can be printed and sent."""
    if not isinstance(value, str):
        raise ManifestError(f"{label} must be a text, not {_shown(value)}")
    if len(value) > most:
        raise ManifestError(f"{label} has {len(value)} characters, at most {most} are accepted")
    if any(unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\r\n\t" for letter in value):
        raise ManifestError(f"{label} has control characters: {_shown(value)}")
    return value


def require_name(label: str, value: str) -> None:
    """A short text of one line, not empty."""
    require_text(label, value, MOST_NAME)
    if not value.strip() or any(letter in value for letter in "\r\n\t"):
        raise ManifestError(f"{label} must be a name, not {_shown(value)}")


def require_frame(label: str, value: str) -> None:
    """A name that tf2 accepts for a frame."""
    require_name(label, value)
    if value.startswith("/") or any(letter.isspace() for letter in value):
        raise ManifestError(f"{label} is {_shown(value)}, not a TF frame name (no leading slash, no spaces)")


def require_map_name(label: str, value: str) -> None:
    """A name of one line that cannot be taken for a path."""
    require_name(label, value)
    if value != value.strip() or "/" in value or value.startswith((".", "~")):
        raise ManifestError(f"{label} is {_shown(value)}, not a plain name (no slash, no point or tilde before it)")


def require_file_name(label: str, value: str) -> None:
    """The name of a file in the bundle's folder itself."""
    require_text(label, value, MOST_NAME)
    if not value or value.startswith(".") or any(letter in value for letter in "/\\\r\n\t"):
        raise ManifestError(f"{label} is {_shown(value)}, not a plain file name")


def require_sha256(label: str, value: str) -> None:
    """A SHA-256 in hexadecimal."""
    if not re.fullmatch("[0-9a-f]{64}", value):
        raise ManifestError(f"{label} must be a SHA-256 of 64 hexadecimal digits, not {_shown(value)}")


def require_range(label: str, value: float, limits: tuple[float, float], unit: str = "") -> None:
    """A number from `limits[0]` to `limits[1]`."""
    low, high = limits
    if not low <= value <= high:  # NaN too
        unit = unit and f" {unit}"
        raise ManifestError(f"{label} must be from {low:g} to {high:g}{unit}, not {value:g}")


def require_depth_range(label: str, near_m: float, far_m: float) -> None:
    """A range of depth in metres."""
    if not 0.0 <= near_m < far_m <= MOST_DEPTH_M:
        raise ManifestError(
            f"{label} needs 0 <= depth_min_m < depth_max_m <= {MOST_DEPTH_M:g}, not {near_m:g} and {far_m:g}"
        )


def require_variances(label: str, values: Sequence[float]) -> None:
    """Six variances in ROS order, m^2 and rad^2."""
    if len(values) != 6:
        raise ManifestError(f"{label} needs 6 values, not {len(values)}")
    for i, value in enumerate(values):
        (low, high), unit = (POSITION_VARIANCE_M2, "m^2") if i < 3 else (ROTATION_VARIANCE_RAD2, "rad^2")
        if not low <= value <= high:
            raise ManifestError(f"{label} must be positive and finite: from {low:g} to {high:g} {unit}, not {value:g}")


def require_covariance(label: str, values: Sequence[float]) -> None:
    """A 6x6 covariance row by row in ROS order, m^2 and rad^2: symmetric, positive definite, of sane variances."""
    matrix = np.array(values, dtype=np.float64)
    if matrix.shape != (36,) or not np.all(np.isfinite(matrix)):
        raise ManifestError(f"{label} needs 36 finite numbers")
    matrix = matrix.reshape(6, 6)
    require_variances(f"the diagonal of {label}", [float(value) for value in np.diag(matrix)])
    deviations = np.sqrt(np.diag(matrix))
    with np.errstate(over="ignore"):
        correlation = matrix / deviations / deviations[:, None]
    # Without unit, so that small variances count as much as large ones.
    is_bounded = bool(np.all(np.abs(correlation) <= 1.0 + 1e-6))
    if not is_bounded or not np.allclose(correlation, correlation.T, rtol=0.0, atol=1e-6):
        raise ManifestError(f"{label} must be symmetric, with correlations of at most 1")
    if np.linalg.eigvalsh(correlation)[0] <= 0.0:
        raise ManifestError(f"{label} must be symmetric and positive definite")


def require_extrinsic(label: str, values: Sequence[float]) -> None:
    """The 16 numbers of the rigid transform between two cameras of one device."""
    if len(values) != 16 or not se3.is_rigid(np.reshape(np.array(values, dtype=np.float64), (4, 4))):
        raise ManifestError(f"{label} must be the 16 numbers of a rigid transform")
    distance_m = math.hypot(values[3], values[7], values[11])
    if not distance_m <= MOST_CAMERA_DISTANCE_M:
        raise ManifestError(
            f"{label} puts the two cameras {distance_m:g} m apart, at most {MOST_CAMERA_DISTANCE_M:g} are accepted "
            "(its unit is the metre)"
        )


def require_camera(label: str, camera: PinholeCamera) -> None:
    """Intrinsics that fit the size of the image."""
    low, high = FOCAL_SHARE
    for axis, size, focal, centre in (
        ("x", camera.width, camera.fx, camera.cx),
        ("y", camera.height, camera.fy, camera.cy),
    ):
        if not low * size <= focal <= high * size:
            raise ManifestError(f"{label}.f{axis} is {focal:g} pixels, invalid for an image of {size} pixels")
        if not -MOST_CENTRE_SHARE * size <= centre <= (1.0 + MOST_CENTRE_SHARE) * size:
            raise ManifestError(f"{label}.c{axis} is {centre:g} pixels, invalid for an image of {size} pixels")


def camera_of(section: Section) -> PinholeCamera:
    """A camera's six values."""
    values: dict[str, float] = {name: section.integer(name) for name in ("width", "height")}
    values |= {name: section.number(name) for name in ("fx", "fy", "cx", "cy")}
    try:
        return PinholeCamera.from_dict(values)
    except ValueError as error:
        raise ManifestError(f"{section.name}: {error}".removesuffix(".")) from error


def _shown(value: object) -> str:
    return quoted(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
