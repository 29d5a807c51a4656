# SPDX-License-Identifier: Apache-2.0
"""Recipes out of YAML files: `name: value` with the names of the command line's options, and two words more.

    base: small          the values to start from: of the same system, or SYSTEM.NAME
    system: atloc        optional: the system that the file is for

What neither the file nor its base names keeps the option's default. A name that is no option is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field
from pathlib import Path
from typing import Any

from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.options import KINDS, all_options, is_switch, shown
from mvloc_ros.yaml_text import parse_yaml

FOLDER = Path(__file__).parent
NAMES = ("small", "paper")
_WORDS = ("base", "system")


def preset(system: str, name: str) -> TrainingConfig:
    """The shipped recipe of that name for a system.

    Raises:
        TrainingError: there is no such system or preset.
    """
    if system not in SYSTEMS:
        raise TrainingError(f"--system {shown(system)} is unknown; choose one of {', '.join(SYSTEMS)}.")
    if name not in NAMES:
        raise TrainingError(
            f"--preset {shown(name)} is unknown; choose one of {', '.join(NAMES)}, or give a .yaml file."
        )
    values = _shipped(f"{system}.{name}")
    return _configuration(FOLDER / f"{system}.{name}.yaml", system, name, values)


def read_file(path: Path, system: str | None) -> TrainingConfig:
    """A user's recipe for a system, or for the one that it names itself (mvloc where it names none).

    The result is that of its base with options: it bears the base's name.

    Raises:
        TrainingError: the file cannot be read, has an unknown name or an impossible value, or is for another system.
    """
    content = _read(path)
    named = content.pop("system", None)
    if named is not None and not (isinstance(named, str) and named in SYSTEMS):
        raise TrainingError(f"{path}: the system {shown(named)} is unknown; choose one of {', '.join(SYSTEMS)}.")
    if None not in (named, system) and named != system:
        raise TrainingError(f"{path} is for the system {named}; leave --system {system} away, or take another file.")
    system = system or named or "mvloc"
    base = _base(path, content.pop("base", "small"), system)
    values = _shipped(base) | _values(path, content)
    return _configuration(path, system, base.rpartition(".")[2], values)


def describe() -> str:
    """All shipped recipes, a line each, for the terminal."""
    lines = [f"The recipes in {FOLDER}:", ""]
    for system in SYSTEMS:
        for name in NAMES:
            config = preset(system, name)
            stage = config.optimiser
            second = f" + {config.stages.stage2_epochs}" if config.stages.stage == "both" else ""
            clips = f", clips of {config.clips.clip_length}" if config.clips.clip_length > 1 else ""
            lines.append(
                f"{system:13} {name:6} {config.network.backbone} x {config.network.width:g} at "
                f"{config.input.short_side} px, {stage.epochs}{second} epochs, "
                f"{stage.batch_size} frames a step{clips}, "
                f"{stage.optimiser} {stage.learning_rate:g}, decay {stage.weight_decay:g}"
            )
    lines += ["", "A file of your own may begin with `base: small`; its names are the options' with _ for -."]
    return "\n".join(lines)


def _shipped(stem: str) -> dict[str, Any]:
    """The values of a shipped recipe and of those that it is based on."""
    path = FOLDER / f"{stem}.yaml"
    content = _read(path)
    base = content.pop("base", None)
    return (_shipped(base) if base else {}) | _values(path, content)


def _base(path: Path, name: Any, system: str) -> str:
    """The stem of the shipped recipe that `base: NAME` means."""
    stem = name if isinstance(name, str) and "." in name else f"{system}.{name}"
    known = [f"{system}.{name}" for system in SYSTEMS for name in NAMES]
    if stem not in known:
        raise TrainingError(
            f"{path}: the base {shown(name)} is unknown; choose {' or '.join(NAMES)}, or one of another system like "
            "atloc.paper."
        )
    return stem


def _configuration(path: Path, system: str, name: str, values: Mapping[str, Any]) -> TrainingConfig:
    start = TrainingConfig()
    if SYSTEMS[system].clips and "clip_length" not in values:
        raise TrainingError(f"{path}: {system} is trained on clips; state clip_length.")
    try:
        return start.with_options(values, system=system, preset=name)
    except TrainingError as error:
        raise TrainingError(f"{path}: {error}") from None


def _read(path: Path) -> dict[str, Any]:
    text = read_text(path, "preset", TrainingError)
    try:
        content = parse_yaml(text)
    except ValueError as error:
        raise TrainingError(f"The preset {path} is not valid YAML ({error}).") from error
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise TrainingError(f"The preset {path} must hold lines of `name: value`.")
    return content


def _values(path: Path, content: Mapping[Any, Any]) -> dict[str, Any]:
    """The values with their types; TrainingError for a name that is no option."""
    options = {item.name: item for _, item in all_options()}
    for name in content:
        if name not in options:
            raise TrainingError(
                f"{path} has the unknown name {shown(name)}; known are {', '.join((*_WORDS, *options))}."
            )
    return {name: _value(path, options[name], value) for name, value in content.items()}


def _value(path: Path, item: Field[Any], value: Any) -> Any:
    kind = type(item.default)
    if is_switch(item) == isinstance(value, bool):
        if isinstance(value, kind):
            return value
        # YAML 1.1 takes 1e-4 for text, and `stage: 1` for a number.
        if kind is float and isinstance(value, (int, str)):
            try:
                return float(value)
            except (ValueError, OverflowError):
                pass
        if kind is str and isinstance(value, int):
            return str(value)
    raise TrainingError(f"{path}: {item.name} must be {KINDS[kind]}, not {shown(value)}.")
