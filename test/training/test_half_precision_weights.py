# SPDX-License-Identifier: Apache-2.0
"""Half-size bundles: what is stored is exactly what was judged, and close to the full weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto

from mvloc_ros.training import half_precision_weights
from mvloc_ros.training.export import write_onnx
from mvloc_ros.training.networks.deployed import Deployed
from mvloc_ros.training.networks.mvloc import MVLoc
from mvloc_ros.training.options import InputConfig, NetworkConfig

SIZE = (32, 40)


@pytest.fixture(scope="module")
def network() -> MVLoc:
    """A network whose batch norms have seen data, so that folding them is no identity."""
    torch.manual_seed(0)
    network = MVLoc(NetworkConfig(width=0.125, latent_size=32, dropout=0.0), InputConfig(short_side=32))
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(*inputs(8))
    return network.eval()


def inputs(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    color = torch.randint(0, 256, (count, *SIZE, 3), dtype=torch.uint8)
    return color, 0.2 + 4.0 * torch.rand(count, *SIZE), torch.ones(count, 2)


def test_the_original_is_left_alone_and_the_copy_is_close(network: MVLoc):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    rounded = half_precision_weights.round_weights(network)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    sample = inputs(16)
    with torch.inference_mode():
        full, half = network(*sample).pose, rounded(*sample).pose
    assert 0.0 < (full - half).abs().max() < 0.01 * full.abs().max()


def test_storing_loses_nothing_and_halves_the_file(network: MVLoc, tmp_path: Path):
    deployed = Deployed(half_precision_weights.round_weights(network), (0.0, 0.0, 0.0, 1.0)).eval()
    write_onnx(deployed, SIZE, tmp_path / "full.onnx")
    write_onnx(deployed, SIZE, tmp_path / "half.onnx")
    half_precision_weights.store_as_half(tmp_path / "half.onnx")
    sizes = {name: (tmp_path / f"{name}.onnx").stat().st_size for name in ("full", "half")}
    assert sizes["half"] < 0.62 * sizes["full"]
    large = [t for t in onnx.load(str(tmp_path / "half.onnx")).graph.initializer if np.prod(t.dims) >= 1024]
    assert {t.data_type for t in large} == {TensorProto.FLOAT16}
    feed = {name: value.numpy() for name, value in zip(("color", "depth", "present"), inputs(1), strict=True)}
    poses = [
        onnxruntime.InferenceSession(str(tmp_path / f"{name}.onnx"), providers=["CPUExecutionProvider"]).run(
            ["pose"], feed
        )[0]
        for name in ("full", "half")
    ]
    np.testing.assert_allclose(poses[0], poses[1], atol=1e-6)
