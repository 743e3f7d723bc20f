"""Iterated back-projection (Irani & Peleg 1991): enlarge until the degraded enlargement is the input again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from mkgan_core.imaging import images
from mkgan_core.imaging.degradation import degrade_tensor
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.importing import importing
from mkgan_core.upscalers.base import StripUpscaler, required, strips_of
from mkgan_core.upscalers.interpolation import enlarge

if TYPE_CHECKING:
    import torch


# The most that the last round may leave of a residual at any frequency; beyond it the iteration is taken to diverge.
# In 8 rounds the noise in DIV2KRK's kernels and in estimates comes to 1.3, and an estimate's phase is not to be trusted
# there; true motion kernels come to 2.5 to 20.
GROWTH = 2.0
BORDER = 4  # mirrored at every side, in reaches of one round: later rounds reach further, but hardly
BYTES_PER_PIXEL = 80  # of the enlargement, at most in use at once


@dataclass(frozen=True)
class BackProjectionSettings:
    """Settings of `BackProjection`."""

    rounds: int = 20
    """Corrections; method.md §3 measured 20."""


class BackProjection(StripUpscaler[BackProjectionSettings]):
    """Upscaler `back-projection`: no training, the sanity check of any kernel."""

    settings_class = BackProjectionSettings
    version = 4

    @override
    def strips(
        self, image: Image, region: Region, kernel: Kernel | None, scale: int, *, seed: int = 0, device: str = "cpu"
    ) -> Iterator[Image]:
        blur = required(kernel, "back-projection").array
        crop, (row, column) = with_surroundings(image, region, margin=len(blur))
        origin = region.box[0] - row
        columns = slice(column * scale, (column + region.box[3] - region.box[1]) * scale)
        reach = reach_of(blur, scale)
        for top, bottom in strips_of(region, scale, BYTES_PER_PIXEL):
            first = max(0, top - origin - reach)
            low = images.to_tensor(crop[first : bottom - origin + reach], device)
            high = back_project(enlarge(low, scale), low, blur, scale, self.settings.rounds)
            yield images.to_image(high)[(top - origin - first) * scale : (bottom - origin - first) * scale, columns]

    @override
    def true_to(self, image: Image) -> bool:
        return True


def back_project(high: torch.Tensor, low: torch.Tensor, kernel: np.ndarray, scale: int, rounds: int) -> torch.Tensor:
    """Add the enlarged residual ``low - degrade(high)`` to ``high`` that many times, all in one step.

    Enlarging and degrading again is a convolution H of the low-resolution grid. So after n rounds the corrections add
    up to the enlargement of (1 + (1 - H) + ... + (1 - H)^(n-1)) times the first residual, which the Fourier transform
    gives at once. Away from the border that is the iteration; the border is mirrored, where the iteration mirrors
    what it degrades and repeats what it enlarges.

    Irani and Peleg's condition is |1 - H| < 1. A crooked kernel, such as motion's, turns the phase by more than a right
    angle somewhere, and the iteration diverges. There the residual's phase is turned back before it is enlarged, so
    that |H| stands for H.

    Args:
        high: (B, C, s H, s W), a first enlargement.
        low: (B, C, H, W), the observed image.
        kernel: (K, K), its blur.
        scale: s.
        rounds: how many corrections.
    """
    with importing:
        import torch

    if rounds == 0:
        return high
    residual = low - degrade_tensor(high, kernel, scale)
    margin = reach_of(kernel, scale)
    rows, columns = (np.pad(np.arange(side), margin, mode="symmetric") for side in low.shape[2:])
    wide = residual[..., rows[:, None], columns]
    size = wide.shape[2:]
    response = _response(kernel, scale, size, low)
    crooked = (1 - response).abs().max() ** rounds > GROWTH
    turn = torch.exp(-1j * response.angle()) if crooked else torch.ones_like(response)
    total = turn
    for _ in range(rounds - 1):
        total = turn + (1 - response * turn) * total
    summed = torch.fft.irfft2(torch.fft.rfft2(wide) * total, s=size)
    return high + enlarge(summed[..., margin:-margin, margin:-margin], scale)


def diverges(kernel: np.ndarray, scale: int, rounds: int) -> bool:
    """Whether plain back-projection with this kernel blows up within so many rounds."""
    with importing:
        import torch

    side = 4 * _reach_of_round(kernel, scale)
    return bool((1 - _response(kernel, scale, (side, side), torch.zeros(1))).abs().max() ** rounds > GROWTH)


def _response(kernel: np.ndarray, scale: int, size: Sequence[int], like: torch.Tensor) -> torch.Tensor:
    """H of the low-resolution grid, what enlarging and degrading does to each frequency, for an image of this size."""
    with importing:
        import torch

    reach = _reach_of_round(kernel, scale)
    impulse = like.new_zeros(1, 1, 2 * reach + 1, 2 * reach + 1)
    impulse[..., reach, reach] = 1
    response = degrade_tensor(enlarge(impulse, scale), kernel, scale)[0, 0]
    field = like.new_zeros(*size)
    field[: len(response), : len(response)] = response
    return torch.fft.rfft2(field.roll((-reach, -reach), (0, 1)))


def reach_of(kernel: np.ndarray, scale: int) -> int:
    """So many low-resolution pixels away, what `back_project` adds depends on the image no more, or hardly."""
    return BORDER * _reach_of_round(kernel, scale)


def _reach_of_round(kernel: np.ndarray, scale: int) -> int:
    return len(kernel) // scale + 4  # with the four pixels of the cubic


def with_surroundings(image: Image, region: Region, margin: int) -> tuple[Image, tuple[int, int]]:
    """The region's box and ``margin`` pixels around it, as far as the image goes.

    Returns:
        The crop, and the (top, left) of the box inside it.
    """
    top, left, bottom, right = region.box
    first_row, first_column = max(0, top - margin), max(0, left - margin)
    crop = image[first_row : bottom + margin, first_column : right + margin]
    return crop, (top - first_row, left - first_column)
