# SPDX-License-Identifier: Apache-2.0
"""Run as a process: prints TensorRT's version and whether it can build engines.

A process of its own: where the driver is missing, TensorRT has been seen to end the process that asks.
"""

from __future__ import annotations

if __name__ == "__main__":
    import tensorrt

    print(tensorrt.__version__, hasattr(tensorrt, "Builder"))
