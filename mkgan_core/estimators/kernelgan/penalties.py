"""The penalties on KernelGAN's kernel and the schedule of their weights (method.md §2, regularisers)."""

from __future__ import annotations

import numpy as np
import torch

from mkgan_core.estimators.kernelgan.networks import KERNEL
from mkgan_core.estimators.kernelgan.settings import KernelGanSettings
from mkgan_core.imaging import kernels

SUM, BORDER, CENTRE, SPARSITY = 0.5, 0.5, 1.0, 5.0  # weights; the last two apply after the bicubic weight first falls
BICUBIC = 5.0  # initial weight of the bicubic term
GROUNDED = 0.1  # below this sum, the generator is still near zero
POWER = 0.2
TINY = 1e-12  # added before the power, which is not differentiable at zero


class Penalties:
    """Penalties on the kernels of R regions, each with its own schedule, as tensor operations without branches."""

    def __init__(
        self, regions: int, settings: KernelGanSettings, device: str, dtype: torch.dtype = torch.float32
    ) -> None:
        self.period = settings.stretch(200)
        self.weight = torch.full((regions, 1), BICUBIC, device=device, dtype=dtype)
        self.streak = torch.zeros((regions, 1), device=device)
        self.settled = torch.zeros((regions, 1), dtype=torch.bool, device=device)
        self.shaped = torch.zeros((regions, 1), device=device, dtype=dtype)
        self.bicubic = torch.from_numpy(kernels.bicubic(2)).to(device, dtype).reshape(1, -1)
        self.border = torch.from_numpy(border_penalty()).to(device, dtype).reshape(1, -1)
        index = torch.arange(KERNEL, device=device, dtype=dtype)
        self.coordinates = torch.stack([index.repeat_interleave(KERNEL), index.repeat(KERNEL)])  # (2, 169)
        self.target = kernels.target_centre(KERNEL, 2)

    def value(self, kernel: torch.Tensor) -> torch.Tensor:
        """The penalty (R,) of kernels (R, 169), without the bicubic term, whose gradient the training adds."""
        total = kernel.sum(dim=1, keepdim=True)
        centre = kernel @ self.coordinates.T / total
        shaped = CENTRE * (centre - self.target).square().mean(dim=1)
        shaped = shaped + SPARSITY * (kernel.abs() + TINY).pow(POWER).mean(dim=1)
        always = SUM * (1 - total[:, 0]).abs() + BORDER * (kernel * self.border).abs().mean(dim=1)
        return always + torch.where(self.shaped[:, 0] > 0, shaped, 0)

    def gradient(self, kernel: torch.Tensor) -> torch.Tensor:
        """Gradient (R, 169) of `value`."""
        total = kernel.sum(dim=1, keepdim=True)
        sign = kernel.sign()
        # early kernels may sum to zero; their centre has no weight yet, but must not become NaN
        safe = torch.where(self.shaped > 0, total, 1)
        centre = kernel @ self.coordinates.T / safe  # (R, 2)
        off = centre - self.target
        to_centre = (off @ self.coordinates - (off * centre).sum(dim=1, keepdim=True)) / safe  # mean of two squares
        to_sparsity = POWER * (kernel.abs() + TINY).pow(POWER - 1) * sign
        shaped = CENTRE * to_centre + (SPARSITY / KERNEL**2) * to_sparsity
        always = (BORDER / KERNEL**2) * sign * self.border - SUM * (1 - total).sign()
        return torch.addcmul(always, shaped, self.shaped)

    def start_again(self, region: int) -> None:
        """Restart the schedule of a region."""
        self.weight[region] = BICUBIC
        for state in (self.streak, self.settled, self.shaped):
            state[region] = 0

    def advance(self, bicubic_error: torch.Tensor, total: torch.Tensor, iteration: int | torch.Tensor) -> None:
        """Advance the schedule by one iteration, in place.

        The weight of the bicubic term falls once the error is small, but not while the kernel is near zero: in a flat
        image the error is small even then, and only the bicubic term drives the kernel away from zero.

        Args:
            bicubic_error: this iteration's MSE (R, 1) against the bicubic downscaling.
            total: the kernels' sums, (R, 1).
            iteration: its index.
        """
        self.streak.add_(1).mul_((bicubic_error < 0.4) & (total >= GROUNDED))
        self.settled.logical_or_(self.streak >= 3)
        falls = self.settled & ((iteration + 1) % self.period == 0)
        self.weight.copy_(torch.where(falls, (self.weight / 100).clamp(min=5e-6), self.weight))
        self.shaped.copy_(self.weight < 5e-3)


def border_penalty(size: int = KERNEL, strength: float = 30.0) -> np.ndarray:
    """Cost of kernel mass near the border: 30 (1 - Gaussian with sigma = 13 and peak 1), zero in the middle.

    Returns:
        (size, size).

    Example:
        >>> cost = border_penalty()
        >>> cost.shape, float(cost[6, 6]), round(float(cost[0, 0]), 1)
        ((13, 13), 0.0, 5.8)
    """
    offset = np.arange(size) - size // 2
    bump = np.exp(-(offset**2) / (2 * size**2))
    mask = 1 - np.outer(bump, bump)
    mask[2:-2, 2:-2] = 0
    return strength * mask
