"""The network of both layouts, and the noise on its training input."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from mkgan_core.upscalers.zssr.settings import ZssrSettings

# Slope of our layout's leaky ReLU. With plain ReLU, a third of the channels die, in one training of 16 all of the last
# hidden layer, so that the network adds nothing.
LEAK = 0.1

Watch = Callable[[int, Callable[[], torch.Tensor]], None]
"""Called after every step, with the number of finished steps and a function that returns the current enlargement."""


def build(channels: int, settings: ZssrSettings, rng: np.random.Generator, last_gain: float) -> nn.Sequential:
    """Build a network of 3 x 3 convolutions without bias, with random weights.

    The published layout has ReLU and the initial variance 0.1 / inputs; ours has leaky ReLU and He's 2 / inputs.

    Args:
        channels: number of input and output channels.
        settings: layout, number of layers, and channels between them.
        rng: random generator of the weights.
        last_gain: factor of the last layer's initial weights.
    """
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
    # channels last gives the same sums and is 10 to 40 % faster on the CPU
    return nn.Sequential(*parts[:-1]).to(memory_format=torch.channels_last)


def noisy(picture: torch.Tensor, std: float, generator: torch.Generator) -> torch.Tensor:
    """Add white Gaussian noise of standard deviation ``std``, in the picture's units."""
    if std == 0:
        return picture
    return picture + std * torch.randn(picture.shape, generator=generator).to(picture.device)
