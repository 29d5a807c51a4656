# SPDX-License-Identifier: Apache-2.0
"""The sub-sampled terms of MVAE (Wu and Goodman, 2018): each expert alone gives the pose, beside all of them together.

Trained together only, one expert may leave to the other what both could learn, and the pose is then bad without the
other. The image encoders are evaluated once; only the product and the decoder are evaluated again for each expert.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def with_single_experts(joint: Tensor, loss_of: Callable[[Tensor], Tensor], present: Tensor, weight: float) -> Tensor:
    """The loss of every frame `[B]`, with the weighted losses of each expert alone added.

    A frame with one modality is its own sub-sample and gets no further term; others get one for each that they have.

    Args:
        joint: loss of every frame with all its modalities, `[B]`.
        loss_of: the loss of every frame with the experts of a mask `[B, M]`.
        present: `[B, M]`, 1 where the frame has the modality.
        weight: of each term; 0 adds nothing and evaluates nothing.
    """
    if weight <= 0.0:
        return joint
    total, several = joint, (present.sum(dim=1) > 1.0).float()
    for i, alone in enumerate(torch.eye(present.shape[1], device=present.device)):
        total = total + weight * several * present[:, i] * loss_of(alone.expand_as(present))
    return total
