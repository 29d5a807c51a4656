# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of training: the bytes of the archive, the parts of its pickle, and values that are right otherwise."""

from __future__ import annotations

import copy
import functools
import io
import math
import pickle
import tempfile
import zipfile
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch

from bench.fuzzing import values
from bench.fuzzing.kind import Input, require, require_finite
from bench.fuzzing.mutators import damaged, odd_file, replace_bytes
from mvloc_ros.training import checkpoint
from mvloc_ros.training.presets import PRESETS
from mvloc_ros.training.systems import build_network
from mvloc_ros.training.trained_network import read_network
from mvloc_ros.training.warm_start import read_start

_TINY = {"short_side": 32, "width": 0.125, "latent_size": 8, "epochs": 2, "batch_size": 8}
_CONFIG = PRESETS["small"].with_options(_TINY)


class _Command:
    """What a pickle runs when it is loaded by a reader that trusts it."""

    def __reduce__(self) -> Any:
        return (print, ("executed",))


class Checkpoints:
    """See the module."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self._home = tempfile.TemporaryDirectory(prefix="mvloc-fuzz-checkpoints-")
        self.path = Path(self._home.name) / "last.pt"
        self.values: dict[str, Any] = {
            "run": {
                "config": _CONFIG.to_dict(),
                "data": {
                    "name": "room",
                    "frames": 8,
                    "validation_frames": 2,
                    "sequences": ["seq-01"],
                    "digest": "0" * 64,
                    "validation_digest": "1" * 64,
                },
                "weights": "",
                "root": "room",
                "processes": 1,
                "test_fraction": 0.2,
            },
            "network": build_network(_CONFIG).state_dict(),
            "normalisation": {"offset_m": [0.0, 0.0, 1.0], "scale_m": 0.5, "reference": [0.0, 0.0, 0.0, 1.0]},
            "history": [{"train/beta": 0.0, "train/gamma": -3.0}],
            "epoch": 2,
            "seconds": 10.0,
            "random": checkpoint.random_state(torch.device("cpu")),
        }
        checkpoint.save(self.path, self.values)
        self.bytes = self.path.read_bytes()

    def plain(self, folder: Path) -> list[Input]:
        """The checkpoint."""
        (folder / "last.pt").write_bytes(self.bytes)
        return [Input("last.pt", partial(_feed, folder / "last.pt"))]

    def make(self, random: Random, folder: Path) -> Input:
        """It, damaged."""
        path, must_refuse = folder / "last.pt", ""
        change = random.randrange(10)
        path.write_bytes(self.bytes)
        if change == 0:
            what = odd_file(path, random)
        elif change < 3:
            data, what = damaged(self.bytes, random)
            replace_bytes(path, data)
        elif change < 5:
            data, what = _damaged_member(self.bytes, random)
            replace_bytes(path, data)
        elif change == 5:
            data, what = _other_archive(random)
            replace_bytes(path, data)
        else:
            spoilt, what, must_refuse = self._spoilt(random)
            checkpoint.save(path, spoilt)
        return Input(what, partial(_feed, path), must_refuse)

    def _spoilt(self, random: Random) -> tuple[dict[str, Any], str, str]:
        """Values that are others; without a copy of the weights but for the one that is changed."""
        found = {**self.values, "network": dict(self.values["network"])}
        change = random.randrange(6)
        if change == 0:
            name = random.choice(list(found["network"]))
            tensor = found["network"][name]
            action = random.randrange(4)
            if action == 0:
                del found["network"][name]
                return found, f"without the weights {name}", ""
            if action == 1:
                found["network"][name] = random.choice((tensor.reshape(-1)[:1], torch.zeros(3, 3), "text", None, [1.0]))
                return found, f"the weights {name} of another kind", ""
            if not tensor.dtype.is_floating_point:
                found["network"][name] = tensor - 5
                return found, f"the count {name} is negative", ""
            changed = tensor.clone()
            value = random.choice((math.nan, math.inf, -math.inf))
            changed.reshape(-1)[random.randrange(max(changed.numel(), 1))] = value
            found["network"][name] = changed
            return found, f"a weight of {name} is {value}", "the weights must be finite"
        if change == 1:
            offset = random.random() < 0.5
            value = random.choice((math.nan, math.inf, 1e30))
            found["normalisation"] = {
                **found["normalisation"],
                **({"offset_m": [value, 0, 0]} if offset else {"scale_m": value}),
            }
            name = "offset_m" if offset else "scale_m"
            return found, f"normalisation.{name} is {value}", f"normalisation.{name} must make sense"
        rest = {name: copy.deepcopy(found[name]) for name in ("run", "normalisation", "history", "epoch", "seconds")}
        place = random.choice(list(values.nodes(rest)))
        if random.random() < 0.3:
            rest = values.without(rest, place)
            what = f"without {values.named(place)}"
        else:
            value = random.choice(values.SENSELESS)
            rest = values.put(rest, place, value)
            what = f"{values.named(place)} is {str(value)[:30]!r}"
        for name in ("run", "normalisation", "history", "epoch", "seconds"):
            found.pop(name)
        return {**found, **rest}, what, ""


def create() -> Checkpoints:
    """The kind."""
    return Checkpoints()


def _damaged_member(data: bytes, random: Random) -> tuple[bytes, str]:
    """One file of the archive damaged, with its checksum."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
        names = old.namelist()
        chosen = random.choice([name for name in names if name.endswith("data.pkl")] * 3 + names)
        what = ""
        for name in names:
            content = old.read(name)
            if name == chosen:
                content, what = damaged(content, random)
            new.writestr(name, content)
    return stream.getvalue(), f"{chosen}: {what}"


def _other_archive(random: Random) -> tuple[bytes, str]:
    stream = io.BytesIO()
    change = random.randrange(4)
    if change == 0:
        torch.save({"schema": 1, "run": _Command()}, stream)
        return stream.getvalue(), "a pickle that runs a command"
    if change == 1:
        return pickle.dumps({"schema": 1, "run": _Command()}), "a pickle without an archive"
    if change == 2:
        return _bomb(), "a gigabyte of zeros in a megabyte"
    torch.save(random.choice(([], 1, {"schema": 1}, {"schema": "1"}, {1: 2}, None, "text")), stream)
    return stream.getvalue(), "another value"


@functools.cache
def _bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        entry = zipfile.ZipInfo("archive/data.pkl")
        entry.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(entry, "w") as member:
            for _ in range(64):
                member.write(bytes(1 << 24))
    return stream.getvalue()


def _feed(path: Path) -> None:
    """As export, a second stage and resuming read it."""
    trained = read_network(path, False)
    for name, tensor in trained.network.state_dict().items():
        require(bool(torch.isfinite(tensor.double()).all()), "weights that are not finite" if name else "")
    require_finite("the normalisation", trained.normalisation.offset_m, trained.normalisation.scale_m)
    require_finite("the normalisation", trained.normalisation.reference)
    require(trained.normalisation.scale_m > 0.0, "a scale of positions that is not positive")
    require(isinstance(trained.is_validated, bool), "no word on validation")
    read_start(path, trained.config, None)
