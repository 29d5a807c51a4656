# SPDX-License-Identifier: Apache-2.0
"""The bar of sense for a manifest, field by field: values that no true bundle can have, and that must be refused.

One of these in a bundle whose digests are right otherwise must end in a refusal: it is what a wrong tool, another unit
or a hand's slip makes, and the node would publish poses of it without a word. A place is a path in manifest.json; `*`
stands for every name or index there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.fuzzing.values import Path, get, leaves

NAN, INF = math.nan, math.inf
_NUMBER = (NAN, INF, -INF, True, None, [])
"""No number at all."""
_POSITIVE = (*_NUMBER, 0, -1.0)
_NOT_NEGATIVE = (*_NUMBER, -1.0)
_COUNT = (*_POSITIVE, 1.5)
_COUNT_OR_0 = (*_NOT_NEGATIVE, 1.5)
_SHARE = (*_NOT_NEGATIVE, 1.5)
_NAME = ("", 5, True, None, [])
_TEXT = (5, True, None, [])
_EXTRINSIC = tuple(
    (i, "metres between two cameras", (NAN, INF, None, 1e30))
    if i in (3, 7, 11)
    else (i, "a number of a rotation, or of 0 0 0 1", (NAN, INF, None, 1e30, 7.0, 0.5))
    for i in range(16)
)
"""Index in a 4x4 matrix row by row, what stands there, and what cannot."""
_SWITCH = ("false", 0, 0.5, None, [])


@dataclass(frozen=True)
class Rule:
    """What may not stand at a place.

    Attributes:
        place: path in the manifest.
        must_be: in words.
        senseless: values that break the rule.
        factors: by which the number that is there is multiplied, to break it.
    """

    place: Path
    must_be: str
    senseless: tuple[Any, ...]
    factors: tuple[float, ...] = ()


RULES = (
    Rule(("schema",), "a whole number from 1", (0, -1, 1.5, True, None, "2")),
    Rule(("system",), "a name", _NAME),
    Rule(("preset",), "a text", _TEXT),
    Rule(("input", "height"), "a count of pixels", (*_COUNT, 10**9)),
    Rule(("input", "width"), "a count of pixels", (*_COUNT, 10**9)),
    Rule(("input", "depth_min_m"), "0 or more, below depth_max_m", (*_NOT_NEGATIVE, 1e30)),
    Rule(("input", "depth_max_m"), "positive, and within what a sensor measures", (*_POSITIVE, 1e30)),
    Rule(("latent_dim",), "a count", (*_COUNT, 10**12)),
    Rule(("position", "offset_m", "*"), "metres within the Earth's size", (*_NUMBER, 1e30, -1e30)),
    Rule(("position", "scale_m"), "positive metres within the Earth's size", (*_POSITIVE, 1e30, 1e-30)),
    Rule(("frames", "map"), "a frame's name", (*_NAME, " ", "a b\n")),
    Rule(("frames", "pose_of"), "color or depth", (*_NAME, "colour")),
    *(
        rule
        for camera in ("color_camera", "depth_camera")
        for rule in (
            Rule((camera, "width"), "a count of pixels", (*_COUNT, 10**9)),
            Rule((camera, "height"), "a count of pixels", (*_COUNT, 10**9)),
            Rule((camera, "fx"), "a focal length that a camera of that size has", (*_POSITIVE, 1e30, 1e-6)),
            Rule((camera, "fy"), "a focal length that a camera of that size has", (*_POSITIVE, 1e30, 1e-6)),
            Rule((camera, "cx"), "a pixel of the image", (*_NUMBER, -1e6, 1e30)),
            Rule((camera, "cy"), "a pixel of the image", (*_NUMBER, -1e6, 1e30)),
        )
    ),
    Rule(("depth_registered",), "true or false", _SWITCH),
    *(
        Rule((name, "*"), "a positive variance", (*_POSITIVE, 1e30))
        for name in ("residual_variance", "residual_variance_color_only", "residual_variance_depth_only")
    ),
    *(Rule(("T_color_depth", i), what, values) for i, what, values in _EXTRINSIC),
    Rule(("training", "frames"), "a count", (NAN, INF, -1)),
    Rule(("training", "validation_frames"), "a count", (NAN, INF, -1)),
    Rule(("files", "*", "sha256"), "the digest of the file", ("", 5, None, "0" * 64)),
    Rule(("precisions", "*", "file"), "a file of the bundle", (*_NAME, "../model.onnx", "absent.onnx")),
    Rule(("precisions", "*", "frames"), "a count, or 0", _COUNT_OR_0),
    Rule(("precisions", "*", "difference_m", "*"), "0 or more", _NOT_NEGATIVE),
    Rule(("precisions", "*", "difference_deg", "*"), "0 to 180", (*_NOT_NEGATIVE, 1e6)),
    *(Rule(("calibration", name, "*"), "a number of a covariance", (*_NUMBER, -1.0, 1e30))
      for name in ("both", "color_only", "depth_only")),
    Rule(("scene_map", "file"), "a file of the bundle", (*_NAME, "../x.npz", "absent.npz")),
    Rule(("scene_map", "sha256"), "the digest of the file", ("", 5, None, "0" * 64)),
    Rule(("scene_map", "resolution_m"), "what the map's file says", _POSITIVE, (2.0,)),
    Rule(("scene_map", "tile_m"), "what the map's file says", _POSITIVE, (2.0,)),
    Rule(("scene_map", "points"), "how many the map's file has", _COUNT, (2.0,)),
    Rule(("scene_map", "depth_min_m"), "0 or more, below depth_max_m", (*_NOT_NEGATIVE, 1e30)),
    Rule(("scene_map", "depth_max_m"), "positive, and within what a sensor measures", (*_POSITIVE, 1e30)),
    *(Rule(("scene_map", "T_color_depth", i), what, values) for i, what, values in _EXTRINSIC),
    Rule(("scene_map", "inflation"), "1 or more", (*_NUMBER, 0.5, -1.0, 1e30)),
    Rule(("scene_map", "acceptance", "bias"), "a number", (*_NUMBER, 1e30)),
    Rule(("scene_map", "acceptance", "weights", "*"), "0 or more", (*_NOT_NEGATIVE, 1e30)),
    Rule(("scene_map", "acceptance", "typical", "*"), "a share", _SHARE),
    Rule(("scene_map", "acceptance", "threshold"), "between 0 and 1", (*_SHARE, 0, 1)),
    Rule(("scene_map", "acceptance", "false_accept_rate"), "a share", _SHARE),
    Rule(("scene_map", "calibration", "scale"), "positive", (*_POSITIVE, 1e30)),
    Rule(("scene_map", "calibration", "floor_m"), "0 or more metres", (*_NOT_NEGATIVE, 1e30)),
    Rule(("scene_map", "calibration", "floor_rad"), "0 to pi", (*_NOT_NEGATIVE, 1e30)),
)  # fmt: skip


@dataclass(frozen=True)
class Breach:
    """A rule broken at a place: what stands there instead."""

    place: Path
    value: Any
    must_be: str


def breaches(manifest: dict[str, Any]) -> Iterator[Breach]:
    """Every rule broken at every place that a manifest has."""
    places = list(leaves(manifest))
    for rule in RULES:
        for place in (place for place in places if _fits(rule.place, place)):
            for value in (*rule.senseless, *(_scaled(get(manifest, place), factor) for factor in rule.factors)):
                if _may_be_switch(get(manifest, place), value):
                    continue
                yield Breach(place, value, rule.must_be)


def _scaled(value: Any, factor: float) -> Any:
    return type(value)(value * factor)


def _may_be_switch(old: Any, value: Any) -> bool:
    """Zero and one may be what is there already."""
    return type(old) is type(value) and old == value


def _fits(rule: Path, place: Path) -> bool:
    return len(rule) == len(place) and all(a in ("*", b) for a, b in zip(rule, place, strict=True))


def table() -> str:
    """The rules, a line each."""
    width = max(len(".".join(map(str, rule.place))) for rule in RULES)
    return "\n".join(f"{'.'.join(map(str, rule.place)):{width}}  must be {rule.must_be}" for rule in RULES)
