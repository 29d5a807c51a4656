# SPDX-License-Identifier: Apache-2.0
"""PyTorch as a backend: the bundle's own graph, operator by operator, on a GPU as one CUDA graph.

    operators   ONNX operator -> PyTorch function
    graph       an ONNX file as a module
    backend     the backend of the node

Besides training, this is the only package that imports torch.
"""
