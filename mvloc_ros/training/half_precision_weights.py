# SPDX-License-Identifier: Apache-2.0
"""Weights rounded to float16 and stored that way, computed in float32: half the file size.

The weights are rounded before the network is evaluated, so that the errors in the bundle are those of the rounded
weights. A runtime folds the casts when it loads the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from mvloc_ros.training.networks.folding import fold_batch_norms

M = TypeVar("M", bound=nn.Module)
# Smaller tensors (scales, biases) save little and often need the precision.
_MIN_ELEMENTS = 1024


def round_weights(network: M) -> M:
    """A copy in eval mode whose large weights are float16 values, batch norms folded into the convolutions.

    Folding comes first: otherwise the exporter would fold them and undo the rounding.
    """
    network = fold_batch_norms(network)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.numel() >= _MIN_ELEMENTS:
                parameter.copy_(parameter.half().float())
    return network


def store_as_half(path: Path) -> None:
    """Rewrite an ONNX file: each large float32 tensor that float16 holds exactly is stored so, behind a Cast."""
    model = onnx.load(str(path))
    graph = model.graph
    kept, casts = [], []
    for tensor in graph.initializer:
        half = _as_half(tensor)
        if half is None:
            kept.append(tensor)
            continue
        stored = numpy_helper.from_array(half, f"{tensor.name}_half")
        kept.append(stored)
        casts.append(helper.make_node("Cast", [stored.name], [tensor.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    # The list of the types of intermediate values lacks the new ones.
    del graph.value_info[:]
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _as_half(tensor: onnx.TensorProto) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]] | None:
    if tensor.data_type != TensorProto.FLOAT:
        return None
    values = numpy_helper.to_array(tensor)
    if values.size < _MIN_ELEMENTS:
        return None
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else None
