"""Adam with a one-cycle schedule, for our layout.

torch's optimiser classes import its compiler when the first of them is made, 1.6 s of the 10 that a photograph takes;
its function `adam` does not.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.optim.adam import adam

# Gradients longer than so many times the median of this many before them are cut (AutoClip: Seetharaman et al. 2020).
LONGEST, REMEMBERED = 2.0, 50
# Smith and Topin's one-cycle policy as torch has it: shares of the highest rate at start and end, the share of the
# steps that the rise takes, and Adam's first beta where the rate is low and where it is high.
START, END, RISE, BETAS = 1 / 25, 1 / 25e4, 0.3, (0.95, 0.85)


class Optimiser:
    """Takes the steps of one training.

    The parameters become views of one vector, and so does their gradient: a step takes a third of the time.

    Args:
        network: what is trained.
        rate: the highest learning rate.
        steps: how many there will be.
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
        """Change the parameters by the mean of some gradients, which is cut to the usual length.

        Args:
            gradients: of each loss, by the parameters.
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
    """The values of a layer's weights, channels last, as a vector."""
    return tensor.permute(0, 2, 3, 1).reshape(-1)


def one_cycle(rate: float, steps: int) -> list[tuple[float, float]]:
    """Learning rate and Adam's first beta of every step.

    Example:
        >>> [round(high, 4) for high, _ in one_cycle(1.0, 5)]
        [0.04, 0.9505, 0.6113, 0.1883, 0.0]
    """
    peak, end = RISE * steps - 1, steps - 1
    found = []
    for step in range(steps):
        if step <= peak:
            share, (low, high) = step / peak, (START, 1.0)
            first, second = BETAS
        else:
            share, (low, high) = (step - peak) / (end - peak), (1.0, END)
            second, first = BETAS
        weight = (1 + math.cos(math.pi * share)) / 2
        found.append((rate * (high + (low - high) * weight), second + (first - second) * weight))
    return found
