"""The spectral estimator (ours, METHOD §6): the blur read off the power spectrum of the low-resolution image.

The spectrum of a natural image falls off in a known way, A |w|^-alpha with a mild orientation term; what it falls off
faster is the blur's |K|², folded by the sampling. This module holds the settings and the estimator; `spectral_fit` the
measured spectrum and the model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mkgan_core import kernels
from mkgan_core.errors import KernelError
from mkgan_core.estimators import KernelEstimate
from mkgan_core.images import Image
from mkgan_core.regions import Region


@dataclass(frozen=True)
class SpectralSettings:
    """Settings of the spectral estimator, chosen on kodak24 and bsds20 (BENCHMARKS.md)."""

    window: int = 32
    """Side of the Hann windows that the spectrum is averaged over, half overlapping."""
    flattest: float = 0.3
    """Share of the windows, those with the least contrast, that is left out."""
    min_windows: int = 12
    """Fewer windows than this, colours counted apart, are no spectrum."""
    lowest: float = 2.0
    """Lowest frequency in use, in cycles per window; below it the window's own shape rules."""
    slope: float = 2.6
    """Expected alpha of natural images."""
    slope_std: float = 0.2
    tilt_std: float = 0.33
    """Of the two orientation terms, around none."""
    noise_std: float = 3.0
    """Of the log of the noise above what rounding to 8 bits leaves, around none."""
    robustness: float = 0.1
    """Deviations of the log spectrum beyond this count by their size, no longer by their square."""
    max_uncertainty: float = 0.5
    """Standard deviation of the log of the variance above which the estimate is refused."""


class Spectral:
    """Estimator `spectral`."""

    version = 1
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
        fit = spectral_fit.fit(spectrum, scale, self.settings)
        if not fit.uncertainty < self.settings.max_uncertainty:  # also true of NaN
            raise KernelError(
                f"the spectrum leaves the blur uncertain (its variance by a factor of {math.exp(fit.uncertainty):.1f})"
            )
        return KernelEstimate(kernels.gaussian(fit.covariance, _size(fit.covariance, scale), scale))


def _size(covariance: np.ndarray, scale: int) -> int:
    """Odd side that holds three deviations, at least the 13 of the comparison."""
    reach = 3 * math.sqrt(float(np.linalg.eigvalsh(covariance)[-1]))
    return max(kernels.COMPARISON_SIZE + 4 * (scale - 2), 2 * math.ceil(reach) + 1)
