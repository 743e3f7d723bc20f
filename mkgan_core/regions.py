"""Regions: named masks that partition a low-resolution image, and the rules every segmenter's masks go through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mkgan_core.errors import RegionError

MIN_AREA = 64 * 64  # one KernelGAN crop: less cannot be trained on
BLOCK_RATIO = 0.15  # METHOD §4: masks are made blocky on a grid of this fraction of the image


@dataclass(frozen=True)
class Region:
    """A named part of a low-resolution image.

    Attributes:
        name: ``whole``, ``object``, ``background``, ...
        mask: bool (H, W) at low resolution.
    """

    name: str
    mask: np.ndarray

    @property
    def area(self) -> int:
        """Number of low-resolution pixels."""
        return int(self.mask.sum())

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Bounding box (top, left, bottom, right), the far edges exclusive."""
        rows, columns = (np.flatnonzero(self.mask.any(axis=axis)) for axis in (1, 0))
        return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1

    @property
    def is_whole(self) -> bool:
        return bool(self.mask.all())


def whole(shape: tuple[int, int]) -> Region:
    """The single region of an image that is not split."""
    return Region("whole", np.ones(shape, bool))


def partition(masks: dict[str, np.ndarray], shape: tuple[int, int], min_area: int = MIN_AREA) -> list[Region]:
    """Disjoint regions that cover the image exactly, from any masks.

    A pixel belongs to the first mask that claims it, the rest to ``background``. What is smaller than ``min_area``
    joins the background; a background that is too small joins the largest region; a single survivor is ``whole``.

    Args:
        masks: name -> bool (H, W).
        shape: (H, W) of the image.
        min_area: the size floor in low-resolution pixels.

    Raises:
        RegionError: if a mask's shape is not the image's.
    """
    free = np.ones(shape, bool)
    kept: list[Region] = []
    for name, mask in masks.items():
        if mask.shape != tuple(shape):
            raise RegionError(f"mask '{name}' is {mask.shape}, the image {tuple(shape)}; masks must have its size")
        claimed = mask & free
        if claimed.sum() >= min_area:
            kept.append(Region(name, claimed))
            free &= ~claimed
    if not kept:
        return [whole(shape)]
    if free.sum() >= min_area:
        return [*kept, Region("background", free)]
    if len(kept) == 1:
        return [whole(shape)]
    largest = max(range(len(kept)), key=lambda index: kept[index].area)
    kept[largest] = Region(kept[largest].name, kept[largest].mask | free)
    return kept


def clean(mask: np.ndarray, min_area: int = MIN_AREA) -> np.ndarray:
    """Fill holes and remove specks smaller than ``min_area`` pixels."""
    from skimage.morphology import remove_small_holes, remove_small_objects

    return remove_small_holes(remove_small_objects(mask, max_size=min_area - 1), max_size=min_area - 1)


def blocky(mask: np.ndarray, ratio: float = BLOCK_RATIO) -> np.ndarray:
    """The mask on a coarse grid: nearest-neighbour reduction by ``ratio`` and back (METHOD §4)."""
    height, width = mask.shape
    rows, columns = (max(1, round(side * ratio)) for side in (height, width))
    pick_rows = ((np.arange(rows) + 0.5) * height / rows).astype(int)
    pick_columns = ((np.arange(columns) + 0.5) * width / columns).astype(int)
    coarse = mask[np.ix_(pick_rows, pick_columns)]
    return coarse[np.ix_(np.arange(height) * rows // height, np.arange(width) * columns // width)]


def enlarge_mask(mask: np.ndarray, scale: int) -> np.ndarray:
    """The high-resolution mask (s H, s W) of a low-resolution one; ``[::s, ::s]`` of it gives the mask back."""
    return mask.repeat(scale, axis=0).repeat(scale, axis=1)
