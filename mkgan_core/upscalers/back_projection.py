"""Iterated back-projection (Irani & Peleg 1991): corrects an enlargement until degrading it returns the input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from mkgan_core.imaging import images
from mkgan_core.imaging.degradation import degrade_tensor, reach_of, reach_of_round
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.recording import examine
from mkgan_core.imaging.regions import Region
from mkgan_core.importing import importing
from mkgan_core.upscalers.base import StripUpscaler, required, strips_of
from mkgan_core.upscalers.interpolation import enlarge

if TYPE_CHECKING:
    import torch


# If the residual of some frequency grows by more than this factor, max |1 - H|^rounds, the iteration counts as
# divergent. In 8 rounds, DIV2KRK's kernels and estimates reach 1.3 because of their noise, where an estimate's phase is
# unreliable; true motion kernels reach 2.5 to 20.
GROWTH = 2.0
BYTES_PER_PIXEL = 80  # peak memory per enlarged pixel


@dataclass(frozen=True)
class BackProjectionSettings:
    """Settings of `BackProjection`."""

    rounds: int = 20
    """Number of corrections; method.md §3 uses 20."""


class BackProjection(StripUpscaler[BackProjectionSettings]):
    """Upscaler `back-projection`: needs no training, and serves as a sanity check of any kernel."""

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
        return examine(image).clean


def back_project(high: torch.Tensor, low: torch.Tensor, kernel: np.ndarray, scale: int, rounds: int) -> torch.Tensor:
    """Compute all rounds of back-projection at once; a round adds the enlarged residual ``low - degrade(high)``.

    Enlarging and degrading again is a convolution with a response H on the low-resolution grid. So the corrections of n
    rounds add up to the enlargement of (1 + (1 - H) + ... + (1 - H)^(n-1)) times the first residual, which a Fourier
    transform computes directly. This equals the iteration except at the border, where it mirrors the residual. There,
    the iteration mirrors the image that it degrades, and replicates the edge of the residual that it enlarges.

    The iteration converges if |1 - H| < 1 (Irani and Peleg). An irregular kernel, such as a motion blur, shifts the
    phase of some frequencies by more than 90°, and the iteration diverges. For such a kernel, the residual's phase is
    corrected before it is enlarged, so that |H| replaces H.

    Args:
        high: (B, C, s H, s W), an initial enlargement.
        low: (B, C, H, W), the observed image.
        kernel: (K, K), the image's blur.
        scale: enlargement factor s.
        rounds: number of corrections.

    Returns:
        (B, C, s H, s W), not clipped.
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
    divergent = (1 - response).abs().max() ** rounds > GROWTH
    turn = torch.exp(-1j * response.angle()) if divergent else torch.ones_like(response)
    total = turn
    for _ in range(rounds - 1):
        total = turn + (1 - response * turn) * total
    summed = torch.fft.irfft2(torch.fft.rfft2(wide) * total, s=size)
    return high + enlarge(summed[..., margin:-margin, margin:-margin], scale)


def _response(kernel: np.ndarray, scale: int, size: Sequence[int], like: torch.Tensor) -> torch.Tensor:
    """The response H of enlarging and degrading, for a low-resolution image of this size (h, w): (h, w // 2 + 1)."""
    with importing:
        import torch

    reach = reach_of_round(kernel, scale)
    impulse = like.new_zeros(1, 1, 2 * reach + 1, 2 * reach + 1)
    impulse[..., reach, reach] = 1
    response = degrade_tensor(enlarge(impulse, scale), kernel, scale)[0, 0]
    field = like.new_zeros(*size)
    field[: len(response), : len(response)] = response
    return torch.fft.rfft2(field.roll((-reach, -reach), (0, 1)))


def with_surroundings(image: Image, region: Region, margin: int) -> tuple[Image, tuple[int, int]]:
    """Crop an image (H, W, ...) to a region's bounding box and up to ``margin`` pixels around it, inside the image.

    Returns:
        The crop, and the (top, left) of the bounding box in it.
    """
    top, left, bottom, right = region.box
    first_row, first_column = max(0, top - margin), max(0, left - margin)
    crop = image[first_row : bottom + margin, first_column : right + margin]
    return crop, (top - first_row, left - first_column)
