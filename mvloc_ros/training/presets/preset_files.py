# SPDX-License-Identifier: Apache-2.0
"""Presets in YAML files: `name: value` with the names of the command-line options, and two more keys.

    base: small          the preset to start from: of the same system, or SYSTEM.NAME
    system: atloc        optional: the system that the file is for

Values that neither the file nor its base has are the defaults of the options. An unknown name is an error.
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
"""Of every system."""
FURTHER = {"mvloc": ("robust",)}
_KEYS = ("base", "system")


def names_of(system: str) -> tuple[str, ...]:
    """The built-in presets of a system."""
    return (*NAMES, *FURTHER.get(system, ()))


def preset(system: str, name: str) -> TrainingConfig:
    """The built-in preset of that name for a system.

    Raises:
        TrainingError: there is no such system or preset.
    """
    if system not in SYSTEMS:
        raise TrainingError(f"--system {shown(system)} is unknown; choose one of {', '.join(SYSTEMS)}.")
    if name not in names_of(system):
        raise TrainingError(
            f"--preset {shown(name)} is unknown for {system}; choose one of {', '.join(names_of(system))}, or give a "
            ".yaml file."
        )
    values = _built_in(f"{system}.{name}")
    return _configuration(FOLDER / f"{system}.{name}.yaml", system, name, values)


def read_file(path: Path, system: str | None) -> TrainingConfig:
    """A preset file of the user, for the given system or the one in the file (default: mvloc).

    The name of the result is that of its base.

    Raises:
        TrainingError: the file cannot be read, has an unknown name or an invalid value, or is for another system.
    """
    content = _read(path)
    named = content.pop("system", None)
    if named is not None and not (isinstance(named, str) and named in SYSTEMS):
        raise TrainingError(f"{path}: the system {shown(named)} is unknown; choose one of {', '.join(SYSTEMS)}.")
    if None not in (named, system) and named != system:
        raise TrainingError(f"{path} is for the system {named}; remove --system {system}, or use another file.")
    system = system or named or "mvloc"
    base = _base(path, content.pop("base", "small"), system)
    values = _built_in(base) | _values(path, content)
    return _configuration(path, system, base.rpartition(".")[2], values)


def describe() -> str:
    """All built-in presets, one line each, for the terminal."""
    lines = [f"The presets in {FOLDER}:", ""]
    for system in SYSTEMS:
        for name in names_of(system):
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
    lines += ["", "Your own file may start with `base: small`; its names are those of the options with _ instead of -."]
    return "\n".join(lines)


def _built_in(stem: str) -> dict[str, Any]:
    """The values of a built-in preset, including those of its base."""
    path = FOLDER / f"{stem}.yaml"
    content = _read(path)
    base = content.pop("base", None)
    return (_built_in(base) if base else {}) | _values(path, content)


def _base(path: Path, name: Any, system: str) -> str:
    """The file stem of the built-in preset that `base: NAME` refers to."""
    stem = name if isinstance(name, str) and "." in name else f"{system}.{name}"
    known = [f"{system}.{name}" for system in SYSTEMS for name in names_of(system)]
    if stem not in known:
        raise TrainingError(
            f"{path}: the base {shown(name)} is unknown; choose one of {', '.join(names_of(system))}, or one of "
            "another system like atloc.paper."
        )
    return stem


def _configuration(path: Path, system: str, name: str, values: Mapping[str, Any]) -> TrainingConfig:
    start = TrainingConfig()
    if SYSTEMS[system].clips and "clip_length" not in values:
        raise TrainingError(f"{path}: {system} is trained on clips; add clip_length.")
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
    """The values with their types; TrainingError for an unknown name."""
    options = {item.name: item for _, item in all_options()}
    for name in content:
        if name not in options:
            raise TrainingError(
                f"{path} has the unknown name {shown(name)}; known are {', '.join((*_KEYS, *options))}."
            )
    return {name: _value(path, options[name], value) for name, value in content.items()}


def _value(path: Path, item: Field[Any], value: Any) -> Any:
    kind = type(item.default)
    if is_switch(item) == isinstance(value, bool):
        if isinstance(value, kind):
            return value
        # YAML 1.1 reads 1e-4 as a string, and `stage: 1` as a number.
        if kind is float and isinstance(value, (int, str)):
            try:
                return float(value)
            except (ValueError, OverflowError):
                pass
        if kind is str and isinstance(value, int):
            return str(value)
    raise TrainingError(f"{path}: {item.name} must be {KINDS[kind]}, not {shown(value)}.")
