"""Corrects a segmenter's masks by the blur: objects that are blurred like the background, and inexact borders.

The decision uses the two enlargements of the whole image, each restored with one of the two kernels. Blur hardly
changes the total variation of an edge, but restoring with a kernel that is too wide adds stripes, whose variation is
large. So the ratio of the enlargements' variation, compared with that of each region, shows an object's blur. It
needs far fewer pixels than a spectrum (notebook "Regions, second part").
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.morphology import remove_small_holes, remove_small_objects

from mkgan_core.imaging import images
from mkgan_core.imaging.degradation import reach_of
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.total_variation import STRENGTH, luma_tensor, restored, variation
from mkgan_core.machine.memory import room
from mkgan_core.machine.progress import check

# Chosen on photographs of kodak24 with two blurs
STRIP_PIXELS, BYTES_PER_PIXEL = 4_000_000, 100  # most enlarged pixels restored at a time, and the memory of each
SMOOTH = 3.0  # standard deviation of the Gaussian that averages the variation, in low-resolution pixels
INSET = 3  # pixels at the border of a region that are not used, unless fewer than `LEAST` remain
LEAST = 100
FLAT = 1e-3  # variation of a pixel without evidence
RICH = 0.3  # variation of a pixel that counts fully
POOR = 0.01  # variation at which the evidence of a pixel counts half
REACH = 16  # distance in pixels from the border up to which it may move
DEEP = 8  # distance in pixels from which on a region's evidence is taken as its own
UNCERTAIN = 3.0  # pixels over which a mask becomes certain
WRONG = 0.05  # chance that a mask is wrong far from its border
SHARED = 3.0  # the log odds of a pixel are divided by this, because its evidence is also that of its neighbours
SPECK = 256  # pixels of the smallest piece or hole


class Evidence:
    """The log ratio of the local variation of an image restored with a first and with a second blur.

    Args:
        image: (H, W, 3) in [0, 1], low resolution, without noise or compression.
        blurs: two kernels (K, K).
        scale: 2 or 4.
    """

    def __init__(self, image: Image, blurs: Sequence[np.ndarray], scale: int) -> None:
        first, second = (gaussian_filter(_variation(image, blur, scale), SMOOTH) for blur in blurs)
        self._ratio = np.log((first + FLAT) / (second + FLAT))
        self._weights = np.minimum(np.minimum(first, second), RICH)

    def with_objects(self, mask: np.ndarray, objects: Sequence[np.ndarray]) -> np.ndarray:
        """Move each object to the region whose blur it has.

        Nothing moves if the evidence contradicts the regions: if the first region, taken together, does not fit the
        first blur better than the second region does, or would lose more than half of its pixels.

        Args:
            mask: bool (H, W), the region with the first blur; all other pixels have the second.
            objects: bool (H, W) each, disjoint.

        Returns:
            bool (H, W), the region with the first blur.
        """
        (inside, _), (outside, _) = (self._statistics(region, INSET) for region in (mask, ~mask))
        moved = mask.copy()
        for part in objects:
            moved[part] = self._statistics(part, INSET)[0] < (inside + outside) / 2
        trusted = inside < outside and 2 * (mask & moved).sum() >= mask.sum()
        return moved if trusted else mask

    def with_borders(self, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Move the pixels near the border to the region whose blur they have.

        A pixel moves if its evidence fits the other region so much better that it outweighs the mask, which has less
        weight near its border. The evidence of each region is normally distributed, with the median and a common
        variance of its pixels away from the border.

        Args:
            mask: bool (H, W), the region with the first blur.

        Returns:
            bool (H, W), likewise, and float32 (H, W) in [0, 1], the probability that a pixel has the first blur.
        """
        (inside, spread), (outside, other) = (self._statistics(region, DEEP) for region in (mask, ~mask))
        certain = mask.astype(np.float32)
        if not inside < outside:
            return mask, certain
        variance = (spread**2 + other**2) / 2 + 1e-9
        most = (outside - inside) ** 2 / variance  # so that no pixel outvotes all others
        depth, outer = (np.asarray(distance_transform_edt(region), np.float32) for region in (mask, ~mask))
        near = np.maximum(depth, outer) <= REACH
        ratio, weights = self._ratio[near], self._weights[near]
        evidence = np.clip(((ratio - outside) ** 2 - (ratio - inside) ** 2) / (2 * variance), -most, most)
        right = WRONG + (1 - 2 * WRONG) / (1 + np.exp((outer - depth)[near] / UNCERTAIN))
        log_odds = weights / (weights + POOR) * evidence + np.log(right / (1 - right))
        moved, probability = mask.copy(), certain.copy()
        moved[near], probability[near] = log_odds > 0, 1 / (1 + np.exp(-log_odds / SHARED))
        moved = remove_small_holes(remove_small_objects(moved, max_size=SPECK - 1), max_size=SPECK - 1)
        return (mask, certain) if moved.all() or not moved.any() else (moved, probability)

    def _statistics(self, mask: np.ndarray, inset: int) -> tuple[float, float]:
        """The weighted median of the ratio inside a mask, and its standard deviation by the quantiles."""
        check()
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        part = mask[box]
        inner = np.asarray(distance_transform_edt(np.pad(part, 1, constant_values=False)))[1:-1, 1:-1] > inset
        inside = inner if inner.sum() >= LEAST else part
        ratio, weights = self._ratio[box][inside], self._weights[box][inside]
        order = np.argsort(ratio)
        ranks = np.cumsum(weights[order], dtype=np.float64)
        low, middle, high = ratio[order][np.searchsorted(ranks, ranks[-1] * np.array([0.16, 0.5, 0.84]))]
        return float(middle), float(high - low) / 2


@torch.no_grad()
def _variation(image: Image, blur: np.ndarray, scale: int) -> np.ndarray:
    """The variation (H, W) in each low-resolution pixel of the image restored with a blur."""
    affordable = min(STRIP_PIXELS, room() // BYTES_PER_PIXEL)
    reach, rows = reach_of(blur, scale), max(1, affordable // (image.shape[1] * scale**2))
    strips = []
    for top in range(0, len(image), rows):
        check()
        first = max(0, top - reach)
        low = luma_tensor(images.to_tensor(image[first : top + rows + reach]))
        high = F.interpolate(low, scale_factor=scale, mode="bicubic", align_corners=False)
        found = variation(restored(high, low, blur, scale, STRENGTH))
        strips.append(F.avg_pool2d(found, scale)[0, 0, top - first :][:rows] * scale**2)
    return torch.cat(strips).numpy()
