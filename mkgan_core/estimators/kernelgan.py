"""KernelGAN (Bell-Kligler, Shocher & Irani, NeurIPS 2019): the kernel that keeps patches alike across scales.

This module holds the settings and the choice of crops; `kernelgan_training` holds the networks.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from mkgan_core import environment, kernels
from mkgan_core.batching import Batcher
from mkgan_core.crops import draw_crops, gradient_map, seed_of
from mkgan_core.errors import KernelError, RegionError
from mkgan_core.estimators import KernelEstimate, from_half, plausibility
from mkgan_core.images import Image
from mkgan_core.regions import Region

BATCH_LIMIT = {"cpu": 16, "cuda": 512}  # regions trained at once
BATCH_WAIT_S = 0.5
GENERATOR_CROP = 64
DISCRIMINATOR_CROP = 26


@dataclass(frozen=True)
class KernelGanSettings:
    """Settings of KernelGAN; the defaults are the published ones (METHOD §2)."""

    iterations: int = 3000
    """Generator and discriminator steps; every schedule below shortens in proportion to 3000."""
    learning_rate: float = 2e-4
    """Adam's rate for both networks, divided by 10 every 750 of 3000 iterations."""
    shave: int = 10
    """Pixels left out at each border, where a synthetic blur saw mirrored pixels."""
    against_spectrum: bool = False
    """Refuse kernels that contradict the image's spectrum (`plausibility`), which the published program does not."""

    def stretch(self, published: int) -> int:
        """A period of the published 3000-iteration schedule in this schedule."""
        return max(1, round(published * self.iterations / 3000))


PRESETS = {
    "paper": KernelGanSettings(),
    # a fifth of the schedule with five times the rate: the weights have the same way to go
    "fast": replace(KernelGanSettings(), iterations=600, learning_rate=1e-3, against_spectrum=True),
}
PRESETS["best"] = PRESETS["fast"]  # the published schedule finds no better kernels (BENCHMARKS.md)


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

    version = 3
    needs_truth = False
    seeded = True
    batched = True
    min_side = GENERATOR_CROP

    def __init__(self, settings: KernelGanSettings) -> None:
        self.settings = settings

    def estimate(
        self, image: Image, region: Region, scale: int, *, seed: int, truth: KernelEstimate | None, device: str
    ) -> KernelEstimate:
        """The kernel at x2, and for x4 its composition with itself (METHOD §1); concurrent calls train together.

        Raises:
            RegionError: if the image is too small for the 64-pixel crops.
            KernelError: if the training did not converge, or its kernel contradicts the image's spectrum.
        """
        with environment.computing():
            prepared = problem(image, region, seed, self.settings)
        kernel, seconds = _batcher(self.settings, device)(prepared)
        try:
            estimate = from_half(kernels.centre(post_process(kernel), 2), scale, seconds)
            if self.settings.against_spectrum:
                with environment.computing():
                    plausibility.check(estimate.kernel, image, region.mask, scale)
        except KernelError as fault:
            raise KernelError(str(fault), seconds) from fault
        return estimate


@cache
def _batcher(settings: KernelGanSettings, device: str) -> Batcher[Problem, tuple[np.ndarray, float]]:
    """Trains concurrent calls with the same settings as one batch; each result comes with its share of the time."""

    def solve(batch: Sequence[Problem]) -> list[tuple[np.ndarray, float]]:
        from mkgan_core.estimators.kernelgan_training import train

        with environment.computing(len(batch)):
            environment.prepare_torch()
            start = time.perf_counter()
            trained = train(batch, settings, device)
            share = (time.perf_counter() - start) / len(batch)
        return [(kernel, share) for kernel in trained]

    return Batcher(solve, BATCH_LIMIT[device.partition(":")[0]], BATCH_WAIT_S)


def problem(image: Image, region: Region, seed: int, settings: KernelGanSettings) -> Problem:
    """Draw all crops of a region.

    Raises:
        RegionError: if the image is smaller than a crop.
    """
    height, width = image.shape[:2]
    if min(height, width) < GENERATOR_CROP:
        raise RegionError(f"the image is {width}x{height} pixels, KernelGAN needs at least {GENERATOR_CROP} each way")
    shave = min(settings.shave, (min(height, width) - GENERATOR_CROP) // 2)
    # the generator halves the picture, so even sides keep both gradient maps aligned
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


def post_process(kernel: np.ndarray) -> np.ndarray:
    """Subtract 0.75 x the 41st largest value, clip at zero, normalise (METHOD §2, after training).

    Raises:
        KernelError: if the training diverged or never took off: a trained kernel sums to one by its own penalty.
    """
    if not abs(kernel.sum() - 1) < 0.5:  # also true of NaN
        raise KernelError(f"did not converge (its sum is {kernel.sum():.2f} instead of 1)")
    floor = 0.75 * np.sort(kernel, axis=None)[-41]
    return kernels.normalise(np.maximum(kernel - floor, 0))


def _halve(image: Image) -> Image:
    """Bicubic reduction by two."""
    from mkgan_core.degradation import degrade

    return degrade(image, kernels.bicubic(2), 2)
