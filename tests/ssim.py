"""The structural similarity of Wang, Bovik, Sheikh and Simoncelli (2004), written out: the oracle of the scores."""

from __future__ import annotations

import numpy as np
from scipy.signal import convolve

GAUSSIAN = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))  # 11 taps, sigma 1.5, as published
UNIFORM = np.ones(7)


def ssim(x: np.ndarray, y: np.ndarray, taps: np.ndarray, *, sample: bool = False) -> float:
    """Mean over the places of a square window that lies inside two planes (H, W) with values in 0..255.

    Args:
        x: a plane.
        y: another.
        taps: of the window along either axis.
        sample: divide variances and covariance by one less than the number of pixels in the window.
    """
    window = np.outer(taps, taps) / taps.sum() ** 2
    bessel = taps.size**2 / (taps.size**2 - 1) if sample else 1.0

    def mean(plane: np.ndarray) -> np.ndarray:
        return convolve(plane, window, mode="valid", method="direct")

    x, y = x.astype(np.float64), y.astype(np.float64)
    mean_x, mean_y = mean(x), mean(y)
    variance_x, variance_y = (bessel * (mean(p * p) - m * m) for p, m in ((x, mean_x), (y, mean_y)))
    covariance = bessel * (mean(x * y) - mean_x * mean_y)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    contrast_and_structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return float((luminance * contrast_and_structure).mean())
