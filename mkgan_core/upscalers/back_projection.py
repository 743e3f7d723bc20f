"""Iterated back-projection (Irani & Peleg 1991): enlarge until the degraded enlargement is the input again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mkgan_core import images
from mkgan_core.degradation import degrade_tensor
from mkgan_core.errors import KernelError
from mkgan_core.estimators import KernelEstimate
from mkgan_core.images import Image
from mkgan_core.regions import Region
from mkgan_core.upscalers.interpolation import enlarge

if TYPE_CHECKING:
    import torch


# The most that the last round may leave of a residual at any frequency; beyond it the iteration is taken to diverge.
# In 8 rounds the noise in DIV2KRK's kernels and in estimates comes to 1.3, and an estimate's phase is not to be trusted
# there; true motion kernels come to 2.5 to 20.
GROWTH = 2.0
BORDER = 4  # mirrored at every side, in reaches of one round: later rounds reach further, but hardly


@dataclass(frozen=True)
class BackProjectionSettings:
    """Settings of `BackProjection`."""

    rounds: int = 20
    """Corrections; METHOD §3 measured 20."""


class BackProjection:
    """Upscaler `back-projection`: no training, the sanity check of any kernel."""

    version = 4
    needs_kernel = True
    seeded = False
    min_side = 8

    def __init__(self, settings: BackProjectionSettings) -> None:
        self.settings = settings

    def upscale(
        self, image: Image, region: Region, estimate: KernelEstimate | None, scale: int, *, seed: int, device: str
    ) -> Image:
        """The region's box, (s h, s w, 3); the kernel is applied with the region's surroundings in view.

        Raises:
            KernelError: without a kernel.
        """
        if estimate is None:
            raise KernelError("back-projection needs a kernel; name an estimator, as in spectral+back-projection")
        top, left, _, _ = region.box
        crop, (inner_top, inner_left) = with_surroundings(image, region, margin=len(estimate.kernel))
        low = images.to_tensor(crop, device)
        high = images.to_image(back_project(enlarge(low, scale), low, estimate.kernel, scale, self.settings.rounds))
        height, width = region.box[2] - top, region.box[3] - left
        high = high[inner_top * scale :, inner_left * scale :]
        return high[: height * scale, : width * scale]


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
    """
    import torch

    if rounds == 0:
        return high
    reach = len(kernel) // scale + 4  # of H, with the four pixels of the cubic
    impulse = low.new_zeros(1, 1, 2 * reach + 1, 2 * reach + 1)
    impulse[..., reach, reach] = 1
    response = degrade_tensor(enlarge(impulse, scale), kernel, scale)[0, 0]

    residual = low - degrade_tensor(high, kernel, scale)
    margin = BORDER * reach
    rows, columns = (np.pad(np.arange(side), margin, mode="symmetric") for side in low.shape[2:])
    wide = residual[..., rows[:, None], columns]
    size = wide.shape[2:]
    field = low.new_zeros(size)
    field[: len(response), : len(response)] = response
    response = torch.fft.rfft2(field.roll((-reach, -reach), (0, 1)))
    diverges = (1 - response).abs().max() ** rounds > GROWTH
    turn = torch.exp(-1j * response.angle()) if diverges else torch.ones_like(response)
    total = turn
    for _ in range(rounds - 1):
        total = turn + (1 - response * turn) * total
    summed = torch.fft.irfft2(torch.fft.rfft2(wide) * total, s=size)
    return high + enlarge(summed[..., margin:-margin, margin:-margin], scale)


def with_surroundings(image: Image, region: Region, margin: int) -> tuple[Image, tuple[int, int]]:
    """The region's box and ``margin`` pixels around it, as far as the image goes.

    Returns:
        The crop, and the (top, left) of the box inside it.
    """
    top, left, bottom, right = region.box
    first_row, first_column = max(0, top - margin), max(0, left - margin)
    crop = image[first_row : bottom + margin, first_column : right + margin]
    return crop, (top - first_row, left - first_column)
