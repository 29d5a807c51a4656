# SPDX-License-Identifier: Apache-2.0
"""A network as an ONNX file."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import nn

from mvloc_ros.training.networks.folding import folded
from mvloc_ros.training.networks.pose_network import PoseOutput
from mvloc_ros.training.opset import settle

_EXPORTED_OPSET = 18  # the oldest that torch's exporter writes; `settle` goes below


def write_onnx(deployed: nn.Module, size: tuple[int, int], path: Path) -> None:
    """Export the graph for single frames of a fixed size into one file."""
    height, width = size
    example = (
        torch.zeros(1, height, width, 3, dtype=torch.uint8),
        torch.ones(1, height, width),
        torch.ones(1, 2),
    )
    with warnings.catch_warnings(), torch.inference_mode(False):
        # The exporter warns of its own deprecated internals; what it gets wrong, `parity` shows.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            folded(deployed),  # the exporter would fold the norms too, in many times as long
            example,
            str(path),
            input_names=["color", "depth", "present"],
            output_names=list(PoseOutput._fields),
            opset_version=_EXPORTED_OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    drop_notes(path)
    settle(path)


def drop_notes(path: Path) -> None:
    """Remove what the exporter notes beside the graph: stack traces with this machine's paths, and their size."""
    model = onnx.load(str(path))
    graph = model.graph
    del model.metadata_props[:], graph.metadata_props[:]
    for item in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]
    onnx.save(model, str(path))
