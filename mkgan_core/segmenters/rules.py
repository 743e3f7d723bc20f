"""The rules by which masks become regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mkgan_core.imaging.regions import Region, check_shapes, whole
from mkgan_core.importing import importing

MIN_AREA = 64 * 64  # one KernelGAN crop, the least that it can be trained on
BLOCK_RATIO = 0.15  # masks are coarsened to a grid of this fraction of the image's size (method.md §4)
RULES_VERSION = 1  # of the meaning of `Rules`; part of the key of every segmentation


@dataclass(frozen=True)
class Rules:
    """The rules of a segmenter, in the order in which they apply to its masks."""

    speck: int = MIN_AREA
    """Pieces and holes of fewer low-resolution pixels are removed."""
    thin: float = 0.0
    """Strands narrower than this many pixels are removed: no crop fits into them, and they cause coloured seams."""
    largest_only: bool = False
    """Keep only the largest connected piece of each mask."""
    block_ratio: float | None = BLOCK_RATIO
    """Size of the masks' grid as a fraction of the image's; with None, the masks keep their borders."""
    min_area: int = MIN_AREA
    """Least area of a region, in low-resolution pixels."""


AS_DRAWN = Rules(speck=0, block_ratio=None)  # for masks that a person drew: only the least area


def from_masks(masks: Mapping[str, np.ndarray], shape: tuple[int, int], rules: Rules) -> list[Region]:
    """Turn a segmenter's masks into regions by its rules.

    A pixel in several masks belongs to the first of them. Gaps between masks that are smaller than a speck go to the
    nearest mask, and all other pixels to ``background``.

    Args:
        masks: name -> bool (H, W), the most important first.
        shape: (H, W) of the image.
        rules: see `Rules`.

    Returns:
        Disjoint regions that cover the image, none below the least area.

    Raises:
        RegionError: if a mask's shape is not the image's.
    """
    check_shapes(masks, shape)
    owner = np.zeros(shape, np.int32)  # 0: no mask
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
    """Apply the rules to one mask, bool (H, W): remove specks, holes and strands, and coarsen it to the grid."""
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
        mask = clean(mask, rules.speck) if rules.speck else mask  # the grid may have cut thin bridges
    return mask


def partition(masks: Mapping[str, np.ndarray], shape: tuple[int, int], min_area: int = MIN_AREA) -> list[Region]:
    """Turn masks into disjoint regions that cover the image.

    A pixel in several masks belongs to the first of them, a pixel in none to ``background``. Regions smaller than
    ``min_area`` join the background, and a background smaller than that joins the largest region. If only one region
    remains, its name is ``whole``.

    Args:
        masks: name -> bool (H, W), the most important first.
        shape: (H, W) of the image.
        min_area: least area of a region, in low-resolution pixels.

    Raises:
        RegionError: if a mask's shape is not the image's.

    Example:
        >>> mask = np.zeros((100, 200), bool)
        >>> mask[:, :90] = True
        >>> [(region.name, region.area) for region in partition({"object": mask}, (100, 200))]
        [('object', 9000), ('background', 11000)]
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
    """Remove pieces and fill holes of fewer than ``speck`` pixels in a mask, bool (H, W).

    Example:
        >>> mask = np.ones((20, 20), bool)
        >>> mask[5, 5] = False
        >>> bool(clean(mask, 9).all()), bool(clean(mask, 9, holes=False).all())
        (True, False)
    """
    with importing:
        from skimage.morphology import remove_small_holes, remove_small_objects

    kept = remove_small_objects(mask, max_size=speck - 1)
    return remove_small_holes(kept, max_size=speck - 1) if holes else kept


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """The largest connected piece of a mask, bool (H, W), with four neighbours; an empty mask stays empty.

    Example:
        >>> largest_piece(np.array([[True, False, True, True]])).tolist()
        [[False, False, True, True]]
    """
    with importing:
        from skimage.measure import label

    sizes = np.bincount((pieces := np.asarray(label(mask, connectivity=1))).ravel())[1:]
    return pieces == 1 + sizes.argmax() if len(sizes) else mask


def blocky(mask: np.ndarray, ratio: float = BLOCK_RATIO) -> np.ndarray:
    """Coarsen a mask, bool (H, W), by nearest-neighbour reduction by ``ratio`` and back (method.md §4).

    Example:
        >>> blocky(np.array([[True, True, True, False]] * 4), 0.5)[0].tolist()
        [True, True, False, False]
    """
    height, width = mask.shape
    rows, columns = (max(1, round(side * ratio)) for side in (height, width))
    pick_rows = ((np.arange(rows) + 0.5) * height / rows).astype(int)
    pick_columns = ((np.arange(columns) + 0.5) * width / columns).astype(int)
    coarse = mask[np.ix_(pick_rows, pick_columns)]
    return coarse[np.ix_(np.arange(height) * rows // height, np.arange(width) * columns // width)]
