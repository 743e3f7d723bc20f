"""The rules that every segmenter's masks go through before they become regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mkgan_core.imaging.regions import Region, check_shapes, whole
from mkgan_core.importing import importing

MIN_AREA = 64 * 64  # one KernelGAN crop: less cannot be trained on
BLOCK_RATIO = 0.15  # method.md §4: masks are made blocky on a grid of this fraction of the image
RULES_VERSION = 1  # of what `Rules` mean; part of the key of every segmentation


@dataclass(frozen=True)
class Rules:
    """What a segmenter's masks go through, in this order, before they become regions."""

    speck: int = MIN_AREA
    """Pieces and holes of fewer low-resolution pixels vanish."""
    thin: float = 0.0
    """Strands narrower than this many pixels vanish: no crop fits into them, and they leave coloured seams."""
    largest_only: bool = False
    """Of each mask keep the largest connected piece."""
    block_ratio: float | None = BLOCK_RATIO
    """Fraction of the image's size that the masks' grid has; None leaves their borders."""
    min_area: int = MIN_AREA
    """The size floor of a region in low-resolution pixels."""


AS_DRAWN = Rules(speck=0, block_ratio=None)  # for masks that a person made: the floor, nothing else


def from_masks(masks: Mapping[str, np.ndarray], shape: tuple[int, int], rules: Rules) -> list[Region]:
    """Regions from a segmenter's masks: tidied by the rules, disjoint, covering the image, none under the floor.

    A pixel belongs to the first mask that claims it; what is left between masks and smaller than a speck goes to the
    nearest of them, the rest to ``background``.

    Args:
        masks: name -> bool (H, W), the most important first.
        shape: (H, W) of the image.
        rules: see `Rules`.

    Raises:
        RegionError: if a mask's shape is not the image's.
    """
    check_shapes(masks, shape)
    owner = np.zeros(shape, np.int32)  # 0 is nobody's
    for number, mask in enumerate(masks.values(), 1):
        free = owner == 0
        owner[tidy(mask.astype(bool) & free, rules) & free] = number
    if rules.speck and owner.any():
        with importing:
            from scipy.ndimage import distance_transform_edt

        crumbs = (owner == 0) & ~clean(owner == 0, rules.speck, holes=False)
        nearest = np.asarray(distance_transform_edt(owner == 0, return_distances=False, return_indices=True))
        owner = np.where(crumbs, owner[tuple(nearest)], owner)
    tidied = {name: owner == number for number, name in enumerate(masks, 1)}
    return partition(tidied, shape, rules.min_area)


def tidy(mask: np.ndarray, rules: Rules) -> np.ndarray:
    """One mask after the rules: without specks, holes and strands, its largest piece, on the grid."""
    if rules.thin:
        with importing:
            from skimage.morphology import isotropic_opening

        mask = isotropic_opening(clean(mask, rules.speck) if rules.speck else mask, rules.thin / 2)
    if rules.speck:
        mask = clean(mask, rules.speck)
    if rules.largest_only:
        mask = largest_piece(mask)
    if rules.block_ratio is not None:
        mask = blocky(mask, rules.block_ratio)
        mask = clean(mask, rules.speck) if rules.speck else mask  # the grid can cut thin bridges
    return mask


def partition(masks: Mapping[str, np.ndarray], shape: tuple[int, int], min_area: int = MIN_AREA) -> list[Region]:
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
    check_shapes(masks, shape)
    free = np.ones(shape, bool)
    kept: list[Region] = []
    for name, mask in masks.items():
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


def clean(mask: np.ndarray, speck: int = MIN_AREA, *, holes: bool = True) -> np.ndarray:
    """Remove pieces, and fill holes, of fewer than ``speck`` pixels."""
    with importing:
        from skimage.morphology import remove_small_holes, remove_small_objects

    kept = remove_small_objects(mask, max_size=speck - 1)
    return remove_small_holes(kept, max_size=speck - 1) if holes else kept


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """The largest connected piece of a mask (four neighbours); an empty mask stays empty."""
    with importing:
        from skimage.measure import label

    sizes = np.bincount((pieces := np.asarray(label(mask, connectivity=1))).ravel())[1:]
    return pieces == 1 + sizes.argmax() if len(sizes) else mask


def blocky(mask: np.ndarray, ratio: float = BLOCK_RATIO) -> np.ndarray:
    """The mask on a coarse grid: nearest-neighbour reduction by ``ratio`` and back (method.md §4)."""
    height, width = mask.shape
    rows, columns = (max(1, round(side * ratio)) for side in (height, width))
    pick_rows = ((np.arange(rows) + 0.5) * height / rows).astype(int)
    pick_columns = ((np.arange(columns) + 0.5) * width / columns).astype(int)
    coarse = mask[np.ix_(pick_rows, pick_columns)]
    return coarse[np.ix_(np.arange(height) * rows // height, np.arange(width) * columns // width)]
