"""The network of both layouts, and the noise on what it is trained on."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from mkgan_core.upscalers.zssr.settings import ZssrSettings

LEAK = 0.1  # of the ReLU in our layout: without any, a third of the channels die, and in one training of 16 the last

Watch = Callable[[int, Callable[[], torch.Tensor]], None]
"""Called after every step with the number of steps and a function that gives the enlargement as it stands."""


def build(channels: int, settings: ZssrSettings, rng: np.random.Generator, last_gain: float) -> nn.Sequential:
    """3x3 convolutions, no bias; as published ReLU between them and variance 0.1 per input, else leaky and He's."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    variance, leak = (0.1, 0.0) if settings.layout == "enlarged" else (2.0, LEAK)
    sizes = [channels, *[settings.channels] * (settings.layers - 1), channels]
    parts: list[nn.Module] = []
    for index, (inner, outer) in enumerate(pairwise(sizes)):
        convolution = nn.Conv2d(inner, outer, 3, padding=1, bias=False)
        gain = last_gain if index == settings.layers - 1 else 1.0
        with torch.no_grad():
            convolution.weight.normal_(0, gain * (variance / (9 * inner)) ** 0.5, generator=generator)
        parts += [convolution, nn.LeakyReLU(leak)]
    # channels last: the same sums, 10 to 40 % faster on the CPU
    return nn.Sequential(*parts[:-1]).to(memory_format=torch.channels_last)


def noisy(picture: torch.Tensor, std: float, generator: torch.Generator) -> torch.Tensor:
    """A picture with white noise of this standard deviation, on its own scale."""
    if std == 0:
        return picture
    return picture + std * torch.randn(picture.shape, generator=generator).to(picture.device)
