"""The measured spectrum: Welch's mean over the windows of a region."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mkgan_core.errors import KernelError
from mkgan_core.estimators.spectral.settings import SpectralSettings
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.regions import Region

ROUNDING = 1 / 12 / 255**2  # variance that 8-bit rounding adds
SATURATED = 0.1  # share of black or white pixels from which a window is left out: clipping adds high frequencies
BATCH = 512  # windows transformed at a time
MOST_WINDOWS = 12_000  # of a colour: those of 3 megapixels; more would only cost memory
_REMEDY = "use kernelgan, or a larger region"


@dataclass(frozen=True)
class Spectrum:
    """Mean power of an image's windows on the half plane of `numpy.fft.rfft2`.

    Attributes:
        power: (n, n // 2 + 1), every window divided by the root of its variance, so that strong edges do not rule.
        noise: what rounding alone would amount to, on the same scale.
        contrast: mean log variance of the windows, above that of the whole image's.
    """

    power: np.ndarray
    noise: float
    contrast: float


def measure(image: Image, region: Region, settings: SpectralSettings) -> Spectrum:
    """Welch's spectrum of all colours over the windows that lie in the region, tapered edges apart.

    Raises:
        KernelError: if the region holds too few windows with structure.
    """
    side = settings.window
    hann = np.hanning(side + 2)[1:-1]
    taper = np.outer(hann, hann)

    step = side // 2 * math.ceil(math.sqrt(image[..., 0].size / (side // 2) ** 2 / MOST_WINDOWS))

    def windows(plane: np.ndarray) -> np.ndarray:
        return sliding_window_view(plane, (side, side))[::step, ::step].reshape(-1, side, side)

    if min(image.shape[:2]) < side:
        raise KernelError(
            f"{region.subject} is smaller than a window of {side} pixels", "use bicubic, or a larger image"
        )
    # another region's blur is most of the error where a window holds some of it
    inside = np.einsum("nij,ij->n", windows(region.mask), taper**2) >= settings.fill * (taper**2).sum()
    powers, variances, elsewhere = [], [], []
    for channel in range(image.shape[2]):
        found = windows(image[..., channel])
        kept = ((found <= 0) | (found >= 1)).mean(axis=(1, 2)) <= SATURATED
        variance = found[kept].var(axis=(1, 2), dtype=np.float64)
        variances.append(variance[inside[kept]])
        elsewhere.append(variance[~inside[kept]])
        found = found[kept & inside].astype(np.float64)
        for first in range(0, len(found), BATCH):
            part = found[first : first + BATCH]
            part = (part - (part * taper).sum(axis=(1, 2), keepdims=True) / taper.sum()) * taper
            powers.append(np.abs(np.fft.rfft2(part)) ** 2 / (taper**2).sum())
    variance = np.concatenate(variances)
    if len(variance) < settings.min_windows:
        raise KernelError(
            f"{region.subject} is too small or too clipped for a spectrum ({len(variance)} windows of {side} "
            f"pixels, {settings.min_windows} are needed)",
            _REMEDY,
        )
    rich = _rich(variance, settings)
    if rich.sum() < (least := settings.min_windows * (1 - settings.flattest)):
        raise KernelError(
            f"{region.subject} has too little texture for a spectrum ({rich.sum()} windows of {side} pixels, "
            f"{math.ceil(least)} are needed)",
            _REMEDY,
        )
    weights = variance[rich] ** -0.5
    power = (np.concatenate(powers)[rich] * weights[:, None, None]).mean(axis=0)
    everywhere = np.concatenate([variance, *elsewhere])
    contrast = np.log(variance[rich]).mean() - np.log(everywhere[_rich(everywhere, settings)]).mean()
    return Spectrum(power, ROUNDING * weights.mean(), float(contrast))


def _rich(variance: np.ndarray, settings: SpectralSettings) -> np.ndarray:
    """Which windows have structure."""
    return variance > max(np.quantile(variance, settings.flattest), 10 * ROUNDING)
