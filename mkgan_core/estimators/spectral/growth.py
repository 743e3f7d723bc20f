"""Tests a symmetric kernel by the total variation of the image restored with it (method.md §6).

Restoring with the true kernel sharpens edges and texture as much as the kernel had blurred them, so the image's power
law predicts how much the variation grows. With a kernel that passes too little at some frequencies, restoring adds
stripes, and the variation grows more.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from mkgan_core.imaging import images
from mkgan_core.imaging.aliases import SLOPE, frequencies, response
from mkgan_core.imaging.crops import richest
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.total_variation import STRENGTH, luma_tensor, restored, variation

SIDE = 1024  # high-resolution pixels, of the window with the most structure, which is used
EDGE = 8  # high-resolution pixels at its border that are not
NOISE = 1e-4  # power at which a restoration stops sharpening, relative to that at one cycle per pixel


def excess_growth(image: Image, kernel: np.ndarray, other: np.ndarray, scale: int) -> float:
    """How much more the variation grows than expected when the image is restored with a kernel instead of another.

    Args:
        image: (H, W, 3) in [0, 1], low resolution, without noise. Compression adds variation, too, though less.
        kernel: (K, K), the kernel to test.
        other: (K, K), a narrower kernel, which adds no stripes.
        scale: 2 or 4.

    Returns:
        A logarithm: about 0 (-0.2 to 0.2) for a right kernel, and up to 3 for a wrong one.
    """
    window = richest(image, np.ones(image.shape[:2], bool), SIDE // scale)
    low = luma_tensor(images.to_tensor(image[window]))
    grown = _variation(low, kernel, scale) / _variation(low, other, scale)
    expected = _expected_gradient(kernel, kernel, scale) / _expected_gradient(other, kernel, scale)
    return math.log(grown / expected)


@torch.no_grad()
def _variation(low: torch.Tensor, kernel: np.ndarray, scale: int) -> float:
    """Mean variation of an image (1, 1, H, W) restored with a kernel."""
    high = F.interpolate(low, scale_factor=scale, mode="bicubic", align_corners=False)
    found = variation(restored(high, low, kernel, scale, STRENGTH))
    return float(found[..., EDGE:-EDGE, EDGE:-EDGE].mean()) + 1e-9


def _expected_gradient(kernel: np.ndarray, true: np.ndarray, scale: int) -> float:
    """Root mean square gradient of restored images with the power spectrum |w|^-slope and the blur ``true``, times a
    constant. The restoration is the Wiener filter of ``kernel``.
    """
    rows, columns = frequencies(scale)
    radius = np.hypot(rows, columns)
    power = radius**-SLOPE
    assumed, actual = (np.abs(response(each, rows, columns, scale)) for each in (kernel, true))
    observed, expected = ((power * blur**2).sum(axis=0) for blur in (actual, assumed))
    restored_power = (power * assumed / (expected + NOISE)) ** 2 * observed
    return math.sqrt(float((radius**2 * restored_power).sum()))
