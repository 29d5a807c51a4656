# SPDX-License-Identifier: Apache-2.0
"""A network as an ONNX file, in the ONNX version that the most runtimes read.

PyTorch writes version 18 at least, in which reductions take their axes as an input. TensorRT 8 ends at version 17 and
ignores that input: it reduces over all axes without an error. So the axes become attributes again. Only bfloat16 needs
a version above, 22, whose convolutions know it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from mvloc_ros.model.modalities import PAIR, ModalityInput, graph_inputs
from mvloc_ros.training.networks.folding import fold_batch_norms
from mvloc_ros.training.networks.pose_network import PoseOutput

Run = Callable[..., NDArray[np.float32]]

_EXPORTED_OPSET = 18  # the oldest that torch's exporter writes; `lower_opset` goes below
_OLD_OPSET, _BFLOAT16_OPSET = 17, 22
_REDUCTIONS = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceL2")


def write_onnx(deployed: nn.Module, size: tuple[int, int], path: Path, further: Sequence[ModalityInput] = ()) -> None:
    """Export the graph for single frames of a fixed size (height, width) into one file.

    `further` are the inputs of the sensors besides color and depth; each is an input of the graph by its name.
    """
    height, width = size
    example = (
        torch.zeros(1, height, width, 3, dtype=torch.uint8),
        torch.ones(1, height, width),
        torch.ones(1, len(PAIR) + len(further)),
        *(torch.from_numpy(modality.blank())[None] for modality in further),
    )
    names = graph_inputs((*PAIR, *(modality.name for modality in further)))
    with warnings.catch_warnings(), torch.inference_mode(False):
        # The exporter warns of its own deprecated internals; `parity` detects wrong results.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            fold_batch_norms(deployed),  # the exporter would fold the norms, too, but much slower
            example,
            str(path),
            input_names=list(names),
            output_names=list(PoseOutput._fields),
            opset_version=_EXPORTED_OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    model = onnx.load(str(path))
    strip_metadata(model)
    lower_opset(model)
    onnx.save(model, str(path))


def run_by_onnxruntime(path: Path) -> Run:
    """The poses `[N, 6]` that ONNX Runtime computes on the CPU from the inputs of a network in their order."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]

    def run(*inputs: NDArray[np.generic]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run(["pose"], dict(zip(names, inputs, strict=True)))[0]
        return found

    return run


def strip_metadata(model: onnx.ModelProto) -> None:
    """Remove the metadata of the exporter: stack traces with paths of this machine."""
    graph = model.graph
    del model.metadata_props[:], graph.metadata_props[:]
    for item in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]


def lower_opset(model: onnx.ModelProto) -> None:
    """Convert a model to the lowest version that has what it uses.

    Raises:
        onnx.checker.ValidationError: the graph has an operator that this version lacks.
    """
    is_bfloat16 = any(tensor.data_type == TensorProto.BFLOAT16 for tensor in model.graph.initializer)
    if is_bfloat16:
        _store_raw(model.graph)
    else:
        _axes_as_attributes(model.graph)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", _BFLOAT16_OPSET if is_bfloat16 else _OLD_OPSET))
    # A runtime infers the types of intermediate values.
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)


def _axes_as_attributes(graph: onnx.GraphProto) -> None:
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type not in _REDUCTIONS or len(node.input) < 2:
            continue
        axes = [int(axis) for axis in numpy_helper.to_array(constants[node.input[1]])]
        kept = [item for item in node.attribute if item.name != "noop_with_empty_axes"]
        del node.input[1:], node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("axes", axes)])
    # An output may be a constant: the variance of a system without a latent distribution.
    used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    kept_tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept_tensors)


def _store_raw(graph: onnx.GraphProto) -> None:
    """Store bfloat16 as raw data: two bytes each, where the exporter writes up to five."""
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.BFLOAT16 and not tensor.HasField("raw_data"):
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
