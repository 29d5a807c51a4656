# SPDX-License-Identifier: Apache-2.0
"""TensorRT: building engines (8.5 to 11), keeping them, running them.

    library     the package itself, and what its versions differ in
    builder     ONNX -> engine
    sealed_file a file with a digest, so that damage is seen before TensorRT reads it
    cache       engines by what they were built for
    cuda        the few calls of CUDA's runtime that execution needs
    execution   an engine with its buffers, stream and CUDA graph
    engines     from the cache or built, and compared with ONNX Runtime before it is kept
    backend     the backend of the node
    verbs       `mvloc engine`

TensorRT is imported nowhere at the top of a file: all but building and running works without it.
"""
