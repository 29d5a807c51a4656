# SPDX-License-Identifier: Apache-2.0
"""Values out of a file against those that they are to replace: the same names, kinds and shapes.

PyTorch's `load_state_dict` takes much of what does not fit, and fails with it some steps later, or never says a word:
an optimiser's moments of another shape, a schedule whose method is a number now, weights that are NaN.

All raise ValueError with a reason; who reads the file names it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mvloc_ros.foreign_text import quoted

_KINDS = {str: "a text", int: "a whole number", float: "a finite number", dict: "a mapping", list: "a list"}


def is_of_kind(value: Any, kind: type) -> bool:
    """Whether a value is of a plain kind; True is no number, and a whole number is a number, but none without end."""
    if kind is float:
        return not isinstance(value, bool) and isinstance(value, (int, float)) and _is_finite(value)
    return isinstance(value, kind) and isinstance(value, bool) == (kind is bool)


def taken(values: Any, name: str, kind: type, where: str = "") -> Any:
    """The value of a name in a mapping from a file, of that kind."""
    if not isinstance(values, dict):
        raise ValueError(f"its {where or 'content'} is no mapping")
    if name not in values:
        raise ValueError(f"it lacks {where}{'.' if where else ''}{name}")
    if not is_of_kind(values[name], kind):
        raise ValueError(f"its {where}{'.' if where else ''}{name} is not {_KINDS[kind]}")
    return values[name]


def require_tensors(expected: Mapping[str, Tensor], found: Any, what: str) -> dict[str, Tensor]:
    """A state dict of the same names, shapes and kinds of numbers as another one, all finite."""
    if not isinstance(found, dict):
        raise ValueError(f"its {what} is no mapping of names to tensors")
    if missing := sorted(expected.keys() - found.keys()):
        raise ValueError(f"its {what} lacks {missing[0]}")
    if foreign := sorted(map(str, found.keys() - expected.keys())):
        raise ValueError(f"its {what} has the unknown {quoted(foreign[0])}")
    for name, wanted in expected.items():
        require_tensor(wanted, found[name], f"{what} {name}")
    return dict(found)


def require_tensor(expected: Tensor, found: Any, where: str) -> None:
    """A tensor of the same shape and kind of numbers as another one, all finite."""
    if not isinstance(found, Tensor) or found.is_sparse or found.is_quantized or found.device.type != "cpu":
        raise ValueError(f"its {where} is no plain tensor")
    if found.shape != expected.shape:
        raise ValueError(f"its {where} is {_sizes(found)}, where {_sizes(expected)} is right")
    if found.dtype != expected.dtype:
        raise ValueError(f"its {where} is of {found.dtype}, where {expected.dtype} is right")
    if found.is_floating_point() and not bool(torch.isfinite(found).all()):
        raise ValueError(f"its {where} holds NaN or infinities")


def fitted_numbers(fresh: Mapping[str, float], found: Any, what: str) -> dict[str, float]:
    """Numbers by their names: what was found of the names that there are, and the fresh one where it lacks one."""
    if not isinstance(found, dict):
        raise ValueError(f"its {what} is no mapping")
    return {name: taken(found, name, float, what) if name in found else value for name, value in fresh.items()}


def fitted_schedule(fresh: Mapping[str, Any], found: Any) -> dict[str, Any]:
    """The state of a schedule: how far it is, and the rates there; all else follows from the configuration."""
    step = taken(found, "last_epoch", int, "schedule")
    rates = taken(found, "_last_lr", list, "schedule")
    if step < 0 or len(rates) != len(fresh["base_lrs"]) or not all(is_of_kind(rate, float) for rate in rates):
        raise ValueError("its schedule has an impossible step, or other rates than the optimiser has groups")
    return {**fresh, "last_epoch": step, "_step_count": step + 1, "_last_lr": rates}


def fitted_optimiser(fresh: Mapping[str, Any], found: Any, parameters: Sequence[Tensor]) -> dict[str, Any]:
    """The state of an optimiser of the Adam family: rates and moments; all else follows from the configuration.

    Args:
        fresh: state dict of the new optimiser, which has made no step.
        found: state dict out of a file.
        parameters: in the order of the optimiser's groups.
    """
    groups = taken(found, "param_groups", list, "optimiser")
    if [_members(group) for group in groups] != [group["params"] for group in fresh["param_groups"]]:
        raise ValueError("its optimiser has other parameters")
    rates = [taken(group, "lr", float, "optimiser.param_groups") for group in groups]
    state = taken(found, "state", dict, "optimiser")
    if state.keys() - set(range(len(parameters))):
        raise ValueError("its optimiser has the state of a parameter that there is not")
    for index, moments in state.items():
        where, parameter = f"optimiser.state[{index}]", torch.empty_like(parameters[index], device="meta")
        if not isinstance(moments, dict) or moments.keys() != {"step", "exp_avg", "exp_avg_sq"}:
            raise ValueError(f"its {where} has not step and both moments")
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
    except OverflowError:  # a whole number beyond float64
        return False


def _sizes(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a single number"
