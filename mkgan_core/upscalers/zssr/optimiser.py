"""Adam with a one-cycle schedule, for our layout.

The first object of a torch optimiser class imports torch's compiler, which takes 1.6 of the 10 s per photograph; the
function `adam` does not.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.optim.adam import adam

# A gradient is clipped to this multiple of the median norm of this many previous gradients (AutoClip: Seetharaman et
# al. 2020).
LONGEST, REMEMBERED = 2.0, 50
# Smith and Topin's one-cycle policy with torch's values: the rate at start and end as a share of the highest rate, the
# share of the steps in which the rate rises, and Adam's first beta at the lowest and the highest rate.
START, END, RISE, BETAS = 1 / 25, 1 / 25e4, 0.3, (0.95, 0.85)


class Optimiser:
    """Adam for one training.

    All parameters become views of one vector, so that a step takes a third of the time.

    Args:
        network: the network to train; its parameters change in place.
        rate: the highest learning rate.
        steps: total number of steps, for the schedule.
    """

    def __init__(self, network: nn.Module, rate: float, steps: int) -> None:
        self.parameters = list(network.parameters())
        self.schedule = one_cycle(rate, steps)
        self.taken = 0
        with torch.no_grad():
            self._values = torch.cat([_laid_out(parameter) for parameter in self.parameters])
            parts = self._values.split([parameter.numel() for parameter in self.parameters])
            for parameter, part in zip(self.parameters, parts, strict=True):
                parameter.data = part.as_strided(parameter.shape, parameter.stride(), part.storage_offset())
        self._norms: deque[float] = deque(maxlen=REMEMBERED)
        self._mean, self._square = torch.zeros_like(self._values), torch.zeros_like(self._values)
        self._count = torch.zeros((), device=self._values.device)

    @torch.no_grad()
    def step(self, gradients: Sequence[Sequence[torch.Tensor]]) -> None:
        """Do one step with the mean of several gradients, clipped to the usual norm.

        Args:
            gradients: for each loss, its derivatives with respect to the parameters.
        """
        vectors = [torch.cat([_laid_out(part) for part in one]) for one in gradients]
        gradient = vectors[0] if len(vectors) == 1 else torch.stack(vectors).mean(dim=0)
        norm = float(torch.linalg.vector_norm(gradient))
        longest = LONGEST * float(np.median(self._norms)) if self._norms else norm
        if norm > longest:
            gradient *= longest / norm
        self._norms.append(norm)
        rate, beta = self.schedule[self.taken]
        adam(
            [self._values],
            [gradient],
            [self._mean],
            [self._square],
            [],
            [self._count],
            fused=True,
            amsgrad=False,
            beta1=beta,
            beta2=0.999,
            lr=rate,
            weight_decay=0,
            eps=1e-8,
            maximize=False,
        )
        self.taken += 1


def _laid_out(tensor: torch.Tensor) -> torch.Tensor:
    """A layer's weights as a vector, in channels-last order."""
    return tensor.permute(0, 2, 3, 1).reshape(-1)


def one_cycle(rate: float, steps: int) -> list[tuple[float, float]]:
    """The learning rate and Adam's first beta for every step.

    Example:
        >>> [round(high, 4) for high, _ in one_cycle(1.0, 5)]
        [0.04, 0.9505, 0.6113, 0.1883, 0.0]
    """
    peak, end = RISE * steps - 1, steps - 1
    schedule = []
    for step in range(steps):
        if step <= peak:
            share, (low, high) = step / peak, (START, 1.0)
            first, second = BETAS
        else:
            share, (low, high) = (step - peak) / (end - peak), (1.0, END)
            second, first = BETAS
        weight = (1 + math.cos(math.pi * share)) / 2
        schedule.append((rate * (high + (low - high) * weight), second + (first - second) * weight))
    return schedule
