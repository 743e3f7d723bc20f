"""Corrects the composite along the borders of regions, by back-projection with each pixel's own blur (method.md §4).

Each region is enlarged as if the whole image had its blur. Near its border, pixels with another blur therefore distort
the result. Back-projection of the composite takes both blurs into account.
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

VERSION = 1  # of `mend`; part of the key of every composite that it may change
ROUNDS = 4  # more rounds help if the kernels are right and harm if they are not (BENCHMARKS.md)
BAND = 4  # width of the corrected band on either side of a border, in low-resolution pixels


def mend(image: Image, pixels: np.ndarray, parts: Sequence[tuple[Region, Kernel]], scale: int) -> np.ndarray:
    """Correct a composite near the borders between its regions; other pixels do not change.

    Args:
        image: (H, W, 3) in [0, 1], low resolution.
        pixels: the composite, (s H, s W, 3), uint8 or uint16.
        parts: the regions with their kernels; together they cover the image.
        scale: enlargement factor s.

    Returns:
        (s H, s W, 3) of the composite's type; the unchanged composite if the iteration would diverge.
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
    """The pixels, bool (H, W), that are at most ``width`` pixels away from another region.

    Args:
        regions: of one image.
        width: in pixels.

    Example:
        >>> left = np.array([[True, True, True, False, False, False]])
        >>> borders([Region("object", left), Region("background", ~left)], 1).astype(int).tolist()
        [[0, 0, 1, 1, 0, 0]]
    """
    with importing:
        from scipy.ndimage import distance_transform_edt

    near = np.zeros(regions[0].mask.shape, bool)
    for region in regions:
        if not region.is_whole:
            distance = np.asarray(distance_transform_edt(region.mask))  # to the nearest pixel of another region
            near |= region.mask & (distance <= width)
    return near
