"""KernelGAN (Bell-Kligler, Shocher & Irani, NeurIPS 2019): the kernel that keeps patches alike across scales.

This module holds the settings and the choice of crops; `kernelgan_training` holds the networks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mkgan_core import kernels
from mkgan_core.errors import RegionError
from mkgan_core.estimators import KernelEstimate
from mkgan_core.images import Image
from mkgan_core.regions import Region

GENERATOR_CROP = 64
DISCRIMINATOR_CROP = 26
MIN_FILL = 0.6  # METHOD §2: crops only where the region fills this much of the crop


@dataclass(frozen=True)
class KernelGanSettings:
    """Settings of KernelGAN; the defaults are the published ones (METHOD §2)."""

    iterations: int = 3000
    """Generator and discriminator steps; every schedule below shortens in proportion to 3000."""
    learning_rate: float = 2e-4
    """Adam's rate for both networks, divided by 10 every 750 of 3000 iterations."""
    shave: int = 10
    """Pixels left out at each border, where a synthetic blur saw mirrored pixels."""

    def stretch(self, published: int) -> int:
        """A period of the published 3000-iteration schedule in this schedule."""
        return max(1, round(published * self.iterations / 3000))


PRESETS = {
    "paper": KernelGanSettings(),
    "fast": replace(KernelGanSettings(), iterations=1000),
}


@dataclass(frozen=True)
class Problem:
    """One region to estimate a kernel for, with every random choice of crops made up front.

    Attributes:
        image: (H, W, 3) in [0, 1], borders shaved.
        generator_crops: (N, 2) top-left corners of 64 x 64 crops, even.
        discriminator_crops: (N, 2) top-left corners of 26 x 26 crops, even.
        weight_seed: seed of the initial weights, the same for all regions of an image.
        noise_seed: seed of the noise, the region's own.
    """

    image: Image
    generator_crops: np.ndarray
    discriminator_crops: np.ndarray
    weight_seed: int
    noise_seed: int


class KernelGan:
    """Estimator `kernelgan`."""

    version = 1
    needs_truth = False
    seeded = True

    def __init__(self, settings: KernelGanSettings) -> None:
        self.settings = settings

    def estimate(
        self, image: Image, region: Region, scale: int, *, seed: int, truth: KernelEstimate | None, device: str
    ) -> KernelEstimate:
        """The kernel at x2, and for x4 its composition with itself (METHOD §1).

        Raises:
            RegionError: if the image is too small for the 64-pixel crops.
        """
        from mkgan_core.estimators.kernelgan_training import train

        (kernel,) = train([problem(image, region, seed, self.settings)], self.settings, device)
        half = kernels.centre(post_process(kernel), 2)
        if scale == 2:
            return KernelEstimate(half)
        return KernelEstimate(kernels.compose_x4(half, crop=True), half)


def problem(image: Image, region: Region, seed: int, settings: KernelGanSettings) -> Problem:
    """Draw all crops of a region.

    Raises:
        RegionError: if the image, less its shaved borders, is smaller than a crop.
    """
    needed = 2 * GENERATOR_CROP + 2 * settings.shave
    if min(image.shape[:2]) < needed:
        raise RegionError(
            f"the image is {image.shape[1]}x{image.shape[0]} pixels, KernelGAN needs at least {needed} each way; "
            "use a larger image or an estimator without crops"
        )
    inner = slice(settings.shave, -settings.shave)
    # the generator halves the picture, so an even crop keeps both gradient maps aligned
    shaved = image[inner, inner][: (image.shape[0] - 2 * settings.shave) // 2 * 2]
    shaved = shaved[:, : (image.shape[1] - 2 * settings.shave) // 2 * 2]
    mask = region.mask[inner, inner][: shaved.shape[0], : shaved.shape[1]]
    rng = np.random.default_rng([seed, _digest(image), _digest(region.mask)])
    coarse = gradient_map(_halve(shaved)).repeat(2, axis=0).repeat(2, axis=1)
    return Problem(
        shaved,
        draw_crops(coarse, mask, GENERATOR_CROP, settings.iterations, rng),
        draw_crops(gradient_map(shaved), mask, DISCRIMINATOR_CROP, settings.iterations, rng),
        weight_seed=int(np.random.default_rng([seed, _digest(image)]).integers(2**62)),
        noise_seed=int(rng.integers(2**62)),
    )


def gradient_map(image: Image) -> np.ndarray:
    """Where the image has structure worth learning from (METHOD §2), (H, W), sum 1.

    |gx|, |gy| and the magnitude, each reduced to what exceeds its 97th percentile, normalised, summed, 5 x 5 box.
    """
    from scipy.ndimage import uniform_filter

    gy, gx = np.gradient(image.mean(axis=2))
    total = np.zeros(image.shape[:2])
    for strength in (np.abs(gx), np.abs(gy), np.hypot(gx, gy)):
        excess = np.maximum(strength - np.percentile(strength, 97), 0)
        total += excess / max(float(excess.sum()), 1e-12)
    smooth = np.maximum(uniform_filter(total, 5), 0)
    return smooth / smooth.sum() if smooth.sum() > 0 else np.full_like(smooth, 1 / smooth.size)


def draw_crops(
    weights: np.ndarray, mask: np.ndarray, crop: int, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Corners (count, 2) of crops, drawn in proportion to the weights around their centres, even, inside the image.

    Only crops that the mask fills to 60 % are drawn; when there is none, the best-filled ones.
    """
    from scipy.ndimage import uniform_filter

    height, width = weights.shape
    tops, lefts = np.arange(0, height - crop + 1, 2), np.arange(0, width - crop + 1, 2)
    corner = np.ix_(tops, lefts)
    probability = uniform_filter(weights, crop // 2)[np.ix_(tops + crop // 2, lefts + crop // 2)]
    probability = np.maximum(probability, 0)  # running sums leave tiny negatives
    filled = np.pad(mask.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    fill = (
        filled[crop:, crop:] - filled[:-crop, crop:] - filled[crop:, :-crop] + filled[:-crop, :-crop]
    )[corner] / crop**2
    probability[fill < min(MIN_FILL, fill.max())] = 0
    if probability.sum() <= 0:  # a region without any structure: every allowed crop is as good
        probability = (fill >= min(MIN_FILL, fill.max())).astype(np.float64)
    chosen = rng.choice(probability.size, size=count, p=(probability / probability.sum()).ravel())
    return np.stack([tops[chosen // len(lefts)], lefts[chosen % len(lefts)]], axis=1)


def post_process(kernel: np.ndarray) -> np.ndarray:
    """Subtract 0.75 x the 41st largest value, clip at zero, normalise (METHOD §2, after training).

    Raises:
        KernelError: if nothing is left, or the training went non-finite.
    """
    floor = 0.75 * np.sort(kernel, axis=None)[-41]
    return kernels.normalise(np.maximum(kernel - floor, 0))


def _halve(image: Image) -> Image:
    """Bicubic reduction by two."""
    from mkgan_core.degradation import degrade

    return degrade(image, kernels.bicubic(2), 2)


def _digest(array: np.ndarray) -> int:
    """A number that stands for an array's content, to seed a region's own random stream."""
    return int.from_bytes(hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest()[:8], "big")


def problems(
    items: Sequence[tuple[Image, Region, int]], settings: KernelGanSettings
) -> list[Problem]:
    """`problem` for several regions, to be trained as one batch."""
    return [problem(image, region, seed, settings) for image, region, seed in items]
