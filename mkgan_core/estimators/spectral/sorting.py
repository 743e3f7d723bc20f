"""Sorts an image's objects by their blur: those that a segmenter found, but that are blurred like the background.

The decision uses the two enlargements of the whole image, each restored with one of the two kernels. Blur hardly
changes the total variation of an edge, but restoring with a kernel that is too wide adds stripes, whose variation is
large. So the ratio of the enlargements' variation, relative to that of the other objects, shows an object's blur. It
needs fewer pixels than a spectrum (notebook "Regions, second part").
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt, gaussian_filter

from mkgan_core.imaging import images
from mkgan_core.imaging.degradation import reach_of
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.total_variation import luma, restored, variation
from mkgan_core.machine.progress import check

# Chosen on photographs of kodak24 with two blurs
STRENGTH = 2.5  # of the restorations
STRIP_PIXELS = 1_000_000  # low-resolution pixels restored at a time
SMOOTH = 3.0  # standard deviation of the Gaussian that averages the variation, in low-resolution pixels
INSET = 3  # pixels at the border of a region that are not used, unless fewer than `LEAST` remain
LEAST = 100
FLAT = 1e-3  # variation of a pixel that tells nothing
RICH = 0.3  # variation from which on a pixel counts fully


def moved(
    image: Image, mask: np.ndarray, objects: Sequence[np.ndarray], blurs: Sequence[np.ndarray], scale: int
) -> np.ndarray:
    """Move each object to the region whose blur it has.

    Nothing moves if the evidence contradicts the regions: if the first one, taken together, does not fit the first blur
    better than the second one does, or would lose more than half of its pixels.

    Args:
        image: (H, W, 3) in [0, 1], low resolution, without noise or compression.
        mask: bool (H, W), the first of two regions.
        objects: bool (H, W) each, disjoint.
        blurs: the kernels (K, K) of the regions.
        scale: 2 or 4.

    Returns:
        bool (H, W), the first region.
    """
    evidence, weights = _compare(image, blurs, scale)
    inside, outside = (_median(evidence, weights, region) for region in (mask, ~mask))
    result = mask.copy()
    for part in objects:
        result[part] = _median(evidence, weights, part) < (inside + outside) / 2
    trusted = inside < outside and 2 * (mask & result).sum() >= mask.sum()
    return result if trusted else mask


def _compare(image: Image, blurs: Sequence[np.ndarray], scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Log ratio (H, W) of the local variation with the first blur to that with the second, and its weights (H, W)."""
    first, second = (gaussian_filter(_variation(image, blur, scale), SMOOTH) for blur in blurs)
    return np.log((first + FLAT) / (second + FLAT)), np.minimum(np.minimum(first, second), RICH)


@torch.no_grad()
def _variation(image: Image, blur: np.ndarray, scale: int) -> np.ndarray:
    """The variation (H, W) in each low-resolution pixel of the image restored with a blur."""
    reach, rows = reach_of(blur, scale), max(1, STRIP_PIXELS // image.shape[1])
    strips = []
    for top in range(0, len(image), rows):
        check()
        first = max(0, top - reach)
        low = luma(images.to_tensor(image[first : top + rows + reach]))
        high = F.interpolate(low, scale_factor=scale, mode="bicubic", align_corners=False)
        found = variation(restored(high, low, blur, scale, STRENGTH))
        strips.append(F.avg_pool2d(found, scale)[0, 0, top - first :][:rows] * scale**2)
    return torch.cat(strips).numpy()


def _median(values: np.ndarray, weights: np.ndarray, mask: np.ndarray) -> float:
    """The weighted median inside a mask."""
    inner = np.asarray(distance_transform_edt(mask)) > INSET
    inside = inner if inner.sum() >= LEAST else mask
    order = np.argsort(values[inside])
    ranks = np.cumsum(weights[inside][order])
    return float(values[inside][order][np.searchsorted(ranks, ranks[-1] / 2)])
