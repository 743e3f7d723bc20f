"""A region prepared for KernelGAN: all crops are chosen at random before the training, without torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mkgan_core.errors import RegionError
from mkgan_core.estimators.kernelgan.settings import DISCRIMINATOR_CROP, GENERATOR_CROP, KernelGanSettings
from mkgan_core.imaging import kernels
from mkgan_core.imaging.crops import draw_crops, gradient_map, seed_of
from mkgan_core.imaging.degradation import degrade
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.regions import Region


@dataclass(frozen=True)
class Problem:
    """A region with the corners of all its training crops.

    Attributes:
        image: (H, W, 3) in [0, 1], without its borders.
        generator_crops: (N, 2) top-left corners of 64 x 64 crops, even.
        discriminator_crops: (N, 2) top-left corners of 26 x 26 crops, even.
        weight_seed: seed of the initial weights, the same for all regions of an image.
        noise_seed: seed of the region's noise.
    """

    image: Image
    generator_crops: np.ndarray
    discriminator_crops: np.ndarray
    weight_seed: int
    noise_seed: int


def problem(image: Image, region: Region, seed: int, settings: KernelGanSettings) -> Problem:
    """Draw all crops of a region, with probability proportional to their gradients (method.md §2).

    Args:
        image: (H, W, 3) in [0, 1], low resolution.
        region: of the image.
        seed: of the random draws.
        settings: see `KernelGanSettings`.

    Raises:
        RegionError: if the image is smaller than a crop.
    """
    height, width = image.shape[:2]
    if min(height, width) < GENERATOR_CROP:
        raise RegionError(f"the image is {width}x{height} pixels, KernelGAN needs at least {GENERATOR_CROP} each way")
    shave = min(settings.shave, (min(height, width) - GENERATOR_CROP) // 2)
    # the generator halves the image, so even sides keep both gradient maps aligned
    inner = tuple(slice(shave, shave + (side - 2 * shave) // 2 * 2) for side in (height, width))
    shaved, mask = image[inner], region.mask[inner]
    rng = np.random.default_rng([seed, seed_of(image), seed_of(region.mask)])
    coarse = gradient_map(_halve(shaved)).repeat(2, axis=0).repeat(2, axis=1)
    return Problem(
        shaved,
        draw_crops(coarse, mask, GENERATOR_CROP, settings.iterations, rng),
        draw_crops(gradient_map(shaved), mask, DISCRIMINATOR_CROP, settings.iterations, rng),
        weight_seed=int(np.random.default_rng([seed, seed_of(image)]).integers(2**62)),
        noise_seed=int(rng.integers(2**62)),
    )


def _halve(image: Image) -> Image:
    """Bicubic reduction by two."""
    return degrade(image, kernels.bicubic(2), 2)
