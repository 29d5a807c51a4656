# SPDX-License-Identifier: Apache-2.0
"""YAML of recorders -> values: no anchors and aliases, which recorders do not write, and bounds on nesting."""

from __future__ import annotations

from typing import Any

import yaml

from mvloc_ros.limits import MOST_NESTING, MOST_YAML_VALUES

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_yaml(text: str) -> Any:
    """The values of a YAML text.

    Raises:
        ValueError: it is no YAML, or beyond the bounds; the caller names the file.
    """
    depth = 0
    try:
        for number, event in enumerate(yaml.parse(text, Loader=_LOADER)):
            if number > MOST_YAML_VALUES:
                raise ValueError(f"it has more than {MOST_YAML_VALUES} values")
            if getattr(event, "anchor", None) is not None:
                raise ValueError("it has an anchor or an alias, which no recorder writes")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MOST_NESTING:
                raise ValueError(f"its values are nested deeper than {MOST_NESTING}")
        return yaml.load(text, Loader=_LOADER)
    except (yaml.YAMLError, RecursionError, OverflowError) as error:
        raise ValueError(" ".join(str(error).split())[:120]) from error
