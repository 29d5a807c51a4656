# SPDX-License-Identifier: Apache-2.0
"""YAML from outside -> texts, numbers, lists and mappings, with bounds, and without YAML's dangerous features.

The package's own reader builds any object that a tag names, repeats what aliases point to (200 bytes become 10^9
values), runs into Python's recursion limit at deep nesting, and keeps the last of two equal names. Here values
are built from its events, one after the other: no tags, no anchors, no aliases, no merging, and each name of a mapping
once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from mvloc_ros.limits import MOST_DIGITS, MOST_NESTING, MOST_YAML_CHARACTERS, MOST_YAML_VALUES

_SHOWN = 40
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_NUMBERS = (f"{_TAG}int", f"{_TAG}float")
_PLAIN = (*_NUMBERS, f"{_TAG}bool", f"{_TAG}null")


@dataclass
class _Open:
    """A list or mapping whose end has not come; `name` is a mapping's name that waits for its value."""

    value: list[Any] | dict[str, Any]
    name: str | None = None


@dataclass
class _Values:
    """What has been read: the innermost list or mapping last, and the finished document."""

    open: list[_Open] = field(default_factory=list)
    document: list[Any] = field(default_factory=list)

    def begin(self, value: list[Any] | dict[str, Any], line: int) -> None:
        if len(self.open) == MOST_NESTING:
            raise ValueError(f"its values are nested deeper than {MOST_NESTING} in line {line}")
        if self.awaits_name:
            raise ValueError(f"a name in line {line} is a list or mapping and not a text")
        self.open.append(_Open(value))

    @property
    def awaits_name(self) -> bool:
        """Whether a name of a mapping comes next."""
        return bool(self.open) and isinstance(self.open[-1].value, dict) and self.open[-1].name is None

    def end(self) -> None:
        self.add(self.open.pop().value, 0)

    def add(self, value: Any, line: int) -> None:
        if not self.open:
            self.document.append(value)
            return
        inner = self.open[-1]
        if isinstance(inner.value, list):
            inner.value.append(value)
        elif inner.name is not None:
            inner.value[inner.name], inner.name = value, None
        elif not isinstance(value, str):
            raise ValueError(f"the name {value!r} in line {line} is not a text".replace("None", "null"))
        elif value in inner.value:
            raise ValueError(f"the name {value[:_SHOWN]!r} occurs twice, again in line {line}")
        else:
            inner.name = value


def parse_yaml(
    text: str, most_characters: int = MOST_YAML_CHARACTERS, plain: Callable[[str], Any] | None = None
) -> Any:
    """The values of a YAML document: None where it is empty; dates stay text.

    Args:
        text: the document.
        most_characters: that are accepted.
        plain: gives the value of a word without quotation marks, or raises ValueError; None: as YAML 1.1 reads it.

    Raises:
        ValueError: it is no YAML, or beyond the bounds; the caller names the file.
    """
    if len(text) > most_characters:
        raise ValueError(f"it has {len(text)} characters, at most {most_characters} are accepted")
    try:
        loader, values, number = _LOADER(text), _Values(), 0
        while loader.check_event():
            number += 1
            if number > MOST_YAML_VALUES:
                raise ValueError(f"it has more than {MOST_YAML_VALUES} values")
            _take(loader, loader.get_event(), values, plain)
    except yaml.MarkedYAMLError as error:
        place = "" if error.problem_mark is None else f" in line {error.problem_mark.line + 1}"
        raise ValueError(f"{error.problem or error.context}{place}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except OverflowError as error:  # an escape like \U of more than a character can be
        raise ValueError("it has an escape of a character that does not exist") from error
    if len(values.document) > 1:
        raise ValueError("it has several documents, separated by ---, instead of one")
    return values.document[0] if values.document else None


def _take(loader: yaml.SafeLoader, event: yaml.Event, values: _Values, plain: Callable[[str], Any] | None) -> None:
    line = 0 if event.start_mark is None else event.start_mark.line + 1
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
        raise ValueError(f"line {line} has an anchor or alias (& or *); write the values out")
    tag = getattr(event, "tag", None)
    if tag is not None:
        raise ValueError(f"line {line} has the tag {tag[:_SHOWN]!r}; remove it")
    if isinstance(event, yaml.SequenceStartEvent):
        values.begin([], line)
    elif isinstance(event, yaml.MappingStartEvent):
        values.begin({}, line)
    elif isinstance(event, yaml.CollectionEndEvent):
        values.end()
    elif isinstance(event, yaml.ScalarEvent):
        values.add(_scalar(loader, event, line, plain, is_name=values.awaits_name), line)


def _scalar(
    loader: yaml.SafeLoader, event: yaml.ScalarEvent, line: int, plain: Callable[[str], Any] | None, is_name: bool
) -> Any:
    """A text or number as YAML 1.1 reads it, or `plain`."""
    if any("\ud800" <= character <= "\udfff" for character in event.value):
        raise ValueError(f"a text in line {line} has an unpaired surrogate")
    if plain is not None:
        try:
            return event.value if is_name or event.style in ("'", '"') else plain(event.value)
        except ValueError as error:
            raise ValueError(f"{error} in line {line}") from None
    tag = loader.resolve(yaml.ScalarNode, event.value, event.implicit)
    if tag == f"{_TAG}merge":
        raise ValueError(f"line {line} merges mappings (<<); write the values out")
    if tag not in _PLAIN:
        return event.value
    if len(event.value) > MOST_DIGITS:
        raise ValueError(f"a number in line {line} has {len(event.value)} digits, at most {MOST_DIGITS} are accepted")
    try:
        value = loader.yaml_constructors[tag](loader, yaml.ScalarNode(tag, event.value))
        if tag in _NUMBERS and not math.isfinite(value):
            raise OverflowError
    except (ValueError, OverflowError):
        raise ValueError(f"{event.value[:_SHOWN]!r} in line {line} is not a finite number") from None
    return value
