"""KernelGAN written out layer by layer, from method.md §2: the oracle of the tests and the baseline of the benchmarks.

One region at a time, torch's own layers, automatic differentiation, the kernel read off by filtering an impulse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from mkgan_core.estimators.kernelgan.networks import CHANNELS, MATRICES, MIDDLE, PATCH
from mkgan_core.estimators.kernelgan.penalties import Penalties
from mkgan_core.estimators.kernelgan.settings import KernelGanSettings


def generate(filters: Sequence[torch.Tensor], crop: torch.Tensor) -> torch.Tensor:
    """The generator's six convolutions of a crop (3, 64, 64): (3, 26, 26)."""
    x = crop.unsqueeze(1)  # each colour channel separately
    for index, weight in enumerate(filters):
        x = F.conv2d(x, weight, stride=2 if index == len(filters) - 1 else 1)
    return x.squeeze(1)


def impulse_response(filters: Sequence[torch.Tensor]) -> torch.Tensor:
    """The 13 x 13 kernel that the filters amount to."""
    x = filters[0].new_zeros(1, 1, 25, 25)
    x[..., 12, 12] = 1
    for weight in filters:
        x = F.conv2d(x, weight)
    return x[0, 0].flip((0, 1))


def matrices(weights: Mapping[str, torch.Tensor], region: int) -> list[torch.Tensor]:
    """The seven convolutions of one region's discriminator, in order, as matrices."""
    first, middle, last = (weights[name][region].detach() for name in MATRICES)
    return [first, *middle, last]


def discriminator(
    weights: Mapping[str, torch.Tensor], vectors: Mapping[str, torch.Tensor], region: int
) -> nn.Sequential:
    """One region's discriminator, (1, 3, 26, 26) -> (1, 1, 20, 20)."""
    parts: list[nn.Module] = []
    for index, (matrix, u) in enumerate(zip(matrices(weights, region), matrices(vectors, region), strict=True)):
        side = PATCH if index == 0 else 1
        convolution = nn.Conv2d(matrix.shape[1] // side**2, len(matrix), side, bias=index == 6, dtype=matrix.dtype)
        convolution.weight.data = matrix.reshape(convolution.weight.shape).clone()
        if index == 1 + MIDDLE:
            convolution.bias.data = weights["bias"][region].detach().clone()
        convolution = nn.utils.spectral_norm(convolution)
        convolution.weight_u = u.clone()
        parts.append(convolution)
        if 0 < index <= MIDDLE:
            norm = nn.BatchNorm2d(CHANNELS, dtype=matrix.dtype)
            norm.weight.data = weights["scales"][region, index - 1].detach().clone()
            norm.bias.data = weights["offsets"][region, index - 1].detach().clone()
            parts += [norm, nn.ReLU()]
    return nn.Sequential(*parts, nn.Sigmoid()).train()


def hold_vectors(network: nn.Sequential, held: bool = True) -> None:
    """Whether calls of a discriminator leave the vectors of its spectral norm where they are."""
    for module in network:
        if isinstance(module, nn.Conv2d):
            module.train(not held)


class Training:
    """The training of one region: `step` is one iteration of both networks.

    The discriminator's real and its fake pass see the same weights: the vectors of the spectral norm advance once for
    both, as in ours.
    """

    def __init__(
        self,
        filters: Sequence[torch.Tensor],
        weights: Mapping[str, torch.Tensor],
        vectors: Mapping[str, torch.Tensor],
        region: int,
        settings: KernelGanSettings,
    ) -> None:
        self.filters = [f[region].detach().clone().requires_grad_() for f in filters]
        self.discriminator = discriminator(weights, vectors, region).to(filters[0].device)
        self.penalties = Penalties(1, settings, str(filters[0].device), self.filters[0].dtype)
        self.optimisers = [
            torch.optim.Adam(group, lr=settings.learning_rate, betas=(0.5, 0.999))
            for group in (self.filters, self.discriminator.parameters())
        ]

    def step(
        self,
        iteration: int,
        coarse: torch.Tensor,
        real: torch.Tensor,
        real_noise: torch.Tensor,
        fake_noise: torch.Tensor,
    ) -> None:
        """One generator and one discriminator step; a 64-pixel crop, a 26-pixel crop and the noise of real and fake."""
        fake = generate(self.filters, coarse)
        bicubic = F.conv2d(coarse.unsqueeze(1), self.penalties.bicubic.reshape(1, 1, 13, 13), stride=2).squeeze(1)
        error = (fake - bicubic).square().mean()
        loss = (1 - self.discriminator(fake.unsqueeze(0))).abs().mean() + self.penalties.weight[0, 0] * error
        kernel = impulse_response(self.filters).reshape(1, -1)
        loss = loss + self.penalties.value(kernel).sum()
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        loss.backward()
        self.penalties.advance(error.detach().reshape(1, 1), kernel.detach().sum().reshape(1, 1), iteration)
        self.optimisers[0].step()
        with torch.no_grad():
            fake = generate(self.filters, coarse)
        on_real = self.discriminator((real + real_noise).unsqueeze(0))
        hold_vectors(self.discriminator)
        on_fake = self.discriminator((fake + fake_noise).unsqueeze(0))
        hold_vectors(self.discriminator, False)
        loss = 0.5 * ((1 - on_real).abs().mean() + on_fake.abs().mean())
        self.optimisers[1].zero_grad()
        loss.backward()
        self.optimisers[1].step()
