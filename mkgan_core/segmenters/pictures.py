"""A segmentation to look at: the masks as pictures, and the image with its regions drawn in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mkgan_core.imaging import images
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.regions import Region, enlarge_mask
from mkgan_core.importing import importing

RED = (1.0, 0.0, 0.0)


def mask_files(image: Image, regions: Sequence[Region], scale: int) -> Iterator[tuple[str, bytes]]:
    """Name and content of `{obj,back}_{lr,hr}_mask.png` (white on the object in `obj_*`) and `overlay.png`.

    With several objects, `obj` is their union. An image that is one region has an object mask without any white.
    """
    background = background_of(regions)
    for part, mask in (("obj", ~background), ("back", background)):
        for size, picture in (("lr", mask), ("hr", enlarge_mask(mask, scale))):
            yield f"{part}_{size}_mask.png", images.encode_png(picture)
    yield "overlay.png", images.encode_png(overlay(image, regions))


def overlay(image: Image, regions: Sequence[Region]) -> Image:
    """Side by side: the image, object mask, background mask, and the image over each, borders of regions in red."""
    with importing:
        from skimage.segmentation import mark_boundaries

    background = background_of(regions)
    grey = [np.repeat(mask[..., None], 3, axis=2).astype(np.float32) for mask in (~background, background)]
    labels = np.sum([number * region.mask for number, region in enumerate(regions)], axis=0)
    shown = np.asarray(mark_boundaries(image, labels, color=RED, mode="thick"))
    return np.concatenate([image, *grey, *(shown * (0.15 + 0.85 * mask) for mask in grey)], axis=1)


def background_of(regions: Sequence[Region]) -> np.ndarray:
    """Mask, bool (H, W), of what is no object; all of an image that is in one piece."""
    empty = np.zeros(regions[0].mask.shape, bool)
    return next((region.mask for region in regions if region.name in ("background", "whole")), empty)
