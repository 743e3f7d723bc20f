"""KernelGAN's networks and training, for R regions at once.

Every weight has a leading region dimension; nothing couples two regions. The generator is linear, so its filters are
composed into one 13 x 13 kernel and that is applied: the same function with the same gradients (METHOD §2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mkgan_core import kernels
from mkgan_core.estimators.kernelgan import DISCRIMINATOR_CROP, GENERATOR_CROP, KernelGanSettings, Problem

CHANNELS = 64
KERNEL = 13
PATCH = 7  # the discriminator's receptive field
# the generator's filters as (out, in, side, side)
GENERATOR = ((64, 1, 7, 7), (64, 64, 5, 5), (64, 64, 3, 3), (64, 64, 1, 1), (64, 64, 1, 1), (1, 64, 1, 1))
MIDDLE = 5  # the discriminator's 1x1 convolutions between its first, 7x7, and its last
INIT_GAIN = 0.1
NOISE_CHUNK = 64  # iterations of noise drawn at a time


def train(problems: Sequence[Problem], settings: KernelGanSettings, device: str = "cpu") -> list[np.ndarray]:
    """Train one generator and discriminator per problem, all in one batch.

    Returns:
        The raw 13 x 13 kernels, float64, in the order of the problems; a region that diverged has non-finite values.
    """
    batch = _Batch(problems, device)
    generator, discriminator, vectors = initial_weights([p.weight_seed for p in problems], device)
    optimisers = [
        torch.optim.Adam(group, lr=settings.learning_rate, betas=(0.5, 0.999), fused=True)
        for group in (generator, list(discriminator.values()))
    ]
    regulariser = Regulariser(len(problems), settings, device)
    drop_every = settings.stretch(750)
    for iteration in range(settings.iterations):
        if iteration and iteration % drop_every == 0:
            for optimiser in optimisers:
                optimiser.param_groups[0]["lr"] /= 10
        rows, real, noise_real, noise_fake = batch.step(iteration)

        kernel = compose_filters(generator)
        fake, bicubic_error = apply_kernel(kernel, regulariser.bicubic, rows)
        frozen = {name: weight.detach() for name, weight in discriminator.items()}
        verdict = discriminate(fake.unsqueeze(2), frozen, vectors)
        loss = (1 - verdict).abs().mean(dim=(1, 2)) + regulariser(kernel, bicubic_error, iteration)
        optimisers[0].zero_grad(set_to_none=True)
        loss.sum().backward()  # the sum of independent losses: each region gets its own gradient
        optimisers[0].step()

        with torch.no_grad():
            fake, _ = apply_kernel(compose_filters(generator), regulariser.bicubic, rows)
            both = torch.stack([real + noise_real, fake + noise_fake], dim=2)
        verdict = discriminate(both, discriminator, vectors)
        loss = 0.5 * ((1 - verdict[:, 0]).abs() + verdict[:, 1].abs()).mean(dim=1)
        optimisers[1].zero_grad(set_to_none=True)
        loss.sum().backward()
        optimisers[1].step()
    with torch.no_grad():
        return list(compose_filters(generator).reshape(-1, KERNEL, KERNEL).double().cpu().numpy())


class _Batch:
    """The crops and the noise of all regions, iteration by iteration."""

    def __init__(self, problems: Sequence[Problem], device: str) -> None:
        self.problems = problems
        self.device = device
        # [-1, 1] inside
        self.pictures = [torch.from_numpy(p.image.transpose(2, 0, 1) * 2 - 1).to(device) for p in problems]
        self.streams = [torch.Generator().manual_seed(p.noise_seed) for p in problems]
        self.noise = torch.empty(0)

    def step(self, iteration: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """The generator's `row_patches`, the real crop, its noise and the fake's noise, each (R, 3, 26, 26)."""
        if iteration % NOISE_CHUNK == 0:
            shape = (NOISE_CHUNK, 2, 3, DISCRIMINATOR_CROP, DISCRIMINATOR_CROP)
            self.noise = torch.stack([torch.randn(shape, generator=g) for g in self.streams], 2).to(self.device)
        real = self._crops(iteration, "discriminator_crops", DISCRIMINATOR_CROP)
        coarse = self._crops(iteration, "generator_crops", GENERATOR_CROP)
        noise = self.noise[iteration % NOISE_CHUNK]
        return row_patches(coarse), real, noise[0] * (2 / 255), noise[1] * (1 / 255)

    def _crops(self, iteration: int, kind: str, size: int) -> torch.Tensor:
        crops = []
        for problem, picture in zip(self.problems, self.pictures, strict=True):
            top, left = getattr(problem, kind)[iteration]
            crops.append(picture[:, top : top + size, left : left + size])
        return torch.stack(crops)


def initial_weights(
    seeds: Sequence[int], device: str, dtype: torch.dtype = torch.float32
) -> tuple[list[torch.Tensor], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Weights for R regions: xavier normal with gain 0.1; batch-norm weight N(1, 0.02) (METHOD §2).

    Only the last bias of the discriminator is kept: batch norm removes the constants that the others would add.

    Returns:
        The generator's filters, each (R, out, in, side, side); the discriminator's convolutions as matrices ``first``
        (R, 64, 147), ``middle`` (R, 5, 64, 64) and ``last`` (R, 1, 64), its ``scales`` and ``offsets`` (R, 5, 64) and
        ``bias`` (R, 1); and the power-iteration vectors of the three (R, ..., out).
    """
    taps = PATCH**2

    def one(seed: int) -> tuple[list[torch.Tensor], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        g = torch.Generator().manual_seed(seed)

        def normal(*shape: int, fans: int = 2) -> torch.Tensor:
            return INIT_GAIN * (2 / fans) ** 0.5 * torch.randn(shape, generator=g, dtype=dtype)

        filters = [normal(o, i, k, k, fans=(o + i) * k * k) for o, i, k, _ in GENERATOR]
        matrices = {
            "first": normal(CHANNELS, 3 * taps, fans=(CHANNELS + 3) * taps),
            "middle": normal(MIDDLE, CHANNELS, CHANNELS, fans=2 * CHANNELS),
            "last": normal(1, CHANNELS, fans=CHANNELS + 1),
        }
        scales = 1 + 0.02 * torch.randn((MIDDLE, CHANNELS), generator=g, dtype=dtype)
        starts = {name: torch.randn(m.shape[:-1], generator=g, dtype=dtype) for name, m in matrices.items()}
        rest = {"scales": scales, "offsets": torch.zeros_like(scales), "bias": torch.zeros(1, dtype=dtype)}
        return filters, {**matrices, **rest}, {name: F.normalize(u, dim=-1) for name, u in starts.items()}

    filters, weights, vectors = zip(*map(one, seeds), strict=True)
    return (
        [torch.stack(parts).to(device).requires_grad_() for parts in zip(*filters, strict=True)],
        {name: torch.stack([w[name] for w in weights]).to(device).requires_grad_() for name in weights[0]},
        {name: torch.stack([v[name] for v in vectors]).to(device) for name in vectors[0]},
    )


def _full_convolution(first: int, second: int) -> torch.Tensor:
    """(first² second², (first + second - 1)²) matrix of zeros and ones: products of taps -> taps of the composition."""
    size = first + second - 1
    table = torch.zeros(first, first, second, second, size, size)
    a, b, c, d = np.indices((first, first, second, second))
    table[a, b, c, d, a + c, b + d] = 1
    return table.reshape(first**2 * second**2, size**2)


_JOIN_5_3 = _full_convolution(5, 3)
_JOIN_7_7 = _full_convolution(7, 7)


def compose_filters(filters: Sequence[torch.Tensor]) -> torch.Tensor:
    """The 13 x 13 kernels (R, 169) that the generators' filters amount to, innermost filter first."""
    w7, w5, w3, *pointwise = filters
    regions = len(w7)
    head = pointwise[2].reshape(regions, 1, CHANNELS)
    for w in (pointwise[1], pointwise[0]):
        head = head @ w.reshape(regions, CHANNELS, CHANNELS)
    taps3 = (head @ w3.reshape(regions, CHANNELS, -1)).reshape(regions, CHANNELS, 9)
    products = w5.reshape(regions, CHANNELS, -1).transpose(1, 2) @ taps3  # (R, 64 x 25, 9)
    taps7 = products.reshape(regions, CHANNELS, -1) @ _JOIN_5_3.to(products)  # (R, 64, 49)
    products = w7.reshape(regions, CHANNELS, -1).transpose(1, 2) @ taps7  # (R, 49, 49)
    return products.reshape(regions, -1) @ _JOIN_7_7.to(products)


def row_patches(crops: torch.Tensor) -> torch.Tensor:
    """What `apply_kernel` needs of crops (..., 64, 64): 13 neighbours along each row at every second column.

    Returns:
        (..., 64 x 26, 13). A full im2col would be 13 times as large.
    """
    return crops.unfold(-1, KERNEL, 2).reshape(*crops.shape[:-2], -1, KERNEL)


class _SumDiagonally(torch.autograd.Function):
    """(N, 64, 26, 13) -> (N, 26, 26): out[i, j] = sum over u of x[2 i + u, j, u]; each entry is used once at most."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.shape = x.shape
        return _diagonals(x).sum(dim=3)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        out = grad.new_zeros(ctx.shape)
        _diagonals(out).copy_(grad.unsqueeze(3).expand(*grad.shape, KERNEL))
        return out


def _diagonals(x: torch.Tensor) -> torch.Tensor:
    """The view (N, 26, 26, 13) of (N, 64, 26, 13) whose [i, j, u] is x[2 i + u, j, u]."""
    out, width = DISCRIMINATOR_CROP, DISCRIMINATOR_CROP * KERNEL
    return x.as_strided((len(x), out, out, KERNEL), (GENERATOR_CROP * width, 2 * width, KERNEL, width + 1))


def apply_kernel(kernel: torch.Tensor, bicubic: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Downscale the crops with each region's kernel: first along rows, one product for all, then down the columns.

    Args:
        kernel: (R, 169).
        bicubic: (169,), the bicubic kernel at the same place.
        rows: (R, 3, 64 x 26, 13) from `row_patches`.

    Returns:
        The downscaled crops (R, 3, 26, 26) and the MSE (R,) against the bicubic downscaling.
    """
    regions = len(kernel)
    both = torch.stack([kernel, kernel - bicubic], dim=1).reshape(regions, 2, KERNEL, KERNEL)
    out = []
    for k in both.unbind(1):
        sums = torch.bmm(rows.reshape(regions, -1, KERNEL), k.transpose(1, 2))  # (R, 3 x 64 x 26, 13): per kernel row
        sums = sums.reshape(regions * 3, GENERATOR_CROP, DISCRIMINATOR_CROP, KERNEL)
        out.append(_SumDiagonally.apply(sums).reshape(regions, 3, DISCRIMINATOR_CROP, DISCRIMINATOR_CROP))
    return out[0], out[1].square().mean(dim=(1, 2, 3))


def discriminate(
    crops: torch.Tensor, weights: dict[str, torch.Tensor], vectors: dict[str, torch.Tensor]
) -> torch.Tensor:
    """The discriminator's map (R, G, 400) of crops (R, 3, G, 26, 26).

    G is the number of passes in one call; batch-norm statistics belong to one region and one pass. The spectral
    norm's vectors advance by one power iteration, in place.
    """
    regions, _, passes = crops.shape[:3]
    first, middle, last = (spectral_normalised(weights[name], vectors[name]) for name in ("first", "middle", "last"))
    planes = crops.transpose(1, 2).reshape(regions * passes, 3, DISCRIMINATOR_CROP, DISCRIMINATOR_CROP)
    x = F.unfold(planes, PATCH).reshape(regions, passes, first.shape[2], -1).transpose(1, 2)
    x = x.reshape(regions, first.shape[2], -1)  # (R, 147, G x 400)
    # nothing stands between the 7x7 convolution and the first 1x1: one product of the two matrices does both
    middle = middle.unbind(1)
    matrices = [torch.bmm(middle[0], first), *middle[1:]]
    spread = (regions, MIDDLE, CHANNELS, passes)
    scales = weights["scales"].unsqueeze(3).expand(spread).unbind(1)
    offsets = weights["offsets"].unsqueeze(3).expand(spread).unbind(1)
    for matrix, scale, offset in zip(matrices, scales, offsets, strict=True):
        x = torch.bmm(matrix, x).reshape(1, regions * CHANNELS * passes, -1)
        x = F.batch_norm(x, None, None, scale.reshape(-1), offset.reshape(-1), training=True)
        x = x.relu_().reshape(regions, CHANNELS, -1)
    x = torch.baddbmm(weights["bias"].unsqueeze(2), last, x)
    return torch.sigmoid(x).reshape(regions, passes, -1)


def spectral_normalised(matrix: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Matrices (..., out, in) divided by their spectral norm, by one power iteration (Miyato et al. 2018, Alg. 1).

    Args:
        matrix: (..., out, in).
        u: (..., out), left singular vectors so far, advanced in place.
    """
    with torch.no_grad():
        v = F.normalize(torch.matmul(u.unsqueeze(-2), matrix), dim=-1)  # (..., 1, in)
        left = F.normalize(torch.matmul(matrix, v.transpose(-1, -2)), dim=-2)  # (..., out, 1)
        u.copy_(left.squeeze(-1))
    sigma = torch.matmul(left.transpose(-1, -2), torch.matmul(matrix, v.transpose(-1, -2)))  # (..., 1, 1)
    return matrix / sigma


class Regulariser:
    """The penalties on the kernel and their schedule, one state per region (METHOD §2, regularisers)."""

    def __init__(self, regions: int, settings: KernelGanSettings, device: str) -> None:
        self.period = settings.stretch(200)
        self.weight = torch.full((regions,), 5.0, device=device)
        self.streak = torch.zeros(regions, device=device)
        self.settled = torch.zeros(regions, dtype=torch.bool, device=device)
        self.shaped = torch.zeros(regions, dtype=torch.bool, device=device)
        self.bicubic = torch.from_numpy(kernels.bicubic(2)).float().flatten().to(device)
        self.border = torch.from_numpy(border_penalty()).float().flatten().to(device)
        index = torch.arange(KERNEL, device=device).float()
        self.coordinates = torch.stack([index.repeat_interleave(KERNEL), index.repeat(KERNEL)], dim=1)

    def __call__(self, kernel: torch.Tensor, bicubic_error: torch.Tensor, iteration: int) -> torch.Tensor:
        """The penalty (R,) of kernels (R, 169); advances the schedule."""
        total = kernel.sum(dim=1)
        # early kernels may sum to nothing; their centre is not used yet, but must not give a NaN gradient
        centre = (kernel @ self.coordinates) / torch.where(self.shaped, total, 1).unsqueeze(1)
        off_centre = (centre - kernels.target_centre(KERNEL, 2)).square().mean(dim=1)
        sparsity = (kernel.abs() + 1e-12).pow(0.2).mean(dim=1)  # the power has no slope at zero
        penalty = (
            self.weight * bicubic_error
            + 0.5 * (1 - total).abs()
            + 0.5 * (kernel * self.border).abs().mean(dim=1)
            + torch.where(self.shaped, off_centre + 5 * sparsity, 0)
        )
        with torch.no_grad():
            self.streak = torch.where(bicubic_error < 0.4, self.streak + 1, 0)
            self.settled = self.settled | (self.streak >= 3)
            if (iteration + 1) % self.period == 0:
                self.weight = torch.where(self.settled, (self.weight / 100).clamp(min=5e-6), self.weight)
                self.shaped = self.weight < 5e-3
        return penalty


def border_penalty(size: int = KERNEL, strength: float = 30.0) -> np.ndarray:
    """30 (1 - Gaussian(sigma = 13), peak 1), zero in the centre: what mass near the border costs."""
    offset = np.arange(size) - size // 2
    bump = np.exp(-(offset**2) / (2 * size**2))
    mask = 1 - np.outer(bump, bump)
    mask[2:-2, 2:-2] = 0
    return strength * mask
