"""Michaeli & Irani, "Nonparametric Blind Super-resolution", ICCV 2013: the classical estimator (METHOD §5).

The right kernel makes patches of the image, downscaled with it, alike to patches of the image itself. Patches and
kernel are found in turns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mkgan_core import kernels
from mkgan_core.errors import KernelError
from mkgan_core.estimators import KernelEstimate, from_half, plausibility
from mkgan_core.images import Image
from mkgan_core.regions import Region


@dataclass(frozen=True)
class MichaeliIraniSettings:
    """Settings of Michaeli and Irani's estimator."""

    rounds: int = 15
    patch: int = 5
    size: int = 13
    """Side of the kernel."""
    queries: int = 2000
    """Patches of the image that look for others like them, drawn by structure."""
    candidates: int = 40000
    """Patches of the downscaled image that they choose from, those with the most structure."""
    neighbours: int = 5
    smoothness: float = 0.05
    """Weight of the kernel's squared differences, relative to the mean of the system's diagonal."""


class MichaeliIrani:
    """Estimator `michaeli-irani`."""

    version = 2
    needs_truth = False
    seeded = True
    batched = False
    min_side = 32

    def __init__(self, settings: MichaeliIraniSettings) -> None:
        self.settings = settings

    def estimate(
        self, image: Image, region: Region, scale: int, *, seed: int, truth: KernelEstimate | None, device: str
    ) -> KernelEstimate:
        """The kernel at x2, and for x4 its composition with itself (METHOD §1).

        Raises:
            KernelError: if the region is too small for the patches, or the kernel contradicts the image's spectrum.
        """
        from mkgan_core.estimators import michaeli_irani_rounds

        half = michaeli_irani_rounds.estimate(image, region.mask, self.settings, seed, device)
        if not np.isfinite(half).all() or half.sum() <= 0:
            raise KernelError("vanished: no patch of the image recurs in it at half the size")
        estimate = from_half(kernels.centre(half, 2), scale)
        plausibility.check(estimate.kernel, image, region.mask, scale)
        return estimate
