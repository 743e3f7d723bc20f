"""The part of a kernel that is not symmetric about its centre, which the power spectrum cannot show (method.md §6).

It changes only phases, so all such kernels explain the power spectrum equally well. But only the true one gives an
enlargement with few gradients: a wrong one leaves an overshoot on one side of each edge. (This comparison would not be
fair for the symmetric part, because the gradients are always fewest if the kernel is a point; Levin et al., CVPR 2009.)
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt

from mkgan_core.imaging import images, kernels
from mkgan_core.imaging.crops import richest
from mkgan_core.imaging.degradation import degrade_tensor
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.total_variation import STRENGTH, Restoration, equaliser, luma

# Chosen on photographs of kodak24 and bsds20; EVIDENCE and SIDE also on half of div2krk_dev (notebook "The last step").
SPREAD = 0.1  # expected deviation of an entry from its opposite's mean, relative; DIV2KRK's noise has this
EVIDENCE = 0.003  # weight of a pixel: errors of neighbours correlate, and the restored image is only the most likely
ROUNDS, SETTLING = 3, 2  # estimates of the kernel, and the image's own rounds after each
INSET, TAPER = 8, 6  # low-resolution pixels at a region's border: left out, and then weighted by a cosine
SIDE = 512  # low-resolution pixels, of the window with the most structure, which is used
NEGLIGIBLE = 1e-4  # entries below this share of the largest stay as they are


def with_asymmetry(kernel: np.ndarray, image: Image, mask: np.ndarray, scale: int) -> np.ndarray:
    """Add to a symmetric kernel the asymmetric part that leaves the enlargement the fewest gradients.

    Alternates between the image with the fewest gradients and the most likely kernel. In each round the kernel is
    linear in its unknown entries, each pair of opposite entries being +u and -u, with u normal of deviation `SPREAD`;
    the residual's expected power at each frequency weights the least squares.

    Args:
        kernel: (K, K), symmetric about the convention's centre.
        image: (H, W, 3) in [0, 1], low resolution.
        mask: bool (H, W), the region with this blur.
        scale: s.

    Returns:
        (K, K), sum 1, with the same centre.
    """
    pairs, allowed = _pairs(kernel, scale)
    window = richest(image, mask, SIDE)
    low = luma(images.to_tensor(image[window]))
    inside = torch.as_tensor(_tapered(mask)[window], dtype=low.dtype)
    high = F.interpolate(low, scale_factor=scale, mode="bicubic", align_corners=False)
    found = kernel
    restoration = Restoration(found, scale, low)
    high = restoration.with_data(high)
    for _ in range(ROUNDS):
        for _ in range(SETTLING):
            high = restoration.with_data(restoration.with_prior(high, STRENGTH))
        expected = restoration.with_prior(high, STRENGTH)
        residual = (low - degrade_tensor(expected, kernel, scale))[0, 0]
        weights = _solve(pairs, allowed, expected, residual, inside, found, scale)
        found = kernel + np.tensordot(weights, pairs, 1)
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
    inside: torch.Tensor,
    kernel: np.ndarray,
    scale: int,
) -> np.ndarray:
    """The most likely weights (N,) of the pairs, by the residual (H, W) weighted by ``inside`` (H, W)."""
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
        spectra.append((torch.fft.rfft2(seen * inside) * weight).flatten())
    rows, goal = torch.stack(spectra), (torch.fft.rfft2(residual * inside) * weight).flatten()
    curvature = (rows @ rows.conj().T).real.double().numpy() * EVIDENCE
    pull = (rows @ goal.conj()).real.double().numpy() * EVIDENCE
    return allowed @ np.linalg.solve(allowed @ curvature @ allowed + np.eye(len(pairs)) / SPREAD**2, allowed @ pull)


def _tapered(mask: np.ndarray) -> np.ndarray:
    """Weights (H, W) in [0, 1] that fall smoothly to 0 before the region's border, where another blur affects it.

    With a hard mask, the residual's low frequencies would leak into the high ones, which count most.
    """
    if mask.all():
        return mask
    distance = np.asarray(distance_transform_edt(mask))
    return (1 - np.cos(np.pi * np.clip((distance - INSET) / TAPER, 0, 1))) / 2
