# SPDX-License-Identifier: Apache-2.0
"""Checks state dicts from a file against those that they replace: the same names, types and shapes.

`load_state_dict` of PyTorch accepts invalid values and fails some steps later or never: optimiser moments of another
shape, a schedule with a number in place of a method, weights that are NaN.

All functions raise ValueError with a reason; the caller adds the name of the file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mvloc_ros.foreign_text import quoted

_TYPE_NAMES = {str: "a string", int: "a whole number", float: "a finite number", dict: "a mapping", list: "a list"}


def has_type(value: Any, kind: type) -> bool:
    """Whether a value has a plain type; a bool is not a number, an int is a float, and a float must be finite."""
    if kind is float:
        return not isinstance(value, bool) and isinstance(value, (int, float)) and _is_finite(value)
    return isinstance(value, kind) and isinstance(value, bool) == (kind is bool)


def required_value(values: Any, name: str, kind: type, where: str = "") -> Any:
    """The value of that name and type in a mapping from a file."""
    if not isinstance(values, dict):
        raise ValueError(f"its {where or 'content'} is not a mapping")
    if name not in values:
        raise ValueError(f"it lacks {where}{'.' if where else ''}{name}")
    if not has_type(values[name], kind):
        raise ValueError(f"its {where}{'.' if where else ''}{name} is not {_TYPE_NAMES[kind]}")
    return values[name]


def require_tensors(expected: Mapping[str, Tensor], found: Any, what: str) -> dict[str, Tensor]:
    """A state dict with the names, shapes and dtypes of another one, all finite."""
    if not isinstance(found, dict):
        raise ValueError(f"its {what} is not a mapping of names to tensors")
    if missing := sorted(expected.keys() - found.keys()):
        raise ValueError(f"its {what} lacks {missing[0]}")
    if foreign := sorted(map(str, found.keys() - expected.keys())):
        raise ValueError(f"its {what} has the unknown name {quoted(foreign[0])}")
    for name, wanted in expected.items():
        require_tensor(wanted, found[name], f"{what} {name}")
    return dict(found)


def require_tensor(expected: Tensor, found: Any, where: str) -> None:
    """A tensor with the shape and dtype of another one, all finite."""
    if not isinstance(found, Tensor) or found.is_sparse or found.is_quantized or found.device.type != "cpu":
        raise ValueError(f"its {where} is not a dense CPU tensor")
    if found.shape != expected.shape:
        raise ValueError(f"its {where} has shape {_sizes(found)} instead of {_sizes(expected)}")
    if found.dtype != expected.dtype:
        raise ValueError(f"its {where} has type {found.dtype} instead of {expected.dtype}")
    if found.is_floating_point() and not bool(torch.isfinite(found).all()):
        raise ValueError(f"its {where} holds NaN or infinities")


def fitted_numbers(fresh: Mapping[str, float], found: Any, what: str) -> dict[str, float]:
    """Numbers by name: those found of the known names, and the fresh one if it is missing."""
    if not isinstance(found, dict):
        raise ValueError(f"its {what} is not a mapping")
    return {name: required_value(found, name, float, what) if name in found else value for name, value in fresh.items()}


def fitted_schedule(fresh: Mapping[str, Any], found: Any) -> dict[str, Any]:
    """The state of a schedule: step and learning rates; the rest follows from the configuration."""
    step = required_value(found, "last_epoch", int, "schedule")
    rates = required_value(found, "_last_lr", list, "schedule")
    if step < 0 or len(rates) != len(fresh["base_lrs"]) or not all(has_type(rate, float) for rate in rates):
        raise ValueError("its schedule has a negative step, or not one learning rate per parameter group")
    return {**fresh, "last_epoch": step, "_step_count": step + 1, "_last_lr": rates}


def fitted_optimiser(fresh: Mapping[str, Any], found: Any, parameters: Sequence[Tensor]) -> dict[str, Any]:
    """The state of an Adam optimiser: learning rates and moments; the rest follows from the configuration.

    Args:
        fresh: state dict of the new optimiser, before its first step.
        found: state dict from a file.
        parameters: in the order of the parameter groups.
    """
    groups = required_value(found, "param_groups", list, "optimiser")
    if [_members(group) for group in groups] != [group["params"] for group in fresh["param_groups"]]:
        raise ValueError("its optimiser has other parameters")
    rates = [required_value(group, "lr", float, "optimiser.param_groups") for group in groups]
    state = required_value(found, "state", dict, "optimiser")
    if state.keys() - set(range(len(parameters))):
        raise ValueError("its optimiser has state for an unknown parameter")
    for index, moments in state.items():
        where, parameter = f"optimiser.state[{index}]", torch.empty_like(parameters[index], device="meta")
        if not isinstance(moments, dict) or moments.keys() != {"step", "exp_avg", "exp_avg_sq"}:
            raise ValueError(f"its {where} lacks the step or a moment")
        require_tensor(torch.zeros(()), moments["step"], f"{where}.step")
        for name in ("exp_avg", "exp_avg_sq"):
            require_tensor(parameter, moments[name], f"{where}.{name}")
    own = zip(fresh["param_groups"], rates, strict=True)
    return {"state": state, "param_groups": [{**group, "lr": rate} for group, rate in own]}


def _members(group: Any) -> Any:
    return group.get("params") if isinstance(group, dict) else None


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond float64
        return False


def _sizes(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
