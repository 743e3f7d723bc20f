"""Regions: named masks that partition a low-resolution image, and the composition of their enlargements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mkgan_core.errors import RegionError
from mkgan_core.importing import importing

UNLIKELY = 0.05  # probability below which a pixel does not belong to a region
STRIP_ROWS = 256  # high-resolution rows that are blended at a time


@dataclass(frozen=True)
class Region:
    """A named part of a low-resolution image.

    Attributes:
        name: ``whole``, ``object``, ``background``, ...
        mask: bool (H, W) at low resolution.
        core: bool (H, W), where its blur is estimated, if not in the whole mask.
        probability: float32 (H, W) in [0, 1], that a pixel has this region's blur, if the mask is uncertain.
    """

    name: str
    mask: np.ndarray
    core: np.ndarray | None = None
    probability: np.ndarray | None = None

    @property
    def sure(self) -> np.ndarray:
        """Where its blur is estimated, bool (H, W)."""
        return self.mask if self.core is None else self.core

    @property
    def shares(self) -> np.ndarray:
        """The probability that a pixel has this region's blur, float32 (H, W); of a certain mask 0 or 1."""
        return self.mask.astype(np.float32) if self.probability is None else self.probability

    @property
    def area(self) -> int:
        """Number of low-resolution pixels."""
        return int(self.mask.sum())

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Bounding box (top, left, bottom, right) of all pixels that may have its blur, the far edges exclusive."""
        possible = self.mask if self.probability is None else self.mask | (self.probability > UNLIKELY)
        rows, columns = (np.flatnonzero(possible.any(axis=axis)) for axis in (1, 0))
        return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1

    @property
    def is_whole(self) -> bool:
        return bool(self.mask.all())

    @property
    def subject(self) -> str:
        """The region's name for messages."""
        return "the image" if self.is_whole else f"region '{self.name}'"


def whole(shape: tuple[int, int]) -> Region:
    """The single region of an image that is not split."""
    return Region("whole", np.ones(shape, bool))


def check_shapes(masks: Mapping[str, np.ndarray], shape: tuple[int, int]) -> None:
    """Check that all masks have the image's size.

    Raises:
        RegionError: naming the mask and both sizes, if one has not.
    """
    for name, mask in masks.items():
        if mask.shape != tuple(shape):
            raise RegionError(f"mask '{name}' has shape {mask.shape}, the image {tuple(shape)}; use a mask of its size")


def enlarge_mask(mask: np.ndarray, scale: int) -> np.ndarray:
    """The high-resolution mask (s H, s W) of a low-resolution one; its ``[::s, ::s]`` is the original mask."""
    return mask.repeat(scale, axis=0).repeat(scale, axis=1)


def feather_weights(mask: np.ndarray, scale: int, width: float) -> np.ndarray:
    """A region's weight in each high-resolution pixel, (s H, s W) in [0, 1], to blend regions across borders.

    Over all regions of a partition the weights add up to one.

    Args:
        mask: bool (H, W), the region at low resolution, or its `Region.shares`.
        scale: enlargement factor s.
        width: std of the blend in high-resolution pixels; 0 is the hard mask.
    """
    hard = enlarge_mask(mask, scale).astype(np.float32)
    if width <= 0:
        return hard
    with importing:
        from scipy.ndimage import gaussian_filter

    return gaussian_filter(hard, width, mode="nearest")


def compose(parts: Sequence[tuple[Region, np.ndarray]], scale: int, feather: float = 0.0) -> np.ndarray:
    """Compose one high-resolution image, of the same type, from regions enlarged on their bounding boxes.

    Uncertain regions are blended by the probability of each pixel.

    Args:
        parts: (region, image) pairs; each image covers its region's box, (s h, s w, 3). Blending rounds integer types.
            The regions partition the low-resolution image.
        scale: enlargement factor s.
        feather: standard deviation in high-resolution pixels over which neighbours are blended inside their boxes; 0
            for hard masks.

    Raises:
        RegionError: if an image does not have the size of its box, or the regions leave gaps.
    """
    covered = np.zeros(parts[0][0].mask.shape, bool)
    for region, part in parts:
        top, left, bottom, right = region.box
        expected = ((bottom - top) * scale, (right - left) * scale, 3)
        if part.shape != expected:
            raise RegionError(
                f"the enlargement of region '{region.name}' has shape {part.shape}, but its box needs {expected}; "
                "fix the upscaler"
            )
        covered |= region.mask
    if not covered.all():
        raise RegionError(f"{(~covered).sum()} pixels belong to no region; make the regions cover the image")
    if feather > 0 or any(region.probability is not None for region, _ in parts):
        return _blended(parts, scale, feather)
    image = np.zeros((*enlarge_mask(covered, scale).shape, 3), parts[0][1].dtype)
    for region, part in parts:
        top, left, bottom, right = region.box
        inside = enlarge_mask(region.mask[top:bottom, left:right], scale)
        image[top * scale : bottom * scale, left * scale : right * scale][inside] = part[inside]
    return image


def _blended(parts: Sequence[tuple[Region, np.ndarray]], scale: int, feather: float) -> np.ndarray:
    """The mean of the regions' enlargements, weighted by `feather_weights`; in strips, to save memory."""
    weights = [feather_weights(region.shares, scale, feather) for region, _ in parts]
    image = np.empty((*weights[0].shape, 3), parts[0][1].dtype)
    for first in range(0, len(image), STRIP_ROWS):
        strip = image[first : first + STRIP_ROWS]
        mean, total = np.zeros(strip.shape, np.float32), np.zeros((*strip.shape[:2], 1), np.float32)
        for (region, part), weight in zip(parts, weights, strict=True):
            top, left, bottom, right = (edge * scale for edge in region.box)
            above, below = max(top, first), min(bottom, first + len(strip))
            if above < below:
                place, share = np.s_[above - first : below - first, left:right], weight[above:below, left:right, None]
                mean[place] += share * part[above - top : below - top]
                total[place] += share
        mean /= total
        strip[:] = mean if np.issubdtype(image.dtype, np.floating) else np.round(mean)
    return image
