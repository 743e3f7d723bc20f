"""Enlargements with small total variation (method.md §3): ZSSR's last step, and the restored image in `asymmetry`.

Finds the most likely image, given the low-resolution image, its kernel, and the prior that natural images have few
strong gradients. The method is half-quadratic splitting (Krishnan & Fergus, "Fast Image Deconvolution using
Hyper-Laplacian Priors", NIPS 2009, with exponent 1, which is total variation). The data term, which contains the
subsampling, is solved in closed form (Zhao et al., "Fast Single Image Super-Resolution Using a New Analytical Solution
for l2-l2 Problems", IEEE TIP 2016).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.fft
import torch
import torch.nn.functional as F

from mkgan_core.imaging.degradation import degrade_tensor, reach_of

# Chosen on photographs of kodak24 and bsds20; the result hardly depends on them (notebook "The last step").
ROUNDS = 5
STRENGTH = 2.5  # of the prior, as in ZSSR's setting `variation`
COUPLING = 100.0  # weight of the squared difference between the image's derivatives and the shrunk ones
SECOND = 0.25  # weight of the second derivatives, which keep ramps from becoming steps
ROUNDING = 1 / math.sqrt(12) / 255  # standard deviation of the low-resolution image's 8-bit rounding
STAY = 1.0  # weight of the squared change per round; needed at frequency 0, where all derivatives vanish
# Limits for the change divided by what a network learned; it is at most 0.36 with 22 right or nearly right kernels
WHOLE, NOTHING = 0.4, 0.6
LUMA = (0.299, 0.587, 0.114)  # BT.601
DERIVATIVES = (  # weight, and coefficient at each offset (row, column)
    (1.0, {(0, 0): -1, (0, 1): 1}),
    (1.0, {(0, 0): -1, (1, 0): 1}),
    (SECOND, {(0, -1): 1, (0, 0): -2, (0, 1): 1}),
    (SECOND, {(-1, 0): 1, (0, 0): -2, (1, 0): 1}),
    (2 * SECOND, {(0, 0): 1, (0, 1): -1, (1, 0): -1, (1, 1): 1}),
)


def reduce_variation(
    high: torch.Tensor,
    low: torch.Tensor,
    kernel: np.ndarray,
    scale: int,
    strength: float,
    model_error: float = 1.0,
) -> torch.Tensor:
    """Reduce an enlargement's total variation, while degrading it still returns the input up to rounding.

    Minimises |low - degrade(x)|² / (2 (model_error * ROUNDING)²) + strength * (weighted sum of |derivatives of x|) over
    the luma x, in a few rounds that start from ``high``. All colours change by as much as the luma.

    Args:
        high: (B, 3, s H, s W), in [0, 1].
        low: (B, 3, H, W), the observed image, in [0, 1].
        kernel: (K, K), the image's blur.
        scale: enlargement factor s.
        strength: weight of the total variation; about 2 for images in [0, 1].
        model_error: of the kernel (`Kernel`).

    Returns:
        (B, 3, s H, s W), not clipped.
    """
    start, problem = luma_tensor(high), Restoration(kernel, scale, luma_tensor(low), model_error * ROUNDING)
    return high + (_alternated(problem, start, strength) - start)


def restored(high: torch.Tensor, low: torch.Tensor, kernel: np.ndarray, scale: int, strength: float) -> torch.Tensor:
    """As `reduce_variation`, for luma images: high (B, 1, s H, s W), low (B, 1, H, W)."""
    return _alternated(Restoration(kernel, scale, low), high, strength)


def _alternated(problem: Restoration, high: torch.Tensor, strength: float) -> torch.Tensor:
    for _ in range(ROUNDS):
        high = problem.with_data(problem.with_prior(high, strength))
    return high


def variation(luma: torch.Tensor) -> torch.Tensor:
    """The weighted sum of a luma's absolute derivatives at each pixel, (B, 1, H, W)."""
    wide = F.pad(luma, (1,) * 4, mode="replicate")
    total = torch.zeros_like(luma)
    for weight, taps in DERIVATIVES:
        derivative = torch.zeros_like(luma)
        for value, place in _places(taps, luma.shape):
            derivative.add_(wide[place], alpha=value)
        total.add_(derivative.abs_(), alpha=weight)
    return total


def share_of_change(change: float, learned: float, whole: float = WHOLE, nothing: float = NOTHING) -> float:
    """The share of a restoration's change to use, in [0, 1] (method.md §3).

    With a wrong kernel, the restoration changes more, because it explains what the upscaler left unexplained. So the
    share falls with the ratio of its change to the upscaler's.

    Args:
        change: root mean square or standard deviation of what the restoration changes.
        learned: likewise of what the upscaler changed in the bicubic enlargement.
        whole: ratio of the two up to which all of the change is used.
        nothing: ratio from which nothing of it is used.

    Example:
        >>> share_of_change(0.01, 0.05), share_of_change(0.05, 0.05)
        (1.0, 0.0)
    """
    return min(1.0, max(0.0, (nothing - change / max(learned, 1e-6)) / (nothing - whole)))


class Restoration:
    """The two steps of a round, for one observed image. Each adds a filtered residual to the enlargement.

    Before the transform, the low-resolution residual is mirrored at its borders, and padded with zeros to a size for
    which the transform is fast.

    Args:
        kernel: (K, K), the image's blur.
        scale: enlargement factor s.
        low: (B, 1, H, W), the observed luma, in [0, 1].
        noise: standard deviation of its errors; the more, the less a wrong kernel amplifies.
    """

    def __init__(self, kernel: np.ndarray, scale: int, low: torch.Tensor, noise: float = ROUNDING) -> None:
        self._kernel, self._scale, self._low = kernel, scale, low
        self._margin = reach_of(kernel, scale)
        self._shape = [length * scale for length in low.shape[2:]]
        self._mirrored = [np.pad(np.arange(length), self._margin, mode="symmetric") for length in low.shape[2:]]
        self._low_size = [_fast(len(indices)) for indices in self._mirrored]
        self._size = [length * scale for length in self._low_size]
        self._smooth, self._spread, self._equalise = (
            part.to(low) if part.is_floating_point() else part.to(low.device)
            for part in _transfers(kernel, scale, self._low_size, noise)
        )

    def with_prior(self, x: torch.Tensor, strength: float) -> torch.Tensor:
        """Change x, (B, 1, s H, s W), so that its derivatives shrink by strength / `COUPLING`, as well as they can."""
        wide = F.pad(x, (1,) * 4, mode="replicate")
        gathered = torch.zeros_like(wide)
        for weight, taps in DERIVATIVES:  # slices, because a one-channel convolution needs ten times the memory
            places = _places(taps, x.shape)
            derivative = torch.zeros_like(x)
            for value, place in places:
                derivative.add_(wide[place], alpha=value)
            missing = F.softshrink(derivative, strength / COUPLING).sub_(derivative)
            for value, place in places:
                gathered[place].add_(missing, alpha=weight * value)
        gathered = gathered[..., 1:-1, 1:-1]
        change = torch.fft.irfft2(torch.fft.rfft2(gathered, s=self._size) * (COUPLING * self._smooth), s=self._size)
        return x + change[..., : self._shape[0], : self._shape[1]]

    def with_data(self, x: torch.Tensor) -> torch.Tensor:
        """Change x, (B, 1, s H, s W), so that degrading it returns the low-resolution image, up to its noise.

        The derivatives change as little as possible.
        """
        rows, columns = self._mirrored
        residual = (self._low - degrade_tensor(x, self._kernel, self._scale))[..., rows[:, None], columns]
        equalised = torch.fft.rfft2(residual, s=self._low_size) * self._equalise
        samples = x.new_zeros(len(x), 1, *self._size)
        samples[..., :: self._scale, :: self._scale] = torch.fft.irfft2(equalised, s=self._low_size)
        change = torch.fft.irfft2(torch.fft.rfft2(samples) * self._spread, s=self._size)
        top = left = self._margin * self._scale
        return x + change[..., top : top + self._shape[0], left : left + self._shape[1]]


def luma_tensor(picture: torch.Tensor) -> torch.Tensor:
    """The BT.601 luma (B, 1, H, W) of RGB images (B, 3, H, W), in the same range."""
    return (picture * picture.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)


def _places(taps: Mapping[tuple[int, int], float], shape: Sequence[int]) -> list[tuple[float, tuple[Any, ...]]]:
    """Each tap's value, and the slices of an array of this shape, padded by 1, that it multiplies."""
    height, width = shape[-2:]
    return [
        (value, (..., slice(1 + row, 1 + row + height), slice(1 + column, 1 + column + width)))
        for (row, column), value in taps.items()
    ]


def _fast(length: int) -> int:
    """The smallest length, at least this one, whose Fourier transform is fast."""
    return scipy.fft.next_fast_len(length, real=True) or length


def equaliser(kernel: np.ndarray, scale: int, low_size: Sequence[int], noise: float) -> torch.Tensor:
    """The inverse of the power that `Restoration.with_data` expects of its residual, for each frequency.

    Args:
        kernel: (K, K), the image's blur.
        scale: enlargement factor s.
        low_size: (H, W) of the low-resolution image.
        noise: standard deviation of that image's errors.

    Returns:
        (H, W // 2 + 1).
    """
    return _transfers(kernel, scale, low_size, noise)[2]


def _transfers(
    kernel: np.ndarray, scale: int, low_size: Sequence[int], noise: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Filters in the Fourier domain: inverse of the derivatives' power; the same times the kernel; `equaliser`."""
    size = [length * scale for length in low_size]
    rows, columns = (
        2 - 2 * torch.cos(2 * torch.pi * frequencies)
        for frequencies in (torch.fft.fftfreq(size[0])[:, None], torch.fft.rfftfreq(size[1])[None])
    )
    roughness = rows + columns + SECOND * (rows + columns) ** 2  # weighted power of the derivatives
    smooth = 1 / (COUPLING * roughness + STAY)
    field = torch.zeros(*size)
    field[: len(kernel), : len(kernel)] = torch.as_tensor(kernel, dtype=field.dtype)
    middle = len(kernel) // 2
    blur = torch.fft.rfft2(field.roll((-middle, -middle), (0, 1)))
    folded = torch.fft.irfft2(smooth * blur.abs() ** 2, s=size)[::scale, ::scale]
    return smooth, blur * smooth, 1 / (torch.fft.rfft2(folded).real + noise**2)
