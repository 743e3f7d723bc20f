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

    Args:
        parameters: what is trained.
        rate: the highest learning rate.
        steps: how many there will be.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], rate: float, steps: int) -> None:
        self.parameters = list(parameters)
        self.schedule = one_cycle(rate, steps)
        self.taken = 0
        self._norms: deque[float] = deque(maxlen=REMEMBERED)
        self._means = [torch.zeros_like(parameter) for parameter in self.parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in self.parameters]
        self._counts = [torch.zeros((), device=parameter.device) for parameter in self.parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[torch.Tensor]) -> None:
        """Change the parameters by their gradients, which are cut to the usual length."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            # the fused step goes through memory: gradients must lie there as the parameters do
            parameter.grad = torch.empty_like(parameter).copy_(gradient)
        longest = LONGEST * float(np.median(self._norms)) if self._norms else float("inf")
        self._norms.append(float(nn.utils.clip_grad_norm_(self.parameters, longest)))
        rate, beta = self.schedule[self.taken]
        adam(
            list(self.parameters),
            [parameter.grad for parameter in self.parameters if parameter.grad is not None],
            self._means,
            self._squares,
            [],
            self._counts,
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
