"""Where regions meet: the composite made true to the image once more, with each pixel's own blur (method.md §4).

A region is enlarged as if its blur were everywhere, so that along its border it is corrected by pixels that were
blurred otherwise. Back-projection of the composite sees both blurs at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mkgan_core.imaging import images
from mkgan_core.imaging.degradation import degrade_tensor
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region, whole
from mkgan_core.importing import importing
from mkgan_core.upscalers.back_projection import BYTES_PER_PIXEL, diverges, reach_of
from mkgan_core.upscalers.base import strips_of
from mkgan_core.upscalers.interpolation import enlarge

VERSION = 1  # of what `mend` does; part of the key of every composite that it may change
ROUNDS = 4  # more help where the kernels are right and harm where they are not (BENCHMARKS.md)
BAND = 4  # low-resolution pixels on either side of a border that are changed


def mend(image: Image, pixels: np.ndarray, parts: Sequence[tuple[Region, Kernel]], scale: int) -> np.ndarray:
    """The composite with its borders back-projected once more; the rest is as it was.

    Args:
        image: (H, W, 3) in [0, 1], low resolution.
        pixels: (s H, s W, 3), uint8 or uint16, the composite.
        parts: the regions, which cover the image, each with its blur.
        scale: s.

    Returns:
        (s H, s W, 3) of the composite's type; the composite itself where the iteration would diverge.
    """
    with importing:
        import torch

    near = borders([region for region, _ in parts], BAND)
    if not near.any() or any(diverges(kernel.array, scale, ROUNDS) for _, kernel in parts):
        return pixels
    reach = max(reach_of(kernel.array, scale) for _, kernel in parts)
    mended = pixels.copy()
    for top, bottom in strips_of(whole(near.shape), scale, BYTES_PER_PIXEL):
        if not near[top:bottom].any():
            continue
        first, last = max(0, top - reach), min(len(image), bottom + reach)
        low = images.to_tensor(image[first:last])
        high = images.to_tensor(images.to_floats(pixels[first * scale : last * scale]))
        masks = [torch.as_tensor(region.mask[first:last]) for region, _ in parts]
        for _ in range(ROUNDS):
            again = sum(
                degrade_tensor(high, kernel.array, scale) * mask for (_, kernel), mask in zip(parts, masks, strict=True)
            )
            high = high + enlarge(low - again, scale)
        inner = slice((top - first) * scale, (bottom - first) * scale)
        depth = 8 * pixels.dtype.itemsize
        made = images.to_pixels(images.to_image(high.clamp(0, 1))[inner], depth)
        change = near[top:bottom].repeat(scale, axis=0).repeat(scale, axis=1)
        mended[top * scale : bottom * scale][change] = made[change]
    return mended


def borders(regions: Sequence[Region], width: int) -> np.ndarray:
    """The pixels, bool (H, W), that are at most ``width`` pixels from another region."""
    with importing:
        from scipy.ndimage import distance_transform_edt

    near = np.zeros(regions[0].mask.shape, bool)
    for region in regions:
        if not region.is_whole:
            distance = np.asarray(distance_transform_edt(region.mask))  # to the next pixel that is another's
            near |= region.mask & (distance <= width)
    return near
