"""Restores the composite along the borders of regions, where pixels depend on two blurs (method.md §4).

Each region is enlarged as if the whole image had its blur. Near its border, pixels with another blur therefore distort
the result: the wider the region's blur, the more. Here these pixels are replaced by what they would be with the
region's blur, as predicted from the current estimate of the image. This is repeated as the estimate improves, after
the EM algorithm for missing data (Dempster, Laird & Rubin 1977). Where masks are uncertain, a pixel belongs to each
region in part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mkgan_core.imaging import images
from mkgan_core.imaging.degradation import degrade_tensor, reach_of
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region, enlarge_mask, feather_weights, whole
from mkgan_core.importing import importing
from mkgan_core.upscalers.base import strips_of
from mkgan_core.upscalers.interpolation import enlarge

if TYPE_CHECKING:
    import torch

VERSION = 2  # of `mend`; part of the key of every composite that it may change
# Chosen on photographs of kodak24 with two blurs (notebook "Regions, second part")
ROUNDS = 5
FEATHER = 2.0  # std of the blend of the regions' estimates, in high-resolution pixels; with hard borders, they diverge
BAND, FADE = 4, 4  # low-resolution pixels on either side of a border that are replaced, and then blended
BYTES_PER_PIXEL = 150  # of the enlargement


def mend(image: Image, pixels: np.ndarray, parts: Sequence[tuple[Region, Kernel]], scale: int) -> np.ndarray:
    """Restore a composite near the borders between its regions; other pixels do not change.

    Alternates, in a few rounds, between predicting the pixels on the other side of each border with the region's own
    blur, and reducing the total variation (`Restoration`). All colours change by as much as the luma. If the
    restoration would change the pixels away from the borders much more than the upscaler did, a kernel is wrong, and
    less of the change is used.

    Args:
        image: (H, W, 3) in [0, 1], low resolution, without noise or compression.
        pixels: the composite, (s H, s W, 3), uint8 or uint16.
        parts: the regions with their kernels; together they cover the image.
        scale: enlargement factor s.

    Returns:
        (s H, s W, 3) of the composite's type.
    """
    with importing:
        from mkgan_core.imaging.total_variation import luma_tensor, share_of_change

    weights = border_weights([region for region, _ in parts])
    if not weights.any():
        return pixels
    reach = max(reach_of(kernel.array, scale) for _, kernel in parts)
    depth = 8 * pixels.dtype.itemsize
    # where the change and what the upscaler changed are measured: away from borders, unless they are everywhere
    judged = weights == 0 if (weights == 0).any() else np.ones_like(weights, bool)
    squares = np.zeros(2)
    changes = []
    for top, bottom in strips_of(whole(weights.shape), scale, BYTES_PER_PIXEL):
        if not weights[top:bottom].any():
            continue
        first, last = max(0, top - reach), min(len(image), bottom + reach)
        low = luma_tensor(images.to_tensor(image[first:last]))
        start = luma_tensor(images.to_tensor(images.to_floats(pixels[first * scale : last * scale])))
        pieces = [(region.shares[first:last], kernel) for region, kernel in parts]
        inner = slice((top - first) * scale, (bottom - first) * scale)
        change = (_restored(start, low, pieces, scale) - start)[0, 0, inner].numpy()
        learned = (start - enlarge(low, scale))[0, 0, inner].numpy()
        counted = enlarge_mask(judged[top:bottom], scale)
        squares += [np.square(part[counted], dtype=np.float64).sum() for part in (change, learned)]
        changes.append((top, bottom, change * enlarge_mask(weights[top:bottom], scale)))
    share = share_of_change(*np.sqrt(squares))
    mended = pixels.copy()
    for top, bottom, change in changes:
        rows = slice(top * scale, bottom * scale)
        floats = images.to_floats(pixels[rows]) + share * change[..., None]
        mended[rows] = images.to_pixels(np.clip(floats, 0, 1), depth)
    return mended


def _restored(
    high: torch.Tensor, low: torch.Tensor, parts: Sequence[tuple[np.ndarray, Kernel]], scale: int
) -> torch.Tensor:
    """The restored luma (1, 1, s H, s W) of regions, as the shares (H, W) of their pixels, with different kernels."""
    with importing:
        import torch

        from mkgan_core.imaging.total_variation import ROUNDING, STRENGTH, Restoration

    present = [(shares, kernel) for shares, kernel in parts if shares.any()]
    for _ in range(ROUNDS):
        blended = torch.zeros_like(high)
        for shares, kernel in present:
            complete = torch.lerp(degrade_tensor(high, kernel.array, scale), low, torch.as_tensor(shares))
            problem = Restoration(kernel.array, scale, complete, kernel.model_error * ROUNDING)
            estimate = problem.with_data(problem.with_prior(high, STRENGTH))
            blended.add_(estimate.mul_(torch.as_tensor(feather_weights(shares, scale, FEATHER))))
        high = blended
    return high


def border_weights(regions: Sequence[Region]) -> np.ndarray:
    """How much of each pixel is replaced, (H, W) in [0, 1]: 1 within `BAND` pixels of another region, then falling.

    Args:
        regions: of one image.

    Example:
        >>> left = np.arange(20)[None] < 10
        >>> border_weights([Region("object", left), Region("background", ~left)]).tolist()[0][:8]
        [0.0, 0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """
    with importing:
        from scipy.ndimage import distance_transform_edt

    weights = np.zeros(regions[0].mask.shape, np.float32)
    for region in regions:
        if not region.is_whole:
            distance = np.asarray(distance_transform_edt(region.mask))  # to the nearest pixel of another region
            weights[region.mask] = np.clip(1 - (distance[region.mask] - BAND) / FADE, 0, 1)
    return weights
