"""Putting enlarged regions together again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mkgan_core.errors import RegionError
from mkgan_core.images import Image
from mkgan_core.regions import Region, enlarge_mask


def compose(parts: Sequence[tuple[Region, Image]], scale: int) -> Image:
    """One high-resolution image from regions enlarged on their bounding boxes (hard masks).

    Args:
        parts: (region, image) pairs; each image covers its region's box, (s h, s w, 3). The regions partition the
            low-resolution image.
        scale: enlargement factor s.

    Raises:
        RegionError: if an image does not have the size of its box, or the regions leave gaps.
    """
    height, width = parts[0][0].mask.shape
    whole = np.zeros((height * scale, width * scale, 3), np.float32)
    covered = np.zeros((height, width), bool)
    for region, image in parts:
        top, left, bottom, right = region.box
        expected = ((bottom - top) * scale, (right - left) * scale, 3)
        if image.shape != expected:
            raise RegionError(f"region '{region.name}' was enlarged to {image.shape}, its box needs {expected}")
        window = whole[top * scale : bottom * scale, left * scale : right * scale]
        inside = enlarge_mask(region.mask[top:bottom, left:right], scale)
        window[inside] = image[inside]
        covered |= region.mask
    if not covered.all():
        raise RegionError(f"{(~covered).sum()} pixels belong to no region; the regions must cover the image")
    return whole
