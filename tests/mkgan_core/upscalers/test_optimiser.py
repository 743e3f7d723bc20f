from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from mkgan_core.upscalers.zssr.network import build
from mkgan_core.upscalers.zssr.optimiser import LONGEST, Optimiser
from mkgan_core.upscalers.zssr.settings import FAST


@pytest.mark.parametrize("steps", [5, 40])
def test_steps_are_those_of_torch(steps: int) -> None:
    """Adam, the one-cycle schedule and the cut gradients, against torch's own classes; layers lie channels last."""
    ours = build(12, FAST, np.random.default_rng(0), 0.1)
    theirs = copy.deepcopy(ours)
    optimiser = Optimiser(ours, 4e-3, steps)
    adam = torch.optim.Adam(theirs.parameters(), lr=4e-3, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=4e-3, total_steps=steps)
    norms: list[float] = []
    draw = torch.Generator().manual_seed(0)
    for _ in range(steps):
        picture = torch.rand(1, 12, 16, 16, generator=draw)
        gradients = torch.autograd.grad(ours(picture).square().mean(), optimiser.parameters)
        optimiser.step(
            [[2 * gradient.contiguous() for gradient in gradients], [0 * gradient for gradient in gradients]]
        )

        adam.zero_grad()
        theirs(picture).square().mean().backward()
        longest = LONGEST * float(np.median(norms)) if norms else float("inf")
        norms.append(float(torch.nn.utils.clip_grad_norm_(theirs.parameters(), longest)))
        adam.step()
        schedule.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert mine.stride() == other.stride()
        assert torch.allclose(mine, other, atol=1e-6)
