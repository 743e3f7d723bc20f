"""Putting enlarged regions together again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mkgan_core.errors import RegionError
from mkgan_core.images import Image
from mkgan_core.regions import Region, feather_weights


def compose(parts: Sequence[tuple[Region, Image]], scale: int, feather: float = 0.0) -> Image:
    """One high-resolution image from regions enlarged on their bounding boxes.

    Args:
        parts: (region, image) pairs; each image covers its region's box, (s h, s w, 3). The regions partition the
            low-resolution image.
        scale: enlargement factor s.
        feather: std, in high-resolution pixels, over which neighbours are blended, as far as their boxes reach;
            0 for hard masks.

    Raises:
        RegionError: if an image does not have the size of its box, or the regions leave gaps.
    """
    height, width = parts[0][0].mask.shape
    whole = np.zeros((height * scale, width * scale, 3), np.float32)
    total = np.zeros((height * scale, width * scale, 1), np.float32)
    covered = np.zeros((height, width), bool)
    for region, image in parts:
        top, left, bottom, right = region.box
        expected = ((bottom - top) * scale, (right - left) * scale, 3)
        if image.shape != expected:
            raise RegionError(f"region '{region.name}' was enlarged to {image.shape}, its box needs {expected}")
        window = np.s_[top * scale : bottom * scale, left * scale : right * scale]
        weight = feather_weights(region.mask, scale, feather)[window][..., None]
        whole[window] += weight * image
        total[window] += weight
        covered |= region.mask
    if not covered.all():
        raise RegionError(f"{(~covered).sum()} pixels belong to no region; the regions must cover the image")
    return whole / total if feather > 0 else whole
