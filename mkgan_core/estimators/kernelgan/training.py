"""KernelGAN's training, for R regions at once: one generator step, one discriminator step, and again (method.md §2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from mkgan_core.estimators.kernelgan.discriminator import Discrimination
from mkgan_core.estimators.kernelgan.generator import Composition, downscale, downscale_gradient, row_patches
from mkgan_core.estimators.kernelgan.networks import KERNEL, MAP, initial_weights
from mkgan_core.estimators.kernelgan.penalties import Penalties
from mkgan_core.estimators.kernelgan.problem import Problem
from mkgan_core.estimators.kernelgan.settings import DISCRIMINATOR_CROP, GENERATOR_CROP, KernelGanSettings
from mkgan_core.imaging import kernels
from mkgan_core.machine.progress import counted

NOISE_CHUNK = 64  # iterations of noise drawn at a time


@torch.no_grad()
def train(problems: Sequence[Problem], settings: KernelGanSettings, device: str = "cpu") -> list[np.ndarray]:
    """Train one generator and discriminator per problem, all in one batch.

    Returns:
        The raw 13 x 13 kernels, float64, in the order of the problems; a region that diverged has non-finite values.
    """
    batch = _Batch(problems, device)
    filters, weights, vectors = initial_weights([p.weight_seed for p in problems], device)
    optimisers = [
        torch.optim.Adam(group, lr=settings.learning_rate, betas=(0.5, 0.999), fused=True)
        for group in (filters, list(weights.values()))
    ]
    penalties = Penalties(len(problems), settings, device)
    drop_every = settings.stretch(750)
    generator = Composition(filters)
    for iteration in counted(settings.iterations):
        if iteration and iteration % drop_every == 0:
            for optimiser in optimisers:
                optimiser.param_groups[0]["lr"] /= 10
        rows, reduced, real, real_noise, fake_noise = batch.step(iteration)

        gradients = generator_gradients(
            generator, penalties, rows, reduced, weights, vectors, spread=batch.spread, iteration=iteration
        )
        for filter_, gradient in zip(filters, gradients, strict=True):
            filter_.grad = gradient
        optimisers[0].step()
        generator = Composition(filters)  # of the next iteration too: the discriminator's step leaves it as it is

        fake = downscale(generator.kernel, rows)
        for name, gradient in discriminator_gradients(real + real_noise, fake + fake_noise, weights, vectors).items():
            weights[name].grad = gradient
        optimisers[1].step()
    return list(generator.kernel.reshape(-1, KERNEL, KERNEL).double().cpu().numpy())


def generator_gradients(
    generator: Composition,
    penalties: Penalties,
    rows: torch.Tensor,
    reduced: torch.Tensor,
    weights: dict[str, torch.Tensor],
    vectors: dict[str, torch.Tensor],
    spread: torch.Tensor,
    iteration: int,
) -> list[torch.Tensor]:
    """Gradients of the filters: mean |1 - D(G(crop))|, the bicubic term, the penalties; moves their schedule on.

    Args:
        generator: of all regions.
        penalties: on their kernels.
        rows: the crops, as `row_patches`.
        reduced: the same crops by the bicubic kernel, (R, 3, 26, 26).
        weights: the discriminator's.
        vectors: of its spectral norms; they advance by one power iteration.
        spread: for `downscale_gradient`.
        iteration: its number, for the penalties' schedule.
    """
    fake = downscale(generator.kernel, rows)
    call = Discrimination(fake.unsqueeze(1), weights, vectors)
    verdict = call.verdict  # below 1, a sigmoid
    to_fake = call.crop_gradients(verdict * (verdict - 1) / MAP**2)
    off = fake - reduced
    to_kernel = penalties.gradient(generator.kernel)
    pull = to_fake[:, 0] + off * (2 * penalties.weight / off[0].numel()).reshape(-1, 1, 1, 1)
    to_kernel += downscale_gradient(pull, rows, spread)
    penalties.advance(off.square().mean(dim=(1, 2, 3)).unsqueeze(1), iteration)
    return generator.gradients(to_kernel)


def discriminator_gradients(
    real: torch.Tensor, fake: torch.Tensor, weights: dict[str, torch.Tensor], vectors: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Gradients of the discriminator's weights: half of mean |1 - D(real)| + mean |D(fake)|, crops (R, 3, 26, 26)."""
    call = Discrimination(torch.stack([real, fake], dim=1), weights, vectors)
    slope = call.verdict * (1 - call.verdict) * (0.5 / MAP**2)
    slope[:, :, 0].neg_()
    return call.weight_gradients(slope)


class _Batch:
    """The crops and the noise of all regions, iteration by iteration."""

    def __init__(self, problems: Sequence[Problem], device: str) -> None:
        self.problems = problems
        self.device = device
        # [-1, 1] inside
        self.pictures = [torch.from_numpy(p.image.transpose(2, 0, 1) * 2 - 1).to(device) for p in problems]
        bicubic = torch.from_numpy(kernels.bicubic(2)).float()[None, None].to(device)
        self.reduced = [F.conv2d(p.unsqueeze(1), bicubic, stride=2).squeeze(1) for p in self.pictures]
        self.streams = [torch.Generator().manual_seed(p.noise_seed) for p in problems]
        self.noise = torch.empty(0)
        self.spread = torch.zeros(len(problems), 3 * GENERATOR_CROP * DISCRIMINATOR_CROP, KERNEL, device=device)

    def step(self, iteration: int) -> tuple[torch.Tensor, ...]:
        """The generator's `row_patches`, those crops by the bicubic kernel, the real crop, its noise, the fake's noise.

        All but the first are (R, 3, 26, 26).
        """
        if iteration % NOISE_CHUNK == 0:
            shape = (NOISE_CHUNK, 2, 3, DISCRIMINATOR_CROP, DISCRIMINATOR_CROP)
            self.noise = torch.stack([torch.randn(shape, generator=g) for g in self.streams], 2).to(self.device)
        fine = [p.discriminator_crops[iteration] for p in self.problems]
        coarse = [p.generator_crops[iteration] for p in self.problems]  # even, so that halves are places in `reduced`
        noise = self.noise[iteration % NOISE_CHUNK]
        return (
            row_patches(_cut(self.pictures, coarse, GENERATOR_CROP)),
            _cut(self.reduced, [corner // 2 for corner in coarse], DISCRIMINATOR_CROP),
            _cut(self.pictures, fine, DISCRIMINATOR_CROP),
            noise[0] * (2 / 255),
            noise[1] * (1 / 255),
        )


def _cut(pictures: Sequence[torch.Tensor], corners: Sequence[np.ndarray], size: int) -> torch.Tensor:
    return torch.stack(
        [p[:, top : top + size, left : left + size] for p, (top, left) in zip(pictures, corners, strict=True)]
    )
