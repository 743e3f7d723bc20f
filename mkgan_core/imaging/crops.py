"""Training crops, drawn by image structure and region."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from mkgan_core.imaging.images import Image, gradients, grey
from mkgan_core.importing import importing

MIN_FILL = 0.6  # method.md §2: crops only where the region fills this much of the crop


def gradient_map(image: Image) -> np.ndarray:
    """Probability map of the image's structure (method.md §2), (H, W), sum 1.

    |gx|, |gy| and the magnitude, each clipped to its values above the 97th percentile, normalised, summed, 5 x 5 box.
    """
    with importing:
        from scipy.ndimage import uniform_filter

    gy, gx = gradients(grey(image))
    total = np.zeros(image.shape[:2])
    for part in range(3):  # one after another, to save memory for large images
        excess = np.abs((gx, gy)[part]) if part < 2 else np.hypot(gx, gy)
        excess -= np.percentile(excess, 97)
        np.maximum(excess, 0, out=excess)
        excess /= max(float(excess.sum()), 1e-12)
        total += excess
    del gx, gy
    smooth = uniform_filter(total, 5)
    np.maximum(smooth, 0, out=smooth)
    whole = smooth.sum()
    if whole <= 0:
        return np.full_like(smooth, 1 / smooth.size)
    smooth /= whole
    return smooth


def richest(image: Image, mask: np.ndarray, side: int) -> tuple[slice, slice]:
    """Rows and columns of the whole image, or of the window of ``side`` pixels with the most structure in the mask.

    Args:
        image: (H, W, 3) in [0, 1].
        mask: bool (H, W).
        side: of the window; a shorter side of the image is used whole.
    """
    with importing:
        from scipy.ndimage import uniform_filter

    height, width = (min(length, side) for length in image.shape[:2])
    size: Any = height, width  # scipy's stub knows one number only
    around = uniform_filter(gradient_map(image) * mask, size, mode="constant")
    rows, columns = image.shape[0] - height, image.shape[1] - width
    centres = around[height // 2 :, width // 2 :][: rows + 1, : columns + 1]
    row, column = np.unravel_index(int(centres.argmax()), centres.shape)
    return slice(int(row), int(row) + height), slice(int(column), int(column) + width)


def draw_crops(
    weights: np.ndarray, mask: np.ndarray, crop: int, count: int, rng: np.random.Generator, *, step: int = 2
) -> np.ndarray:
    """Corners (count, 2) of crops, drawn in proportion to the weights around their centres, inside the image.

    Only crops that the mask covers to at least 60 % are drawn; if there are none, those with the largest coverage.

    Args:
        weights: (H, W), not negative.
        mask: bool (H, W), the region.
        crop: side of a crop.
        count: number of crops.
        rng: random generator.
        step: corners are multiples of this.
    """
    with importing:
        from scipy.ndimage import uniform_filter

    height, width = weights.shape
    tops, lefts = np.arange(0, height - crop + 1, step), np.arange(0, width - crop + 1, step)
    probability = uniform_filter(weights, crop // 2)[np.ix_(tops + crop // 2, lefts + crop // 2)]
    probability = np.maximum(probability, 0)  # running sums leave tiny negatives
    filled = np.pad(mask.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32), ((1, 0), (1, 0)))
    above, below, before, behind = tops, tops + crop, lefts, lefts + crop
    fill = filled[np.ix_(below, behind)] - filled[np.ix_(above, behind)] - filled[np.ix_(below, before)]
    fill = (fill + filled[np.ix_(above, before)]) / crop**2
    probability[fill < min(MIN_FILL, fill.max())] = 0
    if probability.sum() <= 0:  # no structure in the region: all allowed crops are equally good
        probability = (fill >= min(MIN_FILL, fill.max())).astype(np.float64)
    chosen = rng.choice(probability.size, size=count, p=(probability / probability.sum()).ravel())
    return np.stack([tops[chosen // len(lefts)], lefts[chosen % len(lefts)]], axis=1)


def seed_of(array: np.ndarray) -> int:
    """A 64-bit hash of an array, to seed that region's random stream."""
    return int.from_bytes(hashlib.sha256(np.ascontiguousarray(array).data).digest()[:8], "big")
