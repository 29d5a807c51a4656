# SPDX-License-Identifier: Apache-2.0
"""An exported graph in the ONNX version that the most runtimes read.

PyTorch writes version 18 at least, in which reductions take their axes as an input. TensorRT 8 ends at
version 17 and takes no notice of that input: it reduces over all axes without a word. So the axes
become attributes again. Only bfloat16 needs a version above, 22, whose convolutions know it.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper, numpy_helper

OLD, BFLOAT16 = 17, 22
_REDUCTIONS = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceL2")


def settle(path: Path) -> None:
    """Rewrite a file in the lowest version that has what it uses.

    Raises:
        onnx.checker.ValidationError: the graph has an operator that this version has not.
    """
    model = onnx.load(str(path))
    is_bfloat16 = any(tensor.data_type == TensorProto.BFLOAT16 for tensor in model.graph.initializer)
    if is_bfloat16:
        _store_plainly(model.graph)
    else:
        _axes_as_attributes(model.graph)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", BFLOAT16 if is_bfloat16 else OLD))
    # What the exporter noted of intermediate values, a runtime infers by itself.
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _axes_as_attributes(graph: onnx.GraphProto) -> None:
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type not in _REDUCTIONS or len(node.input) < 2:
            continue
        axes = [int(axis) for axis in numpy_helper.to_array(constants[node.input[1]])]
        kept = [item for item in node.attribute if item.name != "noop_with_empty_axes"]
        del node.input[1:], node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("axes", axes)])
    # An output may be a constant: the variance of a system that has none.
    used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    kept_tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept_tensors)


def _store_plainly(graph: onnx.GraphProto) -> None:
    """The exporter spends up to five bytes on a bfloat16; as raw data it takes two."""
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.BFLOAT16 and not tensor.HasField("raw_data"):
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
