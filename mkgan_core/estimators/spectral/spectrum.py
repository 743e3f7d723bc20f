"""Measures the power spectrum of a region by Welch's method, as the mean over windows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mkgan_core.errors import KernelError
from mkgan_core.estimators.spectral.settings import SpectralSettings
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.regions import Region

ROUNDING = 1 / 12 / 255**2  # variance of 8-bit rounding noise
SATURATED = 0.1  # largest share of black or white pixels in a window, because clipping adds high frequencies
BATCH = 512  # windows per Fourier transform
MOST_WINDOWS = 12_000  # per colour channel, enough for 3 megapixels; more would only cost memory
_REMEDY = "use kernelgan, or a larger region"


@dataclass(frozen=True)
class Spectrum:
    """Mean power spectrum of a region's windows.

    Attributes:
        power: (n, n // 2 + 1), on the half plane of `numpy.fft.rfft2`. The power of each window is divided by the
            window's standard deviation, so that strong edges do not dominate.
        noise: the power of 8-bit rounding noise, on the same scale.
        contrast: mean log variance of the region's windows minus that of all windows of the image.
    """

    power: np.ndarray
    noise: float
    contrast: float


def measure(image: Image, region: Region, settings: SpectralSettings) -> Spectrum:
    """Average the spectra of all colour channels over the windows inside a region.

    Windows with many clipped pixels, and those with the lowest contrast, are left out.

    Args:
        image: (H, W, 3) in [0, 1], low resolution.
        region: the region to measure.
        settings: side of the windows, and the limits for their selection.

    Raises:
        KernelError: if the image is smaller than a window, or the region has too few windows with structure.
    """
    side = settings.window
    hann = np.hanning(side + 2)[1:-1]
    taper = np.outer(hann, hann)

    step = side // 2 * math.ceil(math.sqrt(image[..., 0].size / (side // 2) ** 2 / MOST_WINDOWS))

    def windows(plane: np.ndarray) -> np.ndarray:
        return sliding_window_view(plane, (side, side))[::step, ::step].reshape(-1, side, side)

    if min(image.shape[:2]) < side:
        raise KernelError(f"the image is smaller than a window of {side} pixels", "use bicubic, or a larger image")
    # windows that contain another region, with another blur, would cause most of the error
    inside = np.einsum("nij,ij->n", windows(region.sure), taper**2) >= settings.fill * (taper**2).sum()
    powers, variances, elsewhere = [], [], []
    for channel in range(image.shape[2]):
        tiles = windows(image[..., channel])
        kept = ((tiles <= 0) | (tiles >= 1)).mean(axis=(1, 2)) <= SATURATED
        variance = tiles[kept].var(axis=(1, 2), dtype=np.float64)
        variances.append(variance[inside[kept]])
        elsewhere.append(variance[~inside[kept]])
        tiles = tiles[kept & inside].astype(np.float64)
        for first in range(0, len(tiles), BATCH):
            part = tiles[first : first + BATCH]
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
    """Whether each window has structure, bool (N,), by the windows' variances (N,)."""
    return variance > max(np.quantile(variance, settings.flattest), 10 * ROUNDING)
