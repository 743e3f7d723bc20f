"""The part of a kernel that is not symmetric about its centre, which the power spectrum cannot show (method.md §6).

It only changes phases, so every such kernel explains the power spectrum as well. But only with the true one are
the enlargement's gradients few: a wrong one leaves an overshoot at one side of each edge. (With the symmetric part this
comparison would be unfair, because the gradients are always fewest if the kernel is a point; Levin et al., CVPR 2009.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import uniform_filter

from mkgan_core.imaging import images, kernels
from mkgan_core.imaging.crops import gradient_map
from mkgan_core.imaging.degradation import degrade_tensor
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.total_variation import Restoration, equaliser, luma

# Chosen on photographs of kodak24 and bsds20; EVIDENCE and SIDE also on half of div2krk_dev (notebook "The last step").
SPREAD = 0.1  # expected deviation of an entry from its opposite's mean, relative; DIV2KRK's noise has this
EVIDENCE = 0.003  # what a pixel counts: neighbours err together, and the image is only the most likely one
STRENGTH = 2.5  # of the prior on few gradients
ROUNDS, SETTLING = 3, 2  # estimates of the kernel, and the image's own rounds after each
SIDE = 512  # low-resolution pixels, of the window with the most structure that is looked at
NEGLIGIBLE = 1e-4  # entries below this share of the largest stay as they are


def with_asymmetry(kernel: np.ndarray, image: Image, scale: int) -> np.ndarray:
    """Add to a symmetric kernel the asymmetric part that leaves the enlargement the fewest gradients.

    Alternates between the image with the fewest gradients and the most likely kernel. In each round the kernel is
    linear in its unknown entries, each pair of opposite entries being +u and -u, with u normal of deviation `SPREAD`;
    the residual's expected power at each frequency weights the least squares.

    Args:
        kernel: (K, K), symmetric about the convention's centre.
        image: (H, W, 3) in [0, 1], low resolution, with this blur everywhere.
        scale: s.

    Returns:
        (K, K), sum 1, with the same centre.
    """
    pairs, allowed = _pairs(kernel, scale)
    low = luma(images.to_tensor(_window(image)))
    high = F.interpolate(low, scale_factor=scale, mode="bicubic", align_corners=False)
    found = kernel
    restoration = Restoration(found, scale, low)
    high = restoration.with_data(high)
    for _ in range(ROUNDS):
        for _ in range(SETTLING):
            high = restoration.with_data(restoration.with_prior(high, STRENGTH))
        expected = restoration.with_prior(high, STRENGTH)
        residual = (low - degrade_tensor(expected, kernel, scale))[0, 0]
        found = kernel + np.tensordot(_solve(pairs, allowed, expected, residual, found, scale), pairs, 1)
        found = kernels.normalise(np.maximum(found, 0))
        restoration = Restoration(found, scale, low)
        high = restoration.with_data(expected)
    return found


def _pairs(kernel: np.ndarray, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Kernels (N, K, K) that are +k at an entry and -k at the opposite one, and a projection (N, N) of their weights
    onto those that keep the kernel's centre.
    """
    side = len(kernel)
    twice = 2 * (side // 2) + scale - 1  # the centre, twice
    pairs = []
    for row, column in np.argwhere(kernel > NEGLIGIBLE * kernel.max()):
        opposite = twice - row, twice - column
        if (row, column) > opposite and min(opposite) >= 0 and max(opposite) < side:
            pair = np.zeros_like(kernel)
            pair[row, column], pair[opposite] = kernel[row, column], -kernel[opposite]
            pairs.append(pair)
    found = np.array(pairs)
    taps = np.arange(side)
    moments = np.stack([found.sum(axis=2) @ taps, found.sum(axis=1) @ taps], axis=1)
    shifts, _ = np.linalg.qr(moments)
    return found, np.eye(len(found)) - shifts @ shifts.T


def _solve(
    pairs: np.ndarray,
    allowed: np.ndarray,
    expected: torch.Tensor,
    residual: torch.Tensor,
    kernel: np.ndarray,
    scale: int,
) -> np.ndarray:
    """The most likely weights (N,) of the pairs."""
    size = residual.shape
    ends = torch.full((size[1] // 2 + 1,), 2.0)  # the half plane's columns stand for two, except the outer ones
    ends[0] = 1
    if size[1] % 2 == 0:
        ends[-1] = 1
    weight = (equaliser(kernel, scale, size).clamp(min=0) * ends / residual.numel()).sqrt()
    margin = len(kernel) // 2
    wide = F.pad(expected, (margin,) * 4, mode="reflect")[0, 0]
    spectra = []
    for pair in pairs:
        seen = sum(
            float(pair[row, column]) * wide[row::scale, column::scale][: size[0], : size[1]]
            for row, column in np.argwhere(pair)
        )
        spectra.append((torch.fft.rfft2(seen) * weight).flatten())
    rows, goal = torch.stack(spectra), (torch.fft.rfft2(residual) * weight).flatten()
    curvature = (rows @ rows.conj().T).real.double().numpy() * EVIDENCE
    pull = (rows @ goal.conj()).real.double().numpy() * EVIDENCE
    return allowed @ np.linalg.solve(allowed @ curvature @ allowed + np.eye(len(pairs)) / SPREAD**2, allowed @ pull)


def _window(image: Image) -> Image:
    """The image, or of a large one the window of `SIDE` pixels with the most structure."""
    height, width = (min(length, SIDE) for length in image.shape[:2])
    size: Any = height, width  # scipy's stub knows one number only
    around = uniform_filter(gradient_map(image), size, mode="constant")
    rows, columns = image.shape[0] - height, image.shape[1] - width
    centres = around[height // 2 :, width // 2 :][: rows + 1, : columns + 1]
    row, column = np.unravel_index(int(centres.argmax()), centres.shape)
    return image[row : row + height, column : column + width]
