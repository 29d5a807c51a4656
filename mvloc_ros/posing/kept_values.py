# SPDX-License-Identifier: Apache-2.0
"""Values of the posing as text and back, bit for bit: what `kept_work` writes.

Nothing that is read is executed: of objects only the attributes are stored, and only types of the table are made.
Objects that are shared stay shared. Views are stored as their frames and read again, and what the recordings give
(odometry, samples of an IMU) by name.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mvloc_ros.json_text import parse_json
from mvloc_ros.posing.view import View
from mvloc_ros.recordings import FrameRecord

ReadView = Callable[[FrameRecord], View]
Types = Mapping[str, type]
Given = Mapping[str, object]

_DTYPES = {"f8", "f4", "i8", "i4", "u4", "u2", "u1", "b1"}
_PLAIN = (bool, int, float, str, type(None))


def text_of(value: object, types: Types, given: Given | None = None) -> str:
    """The text.

    Args:
        value: of plain values, lists, tuples, arrays, paths, views, and objects of the types.
        types: by the names under which they are stored.
        given: what is stored by name alone.

    Raises:
        TypeError: it has an object of another type.
    """
    return json.dumps(_Writer(types, given or {}).written(value), separators=(",", ":"))


def value_of(text: str, types: Types, given: Given | None = None, read: ReadView | None = None) -> Any:
    """The value of a text; `read` reads the views in it, if there may be any.

    Raises:
        ValueError: the text is another one.
    """
    try:
        return _Reader(types, given or {}, read).value(parse_json(text))
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"it has other values ({type(error).__name__}: {error})") from error


class _Writer:
    def __init__(self, types: Types, given: Given) -> None:
        self._names = {kind: name for name, kind in types.items()}
        self._given = {id(value): name for name, value in given.items()}
        self._written: dict[int, int] = {}
        self._alive: list[object] = []  # so that no number of an object is given again

    def written(self, value: Any) -> Any:
        if type(value) is float and not np.isfinite(value):
            value = np.float64(value)  # JSON has no such number
        if type(value) in _PLAIN:
            return value
        if id(value) in self._given:
            return {"given": self._given[id(value)]}
        if isinstance(value, np.generic):
            return {"scalar": self._array(np.asarray(value))}
        if isinstance(value, np.ndarray):
            return {"array": self._array(value)}
        if isinstance(value, (list, tuple)):
            kept = [self.written(one) for one in value]
            return kept if type(value) is list else {"tuple": kept}
        if isinstance(value, Path):
            return {"path": str(value)}
        if isinstance(value, View):
            return {"view": self.written(value.record)}
        return self._object(value)

    @staticmethod
    def _array(value: np.ndarray[Any, Any]) -> list[Any]:
        code = value.dtype.str[1:]
        if code not in _DTYPES:
            raise TypeError(f"an array of {value.dtype} is not stored")
        content = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"), copy=False).tobytes()
        return [code, list(value.shape), base64.b64encode(content).decode("ascii")]

    def _object(self, value: Any) -> Any:
        if id(value) in self._written:
            return {"same": self._written[id(value)]}
        if type(value) not in self._names:
            raise TypeError(f"a {type(value).__name__} is not stored")
        self._written[id(value)] = len(self._alive)
        self._alive.append(value)
        state = value.kept_state() if hasattr(value, "kept_state") else vars(value)
        return {"type": self._names[type(value)], "state": {key: self.written(one) for key, one in state.items()}}


class _Reader:
    def __init__(self, types: Types, given: Given, read: ReadView | None) -> None:
        self._types, self._given, self._read = types, given, read
        self._made: list[Any] = []
        self._views: dict[tuple[str, int], View] = {}

    def value(self, kept: Any) -> Any:
        if type(kept) in _PLAIN:
            return kept
        if isinstance(kept, list):
            return [self.value(one) for one in kept]
        if "type" in kept:
            return self._object(kept["type"], kept["state"])
        ((kind, content),) = kept.items()
        return self._kinds[kind](content)

    @property
    def _kinds(self) -> dict[str, Callable[[Any], Any]]:
        return {
            "given": self._given.__getitem__,
            "same": self._made.__getitem__,
            "tuple": lambda content: tuple(map(self.value, content)),
            "path": Path,
            "array": self._array,
            "scalar": lambda content: self._array(content)[()],
            "view": self._view,
        }

    @staticmethod
    def _array(kept: list[Any]) -> np.ndarray[Any, Any]:
        code, shape, content = kept
        if code not in _DTYPES:
            raise ValueError(f"it has an array of {code}")
        flat = np.frombuffer(base64.b64decode(content, validate=True), dtype=f"<{code}")
        return flat.reshape(shape).astype(flat.dtype.newbyteorder("="))

    def _view(self, kept: Any) -> View:
        record = self.value(kept)
        if self._read is None or not isinstance(record, FrameRecord):
            raise ValueError("it has a view where none should be")
        key = record.sequence, record.index
        if key not in self._views:
            self._views[key] = self._read(record)
        return self._views[key]

    def _object(self, name: str, state: dict[str, Any]) -> Any:
        made: Any = object.__new__(self._types[name])
        self._made.append(made)
        found = {key: self.value(one) for key, one in state.items()}
        if hasattr(made, "take_kept_state"):
            made.take_kept_state(found)
        else:
            vars(made).update(found)
        return made
