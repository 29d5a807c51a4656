# SPDX-License-Identifier: Apache-2.0
"""The last layer of a rotation branch, in one of two representations, and the log quaternion that it stands for.

`logq`: the logarithm of the quaternion itself (Eq. 12). It has a seam: rotations by 179 and 181 degrees from the mean
orientation are 2 degrees apart, and their logarithms nearly pi.

`6d`: two columns of the rotation matrix, made orthonormal (Gram-Schmidt; Zhou et al., "On the Continuity of Rotation
Representations in Neural Networks", CVPR 2019): a continuous function onto all rotations. It is converted to the log
quaternion here, so that a network has the same output either way. The jump of the logarithm at the seam is then none of
the network's, and the loss for `6d` does not see it (`objective.GeometricLoss`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mvloc_ros.training import torch_quaternion

NUMBERS = {"logq": 3, "6d": 6}
_SMALL = 1e-12
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def head(size: int, spread: float, representation: str = "logq") -> nn.Linear:
    """D = `size` -> 3, or the numbers of a representation of rotations; see `initialise`."""
    layer = nn.Linear(size, NUMBERS[representation])
    initialise(layer, spread)
    return layer


def initialise(layer: nn.Linear, spread: float) -> None:
    """Initial weights of a head: outputs with that standard deviation, as the targets have (see `regressor`).

    Rotations start about the identity; `spread` is of each component of the log quaternion, radians of the half angle.
    """
    as_columns = layer.out_features == NUMBERS["6d"]
    # About the identity an element of the matrix changes by the angle, twice the logarithm.
    nn.init.normal_(layer.weight, std=(2.0 if as_columns else 1.0) * spread * layer.in_features**-0.5)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor(_IDENTITY)) if as_columns else layer.bias.zero_()


def log_of(values: Tensor) -> Tensor:
    """Outputs of a rotation layer `[B, 3]` or `[B, 6]` -> log quaternions `[B, 3]`."""
    if values.shape[1] == NUMBERS["logq"]:
        return values
    return torch_quaternion.log(torch_quaternion.from_matrix(gram_schmidt(values)))


def gram_schmidt(values: Tensor) -> Tensor:
    """`[B, 6]`, two columns one after the other, -> rotation matrices `[B, 3, 3]`.

    Columns that are zero or parallel, which no rotation is nearest to, give finite values.
    """
    x = _unit(values[:, :3])
    # Twice: with nearly parallel columns the first difference loses the digits that make it orthogonal.
    y = _unit(_without(x, _unit(_without(x, values[:, 3:]))))
    (x0, x1, x2), (y0, y1, y2) = x.unbind(dim=1), y.unbind(dim=1)
    z = torch.stack([x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, x0 * y1 - x1 * y0], dim=1)
    return torch.stack([x, y, z], dim=2)


def _without(direction: Tensor, vectors: Tensor) -> Tensor:
    """Vectors `[B, 3]` less their part along unit vectors."""
    return vectors - (direction * vectors).sum(dim=1, keepdim=True) * direction


def _unit(vectors: Tensor) -> Tensor:
    return vectors / torch.sqrt((vectors * vectors).sum(dim=1, keepdim=True).clamp(min=_SMALL))
