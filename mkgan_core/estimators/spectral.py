"""The spectral estimator (ours, METHOD §6): the blur read off the power spectrum of the low-resolution image.

The spectrum of a natural image falls off in a known way, A |w|^-alpha with a mild orientation term; what it falls off
faster is the blur's |K|², folded by the sampling. This module holds the settings and the estimator; `spectral_fit` the
measured spectrum and the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from mkgan_core import kernels
from mkgan_core.errors import KernelError
from mkgan_core.estimators import KernelEstimate
from mkgan_core.images import Image
from mkgan_core.regions import Region, whole

if TYPE_CHECKING:
    from mkgan_core.estimators.spectral_fit import Fit, Spectrum


@dataclass(frozen=True)
class SpectralSettings:
    """Settings of the spectral estimator, chosen on kodak24 and bsds20 (BENCHMARKS.md)."""

    window: int = 32
    """Side of the Hann windows that the spectrum is averaged over, half overlapping."""
    fill: float = 0.98
    """Share of a window, weighted by the squared taper, that must lie in the region."""
    flattest: float = 0.3
    """Share of the windows, those with the least contrast, that is left out."""
    min_windows: int = 12
    """Fewer windows than this, colours counted apart, are no spectrum."""
    lowest: float = 2.0
    """Lowest frequency in use, in cycles per window; below it the window's own shape rules."""
    slope: float = 2.8
    """Expected alpha of natural images: the mean over photographs whose grain is not resolved, blur known."""
    slope_std: float = 0.2
    slope_by_contrast: float = 0.27
    """What a region's expected slope gains with its contrast (mean log variance of its windows) above the whole
    image's: flat parts show grain, whose spectrum is flatter."""
    tilt_std: float = 0.33
    """Of the two orientation terms, around none."""
    deviation: float = 1.57
    """Expected standard deviation of the blur along either axis, in high-resolution pixels at x2: the mean, in the log,
    of DIV2KRK's law, variances U(0.6, 5)."""
    deviation_std: float = 0.45
    """Of its log. The law's own 0.285 gives better kernels and no better pictures: it takes small blurs for larger."""
    noise_std: float = 3.0
    """Of the log of the noise above what rounding to 8 bits leaves, around none."""
    robustness: float = 0.1
    """Deviations of the log spectrum beyond this count by their size, no longer by their square."""
    max_uncertainty: float = 0.5
    """Standard deviation of the log of the variance above which the estimate is refused."""
    merge_below: float = 6.0
    """Two regions are joined if one blur for both explains their spectra worse by less than this (in the fit's cost,
    half a sum of squared deviations). Of 103 splits of uniformly blurred photographs one is kept by this."""


class Spectral:
    """Estimator `spectral`."""

    version = 5
    needs_truth = False
    seeded = False
    batched = False
    min_side = 48

    def __init__(self, settings: SpectralSettings) -> None:
        self.settings = settings

    def estimate(
        self, image: Image, region: Region, scale: int, *, seed: int, truth: KernelEstimate | None, device: str
    ) -> KernelEstimate:
        """The Gaussian kernel whose spectrum explains the image's best; at x4 fitted as such, not composed from x2.

        Raises:
            KernelError: if the region has too little texture, or leaves the blur too uncertain.
        """
        from mkgan_core.estimators import spectral_fit

        spectrum = spectral_fit.measure(image, region.mask, self.settings)
        fit = spectral_fit.fit([spectrum], scale, self.settings)
        return KernelEstimate(self.choose(spectrum, fit, scale))

    def choose(self, spectrum: Spectrum, fit: Fit, scale: int) -> np.ndarray:
        """The kernel (K, K) of a fit.

        Raises:
            KernelError: if it leaves the blur too uncertain.
        """
        if not fit.uncertainty < self.settings.max_uncertainty:  # also true of NaN
            raise KernelError(
                f"the spectrum leaves the blur uncertain (its variance by a factor of {math.exp(fit.uncertainty):.1f})"
            )
        return kernels.gaussian(fit.covariance, _size(fit.covariance, scale), scale)

    def merge(self, image: Image, parts: Sequence[Region], scale: int) -> list[Region]:
        """Join the regions whose blur does not differ, the most alike first.

        Each pair is fitted twice, with one blur and with two; slope, orientation and noise are each region's own, so
        that different content alone does not pass for different blur. A region that cannot be measured joins the
        largest of the others.

        Args:
            image: (H, W, 3) in [0, 1].
            parts: disjoint, covering the image.
            scale: 2 or 4.
        """
        from mkgan_core.estimators import spectral_fit

        groups: list[tuple[Region, Spectrum]] = []
        unmeasured = []
        for part in parts:
            try:
                groups.append((part, spectral_fit.measure(image, part.mask, self.settings)))
            except KernelError:
                unmeasured.append(part)
        if not groups:
            return [whole(image.shape[:2])]

        @cache
        def cost(*regions: int) -> float:
            spectra = [groups[index][1] for index in regions]
            return spectral_fit.fit(spectra, scale, self.settings).cost

        while len(groups) > 1:
            excess, a, b = min((cost(a, b) - cost(a) - cost(b), a, b) for a, b in combinations(range(len(groups)), 2))
            if excess >= self.settings.merge_below:
                break
            joined = _join(groups[a][0], groups[b][0])
            rest = [group for index, group in enumerate(groups) if index not in (a, b)]
            groups = [*rest, (joined, spectral_fit.measure(image, joined.mask, self.settings))]
            cost.cache_clear()
        found = sorted((region for region, _ in groups), key=lambda region: -region.area)
        for part in unmeasured:
            found[0] = _join(found[0], part)
        return found


def _join(a: Region, b: Region) -> Region:
    mask = a.mask | b.mask
    return whole(mask.shape) if mask.all() else Region(f"{a.name}+{b.name}", mask)


def _size(covariance: np.ndarray, scale: int) -> int:
    """Odd side that holds three deviations, at least the 13 of the comparison."""
    reach = 3 * math.sqrt(float(np.linalg.eigvalsh(covariance)[-1]))
    return max(kernels.COMPARISON_SIZE + 4 * (scale - 2), 2 * math.ceil(reach) + 1)
