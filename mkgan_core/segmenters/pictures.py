"""Pictures of a segmentation: its masks, and the image with the borders of its regions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mkgan_core.imaging import images
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.regions import Region, enlarge_mask
from mkgan_core.importing import importing

RED = (1.0, 0.0, 0.0)


def mask_files(image: Image, regions: Sequence[Region], scale: int) -> Iterator[tuple[str, bytes]]:
    """Draw `{obj,back}_{lr,hr}_mask.png`, where the object or the background is white, and `overlay.png`.

    The object of several is their union. If the image is one region, its object mask is black.

    Args:
        image: (H, W, 3) in [0, 1], low resolution.
        regions: of the image.
        scale: of the `hr` masks.

    Yields:
        Name and content (PNG) of each file.
    """
    background = background_of(regions)
    for part, mask in (("obj", ~background), ("back", background)):
        for size, picture in (("lr", mask), ("hr", enlarge_mask(mask, scale))):
            yield f"{part}_{size}_mask.png", images.encode_png(picture)
    yield "overlay.png", images.encode_png(overlay(image, regions))


def overlay(image: Image, regions: Sequence[Region]) -> Image:
    """Side by side: the image, both masks, and the image within each mask; the borders of regions are red.

    Args:
        image: (H, W, 3) in [0, 1].
        regions: of the image.
    """
    with importing:
        from skimage.segmentation import mark_boundaries

    background = background_of(regions)
    grey = [np.repeat(mask[..., None], 3, axis=2).astype(np.float32) for mask in (~background, background)]
    labels = np.sum([number * region.mask for number, region in enumerate(regions)], axis=0)
    shown = np.asarray(mark_boundaries(image, labels, color=RED, mode="thick"))
    return np.concatenate([image, *grey, *(shown * (0.15 + 0.85 * mask) for mask in grey)], axis=1)


def background_of(regions: Sequence[Region]) -> np.ndarray:
    """The mask, bool (H, W), of the background; the whole image if it is one region."""
    empty = np.zeros(regions[0].mask.shape, bool)
    return next((region.mask for region in regions if region.name in ("background", "whole")), empty)
